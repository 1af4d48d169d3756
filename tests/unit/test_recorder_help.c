/* Helping the recorder: entries that other threads have taken are written once and in order, whatever the store does, and helping continues
 * while the store is blocked. And the times of batches. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/recorder.h"
#include "mesh/udp.h"
#include "node/common/pool.h"

enum { RING_BYTES = 1 << 16, ENTRIES = 50000, TAKEN_MAX = 500, KIND = 7, REFUSED_EACH = 97 };

/* Entries are numbers. Taken entries are in one of two lists. */
struct numbers {
    uint64_t taken[2][TAKEN_MAX], count[2];
    unsigned taking;
    uint64_t next, written, wrong, batches;
    atomic_int failures_left; /* this many writes fail */
    atomic_bool is_held;      /* writes block while this is true */
    atomic_bool is_standing;
    atomic_bool is_done; /* all entries are put */
    uint64_t refused;    /* puts that were refused */
    uint64_t retry_ns;   /* 0: soon */
    struct mesh_recorder *recorder;
};

static uint64_t number_of(const struct mesh_recorder_entry *entry)
{
    uint64_t number = UINT64_MAX;

    if (entry->kind == KIND && entry->bytes == sizeof number)
        memcpy(&number, entry->content, sizeof number);
    return number;
}

static bool take(void *app, const struct mesh_recorder_entry *entry)
{
    struct numbers *n = app;
    const unsigned to = n->taking;

    if (number_of(entry) % REFUSED_EACH == 1 || n->count[to] == TAKEN_MAX)
        return false;
    n->taken[to][n->count[to]++] = number_of(entry);
    return true;
}

static void swap(void *app)
{
    struct numbers *n = app;

    n->taking = !n->taking;
    n->wrong += n->count[n->taking] != 0; /* it should have been written first */
}

static int write_numbers(void *app, struct mesh_recorder_batch *batch, char why[MESH_RECORDER_REASON_BYTES])
{
    struct numbers *n = app;
    const unsigned from = !n->taking;
    struct mesh_recorder_entry entry;
    uint64_t next = n->next;

    n->batches++;
    for (atomic_store(&n->is_standing, true); atomic_load(&n->is_held);)
        sched_yield();
    for (uint64_t i = 0; i < n->count[from]; i++)
        n->wrong += n->taken[from][i] != next++;
    while (mesh_recorder_next(batch, &entry))
        if (entry.kind != MESH_RECORDER_GAP) /* no payloads: only room was requested */
            n->wrong += number_of(&entry) != next++;
    if (atomic_load(&n->failures_left) > 0) {
        atomic_fetch_sub(&n->failures_left, 1);
        snprintf(why, MESH_RECORDER_REASON_BYTES, "the disk is full");
        return MESH_ESYSTEM;
    }
    n->written += next - n->next;
    n->next = next;
    n->count[from] = 0;
    return 0;
}

static struct mesh_recorder *open_numbers(struct numbers *n, uint64_t batch_ns)
{
    const struct mesh_recorder_config config = {.store = {.write = write_numbers, .take = take, .swap = swap, .app = n},
                                                .ring_bytes = RING_BYTES,
                                                .batch_ns = batch_ns,
                                                .retry_ns = n->retry_ns > 0 ? n->retry_ns : 100000};

    assert_int_equal(mesh_recorder_open(&n->recorder, &config), 0);
    return n->recorder;
}

static void put(struct mesh_recorder *recorder, uint64_t number)
{
    void *at = mesh_recorder_begin(recorder, 0, KIND, number, sizeof number);

    assert_non_null(at);
    memcpy(at, &number, sizeof number);
    mesh_recorder_end(at, sizeof number);
}

static void close_numbers(struct numbers *n, uint64_t entries)
{
    struct mesh_recorder_stats stats;

    mesh_recorder_close(n->recorder, &stats);
    assert_int_equal(n->wrong, 0);
    assert_int_equal(n->written, entries);
    assert_int_equal(stats.entries, entries);
    assert_int_equal(stats.lost, 0);
}

static void what_was_taken_is_written_before_what_was_not(void **state)
{
    struct numbers n = {0};
    struct mesh_recorder *recorder = open_numbers(&n, 1000000000);

    (void)state;
    for (uint64_t number = 0; number < 50; number++)
        put(recorder, number);
    mesh_recorder_help(recorder, 20); /* number 1 is refused */
    mesh_recorder_help(recorder, 20);
    close_numbers(&n, 50);
}

static void while_a_write_stands_helping_goes_on(void **state)
{
    struct numbers n = {.is_held = true, .next = 2};
    struct mesh_recorder *recorder = open_numbers(&n, 1000000);
    uint64_t number = 2;

    (void)state;
    put(recorder, number++);
    while (!atomic_load(&n.is_standing)) { /* whichever thread has set the entry aside: this one, or the recorder's from the ring */
        mesh_recorder_help(recorder, 1);
        sched_yield();
    }
    if (n.count[0] + n.count[1] > 0) { /* this thread did */
        put(recorder, number++);
        mesh_recorder_help(recorder, 1);
        assert_int_equal(n.count[n.taking], 1);
    }
    atomic_store(&n.is_held, false);
    close_numbers(&n, number - 2);
}

