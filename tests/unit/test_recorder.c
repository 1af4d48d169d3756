/* The recorder: entries of many threads arrive whole and in order, missing ones are counted exactly, and no thread waits for a slow or
 * failing store. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "libmesh/recorder/recorder_ring.h"
#include "mesh/recorder.h"
#include "node/common/pool.h"

enum { RING_BYTES = 1 << 16, LANES = MESH_RECORDER_LANES, ENTRIES = 20000, CONTENT_MAX = 400, KIND = 7 };

/* ---- the ring ---- */

static void put_number(struct recorder_ring *ring, uint64_t number, size_t bytes)
{
    uint8_t *at = mesh_recorder_ring_reserve(ring, bytes);

    assert_non_null(at);
    memset(at, 0xee, bytes);
    memcpy(at, &number, sizeof number);
    mesh_recorder_ring_commit(at, bytes);
}

static uint64_t next_number(struct recorder_ring *ring, size_t expected_bytes)
{
    uint64_t number;
    size_t bytes;
    const uint8_t *at = mesh_recorder_ring_next(ring, &bytes);

    assert_non_null(at);
    assert_int_equal(bytes, expected_bytes);
    memcpy(&number, at, sizeof number);
    return number;
}

static void entries_of_any_size_come_out_in_order_around_the_end(void **state)
{
    struct recorder_ring ring;

    (void)state;
    assert_int_equal(mesh_recorder_ring_open(&ring, 4096), 0);
    for (uint64_t n = 0; n < 1000; n++) {
        put_number(&ring, n, 8 + n * 37 % 900);
        assert_int_equal(next_number(&ring, 8 + n * 37 % 900), n);
        mesh_recorder_ring_release(&ring);
        assert_int_equal(mesh_recorder_ring_used(&ring), 0);
    }
    mesh_recorder_ring_close(&ring);
}

static void entries_are_read_again_until_they_are_released(void **state)
{
    struct recorder_ring ring;
    size_t bytes;

    (void)state;
    assert_int_equal(mesh_recorder_ring_open(&ring, 4096), 0);
    put_number(&ring, 1, 100);
    put_number(&ring, 2, 100);
    assert_int_equal(next_number(&ring, 100), 1);
    mesh_recorder_ring_rewind(&ring);
    assert_int_equal(next_number(&ring, 100), 1);
    mesh_recorder_ring_release(&ring);
    assert_int_equal(next_number(&ring, 100), 2);
    assert_null(mesh_recorder_ring_next(&ring, &bytes));
    mesh_recorder_ring_close(&ring);
}

static void a_full_ring_takes_nothing_and_gives_all(void **state)
{
    struct recorder_ring ring;
    uint64_t count = 0, read = 0;
    size_t bytes;

    (void)state;
    assert_int_equal(mesh_recorder_ring_open(&ring, 4096), 0);
    while (mesh_recorder_ring_used(&ring) < 4096)
        put_number(&ring, count++, 24);
    assert_int_equal(count, 4096 / 32);
    assert_null(mesh_recorder_ring_reserve(&ring, 8));
    while (mesh_recorder_ring_next(&ring, &bytes) != NULL)
        read++;
    assert_int_equal(read, count);
    mesh_recorder_ring_release(&ring);
    assert_non_null(mesh_recorder_ring_reserve(&ring, 8));
    mesh_recorder_ring_close(&ring);
}

static void an_entry_that_is_not_whole_yet_holds_back_those_behind_it(void **state)
{
    struct recorder_ring ring;
    size_t bytes;

    (void)state;
    assert_int_equal(mesh_recorder_ring_open(&ring, 4096), 0);
    uint8_t *first = mesh_recorder_ring_reserve(&ring, 8);
    put_number(&ring, 2, 8);
    assert_null(mesh_recorder_ring_next(&ring, &bytes));
    memset(first, 0, 8);
    mesh_recorder_ring_commit(first, 8);
    assert_int_equal(next_number(&ring, 8), 0);
    assert_int_equal(next_number(&ring, 8), 2);
    mesh_recorder_ring_close(&ring);
}

/* ---- a store that counts ---- */

