#include "line.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "bit_words.h"

enum { LINE_BYTES = 16384, DUMP_COLUMNS = 16 };

/* A line as it grows; text beyond its end is left out, but no datagram makes a line that long. */
struct text {
    size_t size;
    char bytes[LINE_BYTES];
};

static void put_chars(struct text *text, const char *chars, size_t count)
{
    const size_t room = sizeof text->bytes - text->size;

    if (count > room)
        count = room;
    memcpy(text->bytes + text->size, chars, count);
    text->size += count;
}

static void put(struct text *text, const char *word)
{
    put_chars(text, word, strlen(word));
}

static void put_number(struct text *text, uint64_t value, unsigned width)
{
    char digits[20];
    size_t first = sizeof digits;

    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0 || sizeof digits - first < width);
    put_chars(text, digits + first, sizeof digits - first);
}

static void put_hex(struct text *text, const uint8_t *bytes, size_t count, const char *between)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        const char pair[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};

        if (i > 0)
            put(text, between);
        put_chars(text, pair, 2);
    }
}

void line_init(struct line *line, FILE *out, const struct line_options *options)
{
    *line = (struct line){.out = out, .options = *options, .second = -1};
}

/* ---- the time ---- */

static void put_fraction(struct text *text, uint64_t ns)
{
    put(text, ".");
    put_number(text, ns % 1000000000u, 9);
    put(text, " ");
}

/* As tcpdump prints it: hours, minutes and seconds behind a blank or a minus. */
static void put_difference(struct text *text, uint64_t later, uint64_t earlier)
{
    const uint64_t apart = later >= earlier ? later - earlier : earlier - later, seconds = apart / 1000000000u;

    put(text, later < earlier ? "-" : " ");
    put_number(text, seconds / 3600, 2);
    put(text, ":");
    put_number(text, seconds / 60 % 60, 2);
    put(text, ":");
    put_number(text, seconds % 60, 2);
    put_fraction(text, apart);
}

/* The local clock; its text is made once a second. */
static void put_clock(struct line *line, struct text *text, uint64_t ts_ns)
{
    const time_t second = (time_t)(ts_ns / 1000000000u);
    struct tm local;

    if (line->second != (int64_t)second) {
        line->clock[0] = '\0';
        if (localtime_r(&second, &local) != NULL)
            strftime(line->clock, sizeof line->clock, line->options.time_form == 4 ? "%F %T" : "%T", &local);
        line->second = (int64_t)second;
    }
    put(text, line->clock);
    put_fraction(text, ts_ns);
}

static void put_time(struct line *line, struct text *text, uint64_t ts_ns)
{
    if (!line->has_first)
        line->first_ns = line->previous_ns = ts_ns;
    line->has_first = true;
    switch (line->options.time_form) {
    case 1:
        break;
    case 2:
        put_number(text, ts_ns / 1000000000u, 1);
        put_fraction(text, ts_ns);
        break;
    case 3:
        put_difference(text, ts_ns, line->previous_ns);
        break;
    case 5:
        put_difference(text, ts_ns, line->first_ns);
        break;
    default:
        put_clock(line, text, ts_ns);
        break;
    }
    line->previous_ns = ts_ns;
}

/* ---- what precedes the message ---- */

static void put_link(struct text *text, const struct packet *packet)
{
    const struct frame *frame = packet->frame;

    if (frame->has_macs) {
        put_hex(text, frame->source_mac, FRAME_MAC_BYTES, ":");
        put(text, " > ");
        put_hex(text, frame->destination_mac, FRAME_MAC_BYTES, ":");
        put(text, ", ");
    }
    for (unsigned i = 0; i < frame->vlan_count; i++) {
        put(text, "vlan ");
        put_number(text, frame->vlans[i], 1);
        put(text, ", ");
    }
    put(text, "length ");
    put_number(text, packet->link_size, 1);
    put(text, ": ");
}

