/* The captures in tests/dissect are what this program makes, byte for byte; tests/run/dissect.sh compares the output of mesh-dissect with
 * the texts beside them. After a change of the protocol run MESH_UPDATE=1 build/x86_64/tests/test_dissect_captures, then review the
 * texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture_case.h"

enum { PACKET_BYTES = 4000 };

static struct capture_case capture;
static uint8_t packet[PACKET_BYTES];

/* The file in the tree must hold the capture's bytes; or is written with them. */
static void compare(const char *name)
{
    static uint8_t found[CAPTURE_CASE_BYTES + 1];
    char path[100];
    size_t size;
    FILE *file;

    snprintf(path, sizeof path, "tests/dissect/%s.pcap", name);
    if (getenv("MESH_UPDATE")) {
        file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(capture.bytes, 1, capture.size, file), capture.size);
        fclose(file);
    }
    file = fopen(path, "rb");
    assert_non_null(file);
    size = fread(found, 1, sizeof found, file);
    fclose(file);
    if (size != capture.size || memcmp(found, capture.bytes, size) != 0)
        fail_msg("%s is not what this program makes: after a change of the protocol "
                 "MESH_UPDATE=1 build/x86_64/tests/test_dissect_captures and MESH_UPDATE=1 tests/run/dissect.sh, then review",
                 path);
}

static void every_message_is_in_a_capture(void **state)
{
    uint64_t number = 1;

    (void)state;
    capture_case_start(&capture, 1);
    for (unsigned type = 0; type < MESH_TYPE_COUNT; type++)
        if (mesh_wire_message(type))
            capture_case_datagram(&capture, 1, 2, packet, message_case(type, number++, packet, sizeof packet));
    compare("messages");
}

/* A snapshot length of 64 leaves 22 bytes of the datagram. */
static void cut_short(void)
{
    capture.snaplen = 64;
    capture_case_datagram(&capture, 1, 2, packet, message_case(MESH_TYPE_TILE, 1, packet, sizeof packet));
    capture.snaplen = 14 + 20 + 8 + MESH_HEADER_BYTES + 4;
    capture_case_datagram(&capture, 1, 2, packet, message_case(MESH_TYPE_TILE, 2, packet, sizeof packet));
    capture.snaplen = 30;
    capture_case_datagram(&capture, 1, 2, packet, message_case(MESH_TYPE_TILE, 3, packet, sizeof packet));
    capture.snaplen = 0;
}

static void corrupt(void)
{
    size_t size = message_case(MESH_TYPE_STATUS, 4, packet, sizeof packet);

    capture_case_datagram(&capture, 1, 2, packet, size - 1);
    capture_case_datagram(&capture, 1, 2, packet, size + 1);
    packet[4] |= 0x80; /* an undefined flag */
    capture_case_datagram(&capture, 1, 2, packet, size);
    size = message_case(MESH_TYPE_NAK, 5, packet, sizeof packet);
    packet[MESH_HEADER_BYTES + 10] = 3; /* of two ranges */
    capture_case_datagram(&capture, 1, 2, packet, size);
    size = message_case(MESH_TYPE_PING, 6, packet, sizeof packet);
    packet[2] = 9; /* the version */
    capture_case_datagram(&capture, 1, 2, packet, size);
    packet[3] = 99; /* and the type */
    capture_case_datagram(&capture, 1, 2, packet, size);
    size = message_case(MESH_TYPE_PING, 7, packet, sizeof packet);
    packet[4] |= MESH_FLAG_AUTHENTICATED | MESH_FLAG_SEALED;
    capture_case_datagram(&capture, 1, 2, packet, size);
}

static void foreign(struct frame_case *frame)
{
    frame_case_start(frame, "who has 10.0.0.2?", 18);
    frame_case_ethernet(frame, 0x0806);
    capture_case_add(&capture, frame);
    frame_case_start(frame, "GET / HTTP/1.1", 14);
    frame_case_ipv4(frame, 1, 2, 6, 0);
    frame_case_ethernet(frame, 0x0800);
    capture_case_add(&capture, frame);
    capture_case_datagram(&capture, 1, 2, "a question to a name server", 27);
}

static void trouble_is_in_a_capture(void **state)
{
    static struct frame_case frame;

    (void)state;
    capture_case_start(&capture, 1);
    cut_short();
    corrupt();
    foreign(&frame);
    compare("trouble");
}

/* A tile's UDP datagram in two fragments, the later one first. */
static void fragments(struct frame_case *frame)
{
    static struct frame_case whole;
    const uint8_t *bytes;
    size_t size;

    frame_case_start(&whole, packet, message_case(MESH_TYPE_TILE, 8, packet, sizeof packet));
    frame_case_udp(&whole, 7411, 7411);
    bytes = frame_case_bytes(&whole, &size);
    frame_case_start(frame, bytes + 104, size - 104);
    frame_case_ipv4(frame, 1, 2, 17, 104 / 8);
    frame_case_ethernet(frame, 0x0800);
    capture_case_add(&capture, frame);
    frame_case_start(frame, bytes, 104);
    frame_case_ipv4(frame, 1, 2, 17, 0x2000);
    frame_case_ethernet(frame, 0x0800);
    capture_case_add(&capture, frame);
}

