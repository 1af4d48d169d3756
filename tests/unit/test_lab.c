/* The --lab text: every unit, the limits, and messages that name the part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/err.h"
#include "mesh/lab.h"

static struct mesh_lab parsed(const char *text)
{
    struct mesh_lab lab;
    char reason[160] = "";

    memset(&lab, 0xff, sizeof lab);
    if (mesh_lab_parse(text, &lab, reason, sizeof reason) != 0) {
        fail_msg("%s: %s", text, reason);
    }
    return lab;
}

static void an_empty_text_turns_everything_off(void **state)
{
    const struct mesh_lab lab = parsed("");

    (void)state;
    assert_int_equal(lab.pace_bytes_per_s, 0);
    assert_int_equal(lab.delay_ns, 0);
    assert_int_equal(lab.loss_ppm + lab.duplicate_ppm + lab.reorder_ppm, 0);
    assert_int_equal(lab.seed, 0);
}

static void all_parts_are_read_in_any_order(void **state)
{
    const struct mesh_lab lab = parsed("seed=7,reorder=5%,dup=0.5%,loss=1%,delay=50us,pace=10GB/s");

    (void)state;
    assert_int_equal(lab.seed, 7);
    assert_int_equal(lab.reorder_ppm, 50000);
    assert_int_equal(lab.duplicate_ppm, 5000);
    assert_int_equal(lab.loss_ppm, 10000);
    assert_int_equal(lab.delay_ns, 50000);
    assert_true(lab.pace_bytes_per_s == 10000000000);
}

static void every_unit_scales_its_number(void **state)
{
    (void)state;
    assert_true(parsed("pace=1.5GB/s").pace_bytes_per_s == 1500000000);
    assert_true(parsed("pace=250MB/s").pace_bytes_per_s == 250000000);
    assert_true(parsed("pace=3kB/s").pace_bytes_per_s == 3000);
    assert_true(parsed("pace=2GB/s,later=7MB/s,after=1.5s").later_bytes_per_s == 7000000);
    assert_true(parsed("pace=2GB/s,later=7MB/s,after=1.5s").after_ns == 1500000000);
    assert_true(parsed("delay=17ns").delay_ns == 17);
    assert_true(parsed("delay=2.5us").delay_ns == 2500);
    assert_true(parsed("delay=3ms").delay_ns == 3000000);
    assert_true(parsed("delay=10s").delay_ns == 10000000000);
    assert_true(parsed("loss=0.0001%").loss_ppm == 1);
    assert_true(parsed("loss=100%").loss_ppm == 1000000);
    assert_true(parsed("loss=0%").loss_ppm == 0);
    assert_true(parsed("seed=18446744073709551615").seed == UINT64_MAX);
}

static void a_wrong_text_is_refused_naming_part_and_limits(void **state)
{
    static const struct {
        const char *text, *names, *allows;
    } cases[] = {
        {"los=1%", "'los'", "pace, later, after, delay, loss, dup, reorder and seed"},
        {"loss", "loss: '' is not a number", "0% to 100%"},
        {"loss=", "loss: '' is not a number", "0% to 100%"},
        {"loss=1", "loss: '1' has a wrong or no unit", "0% to 100%"},
        {"loss=101%", "loss: '101%' is too large", "0% to 100%"},
        {"loss=100.1%", "too large", "0% to 100%"},
        {"loss=-1%", "not a number", "0% to 100%"},
        {"loss=1.%", "too precise", "0% to 100%"},
        {"loss=1.2.3%", "not a number", "0% to 100%"},
        {"loss=0.1234567890%", "too precise", "0% to 100%"},
        {"delay=50", "delay: '50' has a wrong or no unit", "ns, us, ms or s"},
        {"delay=11s", "too large", "at most 10s"},
        {"pace=10Gb/s", "pace: '10Gb/s' has a wrong", "GB/s, MB/s or kB/s"},
        {"pace=99999999999999999999GB/s", "too large", "GB/s"},
        {"later=1GB/s,after=8s", "later and after", "pace=10GB/s,later=1GB/s,after=8s"},
        {"pace=1GB/s,later=1MB/s", "later and after", "after=8s"},
        {"pace=1GB/s,after=1s", "later and after", "later=1GB/s"},
        {"pace=1GB/s,later=1MB/s,after=5us", "after: '5us' has a wrong", "ms or s"},
        {"seed=1.5", "too precise", "whole number"},
        {"seed=18446744073709551616", "too large", "2^64"},
        {"loss=1%,loss=2%", "given twice", "0% to 100%"},
        {"loss=1%,", "comma", "another part"},
        {",loss=1%", "''", "name=value"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mesh_lab lab = {.seed = 99};
        char reason[160] = "";

        assert_int_equal(mesh_lab_parse(cases[i].text, &lab, reason, sizeof reason), MESH_EINVAL);
        if (strstr(reason, cases[i].names) == NULL || strstr(reason, cases[i].allows) == NULL) {
            fail_msg("%s: says '%s'", cases[i].text, reason);
        }
        assert_int_equal(lab.seed, 99);
    }
}

static void a_short_reason_buffer_is_not_overrun(void **state)
{
    struct mesh_lab lab;
    char reason[8] = {0, 0, 0, 0, 0, 0, 0, 'x'};

    (void)state;
    assert_int_equal(mesh_lab_parse("loss=1", &lab, reason, 7), MESH_EINVAL);
    assert_int_equal(reason[6], 0);
    assert_int_equal(reason[7], 'x');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_text_turns_everything_off),   cmocka_unit_test(all_parts_are_read_in_any_order),
        cmocka_unit_test(every_unit_scales_its_number),         cmocka_unit_test(a_wrong_text_is_refused_naming_part_and_limits),
        cmocka_unit_test(a_short_reason_buffer_is_not_overrun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
