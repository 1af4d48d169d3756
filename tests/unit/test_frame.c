/* The layers below the protocol, one by one, and cut at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture_case.h"
#include "dissector/frame.h"
#include "dissector/gso.h"
#include "dissector/reassembly.h"

static struct frame_case built;

static void start(void)
{
    frame_case_start(&built, "payload", 7);
    frame_case_udp(&built, 1000, 2000);
    frame_case_ipv4(&built, 1, 2, 17, 0);
}

/* The frame is found whole. Cut at any byte it is reported as cut short; each cut copy has memory of exactly its size, so that a sanitizer
 * sees reads beyond it. */
static void check_everywhere(enum frame_link link)
{
    struct frame frame;
    size_t size;
    const uint8_t *bytes = frame_case_bytes(&built, &size);

    frame_parse(&frame, link, bytes, size, size);
    assert_int_equal(frame.kind, FRAME_UDP);
    assert_int_equal(frame.size, 7);
    assert_memory_equal(frame.payload, "payload", 7);
    assert_int_equal(frame.src.port, 1000);
    assert_int_equal(frame.dst.port, 2000);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *copy = malloc(cut + 1);

        assert_non_null(copy);
        memcpy(copy + 1, bytes, cut);
        frame_parse(&frame, link, copy + 1, cut, size);
        if (cut < size - 7)
            assert_int_equal(frame.kind, FRAME_SHORT);
        else
            assert_int_equal(frame.captured, cut - (size - 7));
        free(copy);
    }
}

static void ethernet_with_any_number_of_tags_is_read(void **state)
{
    (void)state;
    start();
    frame_case_ethernet(&built, 0x0800);
    check_everywhere(FRAME_ETHERNET);
    start();
    for (unsigned i = 0; i < 6; i++)
        frame_case_put(&built, (const uint8_t[]){0, (uint8_t)i, i ? 0x81 : 0x08, 0}, 4);
    frame_case_ethernet(&built, 0x88a8);
    check_everywhere(FRAME_ETHERNET);
}

static void linux_cooked_frames_are_read(void **state)
{
    static const uint8_t v1[16] = {[14] = 0x08}, v2[20] = {0x08};

    (void)state;
    start();
    frame_case_put(&built, v1, sizeof v1);
    check_everywhere(FRAME_SLL);
    start();
    frame_case_put(&built, v2, sizeof v2);
    check_everywhere(FRAME_SLL2);
}

static void loopback_of_either_byte_order_and_raw_ip_are_read(void **state)
{
    (void)state;
    start();
    frame_case_put(&built, (const uint8_t[]){0, 0, 0, 2}, 4);
    check_everywhere(FRAME_NULL);
    start();
    frame_case_put(&built, (const uint8_t[]){2, 0, 0, 0}, 4);
    check_everywhere(FRAME_NULL);
    start();
    check_everywhere(FRAME_RAW);
}

static void extension_headers_of_ipv6_are_skipped(void **state)
{
    (void)state;
    frame_case_start(&built, "payload", 7);
    frame_case_udp(&built, 1000, 2000);
    frame_case_put(&built, (const uint8_t[8]){17}, 8);
    frame_case_put(&built, (const uint8_t[16]){60, 1}, 16);
    frame_case_put(&built, (const uint8_t[8]){43}, 8);
    frame_case_ipv6(&built, 1, 2, 0);
    check_everywhere(FRAME_RAW);
}

static void lengths_that_contradict_are_refused(void **state)
{
    struct frame frame;
    const uint8_t *bytes;
    size_t size;

    (void)state;
    start();
    bytes = frame_case_bytes(&built, &size); /* the same for all three */
    built.bytes[built.at + 3]++;             /* total length */
    frame_parse(&frame, FRAME_RAW, bytes, size, size);
    assert_int_equal(frame.kind, FRAME_BAD);
    start();
    built.bytes[built.at] = 0x44; /* a header of 16 bytes */
    frame_parse(&frame, FRAME_RAW, bytes, size, size);
    assert_int_equal(frame.kind, FRAME_BAD);
    start();
    built.bytes[built.at + 25] = 200; /* UDP's length */
    frame_parse(&frame, FRAME_RAW, bytes, size, size);
    assert_int_equal(frame.kind, FRAME_BAD);
}

/* A fragment of the datagram that `whole` holds. */
static bool add_fragment(struct reassembly *r, const uint8_t *whole, uint32_t at, size_t size, bool has_more, struct frame *frame)
{
    memset(frame, 0, sizeof *frame);
    frame->kind = FRAME_FRAGMENT;
    frame->protocol = 17;
    frame->fragment_offset = at;
    frame->has_more_fragments = has_more;
    frame->payload = whole + at;
    frame->captured = frame->size = size;
    return reassembly_add(r, 1, frame);
}