static void put_address(struct text *text, const struct frame *frame, const struct frame_address *address, bool has_port)
{
    char out[FRAME_ADDRESS_TEXT_BYTES];

    put_chars(text, out, frame_address_text(address, frame->is_v6, has_port, out));
}

static void put_front(struct line *line, struct text *text, const struct packet *packet)
{
    const struct frame *frame = packet->frame;
    const bool has_ports = frame->kind == FRAME_UDP;

    if (line->options.numbered) {
        for (uint64_t limit = 10000; limit > packet->frame_number && limit > 1; limit /= 10)
            put(text, " ");
        put_number(text, packet->frame_number, 1);
        put(text, "  ");
    }
    put_time(line, text, packet->ts_ns);
    if (line->options.link_header)
        put_link(text, packet);
    if (!frame->has_addresses)
        return;
    put(text, frame->is_v6 ? "IP6 " : "IP ");
    put_address(text, frame, &frame->src, has_ports);
    put(text, " > ");
    put_address(text, frame, &frame->dst, has_ports);
    put(text, ": ");
}

/* ---- dumps ---- */

static void put_characters(struct text *text, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char c = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '.';

        put_chars(text, &c, 1);
    }
}

static void dump_row(FILE *out, const uint8_t *bytes, size_t at, size_t count, bool has_ascii)
{
    struct text text;

    text.size = 0;
    put(&text, "\t0x");
    put_hex(&text, (const uint8_t[]){(uint8_t)(at >> 8), (uint8_t)at}, 2, "");
    put(&text, ": ");
    for (size_t i = 0; i < DUMP_COLUMNS; i++) {
        if (i % 2 == 0)
            put(&text, " ");
        if (i < count)
            put_hex(&text, bytes + i, 1, "");
        else if (has_ascii)
            put(&text, "  ");
    }
    if (has_ascii) {
        put(&text, "  ");
        put_characters(&text, bytes, count);
    }
    put(&text, "\n");
    fwrite(text.bytes, 1, text.size, out);
}

static void dump_hex(FILE *out, const uint8_t *bytes, size_t size, bool has_ascii)
{
    for (size_t at = 0; at < size; at += DUMP_COLUMNS)
        dump_row(out, bytes + at, at, size - at < DUMP_COLUMNS ? size - at : DUMP_COLUMNS, has_ascii);
}

static void dump(const struct line *line, const struct packet *packet)
{
    const struct line_options *o = &line->options;
    const bool is_frame = o->hex > 1 || o->hex_ascii > 1 || packet->bytes == NULL;
    const uint8_t *bytes = is_frame ? packet->link : packet->bytes;
    const size_t size = is_frame ? packet->link_captured : packet->captured;

    if (o->hex || o->hex_ascii)
        dump_hex(line->out, bytes, size, o->hex_ascii > 0);
    for (size_t at = 0; o->ascii && at < size; at += LINE_BYTES - 2) {
        struct text text;

        text.size = 0;
        put_characters(&text, bytes + at, size - at < LINE_BYTES - 2 ? size - at : LINE_BYTES - 2);
        put(&text, "\n");
        fwrite(text.bytes, 1, text.size, line->out);
    }
}

/* ---- trees ---- */

static void put_value(struct text *text, const struct mesh_wire_field *field, const void *decoded)
{
    if (field->type == MESH_WIRE_b16 || field->type == MESH_WIRE_b32)
        put_hex(text, (const uint8_t *)decoded + field->struct_offset, field->size, "");
    else
        put_number(text, mesh_wire_get(field, decoded), 1);
}

/* ": to all, sealed" */
static void put_bits(struct text *text, const struct mesh_wire_field *field, const void *decoded)
{
    const char *between = ": ";
    struct bit_word bit;

    for (unsigned i = 0; bit_words_at(field, i, &bit); i++)
        if ((mesh_wire_get(field, decoded) & bit.mask) != 0) {
            put(text, between);
            put(text, bit.words);
            between = ", ";
        }
}

