/* The Wireshark plugin: tables made from the wire schema, and fixed Lua code that reads them.
 *
 * The plugin is a work of its own under the licence that Wireshark asks for; nothing else here is. It does not open sealed datagrams. */
#include <inttypes.h>

#include "bit_words.h"
#include "export.h"

static const char licence[] =
    "-- Diolkos Mesh for Wireshark and tshark. Written by mesh-dissect --export wireshark from the wire schema: change that, not this.\n"
    "--\n"
    "-- SPDX-License-Identifier: GPL-2.0-or-later\n"
    "--\n"
    "-- This file is free software: you may pass it on and change it under the terms of the GNU General Public License as published by\n"
    "-- the Free Software Foundation, version 2 or, as you like, any later one. It comes without any warranty.\n"
    "--\n"
    "-- Put it into a folder of plugins (Help, About, Folders: Personal Lua Plugins), or: tshark -X lua_script:mesh.lua -r FILE\n\n";

/* ---- tables ---- */

static void write_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void write_limit(FILE *out, const struct mesh_wire_field *field, uint64_t value)
{
    if (field->type == MESH_WIRE_u64)
        fprintf(out, "UInt64.new(0x%" PRIx32 ", 0x%" PRIx32 ")", (uint32_t)value, (uint32_t)(value >> 32));
    else
        fprintf(out, "%" PRIu64, value);
}

static void write_bits(FILE *out, const struct mesh_wire_field *field)
{
    struct bit_word bit;

    if (!bit_words_at(field, 0, &bit))
        return;
    fputs(", bits = {", out);
    for (unsigned i = 0; bit_words_at(field, i, &bit); i++)
        fprintf(out, "%s{mask = %" PRIu64 ", name = \"%s\", words = \"%s\"}", i > 0 ? ", " : "", bit.mask, bit.name, bit.words);
    fputs("}", out);
}

static void write_fields(FILE *out, const struct mesh_wire_part *part, const char *indent)
{
    static const char *const types[] = {"u8", "u16", "u32", "u64", "bytes", "bytes"};

    for (unsigned i = 0; i < part->field_count; i++) {
        const struct mesh_wire_field *field = &part->fields[i];

        fprintf(out, "%s{name = \"%s\", kind = \"%s\", at = %u, size = %u, min = ", indent, field->name, types[field->type],
                field->wire_offset, field->size);
        write_limit(out, field, field->min);
        fputs(", max = ", out);
        write_limit(out, field, field->max);
        fputs(", unit = ", out);
        write_string(out, field->unit);
        fputs(", meaning = ", out);
        write_string(out, field->meaning);
        write_bits(out, field);
        fputs("},\n", out);
    }
}

static void write_part(FILE *out, const char *name, const struct mesh_wire_part *part)
{
    fprintf(out, "local %s = {name = \"%s\", key = \"%s\", bytes = %u, fields = {\n", name, part->name, export_key(part), part->wire_bytes);
    write_fields(out, part, "    ");
    fputs("}}\n", out);
}

static void write_tables(FILE *out)
{
    static const char *const tails[] = {"none", "data", "ranges", "padding", "members"};

    fprintf(out, "local MAGIC, VERSION, TO_ALL, PORT = 0x%x, %u, %u, 7411\n", MESH_WIRE_MAGIC, MESH_WIRE_VERSION, MESH_DST_ALL);
    fprintf(out, "local FLAG_ALL, FLAG_RESEND, FLAG_AUTHENTICATED, FLAG_SEALED, FLAG_COPY = %d, %d, %d, %d, %d\n", MESH_FLAG_ALL,
            MESH_FLAG_RESEND, MESH_FLAG_AUTHENTICATED, MESH_FLAG_SEALED, MESH_FLAG_COPY);
    write_part(out, "header", &mesh_wire_header);
    write_part(out, "range", &mesh_wire_range);
    write_part(out, "member", &mesh_wire_member);
    fputs("local messages = {\n", out);
    for (unsigned type = 0; type < MESH_TYPE_COUNT; type++) {
        const struct mesh_wire_part *part = mesh_wire_message(type);

        if (part == NULL)
            continue;
        fprintf(out, "    [%u] = {name = \"%s\", key = \"%s\", bytes = %u, tail = \"%s\", meaning = ", type, part->name, export_key(part),
                part->wire_bytes, tails[part->tail]);
        write_string(out, part->meaning);
        fputs(", fields = {\n", out);
        write_fields(out, part, "        ");
        fputs("    }},\n", out);
    }
    fputs("}\n\n", out);
}

