/* A node that fetches its rows from others: whom it asks, how long, and what it says. What node/fetch/model_fetch.c does is played here,
 * and time passes at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "node/common/log.h"
#include "node/engine/model_needs.h"
#include "node/epoch/epoch_run_rows.h"
#include "node/serve/serve.h"
#include "simquestion.h"

enum { SCRIPT = 8, CHUNKS_MAX = 16, MEMBERS = 5, LINE_BYTES = 500 };

static struct model_part part;
static struct epoch_run_config config;
static struct epoch_run run; /* too large for the stack */
static atomic_bool stops;

static struct {
    struct {
        int result;
        const char *why;
        bool stops; /* it is stopped meanwhile */
    } script[SCRIPT];
    unsigned calls, quiet_calls;
    struct model_fetch_config config; /* of the last call */
    uint8_t wanted[CHUNKS_MAX];
    bool is_there;
    atomic_bool is_held; /* until it is stopped */
    _Atomic uint64_t paused_ns;
    unsigned lines;
    char line[LINE_BYTES]; /* the last one */
} played;

int nanosleep(const struct timespec *time, struct timespec *rest)
{
    (void)rest;
    atomic_fetch_add(&played.paused_ns, (uint64_t)time->tv_nsec);
    return 0;
}

void log_line_list(const char *format, va_list list)
{
    (void)vsnprintf(played.line, sizeof played.line, format, list);
    played.lines++;
}

void log_line(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    log_line_list(format, list);
    va_end(list);
}

void log_part(const char *format, ...)
{
    (void)format;
}

int model_fetch_more(const struct model_fetch_config *fetch, struct model_part *of, const uint8_t *wanted, struct fail *fail)
{
    const unsigned call = played.calls++;

    assert_true(call < SCRIPT);
    assert_ptr_equal(of, &part);
    played.config = *fetch;
    played.quiet_calls += fetch->is_quiet;
    memcpy(played.wanted, wanted, part.count);
    while (atomic_load(&played.is_held) && !atomic_load(fetch->stops))
        sched_yield();
    if (played.script[call].stops)
        atomic_store(&stops, true);
    if (played.script[call].result != 0)
        (void)fail_set(fail, EXIT_ENVIRONMENT, "%s", played.script[call].why);
    return played.script[call].result;
}

bool model_part_has(const struct model_part *of, const uint8_t *wanted)
{
    assert_ptr_equal(of, &part);
    memcpy(played.wanted, wanted, part.count);
    return played.is_there;
}

static int set_up(void **state)
{
    static const uint32_t shares[] = {1, 1};
    const struct simquestion_model *model = simquestion_model(0);
    struct fail fail;

    (void)state;
    memset(&played, 0, sizeof played);
    memset(&run, 0, sizeof run);
    part = (struct model_part){.count = model_chunk_count(gguf_file_bytes(model->model->gguf))};
    assert_true(part.count <= CHUNKS_MAX);
    config = (struct epoch_run_config){.model = model->model, .part = &part, .cluster = "harbour", .security = MESH_SECURITY_AUTH};
    run.config = &config;
    run.count = 2;
    run.rank = 1;
    atomic_store(&stops, false);
    return rowmap_init(&run.map, model->model, shares, 2, &fail);
}

/* ---- whom it asks ---- */

static struct mesh_cluster_member member_of(uint8_t number, bool has_file)
{
    return (struct mesh_cluster_member){
        .incarnation = {number}, .addr.port = number, .flags = has_file ? EPOCH_RUN_HAS_FILE : 2 * EPOCH_RUN_HAS_FILE};
}

