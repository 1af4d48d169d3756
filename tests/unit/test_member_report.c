/* A node's report about its work, in its wire form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/run/member_report.h"

enum { REPORT_BYTES = 116 };

static const struct member_report full = {
    .compute_ns = UINT64_MAX,
    .threads = 256,
    .datagrams_sent = 1,
    .bytes_sent = UINT64_C(1) << 40,
    .decode_datagrams = 3,
    .decode_bytes = 4,
    .decode_send_calls = 10,
    .decode_receive_calls = 11,
    .decode_wait_calls = 12,
    .decode_yields = 13,
    .resent = 5,
    .naks = 6,
    .lost = 7,
    .duplicates_sent = 8,
    .kernel_drops = 9,
};

static void a_report_reads_back_as_it_was_written(void **state)
{
    uint8_t data[REPORT_BYTES];
    struct bytes out = bytes_writer(data, sizeof data), in = bytes_reader(data, sizeof data);
    struct member_report report;

    (void)state;
    member_report_write(&full, &out);
    assert_true(bytes_ok(&out));
    assert_int_equal(bytes_size(&out), REPORT_BYTES);
    assert_int_equal(member_report_read(&report, &in), 0);
    assert_true(report.is_there);
    assert_true(report.compute_ns == full.compute_ns && report.threads == full.threads);
    assert_true(report.datagrams_sent == full.datagrams_sent && report.bytes_sent == full.bytes_sent);
    assert_true(report.decode_datagrams == full.decode_datagrams && report.decode_bytes == full.decode_bytes);
    assert_true(report.decode_send_calls == full.decode_send_calls && report.decode_receive_calls == full.decode_receive_calls);
    assert_true(report.decode_wait_calls == full.decode_wait_calls && report.decode_yields == full.decode_yields);
    assert_true(report.resent == full.resent && report.naks == full.naks && report.lost == full.lost);
    assert_true(report.duplicates_sent == full.duplicates_sent && report.kernel_drops == full.kernel_drops);
}

static void a_report_that_is_cut_short_is_refused(void **state)
{
    uint8_t data[REPORT_BYTES];
    struct bytes out = bytes_writer(data, sizeof data);
    struct member_report report;

    (void)state;
    member_report_write(&full, &out);
    for (size_t size = 0; size < REPORT_BYTES; size++) {
        struct bytes in = bytes_reader(data, size);

        assert_int_equal(member_report_read(&report, &in), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_reads_back_as_it_was_written),
        cmocka_unit_test(a_report_that_is_cut_short_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