static void fragments_in_any_order_become_the_datagram(void **state)
{
    static const size_t orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct reassembly *r = reassembly_open();
    static uint8_t whole[60] = {1, 2, 3, 4, 0, 60};
    struct frame frame;

    (void)state;
    assert_non_null(r);
    for (size_t i = 8; i < sizeof whole; i++)
        whole[i] = (uint8_t)i;
    for (size_t i = 0; i < 6; i++) {
        for (size_t j = 0; j < 3; j++) {
            const size_t piece = orders[i][j];

            assert_int_equal(add_fragment(r, whole, (uint32_t)piece * 24, piece == 2 ? 12 : 24, piece != 2, &frame), j == 2);
        }
        assert_int_equal(frame.kind, FRAME_UDP);
        assert_int_equal(frame.size, 52);
        assert_memory_equal(frame.payload, whole + 8, 52);
    }
    reassembly_close(r);
}

/* Destination options may follow the fragment header: they are a part of the fragmented payload. */
static void fragments_of_ipv6_may_begin_with_an_extension_header(void **state)
{
    static uint8_t whole[68] = {17, 0, 1, 4, 0, 0, 0, 0, 1, 2, 3, 4, 0, 60};
    static const uint8_t headers[2][8] = {{60, 0, 0, 1, 0, 0, 0, 5}, {60, 0, 0, 48, 0, 0, 0, 5}};
    struct reassembly *r = reassembly_open();
    struct frame frame;
    const uint8_t *bytes;
    size_t size;

    (void)state;
    assert_non_null(r);
    for (size_t i = 16; i < sizeof whole; i++)
        whole[i] = (uint8_t)i;
    for (size_t i = 0; i < 2; i++) {
        frame_case_start(&built, whole + 48 * i, i == 0 ? 48 : 20);
        frame_case_put(&built, headers[i], sizeof headers[i]);
        frame_case_ipv6(&built, 1, 2, 44);
        bytes = frame_case_bytes(&built, &size);
        frame_parse(&frame, FRAME_RAW, bytes, size, size);
        assert_int_equal(frame.kind, FRAME_FRAGMENT);
        assert_int_equal(reassembly_add(r, 1, &frame), i == 1);
    }
    assert_int_equal(frame.kind, FRAME_UDP);
    assert_int_equal(frame.size, 52);
    assert_memory_equal(frame.payload, whole + 16, 52);
    reassembly_close(r);
}

static void fragments_beyond_the_end_are_given_up(void **state)
{
    struct reassembly *r = reassembly_open();
    static const uint8_t whole[100] = {0};
    struct frame frame;

    (void)state;
    assert_non_null(r);
    assert_false(add_fragment(r, whole, 48, 24, true, &frame));
    assert_false(add_fragment(r, whole, 24, 12, false, &frame)); /* claims that the whole has 36 bytes */
    assert_false(add_fragment(r, whole, 0, 24, true, &frame));
    reassembly_close(r);
}

static void a_datagram_alone_is_not_split(void **state)
{
    static uint8_t packet[2000];

    (void)state;
    for (unsigned type = 0; type < MESH_TYPE_COUNT; type++)
        if (mesh_wire_message(type)) {
            const size_t size = message_case(type, 7, packet, sizeof packet);

            assert_int_equal(gso_first_size(packet, size, size), size);
        }
}

static void datagrams_in_one_frame_are_split_where_the_next_begins(void **state)
{
    static uint8_t packet[4000];
    const size_t first = message_case(MESH_TYPE_TILE, 1, packet, sizeof packet);
    const size_t both = first + message_case(MESH_TYPE_TILE, 2, packet + first, sizeof packet - first);

    (void)state;
    assert_int_equal(gso_first_size(packet, both, both), first);
    assert_int_equal(gso_first_size(packet, both, both - 1), first);
    assert_int_equal(gso_first_size(packet, first + 10, both), both); /* ambiguous */
}

/* A kernel joins any datagrams from one socket to another; the last of them may be shorter. */
static void datagrams_of_an_epoch_and_of_none_are_split(void **state)
{
    static const uint8_t types[][2] = {{MESH_TYPE_ALIVE, MESH_TYPE_PING}, {MESH_TYPE_TILE, MESH_TYPE_ALIVE}};
    static uint8_t packet[4000];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const size_t first = message_case(types[i][0], 1, packet, sizeof packet);
        const size_t both = first + message_case(types[i][1], 2, packet + first, sizeof packet - first);
        uint8_t *outside = packet + (types[i][0] == MESH_TYPE_ALIVE ? 0 : first);

        memset(outside + offsetof(struct mesh_header_bytes, epoch), 0, 4);
        assert_int_equal(gso_first_size(packet, both, both), first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ethernet_with_any_number_of_tags_is_read),
        cmocka_unit_test(linux_cooked_frames_are_read),
        cmocka_unit_test(loopback_of_either_byte_order_and_raw_ip_are_read),
        cmocka_unit_test(extension_headers_of_ipv6_are_skipped),
        cmocka_unit_test(lengths_that_contradict_are_refused),
        cmocka_unit_test(fragments_in_any_order_become_the_datagram),
        cmocka_unit_test(fragments_of_ipv6_may_begin_with_an_extension_header),
        cmocka_unit_test(fragments_beyond_the_end_are_given_up),
        cmocka_unit_test(a_datagram_alone_is_not_split),
        cmocka_unit_test(datagrams_in_one_frame_are_split_where_the_next_begins),
        cmocka_unit_test(datagrams_of_an_epoch_and_of_none_are_split),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