/* So that not all nodes ask the same one. */
static void who_has_the_whole_file_is_asked_first_by_each_node_another_one(void **state)
{
    static const uint16_t expected[] = {14, 11, 13, 15};
    struct mesh_cluster_member member[MEMBERS] = {member_of(11, true), member_of(12, true), member_of(13, false), member_of(14, true),
                                                  member_of(15, false)};

    (void)state;
    run.member[1] = member[1]; /* itself */
    epoch_run_rows_add_peers(&run, member, MEMBERS);
    assert_int_equal(run.peer_count, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(run.peer[i].port, expected[i]);
    member[3].incarnation[0] = 99; /* another process at the same address */
    member[4].addr.port = 16;
    epoch_run_rows_add_peers(&run, member, MEMBERS);
    assert_int_equal(run.peer_count, 5);
    assert_int_equal(run.peer[4].port, 16);
}

static void no_more_are_asked_than_there_is_room_for(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EPOCH_RUN_PEERS_MAX + 2; i++) {
        const struct mesh_cluster_member member = member_of((uint8_t)(i + 1), true);

        epoch_run_rows_add_peers(&run, &member, 1);
    }
    assert_int_equal(run.peer_count, EPOCH_RUN_PEERS_MAX);
    assert_int_equal(run.peer[EPOCH_RUN_PEERS_MAX - 1].port, EPOCH_RUN_PEERS_MAX);
}

/* ---- fetching ---- */

static void expect_own_rows_wanted(void)
{
    uint8_t expected[CHUNKS_MAX] = {0};

    model_needs_rows(config.model, &run.map, 1, expected);
    assert_memory_equal(played.wanted, expected, part.count);
}

static void its_own_rows_are_fetched_of_its_peers(void **state)
{
    static const struct mesh_key key;

    (void)state;
    run.peer_count = 3;
    config.key = &key;
    assert_true(epoch_run_rows_fetch(&run, &stops));
    assert_int_equal(played.calls, 1);
    assert_ptr_equal(played.config.peer, run.peer);
    assert_int_equal(played.config.peer_count, 3);
    assert_int_equal(played.config.security, MESH_SECURITY_AUTH);
    assert_ptr_equal(played.config.key, &key);
    assert_string_equal(played.config.cluster, "harbour");
    assert_ptr_equal(played.config.stops, &stops);
    assert_int_equal(played.config.wait_ns, 2000000000);
    assert_int_equal(played.quiet_calls, 0);
    assert_int_equal(played.lines, 0);
    assert_int_equal(atomic_load(&played.paused_ns), 0);
    expect_own_rows_wanted();
}

static void a_node_with_the_whole_file_fetches_nothing(void **state)
{
    struct fail fail;

    (void)state;
    config.part = NULL;
    assert_true(epoch_run_rows_fetch(&run, &stops));
    assert_int_equal(epoch_run_rows_start(&run, &fail), 0);
    assert_null(run.fetcher);
    assert_int_equal(played.calls, 0);
}

/* Each cause is said once, however often it asks. */
static void all_peers_are_asked_again_after_a_second(void **state)
{
    (void)state;
    played.script[0].result = played.script[1].result = played.script[3].result = -1;
    played.script[0].why = played.script[1].why = "nobody has them";
    played.script[2].result = MODEL_FETCH_NO_ROOM;
    played.script[2].why = "a disk: is full";
    played.script[3].why = "nobody answers";
    assert_true(epoch_run_rows_fetch(&run, &stops));
    assert_int_equal(played.calls, 5);
    assert_int_equal(played.quiet_calls, 4);
    assert_int_equal(atomic_load(&played.paused_ns), UINT64_C(4000000000));
    assert_int_equal(played.lines, 3);
    assert_string_equal(played.line, "rows of this node are missing, and it waits for them: nobody answers");
}

static void a_node_that_joins_does_not_wait_for_room(void **state)
{
    (void)state;
    run.is_joining = true;
    played.script[0].result = -1;
    played.script[0].why = "nobody has them";
    played.script[1].result = MODEL_FETCH_NO_ROOM;
    played.script[1].why = "a disk: is full";
    assert_false(epoch_run_rows_fetch(&run, &stops));
    assert_int_equal(played.calls, 2);
    assert_string_equal(run.why.text, "a disk: is full");
}

