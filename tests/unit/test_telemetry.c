#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/telemetry.h"
#include "word_hash.h"

static const struct mesh_telemetry_head head = {
    .version = MESH_TELEMETRY_VERSION, .incarnation = {7, 8, 9}, .rank = 2, .epoch = 5, .serial = 77, .now_ns = UINT64_C(123456789012345)};

static uint8_t piece[MESH_TELEMETRY_PIECE_BYTES_MAX];

/* Every field at its largest value. */
static void fill(const struct mesh_telemetry_part *part, struct mesh_telemetry_item *item, bool largest)
{
    memset(item, 0, sizeof *item);
    item->kind = (enum mesh_telemetry_kind)part->number;
    for (unsigned i = 0; i < part->field_count; i++) {
        const struct mesh_metric *field = &part->fields[i];
        const uint64_t value =
            field->type == MESH_TELEMETRY_s64 ? (largest ? UINT64_C(1) << 63 : UINT64_MAX) : (largest ? field->max : field->min);

        if (field->type == MESH_TELEMETRY_b16)
            memset((uint8_t *)&item->node + field->offset, largest ? 0xff : 0, 16);
        else
            mesh_metric_set(field, &item->node, value);
    }
}

static void check_same(const struct mesh_telemetry_part *part, const struct mesh_telemetry_item *a, const struct mesh_telemetry_item *b)
{
    for (unsigned i = 0; i < part->field_count; i++) {
        const struct mesh_metric *field = &part->fields[i];

        if (field->type == MESH_TELEMETRY_b16)
            assert_memory_equal((const uint8_t *)&a->node + field->offset, (const uint8_t *)&b->node + field->offset, 16);
        else
            assert_true(mesh_metric_get(field, &a->node) == mesh_metric_get(field, &b->node));
    }
}

static bool is_plain(const struct mesh_telemetry_part *part)
{
    return part->tail == MESH_TELEMETRY_TAIL_NONE || part->tail == MESH_TELEMETRY_TAIL_TEXT;
}

static void items_come_back_as_they_were(void **state)
{
    (void)state;
    for (unsigned kind = 1; kind < MESH_TELEMETRY_KINDS; kind++) {
        const struct mesh_telemetry_part *part = mesh_telemetry_part(kind);

        for (int largest = 0; largest < 2 && is_plain(part); largest++) {
            struct mesh_telemetry_item item, back;
            struct mesh_telemetry_writer writer;
            struct mesh_telemetry_reader reader;
            struct mesh_telemetry_head read;

            fill(part, &item, largest);
            item.tail = (const uint8_t *)"why";
            item.tail_bytes = 3;
            mesh_telemetry_begin(&writer, piece, sizeof piece, &head);
            assert_true(mesh_telemetry_put(&writer, &item));
            assert_int_equal(mesh_telemetry_open(&reader, piece, writer.used, &read), 0);
            assert_int_equal(read.serial, 77);
            assert_true(read.now_ns == head.now_ns && read.rank == 2 && read.epoch == 5);
            assert_memory_equal(read.incarnation, head.incarnation, sizeof read.incarnation);
            assert_int_equal(mesh_telemetry_next(&reader, &back), 1);
            assert_int_equal(back.kind, kind);
            check_same(part, &item, &back);
            assert_int_equal(back.tail_bytes, part->tail == MESH_TELEMETRY_TAIL_TEXT ? 3 : 0);
            assert_int_equal(mesh_telemetry_next(&reader, &back), 0);
        }
    }
}

/* Writes an item of every kind, in one piece. */
static size_t write_all_kinds(void)
{
    static const struct mesh_telemetry_phase phases[] = {{0, 5}, {7, 100000}, {3, 0}, {0, 0}, {4000000, 1}};
    const struct mesh_telemetry_step step = {.step = 9, .begin_ns = 10, .duration_ns = 11, .stall_rank = 1, .phase_total = 5};
    struct mesh_histogram histogram = {0};
    struct mesh_telemetry_writer writer;
    uint16_t bucket = 0, phase = 0;

    mesh_telemetry_begin(&writer, piece, sizeof piece, &head);
    for (unsigned kind = 1; kind < MESH_TELEMETRY_KINDS; kind++) {
        struct mesh_telemetry_item item;

        fill(mesh_telemetry_part(kind), &item, false);
        item.tail = (const uint8_t *)"text";
        item.tail_bytes = 4;
        if (is_plain(mesh_telemetry_part(kind)))
            assert_true(mesh_telemetry_put(&writer, &item));
    }
    mesh_histogram_add(&histogram, 3);
    mesh_histogram_add(&histogram, 100000);
    assert_true(mesh_telemetry_put_histogram(&writer, 1, MESH_LATENCY_USE, &histogram, &bucket));
    assert_true(mesh_telemetry_put_step(&writer, &step, phases, &phase));
    return writer.used;
}

