#include "member_report.h"

void member_report_write(const struct member_report *report, struct bytes *out)
{
    bytes_put_u64(out, report->compute_ns);
    bytes_put_u32(out, report->threads);
    bytes_put_u64(out, report->datagrams_sent);
    bytes_put_u64(out, report->bytes_sent);
    bytes_put_u64(out, report->decode_datagrams);
    bytes_put_u64(out, report->decode_bytes);
    bytes_put_u64(out, report->decode_send_calls);
    bytes_put_u64(out, report->decode_receive_calls);
    bytes_put_u64(out, report->decode_wait_calls);
    bytes_put_u64(out, report->decode_yields);
    bytes_put_u64(out, report->resent);
    bytes_put_u64(out, report->naks);
    bytes_put_u64(out, report->lost);
    bytes_put_u64(out, report->duplicates_sent);
    bytes_put_u64(out, report->kernel_drops);
}

int member_report_read(struct member_report *report, struct bytes *in)
{
    *report = (struct member_report){.is_there = true};
    report->compute_ns = bytes_get_u64(in);
    report->threads = bytes_get_u32(in);
    report->datagrams_sent = bytes_get_u64(in);
    report->bytes_sent = bytes_get_u64(in);
    report->decode_datagrams = bytes_get_u64(in);
    report->decode_bytes = bytes_get_u64(in);
    report->decode_send_calls = bytes_get_u64(in);
    report->decode_receive_calls = bytes_get_u64(in);
    report->decode_wait_calls = bytes_get_u64(in);
    report->decode_yields = bytes_get_u64(in);
    report->resent = bytes_get_u64(in);
    report->naks = bytes_get_u64(in);
    report->lost = bytes_get_u64(in);
    report->duplicates_sent = bytes_get_u64(in);
    report->kernel_drops = bytes_get_u64(in);
    return bytes_ok(in) ? 0 : -1;
}
