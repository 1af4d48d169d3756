/* Reports stay cheap: how many histograms and old events they carry depends on time, not on how often reports are requested. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/telemetry/telemetry_report.h"

enum { PEERS = 15, SECONDS = 10 };

static const uint64_t ms_ns = 1000000, begin_ns = UINT64_C(5000000000);
static const uint8_t incarnation[16] = {1};

struct told {
    unsigned items[8], events_of[4];
    bool latency[PEERS][MESH_LATENCIES];
    uint64_t bytes;
};

static int make_measure(void **state)
{
    struct node_metrics *m = calloc(1, sizeof *m);

    assert_non_null(m);
    assert_int_equal(node_metrics_init(m), 0);
    m->model = "a.gguf";
    m->node = (struct mesh_telemetry_node){.state = MESH_NODE_UP, .members = PEERS + 1};
    m->links = PEERS;
    for (uint16_t i = 0; i < PEERS; i++) {
        m->link[i] = (struct mesh_telemetry_link){.peer = (uint16_t)(i + 1)};
        for (unsigned l = 0; l < MESH_LATENCIES; l++)
            for (uint64_t value = 1000; value < UINT64_C(1) << 30; value += value / 8)
                mesh_histogram_add(&m->latency[i * MESH_LATENCIES + l], value);
    }
    *state = m;
    return 0;
}

static int drop_measure(void **state)
{
    struct node_metrics *m = *state;

    node_metrics_release(m);
    free(m);
    return 0;
}

static void take(void *app, const struct mesh_telemetry_head *head, const uint8_t *piece, size_t bytes)
{
    struct told *told = app;
    struct mesh_telemetry_reader reader;
    struct mesh_telemetry_head read;
    struct mesh_telemetry_item item;

    (void)head;
    told->bytes += bytes;
    assert_int_equal(mesh_telemetry_open(&reader, piece, bytes, &read), MESH_OK);
    while (mesh_telemetry_next(&reader, &item) == 1) {
        told->items[item.kind]++;
        if (item.kind == MESH_TELEMETRY_LATENCY)
            told->latency[item.latency.peer - 1][item.latency.which] = true;
        if (item.kind == MESH_TELEMETRY_EVENT)
            told->events_of[item.event.number]++;
    }
}

/* Some seconds of reports, one each interval_ms; events happen at the beginning and after half of the time. */
static struct told report(struct node_metrics *m, uint64_t interval_ms, uint32_t kinds)
{
    struct event_ring events = {.count = 0};
    struct telemetry_report_state state = {.serial = 0};
    const struct telemetry_report_source source = {
        .incarnation = incarnation, .metrics = m, .events = &events, .kinds = kinds, .steps_per_s = 24};
    struct mesh_telemetry_event event = {.happened = MESH_NODE_EVENT_EPOCH, .when_ns = begin_ns};
    struct told told = {.bytes = 0};

    event_ring_add(&events, &event, "began");
    for (uint64_t at_ms = 0; at_ms < SECONDS * 1000; at_ms += interval_ms) {
        m->now_ns = begin_ns + at_ms * ms_ns;
        if (at_ms >= SECONDS * 500 && events.count == 1) {
            event.when_ns = m->now_ns;
            event_ring_add(&events, &event, "went on");
            memset(told.items, 0, sizeof told.items);
            telemetry_report_write(&state, &source, take, &told);
            assert_int_equal(told.events_of[2], kinds >> MESH_TELEMETRY_EVENT & 1); /* at once */
            continue;
        }
        telemetry_report_write(&state, &source, take, &told);
    }
    return told;
}

static void bytes_of_histograms_go_by_time_and_not_by_reports(void **state)
{
    const uint64_t often = report(*state, 50, 1u << MESH_TELEMETRY_LATENCY).bytes - report(*state, 50, 0).bytes;
    const uint64_t seldom = report(*state, 500, 1u << MESH_TELEMETRY_LATENCY).bytes - report(*state, 500, 0).bytes;

    assert_in_range(seldom, SECONDS * 4000, SECONDS * 12000);
    assert_in_range(often, SECONDS * 4000, SECONDS * 12000); /* with ten times as many reports */
}

static void every_histogram_has_its_turn(void **state)
{
    const struct told often = report(*state, 50, MESH_TELEMETRY_ALL), seldom = report(*state, 1000, MESH_TELEMETRY_ALL);

    for (unsigned peer = 0; peer < PEERS; peer++)
        for (unsigned which = 0; which < MESH_LATENCIES; which++)
            assert_true(often.latency[peer][which] && seldom.latency[peer][which]);
}

static void an_event_is_told_at_once_and_again_once_a_second(void **state)
{
    const struct told often = report(*state, 50, MESH_TELEMETRY_ALL), seldom = report(*state, 500, MESH_TELEMETRY_ALL);

    assert_in_range(often.events_of[1], SECONDS - 1, SECONDS + 1);
    assert_in_range(seldom.events_of[1], SECONDS - 1, SECONDS + 1);
    assert_in_range(often.events_of[2], SECONDS / 2, SECONDS / 2 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_of_histograms_go_by_time_and_not_by_reports, make_measure, drop_measure),
        cmocka_unit_test_setup_teardown(every_histogram_has_its_turn, make_measure, drop_measure),
        cmocka_unit_test_setup_teardown(an_event_is_told_at_once_and_again_once_a_second, make_measure, drop_measure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