struct counting {
    atomic_int failures_left; /* this many batches fail */
    atomic_bool is_held;      /* batches wait while this is true */
    uint64_t next[LANES];     /* the number with which the lane's next entry or gap begins */
    uint64_t entries, gaps, lost, payloads, wrong;
};

static void take_gap(struct counting *c, const struct mesh_recorder_entry *entry)
{
    struct mesh_recorder_gap gap;

    c->wrong += entry->bytes != sizeof gap;
    memcpy(&gap, entry->content, sizeof gap);
    c->gaps++;
    c->lost += gap.entries.count;
    c->payloads += gap.payloads.count;
    /* Times are the numbers of entries, so the gap shows which entries it lost. */
    if (gap.entries.count > 0)
        c->wrong += gap.entries.first_ns != c->next[entry->lane] || gap.entries.last_ns != gap.entries.first_ns + gap.entries.count - 1;
    c->next[entry->lane] += gap.entries.count;
}

static void take_entry(struct counting *c, const struct mesh_recorder_entry *entry)
{
    const uint8_t *bytes = entry->content;

    c->entries++;
    c->wrong += entry->kind != KIND || entry->when_ns != c->next[entry->lane]++;
    for (size_t i = 0; i < entry->bytes; i++)
        c->wrong += bytes[i] != (uint8_t)(entry->when_ns + entry->lane);
}

static int write_counting(void *app, struct mesh_recorder_batch *batch, char why[MESH_RECORDER_REASON_BYTES])
{
    struct counting *c = app;
    struct mesh_recorder_entry entry;

    while (atomic_load(&c->is_held))
        sched_yield();
    if (atomic_load(&c->failures_left) > 0) {
        atomic_fetch_sub(&c->failures_left, 1);
        for (int i = 0; i < 3; i++)
            mesh_recorder_next(batch, &entry);
        snprintf(why, MESH_RECORDER_REASON_BYTES, "the disk is full");
        return MESH_ESYSTEM;
    }
    while (mesh_recorder_next(batch, &entry)) {
        if (entry.kind == MESH_RECORDER_GAP)
            take_gap(c, &entry);
        else
            take_entry(c, &entry);
    }
    return 0;
}

static struct mesh_recorder *open_counting(struct counting *c)
{
    const struct mesh_recorder_config config = {
        .store = {.write = write_counting, .app = c}, .ring_bytes = RING_BYTES, .batch_ns = 1000000, .retry_ns = 1000000};
    struct mesh_recorder *recorder;

    assert_int_equal(mesh_recorder_open(&recorder, &config), 0);
    return recorder;
}

/* Entry `number` of a lane: all its bytes follow from lane and number. */
static void put(struct mesh_recorder *recorder, uint16_t lane, uint64_t number)
{
    uint8_t content[CONTENT_MAX];
    const struct mesh_recorder_entry entry = {
        .lane = lane, .kind = KIND, .when_ns = number, .content = content, .bytes = 1 + (number * 31 + lane) % CONTENT_MAX};

    memset(content, (uint8_t)(number + lane), entry.bytes);
    mesh_recorder_put(recorder, &entry);
}

static void check_sum(const struct counting *c, const struct mesh_recorder_stats *stats, uint64_t entries)
{
    assert_int_equal(c->wrong, 0);
    assert_int_equal(c->entries + c->lost, entries);
    assert_int_equal(stats->entries, c->entries);
    assert_int_equal(stats->lost, c->lost);
    assert_int_equal(stats->payloads, c->payloads);
}

/* ---- the recorder ---- */

static void what_is_put_is_stored(void **state)
{
    struct counting c = {0};
    struct mesh_recorder *recorder = open_counting(&c);
    struct mesh_recorder_stats stats;

    (void)state;
    for (uint64_t n = 0; n < 100; n++)
        put(recorder, n % LANES, n / LANES);
    mesh_recorder_close(recorder, &stats);
    check_sum(&c, &stats, 100);
    assert_int_equal(stats.lost, 0);
    assert_true(stats.ring_bytes_max > 0);
    assert_int_equal(c.gaps, 0);
}

