#include "capture_case.h"

#include <assert.h>
#include <string.h>

static void put32(struct capture_case *capture, uint32_t value)
{
    assert(capture->size + 4 <= sizeof capture->bytes);
    for (unsigned i = 0; i < 4; i++)
        capture->bytes[capture->size++] = (uint8_t)(value >> 8 * i);
}

void capture_case_start(struct capture_case *capture, uint32_t link)
{
    capture->snaplen = 0;
    capture->size = 0;
    capture->ts_ns = UINT64_C(1700000000) * 1000000000u;
    put32(capture, 0xa1b23c4d); /* nanoseconds */
    put32(capture, 4u << 16 | 2u);
    put32(capture, 0);
    put32(capture, 0);
    put32(capture, 262144);
    put32(capture, link);
}

void capture_case_add(struct capture_case *capture, const struct frame_case *frame)
{
    size_t size;
    const uint8_t *bytes = frame_case_bytes(frame, &size);
    const size_t kept = capture->snaplen > 0 && size > capture->snaplen ? capture->snaplen : size;

    put32(capture, (uint32_t)(capture->ts_ns / 1000000000u));
    put32(capture, (uint32_t)(capture->ts_ns % 1000000000u));
    put32(capture, (uint32_t)kept);
    put32(capture, (uint32_t)size);
    assert(capture->size + kept <= sizeof capture->bytes);
    memcpy(capture->bytes + capture->size, bytes, kept);
    capture->size += kept;
    capture->ts_ns += 1000000;
}

/* ---- layers ---- */

const uint8_t *frame_case_bytes(const struct frame_case *frame, size_t *size)
{
    *size = sizeof frame->bytes - frame->at;
    return frame->bytes + frame->at;
}

void frame_case_start(struct frame_case *frame, const void *payload, size_t size)
{
    frame->at = sizeof frame->bytes;
    frame_case_put(frame, payload, size);
}

void frame_case_put(struct frame_case *frame, const void *bytes, size_t size)
{
    assert(size <= frame->at);
    frame->at -= size;
    memcpy(frame->bytes + frame->at, bytes, size);
}

static void put_be16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

void frame_case_udp(struct frame_case *frame, uint16_t src, uint16_t dst)
{
    uint8_t header[8] = {0};

    put_be16(header, src);
    put_be16(header + 2, dst);
    put_be16(header + 4, sizeof frame->bytes - frame->at + sizeof header);
    frame_case_put(frame, header, sizeof header);
}

void frame_case_ipv4(struct frame_case *frame, uint8_t src, uint8_t dst, uint8_t protocol, uint16_t fragment)
{
    uint8_t header[20] = {0x45, 0, 0, 0, 0x12, 0x34, 0, 0, 64, protocol, 0, 0, 10, 0, 0, src, 10, 0, 0, dst};

    put_be16(header + 2, sizeof frame->bytes - frame->at + sizeof header);
    put_be16(header + 6, fragment);
    frame_case_put(frame, header, sizeof header);
}

void frame_case_ipv6(struct frame_case *frame, uint8_t src, uint8_t dst, uint8_t next)
{
    uint8_t header[40] = {0x60, 0, 0, 0, 0, 0, next, 64, 0xfd};

    put_be16(header + 4, sizeof frame->bytes - frame->at);
    header[24] = 0xfd;
    header[23] = src;
    header[39] = dst;
    frame_case_put(frame, header, sizeof header);
}

void frame_case_ethernet(struct frame_case *frame, uint16_t type)
{
    uint8_t header[14] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};

    put_be16(header + 12, type);
    frame_case_put(frame, header, sizeof header);
}

void capture_case_datagram(struct capture_case *capture, uint8_t src, uint8_t dst, const void *payload, size_t size)
{
    static struct frame_case frame;

    frame_case_start(&frame, payload, size);
    frame_case_udp(&frame, 7411, 7411);
    frame_case_ipv4(&frame, src, dst, 17, 0x4000);
    frame_case_ethernet(&frame, 0x0800);
    capture_case_add(capture, &frame);
}

/* ---- messages ---- */

/* A distinct value for the n-th field: n, or the nearest value in its range. */
static void fill_field(const struct mesh_wire_field *field, uint8_t *decoded, uint64_t n)
{
    uint8_t *at = decoded + field->struct_offset;
    const uint64_t value = n < field->min ? field->min : n > field->max ? field->max : n;

    if (field->type == MESH_WIRE_b16 || field->type == MESH_WIRE_b32)
        memset(at, (int)value, field->size);
    else
        memcpy(at, &value, field->size); /* this helper requires a little-endian machine */
}

static void fill(const struct mesh_wire_part *part, void *decoded, uint64_t n)
{
    for (unsigned i = 0; i < part->field_count; i++)
        fill_field(&part->fields[i], decoded, n + i);
}

size_t message_case(unsigned type, uint64_t number, uint8_t *packet, size_t capacity)
{
    static const uint8_t data[100] = "tile data";
    const struct mesh_wire_part *part = mesh_wire_message(type);
    const bool is_cluster = type >= 32;
    struct mesh_message message;

    assert(part);
    memset(&message, 0, sizeof message);
    fill(part, &message.as, 3);
    message.header = (struct mesh_header){.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = (uint8_t)type, .number = number};
    message.header.sent_ns = 5000 + number;
    message.header.have_step = is_cluster ? MESH_STEP_NONE : 2;
    if (!is_cluster) {
        message.header.epoch = 1;
        message.header.dst = 1;
    }
    if (part->tail == MESH_TAIL_DATA) {
        message.data = data;
        message.data_bytes = sizeof data;
    } else if (part->tail == MESH_TAIL_RANGES) {
        message.as.nak.range_count = 2;
        fill(&mesh_wire_range, &message.ranges[0], 20);
        fill(&mesh_wire_range, &message.ranges[1], 30);
    } else if (part->tail == MESH_TAIL_MEMBERS) {
        message.as.plan.member_count = 2;
        fill(&mesh_wire_member, &message.members[0], 40);
        fill(&mesh_wire_member, &message.members[1], 60);
    }
    return mesh_wire_encode(&message, packet, capacity);
}