/* ---- the code that reads them ---- */

static const char declarations[] =
    "-- Not \"mesh\": Wireshark has a protocol of that name. Fields begin with it all the same.\n"
    "local mesh = Proto(\"diolkos\", \"Diolkos Mesh\")\n"
    "local makers = {u8 = ProtoField.uint8, u16 = ProtoField.uint16, u32 = ProtoField.uint32, u64 = ProtoField.uint64}\n"
    "local names = {}\n"
    "for number, message in pairs(messages) do names[number] = message.name end\n"
    "\n"
    "-- A ProtoField for each field of a part; all are collected, since Wireshark wants them at once.\n"
    "local all = {}\n"
    "local function declare(part, prefix)\n"
    "    for _, field in ipairs(part.fields) do\n"
    "        local name, strings = prefix .. field.name, nil\n"
    "        if name == \"mesh.type\" then strings = names end\n"
    "        if field.kind == \"bytes\" then\n"
    "            field.proto = ProtoField.bytes(name, field.name, base.NONE, field.meaning)\n"
    "        else\n"
    "            field.proto = makers[field.kind](name, field.name, base.DEC, strings, nil, field.meaning)\n"
    "        end\n"
    "        all[#all + 1] = field.proto\n"
    "        for _, bit in ipairs(field.bits or {}) do\n"
    "            bit.proto = ProtoField.bool(name .. \".\" .. bit.name, bit.words, 8 * field.size, nil, bit.mask)\n"
    "            all[#all + 1] = bit.proto\n"
    "        end\n"
    "    end\n"
    "end\n"
    "declare(header, \"mesh.\")\n"
    "declare(range, \"mesh.range.\")\n"
    "declare(member, \"mesh.member.\")\n"
    "for _, message in pairs(messages) do declare(message, \"mesh.\" .. message.key .. \".\") end\n"
    "\n"
    "local extra = {\n"
    "    data = ProtoField.bytes(\"mesh.data\", \"data\"),\n"
    "    sealed = ProtoField.bytes(\"mesh.sealed\", \"sealed\"),\n"
    "    gap = ProtoField.uint32(\"mesh.analysis.gap\", \"numbers missing before this one\", base.DEC),\n"
    "    missing = ProtoField.uint32(\"mesh.analysis.missing\", \"of those, never seen later\", base.DEC),\n"
    "    lost = ProtoField.bool(\"mesh.analysis.lost\", \"it did not arrive\"),\n"
    "    duplicate = ProtoField.bool(\"mesh.analysis.duplicate\", \"its number was seen before\"),\n"
    "    reordered = ProtoField.bool(\"mesh.analysis.reordered\", \"it was missing until now\"),\n"
    "    late = ProtoField.bool(\"mesh.analysis.late\", \"it was, for longer than 50 microseconds\"),\n"
    "    resend = ProtoField.bool(\"mesh.analysis.resend\", \"resent after a NAK\"),\n"
    "}\n"
    "for _, field in pairs(extra) do all[#all + 1] = field end\n"
    "mesh.fields = all\n"
    "\n"
    "local expert = {\n"
    "    gap = ProtoExpert.new(\"mesh.expert.gap\", \"numbers are missing before this one\", expert.group.SEQUENCE, "
    "expert.severity.WARN),\n"
    "    lost = ProtoExpert.new(\"mesh.expert.lost\", \"it did not arrive\", expert.group.SEQUENCE, expert.severity.WARN),\n"
    "    duplicate = ProtoExpert.new(\"mesh.expert.duplicate\", \"this number was seen before\", expert.group.SEQUENCE, "
    "expert.severity.NOTE),\n"
    "    reordered = ProtoExpert.new(\"mesh.expert.reordered\", \"later than its successor\", expert.group.SEQUENCE, "
    "expert.severity.NOTE),\n"
    "    late = ProtoExpert.new(\"mesh.expert.late\", \"so late that its receiver took it for lost\", expert.group.SEQUENCE, "
    "expert.severity.NOTE),\n"
    "    resend = ProtoExpert.new(\"mesh.expert.resend\", \"resent after a NAK\", expert.group.SEQUENCE, expert.severity.NOTE),\n"
    "    size = ProtoExpert.new(\"mesh.expert.size\", \"not of its type's size\", expert.group.MALFORMED, expert.severity.ERROR),\n"
    "    limit = ProtoExpert.new(\"mesh.expert.range\", \"out of its range\", expert.group.PROTOCOL, expert.severity.ERROR),\n"
    "    version = ProtoExpert.new(\"mesh.expert.version\", \"another version of the protocol\", expert.group.PROTOCOL, "
    "expert.severity.WARN),\n"
    "}\n"
    "local experts = {}\n"
    "for _, e in pairs(expert) do experts[#experts + 1] = e end\n"
    "mesh.experts = experts\n"
    "\n";