/* Whether an item ends there, and so a piece may end as well. */
static bool is_boundary(size_t bytes)
{
    struct mesh_telemetry_reader reader;
    struct mesh_telemetry_head read;
    struct mesh_telemetry_item item;

    assert_int_equal(mesh_telemetry_open(&reader, piece, sizeof piece, &read), 0);
    if (bytes == reader.used)
        return true;
    while (reader.used < bytes && mesh_telemetry_next(&reader, &item) == 1)
        if (reader.used == bytes)
            return true;
    return false;
}

static void a_piece_cut_anywhere_else_than_between_items_is_refused(void **state)
{
    const size_t bytes = write_all_kinds();
    int boundaries = 0;

    (void)state;
    assert_int_equal(mesh_telemetry_check(piece, bytes), 0);
    for (size_t cut = 0; cut < bytes; cut++) {
        uint8_t copy[sizeof piece];

        memcpy(copy, piece, cut); /* so that a sanitizer sees reads beyond it */
        if (is_boundary(cut)) {
            boundaries++;
            assert_int_equal(mesh_telemetry_check(copy, cut), 0);
        } else {
            assert_int_equal(mesh_telemetry_check(copy, cut), MESH_ETRUNCATED);
        }
    }
    assert_int_equal(boundaries, 7);
}

static void what_is_out_of_range_is_refused(void **state)
{
    struct mesh_telemetry_item item = {.kind = MESH_TELEMETRY_WORKER, .worker = {.doing = 2}};
    struct mesh_telemetry_writer writer;
    uint8_t *doing;

    (void)state;
    mesh_telemetry_begin(&writer, piece, sizeof piece, &head);
    doing = piece + writer.used + 3 + 1; /* after the item's head and the worker's number */
    assert_true(mesh_telemetry_put(&writer, &item));
    assert_int_equal(mesh_telemetry_check(piece, writer.used), 0);
    assert_int_equal(*doing, 2);
    *doing = MESH_WORKER_STATES;
    assert_int_equal(mesh_telemetry_check(piece, writer.used), MESH_ERANGE);
    *doing = 2;
    piece[0] = MESH_TELEMETRY_VERSION + 1;
    assert_int_equal(mesh_telemetry_check(piece, writer.used), MESH_EVERSION);
    piece[0] = 0x80; /* zero in two bytes: not the shortest form */
    piece[1] = 0;
    assert_int_equal(mesh_telemetry_check(piece, writer.used), MESH_ERANGE);
}

static void items_of_kinds_that_are_not_known_are_passed_over(void **state)
{
    struct mesh_telemetry_item item = {.kind = MESH_TELEMETRY_WORKER, .worker = {.worker = 3}}, back;
    struct mesh_telemetry_writer writer;
    struct mesh_telemetry_reader reader;
    struct mesh_telemetry_head read;
    size_t first;

    (void)state;
    mesh_telemetry_begin(&writer, piece, sizeof piece, &head);
    first = writer.used;
    assert_true(mesh_telemetry_put(&writer, &item));
    assert_true(mesh_telemetry_put(&writer, &item));
    piece[first] = 200;
    assert_int_equal(mesh_telemetry_open(&reader, piece, writer.used, &read), 0);
    assert_int_equal(mesh_telemetry_next(&reader, &back), 1);
    assert_int_equal(back.worker.worker, 3);
    assert_int_equal(mesh_telemetry_next(&reader, &back), 0);
}

