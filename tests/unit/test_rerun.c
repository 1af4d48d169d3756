/* Cores that are run again from their tapes, in virtual time: the same input gives the same output, and differences are found where they
 * occur. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simbench.h"
#include "simmembers.h"
#include "tapes.h"

enum { RANKS = 4 };

static struct simbench bench; /* too large for the stack */
static struct simmembers members;
static struct tape tapes[RANKS];

/* ---- an endpoint ---- */

/* An exchange of all ranks over a bad network, with a tape each. */
static void record_exchange(bool leaves_payloads, bool kills_one)
{
    struct mesh_sim_link link = simbench_ethernet();
    struct simshape shape;

    link.loss_ppm = 30000;
    link.duplicate_ppm = 20000;
    link.reorder_ppm = 20000;
    link.reorder_ns = SIM_US(300);
    simshape_random(&shape, 5, RANKS, 6, 60);
    shape.step_count = 12;
    shape.prompt_tokens = 20;
    shape.records = 6;
    simbench_init(&bench, &shape, 11, &link);
    for (uint16_t rank = 0; rank < RANKS; rank++) {
        tape_init(&tapes[rank]);
        tapes[rank].leaves_payloads = leaves_payloads;
        bench.configs[rank].tap = &tapes[rank].tap;
    }
    simbench_start(&bench);
    assert_true(simbench_join(&bench, SIM_S(2)));
    if (kills_one) {
        for (uint16_t rank = 0; rank < RANKS; rank++)
            bench.apps[rank].is_started = true;
        mesh_sim_run(bench.sim, mesh_sim_now_ns(bench.sim) + SIM_MS(5), NULL, NULL);
        mesh_sim_crash(bench.sim, 3);
        mesh_sim_run(bench.sim, mesh_sim_now_ns(bench.sim) + SIM_MS(300), NULL, NULL);
    } else if (!simbench_exchange(&bench, SIM_S(20))) {
        fail_msg("%s", bench.error);
    }
}

static void release(void)
{
    for (uint16_t rank = 0; rank < RANKS; rank++)
        tape_release(&tapes[rank]);
    simbench_close(&bench);
}

static void expect_same(const struct tape *tape, struct mesh_rerun **rerun)
{
    const int err = tape_rerun(tape, rerun);
    const struct mesh_rerun_difference *difference = mesh_rerun_difference(*rerun);

    if (err)
        fail_msg("entry %llu of %llu: %d %s, how %d, kind %u and %u, at %llu, due %llu and %llu", (unsigned long long)difference->index,
                 (unsigned long long)tape->count, err, mesh_rerun_reason(*rerun), difference->outcome, difference->expected.call.kind,
                 difference->actual.call.kind, (unsigned long long)difference->expected.call.at_ns,
                 (unsigned long long)difference->expected.call.due_ns, (unsigned long long)difference->actual.call.due_ns);
}

static void an_endpoint_run_again_says_the_same(void **state)
{
    struct mesh_rerun_stats stats;

    (void)state;
    record_exchange(false, false);
    for (uint16_t rank = 0; rank < RANKS; rank++) {
        struct mesh_rerun *rerun;

        expect_same(&tapes[rank], &rerun);
        mesh_rerun_get_stats(rerun, &stats);
        assert_int_equal(stats.entries, tapes[rank].count);
        assert_true(stats.datagrams_out > 100 && stats.payloads_compared > 50);
        assert_int_equal(stats.payloads_unknown, 0);
        assert_int_equal(mesh_rerun_state_hash(rerun), mesh_state_hash(bench.apps[rank].mesh));
        mesh_rerun_close(rerun);
    }
    assert_true(simbench_sent(&bench, MESH_TYPE_NAK) > 0);
    release();
}

static void so_does_one_whose_peer_was_killed(void **state)
{
    (void)state;
    record_exchange(false, true);
    for (uint16_t rank = 0; rank < RANKS; rank++) {
        struct mesh_rerun *rerun;

        expect_same(&tapes[rank], &rerun);
        assert_int_equal(mesh_rerun_state_hash(rerun), mesh_state_hash(bench.apps[rank].mesh));
        mesh_rerun_close(rerun);
    }
    release();
}