static const char splitting[] =
    "-- ---- segmentation offload ----\n"
    "\n"
    "-- What the kernel captures on its way out may be several datagrams in a row, of one size but for the last.\n"
    "local function is_outside(field, bytes)\n"
    "    if field.kind == \"bytes\" then return false end\n"
    "    local value = field.kind == \"u64\" and bytes:le_uint64() or bytes:le_uint()\n"
    "    return value < field.min or value > field.max\n"
    "end\n"
    "\n"
    "local function header_at(buffer, at)\n"
    "    if buffer:len() - at < header.bytes or buffer(at, 2):le_uint() ~= MAGIC then return nil end\n"
    "    for _, field in ipairs(header.fields) do\n"
    "        if is_outside(field, buffer(at + field.at, field.size)) then return nil end\n"
    "    end\n"
    "    local message = messages[buffer(at + 3, 1):uint()]\n"
    "    return message and {message = message, version = buffer(at + 2, 1):uint(), src = buffer(at + 6, 2):le_uint(),\n"
    "        dst = buffer(at + 8, 2):le_uint(), epoch = buffer(at + 12, 4):le_uint()}\n"
    "end\n"
    "\n"
    "local function is_sibling(a, buffer, at)\n"
    "    local b = header_at(buffer, at)\n"
    "    if not b or a.version ~= b.version then return false end\n"
    "    return a.epoch == 0 or b.epoch == 0 -- outside of epochs ranks are 0\n"
    "        or a.src == b.src and a.epoch == b.epoch and (a.dst == b.dst or a.dst == TO_ALL or b.dst == TO_ALL)\n"
    "end\n"
    "\n"
    "local function is_stride(first, buffer, start, stride)\n"
    "    for at = start + stride, buffer:len() - header.bytes, stride do\n"
    "        if not is_sibling(first, buffer, at) then return false end\n"
    "    end\n"
    "    return true\n"
    "end\n"
    "\n"
    "-- Size of the datagram that begins at `start`.\n"
    "local function split_first(buffer, start)\n"
    "    local size, first = buffer:reported_len() - start, header_at(buffer, start)\n"
    "    if size < 2 * header.bytes or not first then return size end\n"
    "    if first.message.tail == \"none\" then\n"
    "        local exact = header.bytes + first.message.bytes\n"
    "        return exact < size and is_sibling(first, buffer, start + exact) and exact or size\n"
    "    end\n"
    "    local raw, magic, at = buffer:raw(), string.char(MAGIC % 256, math.floor(MAGIC / 256), VERSION), start + header.bytes\n"
    "    while true do\n"
    "        local found = raw:find(magic, at + 1, true)\n"
    "        if not found then return size end\n"
    "        if is_sibling(first, buffer, found - 1) and is_stride(first, buffer, start, found - 1 - start) then return found - 1 - start "
    "end\n"
    "        at = found\n"
    "    end\n"
    "end\n"
    "\n";

