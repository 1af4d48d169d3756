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

/* Are there values of the type that are out of range? */
static bool is_limited(const struct mesh_wire_field *field)
{
    return field->type <= MESH_WIRE_u64 && (field->min != 0 || field->max < UINT64_MAX >> (64 - 8 * field->size));
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
        if (is_limited(field))
            fputs(", is_limited = true", out);
        fputs(", unit = ", out);
        write_string(out, field->unit);
        fputs(", meaning = ", out);
        write_string(out, field->meaning);
        write_bits(out, field);
        fputs("},\n", out);
    }
}

/* "v1, v2" or "magic = v1, version = v2": the numbers among the fields. */
static void write_numbers(FILE *out, const struct mesh_wire_part *part, bool is_named)
{
    unsigned count = 0;

    for (unsigned i = 0; i < part->field_count; i++) {
        if (part->fields[i].type > MESH_WIRE_u64)
            continue;
        if (count++ > 0)
            fputs(", ", out);
        if (is_named)
            fprintf(out, "%s = ", part->fields[i].name);
        fprintf(out, "v%u", count);
    }
}

/* The function `read` of a part returns its numbers by name, from the bytes of a datagram. Fields that are no numbers are passed over. */
static void write_reader(FILE *out, const struct mesh_wire_part *part, const char *indent)
{
    static const char *const formats[] = {"B", "I2", "I4", "I8"};
    unsigned at = 0, count = 0;

    for (unsigned i = 0; i < part->field_count; i++)
        count += part->fields[i].type <= MESH_WIRE_u64;
    if (count == 0) {
        fprintf(out, "%sread = function() return {} end,\n", indent);
        return;
    }
    fprintf(out, "%sread = function(raw, at)\n%s    local ", indent, indent);
    write_numbers(out, part, false);
    fputs(" = Struct.unpack(\"<", out);
    for (unsigned i = 0; i < part->field_count; i++) {
        const struct mesh_wire_field *field = &part->fields[i];

        if (field->type > MESH_WIRE_u64)
            continue;
        for (; at < field->wire_offset; at++)
            fputc('x', out);
        fputs(formats[field->type], out);
        at += field->size;
    }
    fprintf(out, "\", raw, at + 1)\n%s    return {", indent);
    write_numbers(out, part, true);
    fprintf(out, "}\n%send,\n", indent);
}