static void while_the_store_stands_payloads_go_first_then_entries_and_all_are_counted(void **state)
{
    struct counting c = {.is_held = true};
    struct mesh_recorder *recorder = open_counting(&c);
    struct mesh_recorder_stats stats;
    uint64_t n = 0, refused = 0;

    (void)state;
    for (stats.payloads = 0; stats.payloads == 0; n++) {
        put(recorder, 1, n);
        refused += !mesh_recorder_takes_payload(recorder, 1, n);
        mesh_recorder_get_stats(recorder, &stats);
        assert_int_equal(stats.lost, 0);
    }
    for (; stats.lost < 50; n++) {
        refused += !mesh_recorder_takes_payload(recorder, 1, n);
        put(recorder, 1, n);
        mesh_recorder_get_stats(recorder, &stats);
    }
    atomic_store(&c.is_held, false);
    mesh_recorder_close(recorder, &stats);
    check_sum(&c, &stats, n);
    assert_int_equal(c.lost, 50);
    assert_int_equal(c.payloads, refused);
    assert_true(c.payloads > 50);
}

static void a_store_that_does_not_return_shows_since_when(void **state)
{
    struct counting c = {.is_held = true};
    struct mesh_recorder *recorder = open_counting(&c);
    struct mesh_recorder_stats stats;
    uint64_t before_ns;

    (void)state;
    mesh_recorder_get_stats(recorder, &stats);
    assert_int_equal(stats.writing_ns, 0);
    put(recorder, 0, 0);
    do
        mesh_recorder_get_stats(recorder, &stats);
    while (stats.writing_ns == 0);
    before_ns = stats.writing_ns;
    do
        mesh_recorder_get_stats(recorder, &stats);
    while (stats.writing_ns <= before_ns);
    atomic_store(&c.is_held, false);
    do
        mesh_recorder_get_stats(recorder, &stats);
    while (stats.writing_ns > 0);
    mesh_recorder_close(recorder, &stats);
    check_sum(&c, &stats, 1);
    assert_int_equal(stats.writing_ns, 0);
}

static void after_a_gap_recording_goes_on(void **state)
{
    struct counting c = {.is_held = true};
    struct mesh_recorder *recorder = open_counting(&c);
    struct mesh_recorder_stats stats;
    uint64_t n = 0;

    (void)state;
    do {
        put(recorder, 0, n++);
        mesh_recorder_get_stats(recorder, &stats);
    } while (stats.lost == 0);
    atomic_store(&c.is_held, false);
    /* The first batch may have been small: with room for the gap alone the next entry would be lost too. */
    while (!mesh_recorder_takes_payload(recorder, 0, n))
        sched_yield();
    for (int i = 0; i < 10; i++)
        put(recorder, 0, n++);
    mesh_recorder_close(recorder, &stats);
    check_sum(&c, &stats, n);
    assert_int_equal(c.gaps, 1);
    assert_int_equal(stats.lost, 1);
}

static void behind_an_entry_that_is_not_whole_nothing_is_a_batch(void **state)
{
    const struct timespec while_long = {.tv_nsec = 100000000};
    struct counting c = {0};
    struct mesh_recorder *recorder = open_counting(&c);
    struct mesh_recorder_stats stats;
    uint64_t n = 0;
    uint8_t *first = mesh_recorder_begin(recorder, 0, KIND, 0, 1);

    (void)state;
    assert_non_null(first);
    for (size_t bytes = 0; bytes < RING_BYTES / 4; bytes += 1 + (n++ * 31 + 1) % CONTENT_MAX)
        put(recorder, 1, n);
    nanosleep(&while_long, NULL);
    mesh_recorder_get_stats(recorder, &stats);
    assert_int_equal(stats.batches, 0);
    *first = 0;
    mesh_recorder_end(first, 1);
    mesh_recorder_close(recorder, &stats);
    check_sum(&c, &stats, n + 1);
    assert_int_equal(stats.lost, 0);
    assert_true(stats.batches > 0);
}

static void a_batch_that_fails_comes_again_whole(void **state)
{
    struct counting c = {.failures_left = 3};
    struct mesh_recorder *recorder = open_counting(&c);
    struct mesh_recorder_stats stats;

    (void)state;
    for (uint64_t n = 0; n < 100; n++)
        put(recorder, 2, n);
    while (atomic_load(&c.failures_left) > 0)
        sched_yield();
    mesh_recorder_close(recorder, &stats);
    check_sum(&c, &stats, 100);
    assert_int_equal(stats.lost, 0);
    assert_int_equal(stats.failures, 3);
    assert_string_equal(stats.why, "the disk is full");
}