static void without_payloads_all_else_is_compared(void **state)
{
    struct mesh_rerun_stats stats;

    (void)state;
    record_exchange(true, false);
    for (uint16_t rank = 0; rank < RANKS; rank++) {
        struct mesh_rerun *rerun;

        expect_same(&tapes[rank], &rerun);
        mesh_rerun_get_stats(rerun, &stats);
        assert_int_equal(stats.payloads_compared, 0);
        assert_true(stats.payloads_unknown > 50);
        assert_int_equal(mesh_rerun_state_hash(rerun), mesh_state_hash(bench.apps[rank].mesh));
        mesh_rerun_close(rerun);
    }
    release();
}

/* A tick before its time is not recorded, but the events after it have its time. */
static void time_that_passes_untold_is_caught_up_with(void **state)
{
    const uint16_t first[2] = {0, 1};
    uint8_t block[36] = {0};
    const struct mesh_gather gather = {.token_count = 1,
                                       .block_count = 1,
                                       .block_bytes = sizeof block,
                                       .last_block_bytes = sizeof block,
                                       .data = block,
                                       .token_stride = sizeof block,
                                       .first = first,
                                       .readers = 1};
    struct mesh_config config = {
        .rank_count = 1, .phase_count = 1, .tokens_max = 1, .blocks_max = 1, .datagram_bytes_max = 1472, .tap = &tapes[0].tap};
    const size_t bytes = mesh_memory_bytes(&config);
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    struct mesh_event event;
    struct mesh_rerun *rerun;
    struct mesh *mesh;

    (void)state;
    tape_init(&tapes[0]);
    assert_int_equal(mesh_init(&mesh, &config, memory, bytes, 50), 0);
    assert_int_equal(mesh_open_gather(mesh, 100, &gather), 0);
    mesh_tick(mesh, 200);
    while (mesh_next_event(mesh, &event))
        ;
    assert_int_equal(tapes[0].count, 4); /* INIT, OPEN, COMPLETE, FREED */
    expect_same(&tapes[0], &rerun);
    mesh_rerun_close(rerun);
    tape_release(&tapes[0]);
    free(memory);
}

/* Calls that ask for a datagram in vain are recorded once at most, so the times of later ones are unknown. */
static void calls_without_a_time_have_that_of_the_last_call_that_was_told(void **state)
{
    struct mesh_config config = {
        .rank_count = 3, .phase_count = 1, .tokens_max = 1, .blocks_max = 1, .datagram_bytes_max = 1472, .tap = &tapes[0].tap};
    const struct mesh_addr addr = {.ip = {[10] = 255, 255, 127, 0, 0, 1}, .port = 7411};
    const size_t bytes = mesh_memory_bytes(&config);
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    struct mesh_tape_entry entry = {0};
    struct mesh_output output;
    struct mesh_rerun *rerun;
    uint8_t packet[1472];
    struct mesh *mesh;
    uint64_t told_ns;

    (void)state;
    tape_init(&tapes[0]);
    assert_int_equal(mesh_init(&mesh, &config, memory, bytes, 50), 0);
    mesh_set_peer(mesh, 1, addr);
    mesh_tick(mesh, 60);
    for (told_ns = 60; mesh_next_datagram(mesh, told_ns, packet, sizeof packet, &output); told_ns++)
        ;
    for (size_t at = 0; tape_next(&tapes[0], &at, &entry);)
        told_ns = entry.call.at_ns;
    assert_int_equal(entry.call.kind, MESH_TAPE_DATAGRAM); /* a HELLO */
    assert_false(mesh_next_datagram(mesh, 1000, packet, sizeof packet, &output));
    mesh_set_path(mesh, 2, 1400);
    for (size_t at = 0; tape_next(&tapes[0], &at, &entry);)
        ;
    assert_int_equal(entry.call.kind, MESH_TAPE_PATH);
    assert_int_equal(entry.call.at_ns, told_ns);
    expect_same(&tapes[0], &rerun);
    mesh_rerun_close(rerun);
    tape_release(&tapes[0]);
    free(memory);
}