static void a_histogram_comes_whole_through_as_many_pieces_as_it_needs(void **state)
{
    static struct mesh_histogram histogram, back;
    unsigned pieces = 0;
    uint16_t bucket = 0;
    bool is_done = false;

    (void)state;
    for (uint64_t i = 0; i < 200000; i++)
        mesh_histogram_add(&histogram, i * i * i % (UINT64_C(1) << 41));
    for (int i = 0; i < MESH_HISTOGRAM_BUCKETS; i++)
        back.buckets[i] = 99; /* of an earlier state */
    while (!is_done) {
        struct mesh_telemetry_writer writer;
        struct mesh_telemetry_reader reader;
        struct mesh_telemetry_head read;
        struct mesh_telemetry_item item;

        assert_in_range(++pieces, 1, 10);
        mesh_telemetry_begin(&writer, piece, 300, &head);
        is_done = mesh_telemetry_put_histogram(&writer, 4, MESH_LATENCY_ONE_WAY, &histogram, &bucket);
        assert_in_range(writer.used, 1, 300);
        assert_int_equal(mesh_telemetry_open(&reader, piece, writer.used, &read), 0);
        assert_int_equal(mesh_telemetry_next(&reader, &item), 1);
        assert_int_equal(item.latency.peer, 4);
        mesh_telemetry_get_histogram(&item, &back);
    }
    assert_in_range(pieces, 2, 10);
    assert_memory_equal(&back, &histogram, sizeof back);
}

static void the_phases_of_a_step_come_in_as_many_pieces_as_they_need(void **state)
{
    enum { PHASES = 400 };
    static struct mesh_telemetry_phase phases[PHASES], back[PHASES];
    const struct mesh_telemetry_step step = {.step = 3, .phase_total = PHASES};
    uint16_t phase = 0;
    bool is_done = false;

    (void)state;
    for (uint32_t i = 0; i < PHASES; i++)
        phases[i] = (struct mesh_telemetry_phase){i % 7 == 3 ? 0 : i * 731, i * i * 17};
    while (!is_done) {
        struct mesh_telemetry_writer writer;
        struct mesh_telemetry_reader reader;
        struct mesh_telemetry_head read;
        struct mesh_telemetry_item item;

        mesh_telemetry_begin(&writer, piece, sizeof piece, &head);
        is_done = mesh_telemetry_put_step(&writer, &step, phases, &phase);
        assert_int_equal(mesh_telemetry_open(&reader, piece, writer.used, &read), 0);
        assert_int_equal(mesh_telemetry_next(&reader, &item), 1);
        assert_int_equal(item.step.phase_first + item.step.phase_count, phase);
        assert_in_range(item.step.phase_count, 1, PHASES);
        assert_int_equal(mesh_telemetry_get_phases(&item, back + item.step.phase_first, PHASES), item.step.phase_count);
    }
    assert_memory_equal(back, phases, sizeof back);
}

/* As rows of a damaged trace have it; a piece of telemetry with such an item is refused as a whole. */
static void a_step_with_another_number_of_phases_than_it_says_tells_of_none(void **state)
{
    static const uint8_t tail[] = {2, 7, 4, 8};
    struct mesh_telemetry_phase phases[3];
    struct mesh_telemetry_item item = {
        .kind = MESH_TELEMETRY_STEP, .step = {.phase_total = 3, .phase_count = 2}, .tail = tail, .tail_bytes = sizeof tail};

    (void)state;
    assert_int_equal(mesh_telemetry_get_phases(&item, phases, 3), 2);
    assert_int_equal(phases[1].begin, 3);
    assert_int_equal(phases[1].duration, 8);
    item.step.phase_count = 3;
    assert_int_equal(mesh_telemetry_get_phases(&item, phases, 3), 0);
    item.step.phase_count = 1;
    assert_int_equal(mesh_telemetry_get_phases(&item, phases, 3), 0);
    item.step.phase_first = 2;
    item.step.phase_count = 2;
    assert_int_equal(mesh_telemetry_get_phases(&item, phases, 3), 0);
}

static void what_finds_no_room_is_not_written(void **state)
{
    struct mesh_telemetry_item item;
    struct mesh_telemetry_writer writer;
    size_t used;

    (void)state;
    fill(mesh_telemetry_part(MESH_TELEMETRY_LINK), &item, true);
    mesh_telemetry_begin(&writer, piece, sizeof piece, &head);
    do
        used = writer.used;
    while (mesh_telemetry_put(&writer, &item));
    assert_int_equal(writer.used, used);
    assert_int_equal(mesh_telemetry_check(piece, used), 0);
}

