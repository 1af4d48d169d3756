/* What a node counts of its traffic, and its report of it at the end. */
#include "member_state.h"
#include "node/common/idle.h"
#include "node/engine/engine.h"

static void sum_traffic(struct member *m, struct member_report *report)
{
    struct mesh_peer_stats stats;

    for (uint16_t r = 0; m->mesh != NULL && r < m->config.map->rank_count; r++) {
        if (r == m->config.rank)
            continue;
        engine_peer_stats(m->engine, r, &stats);
        report->datagrams_sent += stats.datagrams_sent - stats.shared_sent;
        report->bytes_sent += stats.bytes_sent - stats.shared_bytes_sent;
        report->resent += stats.resent;
        report->naks += stats.naks_sent;
        report->lost += stats.lost;
        report->duplicates_sent += stats.duplicates_sent;
    }
}

static void look_at_udp(void *app)
{
    struct member *m = app;

    mesh_udp_get_stats(m->config.udp, &m->udp);
}

void member_count_decode(struct member *m)
{
    const struct idle_calls idle = idle_get_calls();
    struct member_report traffic = {0};

    sum_traffic(m, &traffic);
    if (m->mesh != NULL)
        engine_with_port(m->engine, look_at_udp, m);
    m->decode_datagrams = traffic.datagrams_sent - m->decode_datagrams;
    m->decode_bytes = traffic.bytes_sent - m->decode_bytes;
    m->decode_send_calls = m->udp.send_calls - m->decode_send_calls;
    m->decode_receive_calls = m->udp.receive_calls - m->decode_receive_calls;
    m->decode_wait_calls = idle.sleeps + m->udp.wait_calls - m->decode_wait_calls;
    m->decode_yields = idle.yields - m->decode_yields;
}

void member_make_report(struct member *m, struct member_report *report)
{
    struct engine_figures figures;

    *report = (struct member_report){.threads = m->config.threads, .is_there = true};
    engine_figures(m->engine, &figures);
    report->compute_ns = figures.compute_ns;
    report->decode_datagrams = m->decode_datagrams;
    report->decode_bytes = m->decode_bytes;
    report->decode_send_calls = m->decode_send_calls;
    report->decode_receive_calls = m->decode_receive_calls;
    report->decode_wait_calls = m->decode_wait_calls;
    report->decode_yields = m->decode_yields;
    sum_traffic(m, report);
    if (m->mesh != NULL)
        engine_with_port(m->engine, look_at_udp, m);
    report->kernel_drops = m->udp.kernel_drops;
    member_telemetry(m, true); /* the same figures */
}