static void write_part(FILE *out, const char *name, const struct mesh_wire_part *part)
{
    fprintf(out, "local %s = {name = \"%s\", key = \"%s\", bytes = %u,\n", name, part->name, export_key(part), part->wire_bytes);
    write_reader(out, part, "    ");
    fputs("    fields = {\n", out);
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
        fputs(",\n", out);
        write_reader(out, part, "        ");
        fputs("        fields = {\n", out);
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
    "    part.limited = {}\n"
    "    for _, field in ipairs(part.fields) do\n"
    "        local name, strings = prefix .. field.name, nil\n"
    "        if name == \"mesh.type\" then strings = names end\n"
    "        if field.kind == \"bytes\" then\n"
    "            field.proto = ProtoField.bytes(name, field.name, base.NONE, field.meaning)\n"
    "        else\n"
    "            field.proto = makers[field.kind](name, field.name, base.DEC, strings, nil, field.meaning)\n"
    "        end\n"
    "        if field.unit ~= \"\" then field.label = \" \" .. field.unit end\n"
    "        if field.is_limited then part.limited[#part.limited + 1] = field end\n"
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
    "    gap = ProtoField.uint64(\"mesh.analysis.gap\", \"numbers missing before this one\", base.DEC),\n"
    "    missing = ProtoField.uint64(\"mesh.analysis.missing\", \"of those, never seen later\", base.DEC),\n"
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
    "-- ---- limits ----\n"
    "\n"
    "-- value: as a number, which is exact below 2^53\n"
    "local function is_outside(field, value, buffer, at)\n"
    "    if field.kind ~= \"u64\" then return value < field.min or value > field.max end\n"
    "    if value < 2^53 then return value < field.min:tonumber() or value > field.max:tonumber() end\n"
    "    local exact = buffer(at + field.at, 8):le_uint64()\n"
    "    return exact < field.min or exact > field.max\n"
    "end\n"
    "\n"
    "local function has_outside(part, read, buffer, at)\n"
    "    for _, field in ipairs(part.limited) do\n"
    "        if is_outside(field, read[field.name], buffer, at) then return true end\n"
    "    end\n"
    "    return false\n"
    "end\n"
    "\n"
    "-- ---- segmentation offload ----\n"
    "\n"
    "-- What the kernel captures on its way out may be several datagrams in a row, of one size but for the last. raw: the bytes of the "
    "buffer.\n"
    "local function header_at(buffer, raw, at)\n"
    "    if #raw - at < header.bytes then return nil end\n"
    "    local read = header.read(raw, at)\n"
    "    if not messages[read.type] or has_outside(header, read, buffer, at) then return nil end\n"
    "    return read\n"
    "end\n"
    "\n"
    "local function is_sibling(a, buffer, raw, at)\n"
    "    local b = header_at(buffer, raw, at)\n"
    "    if not b or a.version ~= b.version then return false end\n"
    "    return a.epoch == 0 or b.epoch == 0 -- outside of epochs ranks are 0\n"
    "        or a.src == b.src and a.epoch == b.epoch and (a.dst == b.dst or a.dst == TO_ALL or b.dst == TO_ALL)\n"
    "end\n"
    "\n"
    "local function is_stride(first, buffer, raw, start, stride)\n"
    "    for at = start + stride, #raw - header.bytes, stride do\n"
    "        if not is_sibling(first, buffer, raw, at) then return false end\n"
    "    end\n"
    "    return true\n"
    "end\n"
    "\n"
    "-- Size of the datagram that begins at `start`. Every sibling repeats its first three bytes, so mostly one look suffices.\n"
    "local function split_first(buffer, raw, start)\n"
    "    local size, magic = buffer:reported_len() - start, raw:sub(start + 1, start + 3)\n"
    "    if size < 2 * header.bytes or not raw:find(magic, start + header.bytes + 1, true) then return size end\n"
    "    local first, at = header_at(buffer, raw, start), start + header.bytes\n"
    "    if not first then return size end\n"
    "    if messages[first.type].tail == \"none\" then\n"
    "        local exact = header.bytes + messages[first.type].bytes\n"
    "        return exact < size and is_sibling(first, buffer, raw, start + exact) and exact or size\n"
    "    end\n"
    "    while true do\n"
    "        local found = raw:find(magic, at + 1, true)\n"
    "        if not found then return size end\n"
    "        if is_sibling(first, buffer, raw, found - 1) and is_stride(first, buffer, raw, start, found - 1 - start) then\n"
    "            return found - 1 - start\n"
    "        end\n"
    "        at = found\n"
    "    end\n"
    "end\n"
    "\n";

static const char helpers[] = "-- Lua 5.2 has no operators for bits, later versions may lack its library.\n"
                              "local function is_set(value, flag)\n"
                              "    return value % (2 * flag) >= flag\n"
                              "end\n"
                              "\n"
                              "-- Only what passes the test stays in the list, in its order.\n"
                              "local function sift(list, is_kept, ...)\n"
                              "    local left = 0\n"
                              "    for i = 1, #list do\n"
                              "        local element = list[i]\n"
                              "        list[i] = nil\n"
                              "        if is_kept(element, ...) then\n"
                              "            left = left + 1\n"
                              "            list[left] = element\n"
                              "        end\n"
                              "    end\n"
                              "end\n"
                              "\n";

void export_write_lua(FILE *out)
{
    fputs(licence, out);
    write_tables(out);
    fputs(helpers, out);
    fputs(declarations, out);
    fputs(splitting, out);
    fputs(export_lua_loss, out);
    fputs(export_lua_report, out);
    fputs(export_lua_numbers, out);
    fputs(export_lua_tree, out);
}
