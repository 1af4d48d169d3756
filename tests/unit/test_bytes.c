/* The little-endian cursor: layout of values, and the behaviour of a cursor that has passed the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/common/bytes.h"

enum { ROOM = 32, GUARD = 0xa5 };

static void values_stand_least_byte_first(void **state)
{
    static const uint8_t expected[] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f, 0x0e, 0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08};
    uint8_t data[ROOM];
    struct bytes out = bytes_writer(data, sizeof data);

    (void)state;
    bytes_put_u8(&out, 0x01);
    bytes_put_u16(&out, 0x0203);
    bytes_put_u32(&out, 0x04050607);
    bytes_put_u64(&out, 0x08090a0b0c0d0e0f);
    assert_true(bytes_ok(&out));
    assert_int_equal(bytes_size(&out), sizeof expected);
    assert_int_equal(bytes_left(&out), sizeof data - sizeof expected);
    assert_memory_equal(data, expected, sizeof expected);
}

static void what_is_written_is_read_back(void **state)
{
    uint8_t data[ROOM];
    struct bytes out = bytes_writer(data, sizeof data), in = bytes_reader(data, sizeof data);

    (void)state;
    bytes_put_u64(&out, UINT64_MAX - 1);
    bytes_put_u32(&out, UINT32_MAX - 2);
    bytes_put_u16(&out, UINT16_MAX - 3);
    bytes_put_u8(&out, UINT8_MAX - 4);
    assert_true(bytes_get_u64(&in) == UINT64_MAX - 1);
    assert_true(bytes_get_u32(&in) == UINT32_MAX - 2);
    assert_int_equal(bytes_get_u16(&in), UINT16_MAX - 3);
    assert_int_equal(bytes_get_u8(&in), UINT8_MAX - 4);
    assert_true(bytes_ok(&in));
}

static void a_float_keeps_its_bits(void **state)
{
    static const uint32_t patterns[] = {0, 0x80000000, 0x3f800000, 0x00000001, 0x7f800000, 0xff800000, 0x7fc00000, 0x7fc12345};
    uint8_t data[4];

    (void)state;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct bytes out = bytes_writer(data, sizeof data), in = bytes_reader(data, sizeof data), bits = in;
        float value;

        memcpy(&value, &patterns[i], sizeof value);
        bytes_put_f32(&out, value);
        value = bytes_get_f32(&in);
        assert_memory_equal(&value, &patterns[i], sizeof value);
        assert_true(bytes_get_u32(&bits) == patterns[i]);
    }
}

static void reading_beyond_the_end_gives_zero_for_ever(void **state)
{
    static const uint8_t data[] = {1, 2, 3, 4, 5};
    struct bytes in = bytes_reader(data, sizeof data);

    (void)state;
    assert_int_equal(bytes_get_u16(&in), 0x0201);
    assert_int_equal(bytes_left(&in), 3);
    assert_int_equal(bytes_get_u32(&in), 0);
    assert_false(bytes_ok(&in));
    assert_int_equal(bytes_left(&in), 0);
    assert_int_equal(bytes_get_u8(&in), 0);
    assert_true(bytes_get_u64(&in) == 0);
    assert_true(bytes_get_f32(&in) == 0.0f);
    assert_false(bytes_ok(&in));
}

static void writing_beyond_the_end_changes_nothing(void **state)
{
    uint8_t data[ROOM], untouched[ROOM];

    (void)state;
    memset(untouched, GUARD, sizeof untouched);
    for (size_t room = 0; room < 8; room++) {
        struct bytes out = bytes_writer(data, room);

        memset(data, GUARD, sizeof data);
        bytes_put_u64(&out, 0);
        assert_false(bytes_ok(&out));
        bytes_put_u8(&out, 0);
        assert_int_equal(bytes_size(&out), 0);
        assert_memory_equal(data, untouched, sizeof data);
    }
}

static void the_last_byte_can_be_used(void **state)
{
    uint8_t data[] = {GUARD, GUARD};
    struct bytes out = bytes_writer(data, 1), in = bytes_reader(data, 1);

    (void)state;
    bytes_put_u8(&out, 9);
    assert_true(bytes_ok(&out));
    assert_int_equal(bytes_left(&out), 0);
    assert_int_equal(bytes_get_u8(&in), 9);
    assert_true(bytes_ok(&in));
    assert_int_equal(data[1], GUARD);
}

static void an_empty_reader_is_good_until_it_is_read(void **state)
{
    struct bytes in = bytes_reader(NULL, 0);

    (void)state;
    assert_true(bytes_ok(&in));
    assert_int_equal(bytes_left(&in), 0);
    assert_int_equal(bytes_get_u8(&in), 0);
    assert_false(bytes_ok(&in));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_stand_least_byte_first),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(a_float_keeps_its_bits),
        cmocka_unit_test(reading_beyond_the_end_gives_zero_for_ever),
        cmocka_unit_test(writing_beyond_the_end_changes_nothing),
        cmocka_unit_test(the_last_byte_can_be_used),
        cmocka_unit_test(an_empty_reader_is_good_until_it_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
