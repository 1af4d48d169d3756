/* The port to the mesh: words of many threads are all heard, once, in each thread's order, by one owner at a time; and a sleeping owner is
 * woken. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "node/common/pool.h"
#include "node/engine/port.h"

enum { THREADS = 4, WORDS = 3000, ROUNDS = 3000, PARKED_WORDS = 300, LOCKS = 100, SPINS = 500 };

static const uint64_t long_ns = UINT64_C(60000000000), rounds_ns = 500000000;

static uint64_t now_ns(void *clock)
{
    struct timespec now;

    (void)clock;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A port without an endpoint; words that it hears are counted. Fields of the owner are not atomic, so that the thread sanitizer detects two
 * owners. */
struct listener {
    struct port port;
    uint64_t heard[THREADS];
    uint64_t out_of_order, owned;
    atomic_uint arrived; /* of a barrier */
    uint64_t rounds, rounds_missed;
    atomic_bool is_enough;
    struct eventcount *wakeup;
    uint32_t notified;
    atomic_int timeouts;
};

static int count_owner(void *app)
{
    ((struct listener *)app)->owned++;
    return 0;
}

static bool hear(void *app, const struct port_word *word)
{
    struct listener *l = app;

    l->out_of_order += word->step != l->heard[word->phase]++;
    return true;
}

static struct listener *make_listener(void)
{
    struct listener *l = calloc(1, sizeof *l);

    assert_non_null(l);
    l->port.on_owned = count_owner;
    l->port.on_consume = hear;
    l->port.app = l;
    port_init(&l->port);
    return l;
}

static void say(struct listener *l, uint16_t thread, uint64_t number)
{
    const struct port_word word = {.type = PORT_CONSUME, .phase = thread, .step = number};

    port_post(&l->port, &word);
}

static void run_threads(uint16_t count, void (*work)(void *app, uint16_t index), void *app)
{
    struct fail fail = {.text = ""};
    struct pool *pool = pool_start(count, work, app, &fail);

    assert_non_null(pool);
    pool_join(pool);
    assert_string_equal(fail.text, "");
}

static void a_word_is_heard_before_say_returns_when_nobody_else_speaks(void **state)
{
    struct listener *l = make_listener();

    (void)state;
    for (uint64_t i = 0; i < 3 * PORT_RING_WORDS; i++) {
        say(l, 0, i);
        assert_true(l->heard[0] == i + 1);
    }
    assert_true(l->out_of_order == 0);
    assert_int_equal(port_poll(&l->port), 0);
    free(l);
}

static void say_many(void *app, uint16_t index)
{
    for (uint64_t i = 0; i < WORDS; i++)
        say(app, index, i);
}

static void words_of_many_threads_are_heard_once_and_in_order(void **state)
{
    struct listener *l = make_listener();

    (void)state;
    run_threads(THREADS, say_many, l);
    for (size_t t = 0; t < THREADS; t++)
        assert_true(l->heard[t] == WORDS);
    assert_true(l->out_of_order == 0);
    free(l);
}

/* All of `count` threads reach the same point; rounds count from 1. */
static void meet(struct listener *l, unsigned count, unsigned round)
{
    atomic_fetch_add(&l->arrived, 1);
    for (int spins = 0; atomic_load(&l->arrived) < count * round; spins++)
        if (spins > SPINS)
            sched_yield();
}

/* Two threads send a word each at the same time; then no thread polls, and both words must have been heard. A busy machine does fewer
 * rounds. */
static void say_at_once(void *app, uint16_t index)
{
    struct listener *l = app;
    uint64_t begin_ns = now_ns(NULL);

    for (unsigned round = 0; round < ROUNDS; round++) {
        if (index == 0 && now_ns(NULL) - begin_ns > rounds_ns)
            atomic_store(&l->is_enough, true);
        meet(l, 2, 2 * round + 1);
        if (atomic_load(&l->is_enough))
            return;
        say(l, index, round);
        meet(l, 2, 2 * round + 2);
        if (index == 0) {
            l->rounds++;
            l->rounds_missed += l->heard[0] + l->heard[1] != 2 * l->rounds;
        }
    }
}

static void words_said_at_once_need_no_further_poll(void **state)
{
    struct listener *l = make_listener();

    (void)state;
    run_threads(2, say_at_once, l);
    assert_true(l->rounds_missed == 0);
    assert_true(l->heard[0] == l->rounds && l->heard[1] == l->rounds && l->out_of_order == 0);
    free(l);
}