static void tree_part(const struct line *line, const struct packet_part *part)
{
    fprintf(line->out, "    %s\n", part->part->name);
    for (unsigned i = 0; i < part->part->field_count; i++) {
        const struct mesh_wire_field *field = &part->part->fields[i];
        struct text text;

        text.size = 0;
        put_value(&text, field, part->decoded);
        put(&text, field->unit[0] ? " " : "");
        put(&text, field->unit);
        put_bits(&text, field, part->decoded);
        fprintf(line->out, "    %6zu  %-14s %.*s", part->offset + field->wire_offset, field->name, (int)text.size, text.bytes);
        if (line->options.verbose > 1)
            fprintf(line->out, "  (%s)", field->meaning);
        fputc('\n', line->out);
    }
}

static void tree(const struct line *line, const struct packet *packet)
{
    const char *trouble = packet_trouble(packet);
    struct packet_part part;

    fprintf(line->out, "    frame %" PRIu64 ", %zu of %zu bytes; hops %u; datagram %" PRIu64 ", %zu of %zu bytes\n", packet->frame_number,
            packet->link_captured, packet->link_size, packet->frame->hops, packet->number, packet->captured, packet->size);
    for (unsigned i = 0; packet_part(packet, i, &part); i++)
        tree_part(line, &part);
    if (packet->state == PACKET_DECODED && packet_type(packet)->tail == MESH_TAIL_DATA)
        fprintf(line->out, "    %6zu  data           %zu bytes\n", packet->size - packet->message.data_bytes, packet->message.data_bytes);
    if (packet->seal != KEYS_PLAIN)
        fprintf(line->out, "    seal: %s\n", keys_verdict_name(packet->seal));
    if (trouble != NULL)
        fprintf(line->out, "    not decoded further: %s\n", trouble);
}

/* ---- lines ---- */

static void put_message(struct text *text, const struct packet *packet, bool is_quiet)
{
    const size_t room = sizeof text->bytes - text->size;
    size_t size;

    if (packet->state == PACKET_DECODED && !is_quiet)
        size = mesh_wire_text(&packet->message, text->bytes + text->size, room);
    else
        size = mesh_wire_header_text(&packet->message.header, text->bytes + text->size, room);
    text->size += size < room ? size : room - 1;
}

void line_write(struct line *line, const struct packet *packet, const char *notes)
{
    const char *trouble = packet_trouble(packet);
    struct text text;

    text.size = 0;
    put_front(line, &text, packet);
    if (packet->state == PACKET_FOREIGN)
        put(&text, "UDP");
    else
        put_message(&text, packet, line->options.quiet);
    if (trouble != NULL) {
        put(&text, " [");
        put(&text, trouble);
        put(&text, "]");
    }
    if (notes != NULL && notes[0] != '\0') {
        put(&text, " [");
        put(&text, notes);
        put(&text, "]");
    }
    put(&text, ", length ");
    put_number(&text, packet->size, 1);
    if (text.size == sizeof text.bytes)
        text.size--;
    put(&text, "\n");
    fwrite(text.bytes, 1, text.size, line->out);
    if (line->options.verbose > 0)
        tree(line, packet);
    dump(line, packet);
}

void line_write_frame(struct line *line, const struct packet *packet)
{
    const struct frame *frame = packet->frame;
    struct text text;

    text.size = 0;
    put_front(line, &text, packet);
    put(&text, frame->note);
    if (frame->kind == FRAME_FRAGMENT) {
        put(&text, " id ");
        put_number(&text, frame->fragment_id, 1);
        put(&text, " offset ");
        put_number(&text, frame->fragment_offset, 1);
        put(&text, frame->has_more_fragments ? "+" : "");
    } else if (frame->kind == FRAME_SHORT) {
        put(&text, " [cut short by the capture]");
    } else if (frame->kind == FRAME_BAD) {
        put(&text, " [contradicts itself]");
    }
    put(&text, ", length ");
    put_number(&text, frame->payload ? frame->size : packet->link_size, 1);
    put(&text, "\n");
    fwrite(text.bytes, 1, text.size, line->out);
    dump(line, packet);
}