static const char tracking[] =
    "-- ---- numbers ----\n"
    "\n"
    "-- Each sender's number space, as it goes to one receiver, is gapless. verdicts: what the first pass found, by frame.\n"
    "local WINDOW, REORDER_S = 2048, 50e-6\n"
    "local streams, verdicts = {}, {}\n"
    "function mesh.init()\n"
    "    streams, verdicts = {}, {}\n"
    "    forget_links()\n"
    "end\n"
    "\n"
    "local function advance(stream, number, verdict, now)\n"
    "    local missing = number - stream.highest - 1\n"
    "    if missing > 0 then\n"
    "        verdict.gap, verdict.missing, verdict.seen_at = missing, missing, now\n"
    "        for skipped = math.max(stream.highest + 1, number - WINDOW), number - 1 do stream.missing[skipped] = verdict end\n"
    "    end\n"
    "    for old = math.max(stream.highest + 1, number - WINDOW) - WINDOW, number - WINDOW do\n"
    "        stream.seen[old], stream.missing[old] = nil, nil\n"
    "    end\n"
    "    stream.highest = number\n"
    "end\n"
    "\n"
    "local function follow(stream, number, now)\n"
    "    local verdict = {}\n"
    "    if number > stream.highest then\n"
    "        advance(stream, number, verdict, now)\n"
    "    elseif stream.seen[number] then\n"
    "        verdict.duplicate = true\n"
    "    else\n"
    "        local before = stream.missing[number]\n"
    "        if before then before.missing = before.missing - 1 end\n"
    "        if before and now - before.seen_at <= REORDER_S then verdict.reordered = true else verdict.late = true end\n"
    "        stream.missing[number] = nil\n"
    "    end\n"
    "    stream.seen[number] = true\n"
    "    return verdict\n"
    "end\n"
    "\n"
    "local function is_numbered(buffer)\n"
    "    return buffer(12, 4):le_uint() ~= 0 and buffer(16, 8):le_uint64() ~= UInt64(0)\n"
    "end\n"
    "\n"
    "local function judge(buffer, pinfo)\n"
    "    local epoch, number = buffer(12, 4):le_uint(), buffer(16, 8):le_uint64():tonumber()\n"
    "    if not is_numbered(buffer) then return {} end\n"
    "    local key = table.concat({epoch, buffer(6, 2):le_uint(), buffer(8, 2):le_uint(), tostring(pinfo.src), pinfo.src_port,\n"
    "        tostring(pinfo.dst), pinfo.dst_port}, \" \")\n"
    "    local sent = buffer(32, 8):le_uint64():tonumber()\n"
    "    if not streams[key] or not lives_on(streams[key].life, number, sent) then\n"
    "        streams[key] = {highest = number - 1, seen = {}, missing = {}, life = {}}\n"
    "        lives_on(streams[key].life, number, sent)\n"
    "    end\n"
    "    return follow(streams[key], number, pinfo.rel_ts)\n"
    "end\n"
    "\n"
    "-- index: of the datagram in its frame\n"
    "local function add_analysis(tree, item, message, buffer, size, pinfo, index)\n"
    "    local of_frame = verdicts[pinfo.number] or {}\n"
    "    verdicts[pinfo.number] = of_frame\n"
    "    if not of_frame[index] then\n"
    "        of_frame[index] = judge(buffer, pinfo)\n"
    "        if is_numbered(buffer) then follow_loss(message, buffer, size, pinfo, of_frame[index]) end\n"
    "    end\n"
    "    local verdict = of_frame[index]\n"
    "    if not next(verdict) then return end\n"
    "    local node = tree:add(mesh, buffer(16, 8), \"analysis\")\n"
    "    node:set_generated()\n"
    "    if verdict.gap then\n"
    "        node:add(extra.gap, buffer(16, 8), verdict.gap)\n"
    "        node:add(extra.missing, buffer(16, 8), verdict.missing)\n"
    "        item:add_proto_expert_info(expert.gap, verdict.gap .. \" missing before this one\")\n"
    "    end\n"
    "    if verdict.lost then\n"
    "        node:add(extra.lost, buffer(16, 8), true)\n"
    "        item:add_proto_expert_info(expert.lost)\n"
    "    end\n"
    "    if verdict.duplicate then\n"
    "        node:add(extra.duplicate, buffer(16, 8), true)\n"
    "        item:add_proto_expert_info(expert.duplicate)\n"
    "    end\n"
    "    if verdict.reordered then\n"
    "        node:add(extra.reordered, buffer(16, 8), true)\n"
    "        item:add_proto_expert_info(expert.reordered)\n"
    "    end\n"
    "    if verdict.late then\n"
    "        node:add(extra.late, buffer(16, 8), true)\n"
    "        item:add_proto_expert_info(expert.late)\n"
    "    end\n"
    "end\n"
    "\n";