/* Two threads that help, one that puts, and a store that fails now and then. */
static void work(void *app, uint16_t index)
{
    struct numbers *n = app;

    if (index > 0) {
        while (!atomic_load(&n->is_done))
            mesh_recorder_help(n->recorder, 1 + index);
        return;
    }
    for (uint64_t number = 0; number < ENTRIES; number++) {
        void *at;

        while (!mesh_recorder_takes_payload(n->recorder, 0, number)) /* so there is room */
            sched_yield();
        at = mesh_recorder_begin(n->recorder, 0, KIND, number, sizeof number);
        if (at == NULL) {
            n->refused++;
            continue;
        }
        memcpy(at, &number, sizeof number);
        mesh_recorder_end(at, sizeof number);
        if (number % 3 == 0)
            mesh_recorder_help(n->recorder, 4);
    }
    atomic_store(&n->is_done, true);
}

static void with_many_who_help_all_is_written_once_and_in_order(void **state)
{
    static struct numbers n;
    struct fail fail = {0};
    struct pool *pool;

    (void)state;
    atomic_store(&n.failures_left, 5);
    open_numbers(&n, 200000);
    pool = pool_start(3, work, &n, &fail);
    assert_non_null(pool);
    pool_join(pool);
    close_numbers(&n, ENTRIES);
    assert_int_equal(n.refused, 0);
    assert_int_equal(atomic_load(&n.failures_left), 0);
    assert_true(n.batches > 5);
}

static void what_was_taken_and_not_written_counts_as_lost(void **state)
{
    struct numbers n = {.failures_left = INT32_MAX, .next = 2};
    struct mesh_recorder *recorder = open_numbers(&n, 1000000);
    struct mesh_recorder_stats stats;

    (void)state;
    for (uint64_t number = 2; number < 40; number++) {
        put(recorder, number);
        mesh_recorder_help(recorder, 1);
    }
    mesh_recorder_close(recorder, &stats);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.lost, 38);
    assert_string_equal(stats.why, "the disk is full");
}

static void what_was_taken_after_a_failure_is_stored_at_the_end(void **state)
{
    struct numbers n = {.failures_left = 1, .next = 2, .retry_ns = UINT64_C(60000000000)};
    struct mesh_recorder *recorder = open_numbers(&n, 1000000);
    struct mesh_recorder_stats stats;

    (void)state;
    for (uint64_t number = 2; number < 20; number++)
        put(recorder, number);
    while (atomic_load(&n.failures_left) > 0)
        sched_yield();
    for (uint64_t number = 20; number < 40; number++) {
        put(recorder, number);
        mesh_recorder_help(recorder, 1);
    }
    mesh_recorder_close(recorder, &stats);
    assert_int_equal(stats.lost, 0);
    assert_int_equal(n.next, 40);
    assert_int_equal(n.wrong, 0);
}

/* Ten entries are refused, so the thread stops ten times while there are more, all of which are put before it has written anything. After
 * those of the last eighth of the ring it would sleep, for minutes. */
static void what_is_there_is_stored_without_rests_between(void **state)
{
    struct numbers n = {.next = 2, .is_held = true};
    struct mesh_recorder *recorder = open_numbers(&n, UINT64_C(60000000000));
    const uint64_t end_ns = mesh_udp_now_ns() + UINT64_C(30000000000);
    struct mesh_recorder_stats stats = {0};

    (void)state;
    for (uint64_t number = 2; number < 1000; number++)
        put(recorder, number);
    atomic_store(&n.is_held, false);
    while (stats.entries < 998 && mesh_udp_now_ns() < end_ns) {
        sched_yield();
        mesh_recorder_get_stats(recorder, &stats);
    }
    assert_int_equal(stats.entries, 998);
    mesh_recorder_close(recorder, NULL);
}

static void batches_are_at_the_same_moments_of_the_day_for_all(void **state)
{
    const uint64_t batch_ns = 250000000, day_ns = UINT64_C(1700000000123456789);

    (void)state;
    for (uint64_t now_ns = day_ns; now_ns < day_ns + 3 * batch_ns; now_ns += 1234567) {
        const uint64_t sleep_ns = mesh_recorder_sleep_ns(now_ns, batch_ns);

        assert_int_equal((now_ns + sleep_ns) % batch_ns, 0);
        assert_in_range(sleep_ns, batch_ns / 16, batch_ns + batch_ns / 16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_taken_is_written_before_what_was_not),
        cmocka_unit_test(while_a_write_stands_helping_goes_on),
        cmocka_unit_test(with_many_who_help_all_is_written_once_and_in_order),
        cmocka_unit_test(what_was_taken_and_not_written_counts_as_lost),
        cmocka_unit_test(what_was_taken_after_a_failure_is_stored_at_the_end),
        cmocka_unit_test(what_is_there_is_stored_without_rests_between),
        cmocka_unit_test(batches_are_at_the_same_moments_of_the_day_for_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