/* The first holds the endpoint until the second has filled the ring. */
static void fill_ring(void *app, uint16_t index)
{
    struct listener *l = app;

    if (index == 0) {
        port_lock(&l->port);
        meet(l, 2, 1);
        while (atomic_load(&l->port.ring_tail) < PORT_RING_WORDS)
            sched_yield();
        port_unlock(&l->port);
    } else {
        meet(l, 2, 1);
        for (uint64_t i = 0; i < PORT_RING_WORDS + 500; i++)
            say(l, 0, i);
    }
}

static void who_finds_the_ring_full_waits_until_there_is_room(void **state)
{
    struct listener *l = make_listener();

    (void)state;
    run_threads(2, fill_ring, l);
    assert_true(l->heard[0] == PORT_RING_WORDS + 500);
    assert_true(l->out_of_order == 0);
    free(l);
}

static void words_said_while_it_is_locked_are_heard_at_the_next_poll(void **state)
{
    struct listener *l = make_listener();

    (void)state;
    port_lock(&l->port);
    say(l, 0, 0);
    say(l, 0, 1);
    assert_int_equal(port_poll(&l->port), 0);
    assert_true(l->heard[0] == 0);
    port_unlock(&l->port);
    assert_int_equal(port_poll(&l->port), 2);
    assert_true(l->heard[0] == 2);
    free(l);
}

static void without_an_endpoint_nobody_parks(void **state)
{
    struct listener *l = make_listener();

    (void)state;
    assert_int_equal(port_park(&l->port, long_ns), PORT_ATTENDED);
    port_wake(&l->port);
    port_rouse(&l->port);
    free(l);
}

/* ---- sleeping ---- */

/* Like an eventfd: a wake before the wait ends it at once. */
static void wait_for_wakeup(void *driver, const struct mesh *mesh, uint64_t max_ns)
{
    struct listener *l = driver;
    uint32_t count = l->notified;

    (void)mesh;
    eventcount_wait(l->wakeup, count, max_ns);
    l->notified = eventcount_read(l->wakeup);
    if (l->notified == count)
        atomic_fetch_add(&l->timeouts, 1);
}

static void notify_main(void *driver)
{
    eventcount_notify(((struct listener *)driver)->wakeup);
}

static void ignore_event(void *app, const struct mesh_event *event)
{
    (void)app;
    (void)event;
}

/* An endpoint of one rank, and a gather that has ended: publishing its blocks again does nothing. */
static struct mesh *make_endpoint(void **memory)
{
    static const uint16_t first[] = {0, 1};
    const struct mesh_config config = {
        .rank_count = 1,
        .epoch = 1,
        .phase_count = 1,
        .tokens_max = 1,
        .blocks_max = 1,
        .datagram_bytes_max = 1452,
        .receive_buffer_bytes = 425984,
    };
    static uint8_t data[36];
    const struct mesh_gather gather = {.token_count = 1,
                                       .block_count = 1,
                                       .block_bytes = sizeof data,
                                       .last_block_bytes = sizeof data,
                                       .data = data,
                                       .token_stride = sizeof data,
                                       .first = first,
                                       .readers = 1};
    size_t bytes = mesh_memory_bytes(&config);
    struct mesh *mesh;
    struct mesh_event event;

    assert_int_equal(posix_memalign(memory, 64, bytes), 0);
    assert_int_equal(mesh_init(&mesh, &config, *memory, bytes, now_ns(NULL)), MESH_OK);
    assert_int_equal(mesh_open_gather(mesh, now_ns(NULL), &gather), MESH_OK);
    assert_int_equal(mesh_publish(mesh, now_ns(NULL), 0, 0, 0, 1, 0, 1), MESH_OK);
    while (mesh_next_event(mesh, &event))
        if (event.type == MESH_EVENT_COMPLETE)
            mesh_consume(mesh, now_ns(NULL), 0, 0);
    return mesh;
}

static struct listener *make_sleeper(void **memory)
{
    struct listener *l = make_listener();
    struct fail fail;

    l->port.mesh = make_endpoint(memory);
    l->wakeup = eventcount_open(&fail);
    assert_non_null(l->wakeup);
    l->port.driver = (struct port_driver){.wait = wait_for_wakeup, .wake = notify_main, .driver = l};
    l->port.on_event = ignore_event;
    l->port.now_ns = now_ns;
    return l;
}

static void free_sleeper(struct listener *l, void *memory)
{
    eventcount_close(l->wakeup);
    free(memory);
    free(l);
}

static void publish(struct listener *l)
{
    const struct port_word word = {.type = PORT_PUBLISH, .token_count = 1, .block_count = 1};

    port_post(&l->port, &word);
}

/* The first thread sleeps whenever there is nothing to do; the second sends words, and waits for each to be heard. */
static void sleep_and_speak(void *app, uint16_t index)
{
    struct listener *l = app;

    for (uint32_t i = 1; i <= PARKED_WORDS; i++) {
        if (index == 1)
            publish(l);
        while (atomic_load(&l->port.ring_head) < i) {
            if (index == 1)
                sched_yield();
            else if (port_poll(&l->port) == 0)
                port_park(&l->port, long_ns);
        }
    }
}

