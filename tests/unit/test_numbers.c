/* Numbers of streams, where a sender with a multicast group alternates between sending to the group and to each rank. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dissector/numbers.h"

enum { TO_GROUP = 9 };

static struct numbers *numbers;

static struct numbers_verdict add(uint64_t number, unsigned to)
{
    struct frame frame = {.src = {.ip = {[15] = 100}, .port = 1}, .dst = {.ip = {[15] = (uint8_t)to}, .port = 1}};
    struct packet packet = {.ts_ns = number * 1000000, .state = PACKET_DECODED, .frame = &frame, .size = 100};

    if (to == TO_GROUP)
        memcpy(frame.dst.ip, (const uint8_t[16]){[10] = 0xff, [11] = 0xff, 239, 255, 77, 13}, sizeof frame.dst.ip);
    packet.message.header = (struct mesh_header){.magic = MESH_WIRE_MAGIC,
                                                 .version = 1,
                                                 .type = MESH_TYPE_TILE,
                                                 .number = number,
                                                 .epoch = 1,
                                                 .dst = MESH_DST_ALL,
                                                 .flags = MESH_FLAG_ALL};
    return numbers_add(numbers, &packet);
}

static int start(void **state)
{
    (void)state;
    numbers = numbers_open();
    return numbers == NULL ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    numbers_close(numbers);
    return 0;
}

static void what_a_group_got_is_not_missing_where_it_went_to_one_alone(void **state)
{
    (void)state;
    add(1, 1);
    add(1, 2);
    for (uint64_t number = 2; number <= 10; number++)
        assert_int_equal(add(number, TO_GROUP).gap, 0);
    assert_int_equal(add(11, 1).gap, 0);
    assert_int_equal(add(11, 2).gap, 0);
    assert_false(add(11, 1).is_late);
    assert_int_equal(add(12, TO_GROUP).gap, 0);
    assert_int_equal(add(15, TO_GROUP).gap, 2);
    assert_int_equal(add(16, 2).gap, 2); /* the receiver has not seen 13 and 14 either */
}

static void one_that_comes_by_the_group_and_alone_is_no_duplicate(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= 5; number++) {
        assert_false(add(number, TO_GROUP).is_duplicate);
        assert_false(add(number, 3).is_duplicate);
    }
    assert_true(add(5, 3).is_duplicate);
    assert_true(add(5, TO_GROUP).is_duplicate);
}

static void what_a_group_got_long_ago_is_not_missing(void **state)
{
    (void)state;
    add(1, 1);
    for (uint64_t number = 2; number <= 5000; number++)
        assert_int_equal(add(number, TO_GROUP).gap, 0);
    assert_int_equal(add(5001, 1).gap, 0);
    assert_int_equal(add(10001, TO_GROUP).gap, 4999); /* all newer than any seen number */
    assert_int_equal(add(10002, 1).gap, NUMBERS_WINDOW - 1);
}

static void without_a_group_each_receiver_has_a_stream_of_its_own(void **state)
{
    (void)state;
    add(1, 1);
    add(1, 2);
    add(2, 1);
    add(3, 1);
    assert_int_equal(add(3, 2).gap, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_group_got_is_not_missing_where_it_went_to_one_alone, start, stop),
        cmocka_unit_test_setup_teardown(what_a_group_got_long_ago_is_not_missing, start, stop),
        cmocka_unit_test_setup_teardown(one_that_comes_by_the_group_and_alone_is_no_duplicate, start, stop),
        cmocka_unit_test_setup_teardown(without_a_group_each_receiver_has_a_stream_of_its_own, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