static void what_is_stopped_says_nothing(void **state)
{
    (void)state;
    played.script[0].result = -1;
    played.script[0].why = "stopped";
    played.script[0].stops = true;
    assert_false(epoch_run_rows_fetch(&run, &stops));
    assert_false(epoch_run_rows_fetch(&run, &stops)); /* it was before it began */
    assert_int_equal(played.calls, 1);
    assert_int_equal(played.lines, 0);
    assert_int_equal(atomic_load(&played.paused_ns), 0);
}

/* ---- in an epoch that has begun ---- */

static void what_is_there_is_not_waited_for(void **state)
{
    struct fail fail;

    (void)state;
    played.is_there = true;
    assert_int_equal(epoch_run_rows_start(&run, &fail), 0);
    assert_null(run.fetcher);
    assert_false(atomic_load(&run.workers.waits));
    expect_own_rows_wanted();
}

static void workers_load_nothing_until_the_rows_are_there(void **state)
{
    struct fail fail;

    (void)state;
    atomic_store(&played.is_held, true);
    assert_int_equal(epoch_run_rows_start(&run, &fail), 0);
    assert_non_null(run.fetcher);
    assert_true(atomic_load(&run.workers.waits));
    atomic_store(&played.is_held, false);
    for (unsigned ms = 0; ms < 20000 && atomic_load(&run.workers.waits); ms++)
        poll(NULL, 0, 1); /* nanosleep is played */
    assert_false(atomic_load(&run.workers.waits));
    epoch_run_rows_stop(&run);
    assert_null(run.fetcher);
}

static void an_epoch_that_ends_stops_the_fetch(void **state)
{
    struct fail fail;

    (void)state;
    atomic_store(&played.is_held, true);
    for (unsigned i = 0; i < SCRIPT; i++) {
        played.script[i].result = -1;
        played.script[i].why = "stopped";
    }
    assert_int_equal(epoch_run_rows_start(&run, &fail), 0);
    epoch_run_rows_stop(&run);
    assert_null(run.fetcher);
    assert_true(atomic_load(&run.workers.waits));
    assert_true(played.calls <= 1);
}

/* It would otherwise end without a word, since no member may wait for it. */
static void a_node_that_joins_says_that_it_has_no_memory(void **state)
{
    const struct rlimit limit = {.rlim_cur = 1 << 30, .rlim_max = RLIM_INFINITY};

    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* it needs more for itself */
#endif
    part.count = UINT32_MAX;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    run.is_joining = true;
    assert_false(epoch_run_rows_fetch(&run, &stops));
    assert_int_equal(run.why.exit_code, EXIT_ENVIRONMENT);
    assert_string_equal(run.why.text, "memory: out of memory: close other programs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_has_the_whole_file_is_asked_first_by_each_node_another_one, set_up),
        cmocka_unit_test_setup(no_more_are_asked_than_there_is_room_for, set_up),
        cmocka_unit_test_setup(its_own_rows_are_fetched_of_its_peers, set_up),
        cmocka_unit_test_setup(a_node_with_the_whole_file_fetches_nothing, set_up),
        cmocka_unit_test_setup(all_peers_are_asked_again_after_a_second, set_up),
        cmocka_unit_test_setup(a_node_that_joins_does_not_wait_for_room, set_up),
        cmocka_unit_test_setup(what_is_stopped_says_nothing, set_up),
        cmocka_unit_test_setup(what_is_there_is_not_waited_for, set_up),
        cmocka_unit_test_setup(workers_load_nothing_until_the_rows_are_there, set_up),
        cmocka_unit_test_setup(an_epoch_that_ends_stops_the_fetch, set_up),
        cmocka_unit_test_setup(a_node_that_joins_says_that_it_has_no_memory, set_up), /* the last: the limit stays */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