static void a_watch_is_moved_into_its_limits(void **state)
{
    struct mesh_telemetry_watch watch = {.interval_ms = 1, .lease_ms = 5000, .kinds = MESH_TELEMETRY_ALL}, back;
    uint8_t record[MESH_TELEMETRY_WATCH_BYTES + 1] = {0};

    (void)state;
    mesh_telemetry_write_watch(&watch, record);
    for (size_t bytes = 1; bytes <= sizeof record; bytes++)
        assert_int_equal(mesh_telemetry_read_watch(&back, record, bytes), bytes == MESH_TELEMETRY_WATCH_BYTES ? 0 : MESH_ETRUNCATED);
    assert_int_equal(mesh_telemetry_read_watch(&back, record, MESH_TELEMETRY_WATCH_BYTES), 0);
    assert_int_equal(back.interval_ms, MESH_TELEMETRY_INTERVAL_MS_MIN);
    assert_int_equal(back.lease_ms, 5000);
    assert_int_equal(back.kinds, MESH_TELEMETRY_ALL);
    watch.lease_ms = MESH_TELEMETRY_LEASE_MS_MAX + 1;
    mesh_telemetry_write_watch(&watch, record);
    assert_int_equal(mesh_telemetry_read_watch(&back, record, MESH_TELEMETRY_WATCH_BYTES), MESH_ERANGE);
    record[0]++;
    assert_int_equal(mesh_telemetry_read_watch(&back, record, MESH_TELEMETRY_WATCH_BYTES), MESH_ETYPE);
}

static void a_report_brings_its_piece(void **state)
{
    static uint8_t record[MESH_TELEMETRY_REPORT_OVERHEAD_BYTES + MESH_TELEMETRY_PIECE_BYTES_MAX];
    const struct mesh_telemetry_report report = {.now_ns = 5, .unix_ms = 6, .piece = piece, .piece_bytes = write_all_kinds()};
    struct mesh_telemetry_report back;
    const size_t bytes = mesh_telemetry_write_report(&report, record);

    (void)state;
    assert_int_equal(mesh_telemetry_read_report(&back, record, bytes), 0);
    assert_int_equal(back.now_ns, 5);
    assert_int_equal(back.unix_ms, 6);
    assert_int_equal(back.piece_bytes, report.piece_bytes);
    assert_memory_equal(back.piece, piece, back.piece_bytes);
    assert_int_equal(mesh_telemetry_read_report(&back, record, MESH_TELEMETRY_REPORT_OVERHEAD_BYTES), MESH_ETRUNCATED);
}

static bool ends_with(const char *text, const char *end)
{
    const size_t a = strlen(text), b = strlen(end);

    return a >= b && strcmp(text + a - b, end) == 0;
}

static void check_name(const struct mesh_metric *field)
{
    const bool is_total = ends_with(field->metric, "_total");

    assert_int_equal(strncmp(field->metric, "mesh_", 5), 0);
    assert_int_equal(is_total, field->kind == MESH_METRIC_COUNTER);
    if (strcmp(field->unit, "ns") == 0)
        assert_true(ends_with(field->metric, is_total ? "_seconds_total" : "_seconds"));
    if (strcmp(field->unit, "ppm") == 0)
        assert_true(ends_with(field->metric, "_ratio"));
    if (strcmp(field->unit, "bytes") == 0)
        assert_non_null(strstr(field->metric, "_bytes"));
    assert_true(field->meaning[0] >= 'A' && field->meaning[0] <= 'Z');
}

/* Base units, and _total for counters and nothing else, as Prometheus's guidelines require; and no name twice. */
static void names_of_metrics_follow_the_rules(void **state)
{
    const char *seen[300];
    size_t count = 0;

    (void)state;
    for (unsigned i = 0; i < MESH_LATENCIES; i++) {
        assert_true(ends_with(mesh_telemetry_latency_texts[i].metric, "_seconds"));
        seen[count++] = mesh_telemetry_latency_texts[i].metric;
    }
    for (unsigned kind = 1; kind < MESH_TELEMETRY_KINDS; kind++) {
        const struct mesh_telemetry_part *part = mesh_telemetry_part(kind);

        for (unsigned i = 0; i < part->field_count; i++) {
            assert_ptr_equal(mesh_metric_find(part, part->fields[i].name), &part->fields[i]);
            assert_int_equal(part->fields[i].metric[0] == '\0', part->fields[i].kind == MESH_METRIC_LABEL);
            if (part->fields[i].kind == MESH_METRIC_LABEL)
                continue;
            check_name(&part->fields[i]);
            for (size_t j = 0; j < count; j++)
                assert_string_not_equal(seen[j], part->fields[i].metric);
            assert_in_range(count, 0, 299);
            seen[count++] = part->fields[i].metric;
        }
    }
}