static void each_endpoint_of_a_tape_may_have_a_group(void **state)
{
    const struct mesh_config config = {
        .rank_count = 3, .phase_count = 1, .tokens_max = 1, .blocks_max = 1, .datagram_bytes_max = 1472, .tap = &tapes[0].tap};
    const size_t bytes = mesh_memory_bytes(&config);
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    struct mesh_rerun *rerun;
    struct mesh *mesh;

    (void)state;
    tape_init(&tapes[0]);
    for (int endpoint = 0; endpoint < 2; endpoint++) {
        assert_int_equal(mesh_init(&mesh, &config, memory, bytes, 50), 0);
        mesh_set_group(mesh, 1400);
    }
    assert_int_equal(tapes[0].count, 4);
    expect_same(&tapes[0], &rerun);
    mesh_rerun_close(rerun);
    tape_release(&tapes[0]);
    free(memory);
}

/* ---- changed tapes ---- */

/* The first entry of a kind after the middle of the tape. */
struct change {
    const struct tape *tape;
    unsigned kind;
    void (*apply)(struct mesh_tape_entry *entry);
    bool leaves_out;
    uint8_t copy[UINT16_MAX];
    bool is_done;
    uint64_t index;
};

static bool change_one(void *app, uint64_t index, struct mesh_tape_entry *entry)
{
    struct change *change = app;

    if (change->is_done || entry->call.kind != change->kind || (index < change->tape->count / 2 && change->kind != MESH_TAPE_INIT))
        return true;
    change->is_done = true;
    change->index = index;
    if (entry->call.payload == MESH_TAPE_WHOLE && entry->call.payload_bytes <= sizeof change->copy) {
        memcpy(change->copy, entry->payload, entry->call.payload_bytes);
        entry->payload = change->copy;
    }
    if (change->apply)
        change->apply(entry);
    return !change->leaves_out;
}

/* The difference found in rank 1's tape after one entry was changed. */
static const struct mesh_rerun_difference *after(struct change *change, struct mesh_rerun **rerun)
{
    struct tape changed;

    change->tape = &tapes[1];
    tape_copy(&changed, change->tape, change_one, change);
    assert_true(change->is_done);
    assert_int_equal(tape_rerun(&changed, rerun), 1);
    tape_release(&changed);
    return mesh_rerun_difference(*rerun);
}

/* The names of the lines that differ, each with a space after it. */
static void collect(void *user, const struct mesh_tape_line *line)
{
    char *names = user;

    if (!line->is_same)
        snprintf(names + strlen(names), 200 - strlen(names), "%s ", line->name);
}

static void expect_lines(const struct mesh_rerun_difference *difference, const char *expected)
{
    char names[200] = "";

    mesh_tape_compare(&difference->expected, &difference->actual, collect, names);
    assert_string_equal(names, expected);
}

static void delay_gaps(struct mesh_tape_entry *entry)
{
    entry->init.reorder_delay_ns += 1000;
}

static void flip_bit(struct mesh_tape_entry *entry)
{
    uint8_t *payload = (uint8_t *)(uintptr_t)entry->payload; /* of the copy */

    payload[entry->call.payload_bytes / 2] ^= 1;
}

static void a_changed_timer_is_found_at_the_input_that_starts_it(void **state)
{
    struct change change = {.kind = MESH_TAPE_INIT, .apply = delay_gaps};
    struct mesh_rerun *rerun;
    const struct mesh_rerun_difference *difference;

    (void)state;
    record_exchange(false, false);
    difference = after(&change, &rerun);
    assert_int_equal(difference->outcome, MESH_RERUN_DIFFERENT);
    assert_int_equal(difference->expected.call.kind, MESH_TAPE_RECEIVE);
    assert_int_equal(difference->actual.call.kind, MESH_TAPE_RECEIVE);
    assert_int_equal(difference->index, difference->input_index);
    assert_int_equal(difference->actual.call.due_ns - difference->expected.call.due_ns, 1000);
    expect_lines(difference, "due_ns ");
    mesh_rerun_close(rerun);
    release();
}

