/* Fragments of datagrams that are kept until these are complete. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "dissector/fragments.h"

static struct fragments *fragments;
static uint8_t bytes[FRAGMENTS_BYTES_MAX + 1];

static int open_fragments(void **state)
{
    struct fail fail;

    (void)state;
    fragments = fragments_open(&fail);
    return fragments == NULL ? -1 : 0;
}

static int close_fragments(void **state)
{
    (void)state;
    fragments_close(fragments);
    return 0;
}

/* Of the datagram with this id, from 10.0.0.FROM to 10.0.0.TO. */
static struct frame frame_of(uint32_t id, uint8_t from, uint8_t to)
{
    struct frame frame = {.fragment_id = id};

    frame.src.ip[15] = from;
    frame.dst.ip[15] = to;
    return frame;
}

/* Keeps a fragment of `size` bytes of that value. */
static void keep(const struct frame *frame, uint8_t value, uint32_t size)
{
    const struct capture_frame captured = {.captured = size, .bytes = bytes};

    memset(bytes, value, size);
    fragments_keep(fragments, frame, &captured);
    memset(bytes, 0, size);
}

/* The values of what is kept, as a number with a digit for each; each has as many bytes as its value times 100. */
static uint64_t kept(const struct frame *frame)
{
    struct capture_frame out;
    size_t cursor = 0;
    uint64_t values = 0;

    while (fragments_next(fragments, frame, &cursor, &out)) {
        assert_int_equal(out.captured, 100 * out.bytes[0]);
        for (uint32_t i = 0; i < out.captured; i++)
            assert_int_equal(out.bytes[i], out.bytes[0]);
        values = 10 * values + out.bytes[0];
    }
    return values;
}

static void fragments_of_each_datagram_come_back_in_order(void **state)
{
    const struct frame frames[] = {frame_of(7, 1, 2), frame_of(8, 1, 2), frame_of(7, 3, 2), frame_of(7, 1, 3)};

    (void)state;
    for (uint8_t value = 1; value <= 3; value++)
        for (uint8_t i = 0; i < 4; i++)
            keep(&frames[i], (uint8_t)(value + i), 100u * (value + i));
    assert_int_equal(kept(&frames[0]), 123);
    assert_int_equal(kept(&frames[1]), 234);
    assert_int_equal(kept(&frames[2]), 345);
    assert_int_equal(kept(&frames[3]), 456);
    fragments_forget(fragments, &frames[1]);
    assert_int_equal(kept(&frames[1]), 0);
    assert_int_equal(kept(&frames[0]), 123);
    keep(&frames[1], 9, 900);
    assert_int_equal(kept(&frames[1]), 9);
}

static void the_oldest_datagram_makes_room(void **state)
{
    struct frame frame;

    (void)state;
    for (uint32_t id = 1; id <= FRAGMENTS_SLOTS + 2; id++) {
        frame = frame_of(id, 1, 2);
        keep(&frame, 1, 100);
        keep(&frame, 2, 200);
    }
    for (uint32_t id = 1; id <= FRAGMENTS_SLOTS + 2; id++) {
        frame = frame_of(id, 1, 2);
        assert_int_equal(kept(&frame), id <= 2 ? 0 : 12);
    }
}

static void what_has_no_room_is_left_out(void **state)
{
    const uint32_t most = FRAGMENTS_BYTES_MAX - sizeof(struct capture_frame);
    const struct frame frame = frame_of(1, 1, 2), other = frame_of(2, 1, 2);
    struct capture_frame out;
    size_t cursor = 0;

    (void)state;
    keep(&frame, 1, most + 1);
    assert_false(fragments_next(fragments, &frame, &cursor, &out));
    keep(&frame, 1, most);
    keep(&frame, 2, 1);
    keep(&other, 3, 300);
    assert_true(fragments_next(fragments, &frame, &cursor, &out));
    assert_int_equal(out.captured, most);
    assert_int_equal(out.bytes[most - 1], 1);
    assert_false(fragments_next(fragments, &frame, &cursor, &out));
    assert_int_equal(kept(&other), 3);
}

#define FRAGMENTS_TEST(test) cmocka_unit_test_setup_teardown(test, open_fragments, close_fragments)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAGMENTS_TEST(fragments_of_each_datagram_come_back_in_order),
        FRAGMENTS_TEST(the_oldest_datagram_makes_room),
        FRAGMENTS_TEST(what_has_no_room_is_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