static void values_come_in_the_units_of_their_metrics(void **state)
{
    const struct mesh_telemetry_part *part = mesh_telemetry_part(MESH_TELEMETRY_LINK);
    const struct mesh_telemetry_link link = {.clock_offset_ns = -1500000000, .loss_ppm = 20000, .bytes_sent = 7};

    (void)state;
    assert_true(mesh_metric_value(mesh_metric_find(part, "clock_offset_ns"), &link) == -1.5);
    assert_true(mesh_metric_value(mesh_metric_find(part, "loss_ppm"), &link) == 0.02);
    assert_true(mesh_metric_value(mesh_metric_find(part, "bytes_sent"), &link) == 7);
    assert_null(mesh_metric_find(part, "no such"));
    assert_string_equal(mesh_telemetry_state_name(MESH_NODE_UP), "up");
    assert_string_equal(mesh_telemetry_event_name(MESH_NODE_EVENT_REQUEST_FAILED), "request failed");
    assert_string_equal(mesh_telemetry_event_name(0), "?");
    assert_string_equal(mesh_telemetry_worker_name(MESH_WORKER_STATES), "?");
}

static uint64_t hash_part(uint64_t hash, const struct mesh_telemetry_part *part)
{
    hash = word_hash(word_hash(hash, part->number), part->tail);
    for (unsigned i = 0; i < part->field_count; i++)
        hash = word_hash(word_hash(word_hash(hash, part->fields[i].type), part->fields[i].min), part->fields[i].max);
    return hash;
}

static void every_state_and_event_has_a_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MESH_NODE_STATES; i++)
        assert_string_not_equal(mesh_telemetry_state_name(i), "?");
    for (unsigned i = 0; i < MESH_WORKER_STATES; i++)
        assert_string_not_equal(mesh_telemetry_worker_name(i), "?");
    for (unsigned i = 0; i < MESH_REQUEST_STATES; i++)
        assert_string_not_equal(mesh_telemetry_request_name(i), "?");
    for (unsigned i = MESH_NODE_EVENT_START; i < MESH_NODE_EVENTS; i++)
        assert_string_not_equal(mesh_telemetry_event_name(i), "?");
}

/* Fields have no names: who knows other ones reads wrong numbers, and does not notice. */
static void the_layout_is_that_of_its_version(void **state)
{
    const uint64_t known = UINT64_C(0x7849b510e1548461);
    uint64_t hash = hash_part(WORD_HASH_OF_NOTHING, &mesh_telemetry_head_part);

    (void)state;
    for (unsigned kind = 1; kind < MESH_TELEMETRY_KINDS; kind++)
        hash = hash_part(hash, mesh_telemetry_part(kind));
    assert_int_equal(MESH_TELEMETRY_VERSION, 1);
    if (hash != known)
        fail_msg(
            "the layout of telemetry is another one. If a release has the old one, raise MESH_TELEMETRY_VERSION (mesh/telemetry.h) and "
            "MESH_TRACE_SCHEMA with MESH_TRACE_SCHEMA_MIN (mesh/trace.h). Record tests/golden/telemetry (tests/tools/record-telemetry, "
            "whose "
            "figures go to "
            "test_monitor_recorded) and tests/traces/lossy.db (tests/tools/record-lossy) anew. Then write UINT64_C(0x%016" PRIx64 ") here",
            hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_back_as_they_were),
        cmocka_unit_test(a_piece_cut_anywhere_else_than_between_items_is_refused),
        cmocka_unit_test(what_is_out_of_range_is_refused),
        cmocka_unit_test(items_of_kinds_that_are_not_known_are_passed_over),
        cmocka_unit_test(a_histogram_comes_whole_through_as_many_pieces_as_it_needs),
        cmocka_unit_test(the_phases_of_a_step_come_in_as_many_pieces_as_they_need),
        cmocka_unit_test(a_step_with_another_number_of_phases_than_it_says_tells_of_none),
        cmocka_unit_test(what_finds_no_room_is_not_written),
        cmocka_unit_test(a_watch_is_moved_into_its_limits),
        cmocka_unit_test(a_report_brings_its_piece),
        cmocka_unit_test(names_of_metrics_follow_the_rules),
        cmocka_unit_test(values_come_in_the_units_of_their_metrics),
        cmocka_unit_test(every_state_and_event_has_a_name),
        cmocka_unit_test(the_layout_is_that_of_its_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