static void what_a_full_disk_does_not_take_in_the_end_counts_as_lost(void **state)
{
    struct counting c = {.failures_left = INT32_MAX};
    struct mesh_recorder *recorder = open_counting(&c);
    struct mesh_recorder_stats stats;

    (void)state;
    for (uint64_t n = 0; n < 100; n++)
        put(recorder, 3, n);
    mesh_recorder_close(recorder, &stats);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.lost, 100);
    assert_true(stats.is_failing);
}

/* ---- threads ---- */

struct crowd {
    struct mesh_recorder *recorder;
    struct counting counting;
    bool is_slow;
};

static void put_many(void *app, uint16_t lane)
{
    struct crowd *crowd = app;

    for (uint64_t n = 0; n < ENTRIES; n++) {
        put(crowd->recorder, lane, n);
        if (crowd->is_slow && n % 64 == 0)
            sched_yield();
    }
}

static void run_crowd(bool is_slow)
{
    struct crowd crowd = {.is_slow = is_slow};
    struct mesh_recorder_stats stats;
    struct fail fail;

    crowd.recorder = open_counting(&crowd.counting);
    struct pool *pool = pool_start(LANES, put_many, &crowd, &fail);
    assert_non_null(pool);
    pool_join(pool);
    mesh_recorder_close(crowd.recorder, &stats);
    check_sum(&crowd.counting, &stats, (uint64_t)ENTRIES * LANES);
}

static void entries_of_many_threads_are_all_stored_or_counted(void **state)
{
    (void)state;
    run_crowd(true);
    run_crowd(false); /* faster than the store, so that the ring is full most of the time */
}

static int keep_nothing(void *app, struct mesh_recorder_batch *batch, char why[MESH_RECORDER_REASON_BYTES])
{
    (void)app, (void)batch, (void)why;
    return 0;
}

static void rings_that_cannot_be_are_refused(void **state)
{
    static const uint64_t impossible[] = {1, 2048, 4095, 4097, 6000, (1 << 16) + 1, UINT64_C(1) << 32, UINT64_MAX};
    struct mesh_recorder_config config = {.store.write = keep_nothing};
    struct mesh_recorder *recorder = NULL;

    (void)state;
    for (unsigned i = 0; i < sizeof impossible / sizeof *impossible; i++) {
        config.ring_bytes = impossible[i];
        assert_int_equal(mesh_recorder_open(&recorder, &config), MESH_EINVAL);
    }
    config.ring_bytes = MESH_RECORDER_RING_BYTES_MIN;
    assert_int_equal(mesh_recorder_open(&recorder, &config), 0);
    mesh_recorder_close(recorder, NULL);
    recorder = NULL;
    config.store.write = NULL;
    assert_int_equal(mesh_recorder_open(&recorder, &config), MESH_EINVAL);
    assert_null(recorder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_of_any_size_come_out_in_order_around_the_end),
        cmocka_unit_test(entries_are_read_again_until_they_are_released),
        cmocka_unit_test(a_full_ring_takes_nothing_and_gives_all),
        cmocka_unit_test(an_entry_that_is_not_whole_yet_holds_back_those_behind_it),
        cmocka_unit_test(what_is_put_is_stored),
        cmocka_unit_test(while_the_store_stands_payloads_go_first_then_entries_and_all_are_counted),
        cmocka_unit_test(a_store_that_does_not_return_shows_since_when),
        cmocka_unit_test(after_a_gap_recording_goes_on),
        cmocka_unit_test(behind_an_entry_that_is_not_whole_nothing_is_a_batch),
        cmocka_unit_test(a_batch_that_fails_comes_again_whole),
        cmocka_unit_test(what_a_full_disk_does_not_take_in_the_end_counts_as_lost),
        cmocka_unit_test(entries_of_many_threads_are_all_stored_or_counted),
        cmocka_unit_test(rings_that_cannot_be_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
