/* Two clocks compared by datagrams with random transit times: the error of the result is at most the stated one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "dissector/clocks.h"
#include "dissector/samples.h"

enum { POINTS = 2000, BEGIN_S = 1700000000 };

static struct clock_point there[POINTS], back[POINTS];
static uint64_t state_word;

static double uniform(void)
{
    state_word = state_word * 6364136223846793005u + 1442695040888963407u;
    return (double)(state_word >> 11) / (double)(UINT64_C(1) << 53);
}

/* Half of the datagrams go in each direction, over so many seconds, each with a transit time of at least floor_ns and mostly little
 * more. */
static void make(double seconds, double offset_ns, double drift, double floor_ns)
{
    for (unsigned i = 0; i < POINTS; i++) {
        const double at_ns = seconds * 1e9 * uniform(), late_ns = floor_ns - 20000 * log(1 - uniform());
        const double other_ns = offset_ns + drift * at_ns;
        struct clock_point *point = i % 2 ? &back[i / 2] : &there[i / 2];

        /* `at` is by the first clock: for datagrams in the reverse direction, their arrival. */
        point->at_ns = (int64_t)BEGIN_S * 1000000000 + (int64_t)at_ns;
        point->difference_ns = (int64_t)(i % 2 ? other_ns - late_ns : other_ns + late_ns);
    }
}

/* The other clock minus the first at the points' beginning, according to a line. */
static double offset_of(const struct clock_line *line)
{
    return (double)line->offset_ns - line->drift * (double)(line->at_ns - (int64_t)BEGIN_S * 1000000000);
}

static void offset_and_drift_are_found_within_their_errors(void **state)
{
    static const double drifts[] = {0, 37e-6, -120e-6};
    static const double offsets[] = {0, 250000, -3.6e12};

    (void)state;
    for (unsigned d = 0; d < 3; d++)
        for (unsigned o = 0; o < 3; o++) {
            struct clock_line line;

            state_word = 1 + d * 3 + o;
            make(20, offsets[o], drifts[d], 15000);
            assert_true(clocks_compare(there, POINTS / 2, back, POINTS / 2, &line));
            assert_true(line.is_bounded && line.is_drift_known);
            assert_true(fabs(line.drift - drifts[d]) <= line.drift_error);
            assert_true(line.drift_error < 5e-6); /* 60 us in 20 s */
            assert_true(fabs((double)line.offset_ns - offsets[o] - drifts[d] * (double)(line.at_ns - (int64_t)BEGIN_S * 1000000000)) <=
                        line.offset_error_ns + 20e9 * line.drift_error);
            assert_true(line.offset_error_ns < 40000);
        }
}

static void a_short_capture_tells_an_offset_and_no_drift(void **state)
{
    struct clock_line line;

    (void)state;
    state_word = 5;
    make(0.01, 5e6, 30e-6, 15000);
    assert_true(clocks_compare(there, POINTS / 2, back, POINTS / 2, &line));
    assert_false(line.is_drift_known);
    assert_true(fabs(offset_of(&line) - 5e6) <= line.offset_error_ns + 0.01e9 * 30e-6);
}

static void captures_the_wrong_way_round_do_not_fit(void **state)
{
    struct clock_line line;

    (void)state;
    state_word = 6;
    make(5, 1e6, 10e-6, 15000);
    assert_false(clocks_compare(back, POINTS / 2, there, POINTS / 2, &line));
    assert_false(clocks_compare(NULL, 0, back, POINTS / 2, &line));
}

static void one_direction_alone_tells_how_late_the_others_are(void **state)
{
    struct clock_line line;
    double least = INFINITY;

    (void)state;
    state_word = 7;
    make(5, 1e6, 0, 15000);
    assert_true(clocks_compare(there, POINTS / 2, NULL, 0, &line));
    assert_false(line.is_bounded);
    for (unsigned i = 0; i < POINTS / 2; i++)
        least = fmin(least, (double)there[i].difference_ns);
    assert_true(fabs((double)line.offset_ns - least) < 2);
}

static void a_time_is_converted_to_the_first_clock_and_nothing_arrives_before_it_was_sent(void **state)
{
    struct clock_line line;

    (void)state;
    state_word = 8;
    make(10, -7e9, 80e-6, 15000);
    assert_true(clocks_compare(there, POINTS / 2, back, POINTS / 2, &line));
    for (unsigned i = 0; i < POINTS / 2; i++) {
        assert_true(clocks_convert(&line, (uint64_t)(there[i].at_ns + there[i].difference_ns)) + 1 >= (uint64_t)there[i].at_ns);
        assert_true(clocks_convert(&line, (uint64_t)(back[i].at_ns + back[i].difference_ns)) <= (uint64_t)back[i].at_ns + 1);
    }
}

static void samples_are_the_same_choice_from_each_capture_however_many_datagrams_there_are(void **state)
{
    struct frame frame = {.src.port = 1, .dst.port = 2};
    struct packet packet = {.state = PACKET_DECODED, .frame = &frame};
    struct samples samples;
    struct fail fail;
    size_t both = 0, count = 0;

    (void)state;
    assert_int_equal(samples_open(&samples, 2, &fail), 0);
    for (unsigned capture = 0; capture < 2; capture++)
        for (uint64_t number = 1; number <= 5 * SAMPLES_MAX; number++) {
            packet.message.header.number = number;
            packet.ts_ns = number * 10 + capture;
            samples_add(&samples, capture, &packet);
        }
    for (size_t i = 0; i < 2 * SAMPLES_MAX; i++) {
        const struct sample *sample = &samples.table[i];

        if (sample->hash == 0)
            continue;
        count++;
        both += sample->ts_ns[1] == sample->ts_ns[0] + 1;
    }
    assert_int_equal(count, samples.count);
    assert_int_equal(both, count);
    assert_in_range(count, SAMPLES_MAX / 4, SAMPLES_MAX);
    samples_close(&samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offset_and_drift_are_found_within_their_errors),
        cmocka_unit_test(a_short_capture_tells_an_offset_and_no_drift),
        cmocka_unit_test(captures_the_wrong_way_round_do_not_fit),
        cmocka_unit_test(one_direction_alone_tells_how_late_the_others_are),
        cmocka_unit_test(a_time_is_converted_to_the_first_clock_and_nothing_arrives_before_it_was_sent),
        cmocka_unit_test(samples_are_the_same_choice_from_each_capture_however_many_datagrams_there_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
