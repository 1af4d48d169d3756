#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/program/text_decode.h"
#include "node/telemetry/metrics.h"

static struct node_metrics metrics;
static struct event_ring events;
static struct troubles troubles;
static const struct recording_figures recorded = {.entries = 90, .calls = 70, .datagrams = 50, .gaps = 2, .waiting_bytes_max = 4096};
static char *page;

static int make_page(void **state)
{
    size_t size;
    FILE *out = open_memstream(&page, &size);

    (void)state;
    assert_int_equal(node_metrics_init(&metrics), 0);
    metrics.model = "a \"model\"\\.gguf";
    metrics.rank = 1;
    metrics.node = (struct mesh_telemetry_node){.state = MESH_NODE_UP, .steps = 42, .compute_ns = 1500000000, .lab_loss_ppm = 10000};
    metrics.links = 2;
    metrics.link[0] = (struct mesh_telemetry_link){.peer = 0, .lost = 3, .ip = {[10] = 255, 255, 127, 0, 0, 1}, .port = 7411};
    metrics.link[1] = (struct mesh_telemetry_link){.peer = 2, .lost = 5, .ip = {[10] = 255, 255, 127, 0, 0, 1}, .port = 7413};
    metrics.workers = 1;
    metrics.worker[0].wait_ns = 250000000;
    for (uint64_t value = 1; value < UINT64_C(1) << 38; value *= 3)
        mesh_histogram_add(&metrics.latency[MESH_LATENCY_ONE_WAY], value);
    troubles_begin(&troubles, 1, TROUBLE_ADDRESS, NULL, "gone", "");
    metrics_write(&metrics, &events, &troubles, &recorded, out);
    assert_int_equal(fclose(out), 0);
    return 0;
}

static int drop_page(void **state)
{
    (void)state;
    free(page);
    node_metrics_release(&metrics);
    return 0;
}

static void has_line(const char *line)
{
    const char *at = strstr(page, line);

    if (at == NULL || (at > page && at[-1] != '\n') || at[strlen(line)] != '\n')
        fail_msg("no line: %s", line);
}

static void values_stand_in_base_units_with_their_labels(void **state)
{
    (void)state;
    has_line("mesh_steps_total 42");
    has_line("mesh_compute_seconds_total 1.5");
    has_line("mesh_lab_loss_ratio 0.01");
    has_line("mesh_link_lost_datagrams_total{peer=\"0\",address=\"127.0.0.1:7411\"} 3");
    has_line("mesh_link_lost_datagrams_total{peer=\"2\",address=\"127.0.0.1:7413\"} 5");
    has_line("mesh_worker_wait_seconds_total{worker=\"0\"} 0.25");
    has_line("mesh_state{state=\"up\"} 1");
    has_line("mesh_state{state=\"leaving\"} 0");
    has_line("mesh_rank 1");
    has_line("mesh_events_total{event=\"lost\"} 0");
    has_line("mesh_troubles{trouble=\"address\"} 1");
    has_line("mesh_troubles{trouble=\"black_hole\"} 0");
}

static void a_label_cannot_end_its_quotes(void **state)
{
    (void)state;
    assert_non_null(strstr(page, "model=\"a \\\"model\\\"\\\\.gguf\"} 1\n"));
}

/* Prometheus refuses the whole page otherwise. The name of a file may be in any encoding, and is cut where it is too long. */
static void the_page_is_utf_8_whatever_the_model_is_called(void **state)
{
    char name[200];

    (void)state;
    for (size_t i = 0; i < sizeof name - 1; i += 3)
        snprintf(name + i, sizeof name - i, "日");
    for (size_t ahead = 0; ahead < 4; ahead++) {
        struct node_metrics other = {.model = name, .rank = 1};
        char *text;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        memcpy(name, "a\xff\"b", ahead);
        metrics_write(&other, &events, &troubles, NULL, out);
        assert_int_equal(fclose(out), 0);
        for (size_t at = 0, bytes; at < size; at += bytes) {
            uint32_t code_point;

            bytes = text_decode(text + at, size - at, &code_point);
            assert_int_not_equal(code_point, TEXT_DECODE_INVALID);
        }
        assert_non_null(strstr(text, "日日\"} 1\n"));
        free(text);
    }
}

/* Every metric of the one list appears with its help, once. */
static void every_metric_of_the_list_has_its_help_once(void **state)
{
    (void)state;
    for (unsigned kind = 1; kind < MESH_TELEMETRY_KINDS; kind++) {
        const struct mesh_telemetry_part *part = mesh_telemetry_part(kind);

        for (unsigned i = 0; i < part->field_count; i++) {
            char help[400];

            if (part->fields[i].kind == MESH_METRIC_LABEL)
                continue;
            snprintf(help, sizeof help, "# HELP %s %s", part->fields[i].metric, part->fields[i].meaning);
            has_line(help);
            assert_null(strstr(strstr(page, help) + 1, help));
        }
    }
}

static void what_a_node_has_recorded_is_there_if_it_records(void **state)
{
    size_t size;
    char *other;
    FILE *out = open_memstream(&other, &size);

    (void)state;
    has_line("# TYPE mesh_recording_calls_total counter");
    has_line("mesh_recording_entries_total 90");
    has_line("mesh_recording_calls_total 70");
    has_line("mesh_recording_datagrams_total 50");
    has_line("mesh_recording_gaps_total 2");
    has_line("# TYPE mesh_recording_waiting_max_bytes gauge");
    has_line("mesh_recording_waiting_max_bytes 4096");
    has_line("mesh_recording_failing 0");
    metrics_write(&metrics, &events, &troubles, NULL, out);
    assert_int_equal(fclose(out), 0);
    assert_null(strstr(other, "mesh_recording"));
    free(other);
}

static void buckets_grow_up_to_the_count(void **state)
{
    const char *at = page;
    unsigned long long last = 0;
    unsigned buckets = 0;

    (void)state;
    while ((at = strstr(at, "mesh_tile_one_way_seconds_bucket{peer=\"0\"")) != NULL) {
        const unsigned long long count = strtoull(strstr(at, "} ") + 2, NULL, 10);

        assert_true(count >= last);
        last = count;
        buckets++;
        at++;
    }
    assert_int_equal(buckets, 36 - 10 + 2);
    assert_int_equal(last, metrics.latency[MESH_LATENCY_ONE_WAY].count);
    /* 3^6 = 729 is below 2^10 ns, 3^7 is not. */
    has_line("mesh_tile_one_way_seconds_bucket{peer=\"0\",address=\"127.0.0.1:7411\",le=\"1.024e-06\"} 7");
    has_line("mesh_tile_one_way_seconds_count{peer=\"2\",address=\"127.0.0.1:7413\"} 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_stand_in_base_units_with_their_labels),    cmocka_unit_test(a_label_cannot_end_its_quotes),
        cmocka_unit_test(the_page_is_utf_8_whatever_the_model_is_called),  cmocka_unit_test(every_metric_of_the_list_has_its_help_once),
        cmocka_unit_test(what_a_node_has_recorded_is_there_if_it_records), cmocka_unit_test(buckets_grow_up_to_the_count),
    };

    return cmocka_run_group_tests(tests, make_page, drop_page);
}