static void a_flipped_bit_is_found_in_the_tile_that_carries_it(void **state)
{
    struct change change = {.kind = MESH_TAPE_PUBLISH, .apply = flip_bit};
    struct mesh_rerun *rerun;
    const struct mesh_rerun_difference *difference;
    unsigned differing = 0;

    (void)state;
    record_exchange(false, false);
    difference = after(&change, &rerun);
    assert_int_equal(difference->outcome, MESH_RERUN_DIFFERENT);
    assert_int_equal(difference->expected.call.kind, MESH_TAPE_DATAGRAM);
    assert_true(difference->index > change.index);
    assert_int_equal(difference->expected.call.payload_bytes, difference->actual.call.payload_bytes);
    assert_memory_equal(difference->expected.body, difference->actual.body, difference->actual.call.body_bytes);
    for (uint32_t i = 0; i < difference->actual.call.payload_bytes; i++)
        differing += (unsigned)__builtin_popcount(difference->expected.payload[i] ^ difference->actual.payload[i]);
    assert_int_equal(differing, 1);
    expect_lines(difference, "payload ");
    mesh_rerun_close(rerun);
    release();
}

static void a_datagram_that_is_missing_from_the_tape_is_found_at_the_next_thing_told(void **state)
{
    struct change change = {.kind = MESH_TAPE_DATAGRAM, .leaves_out = true};
    struct mesh_rerun *rerun;
    const struct mesh_rerun_difference *difference;

    (void)state;
    record_exchange(false, false);
    difference = after(&change, &rerun);
    assert_int_equal(difference->outcome, MESH_RERUN_DIFFERENT);
    assert_int_equal(difference->actual.call.kind, MESH_TAPE_DATAGRAM);
    assert_true(difference->index >= change.index);
    mesh_rerun_close(rerun);
    release();
}

static void a_received_datagram_that_is_missing_from_the_tape_is_found(void **state)
{
    struct change change = {.kind = MESH_TAPE_RECEIVE, .leaves_out = true};
    struct mesh_rerun *rerun;
    const struct mesh_rerun_difference *difference;

    (void)state;
    record_exchange(false, false);
    difference = after(&change, &rerun);
    assert_in_range(difference->index, change.index, change.index + 100);
    mesh_rerun_close(rerun);
    release();
}

/* ---- tapes that were never recorded ---- */

static void a_damaged_tape_is_refused_or_differs_but_never_breaks_the_core(void **state)
{
    unsigned differ = 0;

    (void)state;
    record_exchange(false, false);
    for (unsigned seed = 0; seed < 300; seed += SIMBENCH_STRIDE) {
        struct tape damaged = tapes[2];
        struct mesh_tape_entry entry;
        struct mesh_rerun *rerun;
        size_t used = 0;
        int err = mesh_rerun_open(&rerun, NULL);

        damaged.bytes = malloc(damaged.size);
        assert_non_null(damaged.bytes);
        memcpy(damaged.bytes, tapes[2].bytes, damaged.size);
        for (unsigned i = 0; i < 3; i++)
            damaged.bytes[rand() % (seed % 2 ? 4000 : (int)damaged.size)] = (uint8_t)rand();
        for (size_t at = 0; err == 0 && at < damaged.size; at += used) {
            err = mesh_tape_decode(damaged.bytes + at, damaged.size - at, &entry, &used);
            if (err == 0)
                err = mesh_rerun_feed(rerun, &entry);
        }
        differ += err != 0;
        mesh_rerun_close(rerun);
        free(damaged.bytes);
    }
    assert_true(differ > 0);
    release();
}