static void tags_and_options(struct frame_case *frame)
{
    static const uint8_t options[4] = {1, 1, 1, 0}, inner[4] = {0, 7, 0x08, 0}, outer[4] = {0, 100, 0x81, 0};

    frame_case_start(frame, packet, message_case(MESH_TYPE_PING, 9, packet, sizeof packet));
    frame_case_udp(frame, 7411, 7412);
    frame_case_put(frame, options, sizeof options);
    frame_case_ipv4(frame, 1, 2, 17, 0);
    frame->bytes[frame->at] = 0x46;
    frame_case_put(frame, inner + 2, 2); /* the type behind the inner tag ... */
    frame_case_put(frame, inner, 2);
    frame_case_put(frame, outer + 2, 2);
    frame_case_put(frame, outer, 2);
    frame_case_ethernet(frame, 0x88a8);
    capture_case_add(&capture, frame);
}

static void version_six(struct frame_case *frame)
{
    static const uint8_t hop[8] = {44, 0, 1, 4}, whole[8] = {17};

    frame_case_start(frame, packet, message_case(MESH_TYPE_PONG, 10, packet, sizeof packet));
    frame_case_udp(frame, 7411, 7411);
    frame_case_put(frame, whole, sizeof whole); /* a fragment header on a datagram that is not a fragment */
    frame_case_put(frame, hop, sizeof hop);
    frame_case_ipv6(frame, 1, 2, 0);
    frame_case_ethernet(frame, 0x86dd);
    capture_case_add(&capture, frame);
}

/* Three tiles as one, as with segmentation offload; then two messages of fixed size, and two, one of which belongs to no epoch. */
static void offload(void)
{
    size_t size = 0;

    for (uint64_t number = 11; number < 14; number++)
        size += message_case(MESH_TYPE_TILE, number, packet + size, sizeof packet - size);
    capture_case_datagram(&capture, 1, 2, packet, size - 20);
    size = 0;
    for (uint64_t number = 14; number < 16; number++)
        size += message_case(MESH_TYPE_STATUS, number, packet + size, sizeof packet - size);
    capture_case_datagram(&capture, 1, 2, packet, size);
    size = message_case(MESH_TYPE_ALIVE, 16, packet, sizeof packet);
    memset(packet + offsetof(struct mesh_header_bytes, epoch), 0, sizeof(uint32_t));
    size += message_case(MESH_TYPE_PING, 16, packet + size, sizeof packet - size);
    capture_case_datagram(&capture, 1, 2, packet, size);
}

static void layers_are_in_a_capture(void **state)
{
    static struct frame_case frame;

    (void)state;
    capture_case_start(&capture, 1);
    fragments(&frame);
    tags_and_options(&frame);
    version_six(&frame);
    offload();
    compare("layers");
}

/* Numbers that are skipped, arrive late, and arrive twice. */
static void numbers_are_in_a_capture(void **state)
{
    static const uint64_t numbers[] = {1, 2, 5, 4, 4, 6, 9};

    (void)state;
    capture_case_start(&capture, 1);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        capture_case_datagram(&capture, 1, 2, packet, message_case(MESH_TYPE_PING, numbers[i], packet, sizeof packet));
    compare("numbers");
}

/* From rank 0 to 1, or back. */
static void add_message(unsigned src, struct mesh_message *message, uint64_t number)
{
    message->header = (struct mesh_header){.magic = MESH_WIRE_MAGIC,
                                           .version = MESH_WIRE_VERSION,
                                           .type = message->header.type,
                                           .flags = message->header.flags,
                                           .src = (uint16_t)src,
                                           .dst = (uint16_t)(1 - src),
                                           .epoch = 1,
                                           .number = number,
                                           .have_step = MESH_STEP_NONE};
    capture_case_datagram(&capture, (uint8_t)(1 + src), (uint8_t)(2 - src), packet, mesh_wire_encode(message, packet, sizeof packet));
}

static void add_tile(uint64_t number, uint16_t block, uint16_t flags)
{
    struct mesh_message message = {.header = {.type = MESH_TYPE_TILE, .flags = flags}, .data = (const uint8_t *)"data", .data_bytes = 4};

    message.as.tile = (struct mesh_tile){.step = 1, .phase = 17, .token_count = 1, .block_first = block, .block_count = 1};
    add_message(0, &message, number);
}

static void add_nak(uint64_t number, uint16_t block)
{
    struct mesh_message message = {.header = {.type = MESH_TYPE_NAK}};

    message.as.nak = (struct mesh_nak){.step = 1, .phase = 17, .range_count = 1};
    message.ranges[0] = (struct mesh_range){.token_count = 1, .block_first = block, .block_count = 1};
    add_message(1, &message, number);
}

static void add_status(uint64_t number, uint64_t seen, uint64_t lost)
{
    struct mesh_message message = {.header = {.type = MESH_TYPE_STATUS}};

    message.as.status = (struct mesh_status){.seen_peer = seen, .window_bytes = 1, .lost = lost};
    add_message(1, &message, number);
}

/* Captured at the sender: tile 2 is lost, asked for and sent again as 4; 5 is sent again in vain. */
static void a_lost_tile_is_in_a_capture(void **state)
{
    (void)state;
    capture_case_start(&capture, 1);
    for (uint16_t i = 0; i < 3; i++)
        add_tile(i + 1, i, 0);
    add_status(1, 3, 1);
    add_nak(2, 1);
    add_tile(4, 1, MESH_FLAG_RESEND);
    add_tile(5, 0, MESH_FLAG_RESEND);
    add_status(3, 5, 1);
    compare("lost");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_is_in_a_capture), cmocka_unit_test(trouble_is_in_a_capture),
        cmocka_unit_test(layers_are_in_a_capture),       cmocka_unit_test(numbers_are_in_a_capture),
        cmocka_unit_test(a_lost_tile_is_in_a_capture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
