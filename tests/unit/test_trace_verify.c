/* Recordings run again by mesh-replay verify: what is equal, what differs, and what cannot be known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replay/verdict.h"
#include "replay/verify_tapes.h"
#include "simbench.h"
#include "tapes.h"

enum { CALLS_OF_CHUNK = 100 };

static struct simbench bench; /* too large for the stack */
static struct tape tapes[2];
static char folder[64], paths[2][80];

static int record(void **state)
{
    struct mesh_sim_link link = simbench_ethernet();
    struct simshape shape;

    (void)state;
    link.loss_ppm = 20000;
    simshape_even(&shape, 2, 3, 20, 36);
    shape.seed = 4;
    shape.step_count = 8;
    simbench_init(&bench, &shape, 3, &link);
    for (uint16_t rank = 0; rank < 2; rank++) {
        tape_init(&tapes[rank]);
        bench.configs[rank].tap = &tapes[rank].tap;
    }
    simbench_start(&bench);
    if (!simbench_join(&bench, SIM_S(1)) || !simbench_exchange(&bench, SIM_S(10)))
        return -1;
    strcpy(folder, "/tmp/test_trace_verify.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    for (unsigned i = 0; i < 2; i++)
        snprintf(paths[i], sizeof paths[i], "%s/%u.db", folder, i);
    return 0;
}

static int release(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        unlink(paths[i]);
        tape_release(&tapes[i]);
    }
    rmdir(folder);
    simbench_close(&bench);
    return 0;
}

/* Stores calls first.. (from 0) of a tape, below end, in chunks of a new trace; missing ones are counted. */
static void store(const char *path, const struct tape *tape, uint64_t first, uint64_t end, uint64_t missing_first, uint64_t missing_end)
{
    struct mesh_trace_chunk chunk = {.node = 1, .core = MESH_TRACE_CORE_MESH, .instance = 1};
    char reason[MESH_TRACE_REASON_BYTES];
    struct mesh_tape_entry entry;
    struct mesh_trace *trace;
    size_t from = 0, at = 0, before;

    unlink(path);
    assert_int_equal(mesh_trace_create(&trace, path, reason), 0);
    for (uint64_t i = 0; (before = at, tape_next(tape, &at, &entry)) && i < end; i++) {
        const bool is_stored = i >= first && (i < missing_first || i >= missing_end);

        if (is_stored && chunk.count++ == 0) {
            chunk.first = i + 1;
            from = before;
        }
        if (chunk.count > 0 && (!is_stored || chunk.count == CALLS_OF_CHUNK || i + 1 == end)) {
            assert_int_equal(mesh_trace_add_chunk(trace, &chunk, tape->bytes + from, (is_stored ? at : before) - from, NULL), 0);
            chunk.count = 0;
        }
    }
    mesh_trace_close(trace);
}