static void a_word_wakes_the_owner_who_sleeps(void **state)
{
    void *memory;
    struct listener *l = make_sleeper(&memory);
    struct fail fail;
    struct pool *pool = pool_start(2, sleep_and_speak, l, &fail);

    (void)state;
    assert_non_null(pool);
    /* The thread that sends the last word may hear it, so a separate wake ends the last sleep. */
    while (atomic_load(&l->port.ring_head) < PARKED_WORDS)
        sched_yield();
    notify_main(l);
    pool_join(pool);
    assert_int_equal(atomic_load(&l->timeouts), 0);
    free_sleeper(l, memory);
}

static void park_once(void *app, uint16_t index)
{
    struct listener *l = app;

    if (index == 0) {
        assert_int_equal(port_park(&l->port, long_ns), PORT_SLEPT);
        return;
    }
    while (!atomic_load(&l->port.is_parked))
        sched_yield();
    port_lock(&l->port);
    port_unlock(&l->port);
}

static void who_locks_wakes_the_owner_who_sleeps(void **state)
{
    void *memory;
    struct listener *l = make_sleeper(&memory);

    (void)state;
    for (int round = 0; round < 100; round++) {
        l->notified = eventcount_read(l->wakeup); /* a thread that locks may have notified again after the sleep */
        run_threads(2, park_once, l);
    }
    assert_int_equal(atomic_load(&l->timeouts), 0);
    free_sleeper(l, memory);
}

/* The first thread sleeps again as soon as it is woken, which leaves a thread that wants to lock hardly a moment. */
static void park_and_lock(void *app, uint16_t index)
{
    struct listener *l = app;

    while (index == 0 && !atomic_load(&l->is_enough))
        l->rounds += port_park(&l->port, long_ns) == PORT_SLEPT;
    for (uint32_t i = 0; index == 1 && i < LOCKS; i++) {
        while (!atomic_load(&l->port.is_parked))
            sched_yield();
        port_lock(&l->port);
        port_unlock(&l->port);
    }
    atomic_store(&l->is_enough, true);
    notify_main(l);
}

/* Without that, each thread that locks waits for hundreds of sleeps, and on one core for ever. (A late wake may end one sleep more.) */
static void who_locks_goes_before_who_sleeps(void **state)
{
    void *memory;
    struct listener *l = make_sleeper(&memory);
    cpu_set_t all, one;

    (void)state;
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    run_threads(2, park_and_lock, l);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_in_range(l->rounds, 1, 2 * LOCKS + 1);
    assert_int_equal(atomic_load(&l->timeouts), 0);
    free_sleeper(l, memory);
}

static void nobody_parks_while_words_wait(void **state)
{
    void *memory;
    struct listener *l = make_sleeper(&memory);

    (void)state;
    port_lock(&l->port);
    assert_int_equal(port_park(&l->port, long_ns), PORT_LOCKED);
    publish(l);
    port_unlock(&l->port);
    assert_int_equal(port_park(&l->port, long_ns), PORT_SLEPT); /* a minute, if it waited */
    assert_int_equal(port_poll(&l->port), 1);
    assert_int_equal(atomic_load(&l->timeouts), 0);
    free_sleeper(l, memory);
}

/* As when a request is submitted after the owner has looked for one and before it sleeps. */
static void who_is_roused_before_it_sleeps_does_not_sleep(void **state)
{
    void *memory;
    struct listener *l = make_sleeper(&memory);

    (void)state;
    port_rouse(&l->port);
    assert_int_equal(port_park(&l->port, long_ns), PORT_SLEPT); /* a minute, if it waited */
    assert_int_equal(atomic_load(&l->timeouts), 0);
    free_sleeper(l, memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_is_heard_before_say_returns_when_nobody_else_speaks),
        cmocka_unit_test(words_of_many_threads_are_heard_once_and_in_order),
        cmocka_unit_test(words_said_at_once_need_no_further_poll),
        cmocka_unit_test(who_finds_the_ring_full_waits_until_there_is_room),
        cmocka_unit_test(words_said_while_it_is_locked_are_heard_at_the_next_poll),
        cmocka_unit_test(without_an_endpoint_nobody_parks),
        cmocka_unit_test(a_word_wakes_the_owner_who_sleeps),
        cmocka_unit_test(who_locks_wakes_the_owner_who_sleeps),
        cmocka_unit_test(who_locks_goes_before_who_sleeps),
        cmocka_unit_test(nobody_parks_while_words_wait),
        cmocka_unit_test(who_is_roused_before_it_sleeps_does_not_sleep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