/* A nonexistent phase of a step that is over: as the core counts, that is a gather far ahead. */
static bool consume_another_phase(void *app, uint64_t index, struct mesh_tape_entry *entry)
{
    const uint64_t *last = app;

    if (index == *last && entry->call.kind == MESH_TAPE_CONSUME) {
        entry->consume.step--;
        entry->consume.phase = UINT16_MAX;
    }
    return true;
}

static void a_gather_of_a_phase_that_no_step_has_was_never_there(void **state)
{
    struct mesh_tape_entry entry;
    struct mesh_rerun *rerun;
    struct tape changed;
    uint64_t last = 0, index = 0;
    size_t at = 0;

    (void)state;
    record_exchange(false, false);
    for (; tape_next(&tapes[2], &at, &entry); index++)
        if (entry.call.kind == MESH_TAPE_CONSUME && entry.consume.step > 0)
            last = index;
    tape_copy(&changed, &tapes[2], consume_another_phase, &last);
    assert_int_equal(tape_rerun(&changed, &rerun), 1);
    assert_int_equal(mesh_rerun_difference(rerun)->outcome, MESH_RERUN_IMPOSSIBLE);
    assert_string_equal(mesh_rerun_difference(rerun)->reason, "this core has no such gather");
    mesh_rerun_close(rerun);
    tape_release(&changed);
    release();
}

/* ---- the cluster core ---- */

static void a_cluster_core_run_again_agrees_to_the_same_epochs(void **state)
{
    struct mesh_sim_link link = simmembers_link();

    (void)state;
    link.loss_ppm = 20000;
    simmembers_open(&members, RANKS, 3, &link);
    for (uint16_t place = 0; place < RANKS; place++) {
        tape_init(&tapes[place]);
        tapes[place].hash = members.at[place].config.hash;
        members.at[place].config.tap = &tapes[place].tap;
    }
    simmembers_form(&members);
    simmembers_crash(&members, 2);
    simmembers_suspect(&members, 1, 2);
    assert_true(simmembers_run_agree(&members, 11, SIMMEMBERS_S) < SIMMEMBERS_S);
    mesh_cluster_leave(members.at[0].cluster, simmembers_clock(&members, 0));
    mesh_sim_wake(members.sim, 0);
    assert_true(simmembers_run(&members, SIMMEMBERS_S));
    for (uint16_t place = 0; place < RANKS; place++) {
        struct mesh_rerun_stats stats;
        struct mesh_rerun *rerun;

        expect_same(&tapes[place], &rerun);
        mesh_rerun_get_stats(rerun, &stats);
        assert_true(stats.datagrams_out > 10 && stats.events > 0);
        if (members.at[place].cluster)
            assert_int_equal(mesh_rerun_state_hash(rerun), mesh_cluster_state_hash(members.at[place].cluster));
        mesh_rerun_close(rerun);
        tape_release(&tapes[place]);
    }
    simmembers_close(&members);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_endpoint_run_again_says_the_same),
        cmocka_unit_test(so_does_one_whose_peer_was_killed),
        cmocka_unit_test(without_payloads_all_else_is_compared),
        cmocka_unit_test(time_that_passes_untold_is_caught_up_with),
        cmocka_unit_test(calls_without_a_time_have_that_of_the_last_call_that_was_told),
        cmocka_unit_test(each_endpoint_of_a_tape_may_have_a_group),
        cmocka_unit_test(a_changed_timer_is_found_at_the_input_that_starts_it),
        cmocka_unit_test(a_flipped_bit_is_found_in_the_tile_that_carries_it),
        cmocka_unit_test(a_datagram_that_is_missing_from_the_tape_is_found_at_the_next_thing_told),
        cmocka_unit_test(a_received_datagram_that_is_missing_from_the_tape_is_found),
        cmocka_unit_test(a_damaged_tape_is_refused_or_differs_but_never_breaks_the_core),
        cmocka_unit_test(a_gather_of_a_phase_that_no_step_has_was_never_there),
        cmocka_unit_test(a_cluster_core_run_again_agrees_to_the_same_epochs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