static const char dissection[] =
    "-- ---- fields ----\n"
    "\n"
    "-- The words of those that are set, and each by itself.\n"
    "local function add_bits(item, field, bytes)\n"
    "    local value, words = bytes:le_uint(), {}\n"
    "    for _, bit in ipairs(field.bits) do\n"
    "        if bit_and(value, bit.mask) ~= 0 then words[#words + 1] = bit.words end\n"
    "        item:add_le(bit.proto, bytes)\n"
    "    end\n"
    "    if #words > 0 then item:append_text(\": \" .. table.concat(words, \", \")) end\n"
    "end\n"
    "\n"
    "local function add_part(tree, part, buffer, at)\n"
    "    local node = tree:add(mesh, buffer(at, part.bytes), part.name)\n"
    "    for _, field in ipairs(part.fields) do\n"
    "        local bytes = buffer(at + field.at, field.size)\n"
    "        local item = field.kind == \"bytes\" and node:add(field.proto, bytes) or node:add_le(field.proto, bytes)\n"
    "        if field.unit ~= \"\" then item:append_text(\" \" .. field.unit) end\n"
    "        if field.bits then add_bits(item, field, bytes) end\n"
    "        if is_outside(field, bytes) then item:add_proto_expert_info(expert.limit) end\n"
    "    end\n"
    "    return node\n"
    "end\n"
    "\n"
    "-- Of messages with a list its length is the last field.\n"
    "local function add_list(tree, part, message, buffer, at)\n"
    "    local last = message.fields[#message.fields]\n"
    "    local count = buffer(header.bytes + last.at, last.size):le_uint()\n"
    "    if buffer:len() ~= at + count * part.bytes then\n"
    "        tree:add_proto_expert_info(expert.size)\n"
    "        return\n"
    "    end\n"
    "    for i = 0, count - 1 do add_part(tree, part, buffer, at + i * part.bytes) end\n"
    "end\n"
    "\n"
    "local function add_tail(tree, message, buffer, at)\n"
    "    local left = buffer:len() - at\n"
    "    if message.tail == \"data\" and left > 0 then\n"
    "        tree:add(extra.data, buffer(at, left))\n"
    "    elseif message.tail == \"ranges\" then\n"
    "        add_list(tree, range, message, buffer, at)\n"
    "    elseif message.tail == \"members\" then\n"
    "        add_list(tree, member, message, buffer, at)\n"
    "    elseif message.tail == \"padding\" and buffer:len() ~= buffer(header.bytes, 4):le_uint() then\n"
    "        tree:add_proto_expert_info(expert.size)\n"
    "    elseif (message.tail == \"none\" and left > 0) or (message.tail == \"data\" and left == 0) then\n"
    "        tree:add_proto_expert_info(expert.size)\n"
    "    end\n"
    "end\n"
    "\n"
    "local function add_body(tree, message, buffer, flags, size)\n"
    "    local at = header.bytes + message.bytes\n"
    "    if bit_and(flags, FLAG_SEALED) ~= 0 then\n"
    "        if buffer:len() > header.bytes then tree:add(extra.sealed, buffer(header.bytes)) end\n"
    "    elseif size > buffer:len() then\n"
    "        tree:append_text(\", cut short by the capture\")\n"
    "    elseif buffer:len() < at then\n"
    "        tree:add_proto_expert_info(expert.size)\n"
    "    else\n"
    "        add_part(tree, message, buffer, header.bytes)\n"
    "        add_tail(tree, message, buffer, at)\n"
    "    end\n"
    "end\n"
    "\n"
    "local function info_text(message, buffer, flags)\n"
    "    local to = buffer(8, 2):le_uint()\n"
    "    local text = buffer(6, 2):le_uint() .. \">\" .. (to == TO_ALL and \"all\" or to) .. \" \" .. message.name\n"
    "    if bit_and(flags, FLAG_RESEND) ~= 0 then text = text .. \" resend\" end\n"
    "    if bit_and(flags, FLAG_COPY) ~= 0 then text = text .. \" copy\" end\n"
    "    return text .. \" epoch \" .. buffer(12, 4):le_uint() .. \" #\" .. tostring(buffer(16, 8):le_uint64())\n"
    "end\n"
    "\n"
    "local function is_ours(buffer)\n"
    "    return buffer:len() >= header.bytes and buffer(0, 2):le_uint() == MAGIC and messages[buffer(3, 1):uint()] ~= nil\n"
    "end\n"
    "\n"
    "-- size: as it was sent; buffer: what was captured of it\n"
    "local function add_datagram(buffer, size, pinfo, root, index)\n"
    "    if not is_ours(buffer) then return end\n"
    "    local message, flags = messages[buffer(3, 1):uint()], buffer(4, 2):le_uint()\n"
    "    local tree = root:add(mesh, buffer(), \"Diolkos Mesh, \" .. info_text(message, buffer, flags))\n"
    "    if index == 1 then pinfo.cols.info = \"\" else pinfo.cols.info:append(\", \") end\n"
    "    pinfo.cols.info:append(info_text(message, buffer, flags))\n"
    "    local item = add_part(tree, header, buffer, 0)\n"
    "    if buffer(2, 1):uint() ~= VERSION then\n"
    "        item:add_proto_expert_info(expert.version)\n"
    "        return\n"
    "    end\n"
    "    if bit_and(flags, FLAG_RESEND) ~= 0 then\n"
    "        tree:add(extra.resend, buffer(4, 2), true):set_generated()\n"
    "        item:add_proto_expert_info(expert.resend)\n"
    "    end\n"
    "    add_analysis(tree, item, message, buffer, size, pinfo, index)\n"
    "    add_body(tree, message, buffer, flags, size)\n"
    "end\n"
    "\n"
    "function mesh.dissector(buffer, pinfo, root)\n"
    "    if not is_ours(buffer) then return 0 end\n"
    "    local at, index = 0, 1\n"
    "    pinfo.cols.protocol = \"MESH\"\n"
    "    while at < buffer:len() do\n"
    "        local size = split_first(buffer, at)\n"
    "        add_datagram(buffer(at, math.min(size, buffer:len() - at)):tvb(), size, pinfo, root, index)\n"
    "        at, index = at + size, index + 1\n"
    "    end\n"
    "    return buffer:len()\n"
    "end\n"
    "\n"
    "DissectorTable.get(\"udp.port\"):add(PORT, mesh)\n"
    "mesh:register_heuristic(\"udp\", function(buffer, pinfo, root)\n"
    "    if not is_ours(buffer) then return false end\n"
    "    mesh.dissector(buffer, pinfo, root)\n"
    "    return true\n"
    "end)\n";

static const char bit_and[] = "-- Lua 5.2 has no operators for bits, later versions may lack its library.\n"
                              "local function bit_and(value, flag)\n"
                              "    return math.floor(value / flag) % 2 == 1 and flag or 0\n"
                              "end\n\n";

void export_write_lua(FILE *out)
{
    fputs(licence, out);
    write_tables(out);
    fputs(bit_and, out);
    fputs(declarations, out);
    fputs(splitting, out);
    fputs(export_lua_loss, out);
    fputs(tracking, out);
    fputs(dissection, out);
}