/* One chunk of one call, whatever the bytes are. */
static void store_bytes(const char *path, const struct tape *tape)
{
    const struct mesh_trace_chunk chunk = {.node = 1, .core = MESH_TRACE_CORE_MESH, .instance = 1, .first = 1, .count = 1};
    char reason[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *trace;

    unlink(path);
    assert_int_equal(mesh_trace_create(&trace, path, reason), 0);
    assert_int_equal(mesh_trace_add_chunk(trace, &chunk, tape->bytes, tape->size, NULL), 0);
    mesh_trace_close(trace);
}

static void store_all(const char *path, const struct tape *tape)
{
    store(path, tape, 0, tape->count, 0, 0);
}

static void run(struct verify *verify, size_t count)
{
    const char *const all[2] = {paths[0], paths[1]};
    struct fail fail = {0};

    if (verify_run(verify, all, count, &fail) != 0)
        fail_msg("%s", fail.text);
}

static void a_recording_is_the_same_for_all_its_nodes(void **state)
{
    struct verify verify;

    (void)state;
    for (unsigned i = 0; i < 2; i++)
        store_all(paths[i], &tapes[i]);
    run(&verify, 2);
    assert_int_equal(verify.count, 2);
    for (unsigned i = 0; i < 2; i++) {
        struct mesh_rerun_stats stats;

        assert_int_equal(verify.cores[i].state, VERIFY_SAME);
        mesh_rerun_get_stats(verify.cores[i].rerun, &stats);
        assert_int_equal(stats.entries, tapes[i].count);
    }
    verify_release(&verify);
}

static void a_core_goes_on_in_the_next_file(void **state)
{
    struct verify verify;

    (void)state;
    store(paths[0], &tapes[0], 0, 250, 0, 0);
    store(paths[1], &tapes[0], 250, tapes[0].count, 0, 0);
    run(&verify, 2);
    assert_int_equal(verify.count, 1);
    assert_int_equal(verify.cores[0].state, VERIFY_SAME);
    assert_int_equal(verify.cores[0].next, tapes[0].count + 1);
    verify_release(&verify);
}

static void without_its_beginning_a_core_is_left_out(void **state)
{
    struct verify verify;

    (void)state;
    store(paths[0], &tapes[0], 250, tapes[0].count, 0, 0);
    run(&verify, 1);
    assert_int_equal(verify.count, 1);
    assert_int_equal(verify.cores[0].state, VERIFY_SKIPPED);
    verify_release(&verify);
}

static void up_to_a_gap_it_is_the_same(void **state)
{
    struct verify verify;

    (void)state;
    store(paths[0], &tapes[0], 0, tapes[0].count, 300, 310);
    run(&verify, 1);
    assert_int_equal(verify.count, 1);
    assert_int_equal(verify.cores[0].state, VERIFY_CUT);
    assert_int_equal(verify.cores[0].next, 301);
    assert_non_null(strstr(verify.cores[0].why, "10 calls are missing after call 300"));
    verify_release(&verify);
}

/* The first tile received after the middle of the tape. */
static bool receive_another(void *app, uint64_t index, struct mesh_tape_entry *entry)
{
    uint64_t *where = app;

    if (*where == 0 && index > tapes[0].count / 2 && entry->call.kind == MESH_TAPE_RECEIVE && entry->call.payload == MESH_TAPE_WHOLE) {
        *where = index + 1;
        return false;
    }
    return true;
}

static void a_difference_has_the_number_of_its_call(void **state)
{
    const struct mesh_rerun_difference *difference;
    struct verify verify;
    struct tape changed;
    uint64_t where = 0;

    (void)state;
    tape_copy(&changed, &tapes[0], receive_another, &where);
    store_all(paths[0], &changed);
    run(&verify, 1);
    assert_int_equal(verify.cores[0].state, VERIFY_DIFFERS);
    difference = mesh_rerun_difference(verify.cores[0].rerun);
    assert_in_range(verify.cores[0].first + difference->index, where, where + 5);
    verify_release(&verify);
    tape_release(&changed);
}

/* The first record alone, with a byte changed. */
static void store_first_changed(size_t at, uint8_t byte)
{
    struct tape changed;
    struct mesh_tape_entry entry;
    size_t end = 0;

    assert_true(tape_next(&tapes[0], &end, &entry));
    changed = (struct tape){.bytes = malloc(end), .size = end, .count = 1};
    assert_non_null(changed.bytes);
    memcpy(changed.bytes, tapes[0].bytes, end);
    changed.bytes[at] = byte;
    store_bytes(paths[0], &changed);
    free(changed.bytes);
}

static void a_damaged_chunk_is_refused_in_words(void **state)
{
    const char *const all[1] = {paths[0]};
    struct fail fail = {0};
    struct verify verify;

    (void)state;
    store_first_changed(offsetof(struct mesh_tape_call_bytes, kind), 200);
    run(&verify, 1); /* it lacks its beginning */
    assert_int_equal(verify.cores[0].state, VERIFY_SKIPPED);
    verify_release(&verify);
    store_first_changed(offsetof(struct mesh_tape_call_bytes, payload), 7);
    assert_int_equal(verify_run(&verify, all, 1, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
    assert_non_null(strstr(fail.text, "call 1: it cannot be read"));
    verify_release(&verify);
}

static void verdicts_are_written_as_tap_and_junit(void **state)
{
    static const struct verdict verdicts[] = {{"a & \xff\xc3\xa4\x1b", VERDICT_PASS, "12 calls", NULL, 0.25},
                                              {"c", VERDICT_FAIL, "<other>", "  due_ns 1 2\n", 0.5},
                                              {"d # e", VERDICT_SKIP, "no beginning", NULL, 0}};
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);

    (void)state;
    verdict_write_tap(out, verdicts, 3);
    fclose(out);
    assert_string_equal(text, "TAP version 13\n1..3\nok 1 - a & \xff\xc3\xa4\x1b\n# 12 calls\nnot ok 2 - c\n# <other>\n#   due_ns 1 2\n"
                              "ok 3 - d   e # SKIP no beginning\n");
    free(text);
    out = open_memstream(&text, &bytes);
    verdict_write_junit(out, "suite", verdicts, 3);
    fclose(out);
    assert_non_null(strstr(text, "tests=\"3\" failures=\"1\" skipped=\"1\" errors=\"0\" time=\"0.750\""));
    assert_non_null(strstr(text, "name=\"a &amp; ?\xc3\xa4?\""));
    assert_non_null(strstr(text, "<failure message=\"&lt;other&gt;\">  due_ns 1 2\n</failure>"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recording_is_the_same_for_all_its_nodes), cmocka_unit_test(a_core_goes_on_in_the_next_file),
        cmocka_unit_test(without_its_beginning_a_core_is_left_out),  cmocka_unit_test(up_to_a_gap_it_is_the_same),
        cmocka_unit_test(a_difference_has_the_number_of_its_call),   cmocka_unit_test(a_damaged_chunk_is_refused_in_words),
        cmocka_unit_test(verdicts_are_written_as_tap_and_junit),
    };

    return cmocka_run_group_tests(tests, record, release);
}
