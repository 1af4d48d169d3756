/* One epoch of a node: when it is prepared, what is fetched for it and of whom, and who is woken by what it has done. What
 * node/fetch/kv_fetch.c does is played here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/common/memory_text.h"
#include "node/engine/udp_driver.h"
#include "node/epoch/epoch_run.h"
#include "simquestion.h"

enum { WAIT_MS_MAX = 10000, SCRIPT = 8 };

static struct epoch_run_config config;
static struct eventcount *wakeup;
static struct epoch_run run, present; /* too large for the stack */

/* What was asked of the one that fetches, and what it finds. */
static struct {
    bool has_use;
    uint64_t brings[SCRIPT]; /* positions, by pass; of the last one for ever */
    atomic_bool is_held;     /* in a pass */
    _Atomic uint32_t passes, in_pass;
    atomic_bool is_overlapped;   /* two at a time */
    _Atomic uint32_t first_late; /* the first pass after what there was had been fetched; 0: none yet */
    uint16_t port[SCRIPT];
    unsigned sources, opened, closed;
} fetched;

static uint64_t available_bytes;

uint64_t memory_available_bytes(void)
{
    return available_bytes;
}

void memory_text(uint64_t bytes, char out[MEMORY_TEXT_BYTES])
{
    (void)snprintf(out, MEMORY_TEXT_BYTES, "%s", bytes == available_bytes ? "little" : "much");
}

static void rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

int kv_fetch_open(struct kv_fetch *fetch)
{
    (void)fetch;
    fetched.opened++;
    return 0;
}

void kv_fetch_add_source(struct kv_fetch *fetch, struct mesh_addr addr)
{
    (void)fetch;
    assert_true(fetched.sources < SCRIPT);
    fetched.port[fetched.sources++] = addr.port;
}

bool kv_fetch_has_use(const struct kv_fetch *fetch)
{
    (void)fetch;
    return fetched.has_use;
}

uint64_t kv_fetch_pass(struct kv_fetch *fetch)
{
    const uint32_t pass = atomic_fetch_add(&fetched.passes, 1) + 1;

    if (atomic_fetch_add(&fetched.in_pass, 1) > 0)
        atomic_store(&fetched.is_overlapped, true);
    if (atomic_load(&run.has_fetched) && atomic_load(&fetched.first_late) == 0)
        atomic_store(&fetched.first_late, pass);
    while (atomic_load(&fetched.is_held) && !atomic_load(fetch->is_stopping))
        rest();
    atomic_fetch_sub(&fetched.in_pass, 1);
    return fetched.brings[pass < SCRIPT ? pass - 1 : SCRIPT - 1];
}

void kv_fetch_close(struct kv_fetch *fetch)
{
    fetched.closed++;
    saved_kv_release(&fetch->saved_kv);
}

static int open_config(void **state)
{
    const struct simquestion_model *model = simquestion_model(0);
    struct fail fail;

    (void)state;
    config = (struct epoch_run_config){.model = model->model,
                                       .tokenizer = model->tokenizer,
                                       .kernel = kernel_choose(NULL),
                                       .cluster = "harbour",
                                       .security = MESH_SECURITY_NONE,
                                       .threads = 1,
                                       .batch = 8,
                                       .slots = 3,
                                       .ctx = 1000,
                                       .kv_type = KV_Q8_0};
    memset(&fetched, 0, sizeof fetched);
    available_bytes = UINT64_MAX;
    wakeup = eventcount_open(&fail);
    return wakeup == NULL || mesh_udp_open(&config.udp, (struct mesh_addr){.ip = {[10] = 255, [11] = 255, [12] = 127, [15] = 1}}, NULL) != 0
               ? -1
               : 0;
}

static int close_config(void **state)
{
    (void)state;
    epoch_run_stop(&run);
    epoch_run_release(&run);
    epoch_run_stop(&present);
    epoch_run_release(&present);
    mesh_udp_close(config.udp);
    eventcount_close(wakeup);
    return 0;
}

/* Processes on ports 1, 2 and so on; this node is 1. */
static struct mesh_cluster_member member_of(uint8_t port)
{
    return (struct mesh_cluster_member){
        .incarnation = {port}, .addr = {.ip = {[10] = 255, [11] = 255, [12] = 127, [15] = 1}, .port = port}, .speed = 1000};
}

static struct mesh_cluster_event event_of(const struct mesh_cluster_member *member, uint16_t count, int16_t own_rank)
{
    return (struct mesh_cluster_event){.number = 7, .members = member, .member_count = count, .own_rank = own_rank};
}

static void prepare(const struct mesh_cluster_event *plan, struct epoch_run *beside)
{
    struct fail fail = {0};

    if (epoch_run_prepare(&run, &config, plan, beside, wakeup, NULL, NULL, &fail) < 0)
        fail_msg("%s", fail.text);
}

static void prepare_two(void)
{
    const struct mesh_cluster_member member[] = {member_of(1), member_of(2)};
    const struct mesh_cluster_event plan = event_of(member, 2, 0);

    prepare(&plan, NULL);
}

static void wait_until_prepared(void)
{
    for (unsigned i = 0; i < WAIT_MS_MAX && !epoch_run_is_prepared(&run); i++)
        rest();
    assert_true(epoch_run_is_prepared(&run));
}

static void wait_until_loaded(void)
{
    for (unsigned i = 0; i < WAIT_MS_MAX; i++, rest())
        if (atomic_load(&run.preparing) == EPOCH_RUN_LOADING && atomic_load(&run.workers.load_left) == 0)
            return;
    fail_msg("it is not loaded");
}

/* A thread that waits for a datagram goes on. */
static bool is_woken(int timeout_ms)
{
    struct pollfd fd = {.fd = mesh_udp_fd(config.udp), .events = POLLIN};

    return poll(&fd, 1, timeout_ms) == 1;
}

/* ---- preparing ---- */

static void heads_that_are_lacking_are_fetched_of_members_of_both_epochs(void **state)
{
    const struct mesh_cluster_member before[] = {member_of(1), member_of(3)}, after[] = {member_of(2), member_of(1)};
    const struct mesh_cluster_event now = event_of(before, 2, 0), plan = event_of(after, 2, 1);
    struct fail fail;

    (void)state;
    assert_int_equal(epoch_run_open(&present, &config, &now, wakeup, NULL, &fail), 0);
    prepare(&plan, &present);
    assert_int_equal(run.fetch.first, 1);
    assert_int_equal(run.fetch.count, 1);
    assert_int_equal(run.fetch.own_first, 0);
    assert_int_equal(run.fetch.own_count, 1);
    assert_int_equal(run.fetch.ctx, 1000);
    assert_int_equal(run.fetch.slots, 3);
    assert_int_equal(run.fetch.saved_kv.shape.layers, config.model->layers);
    assert_int_equal(run.fetch.saved_kv.shape.head_dim, config.model->head_dim);
    assert_int_equal(run.fetch.saved_kv.shape.type, KV_Q8_0);
    assert_int_equal(fetched.sources, 2);
    assert_int_equal(fetched.port[0], 2);
    assert_int_equal(fetched.port[1], 3);
    assert_int_equal(run.peer_count, 2); /* of which rows are fetched */
    assert_int_equal(run.peer[0].port, 2);
    assert_int_equal(run.peer[1].port, 3);
    assert_false(run.is_joining);
    wait_until_prepared();
}

static void who_joins_has_no_heads(void **state)
{
    (void)state;
    prepare_two();
    assert_int_equal(run.fetch.first, 0);
    assert_int_equal(run.fetch.count, 1);
    assert_int_equal(run.fetch.own_count, 0);
    assert_int_equal(fetched.sources, 1);
    assert_true(run.is_joining);
    wait_until_prepared();
    assert_int_equal(atomic_load(&fetched.passes), 0); /* the one that fetches has no use */
    assert_true(is_woken(WAIT_MS_MAX));
}

/* A pass follows until one brings little, but no more than four. The switch waits for these only; others follow. */
static void expect_passes(uint32_t count, uint64_t first, uint64_t second, uint64_t third)
{
    fetched.brings[0] = first;
    fetched.brings[1] = second;
    fetched.brings[2] = third;
    for (unsigned i = 3; i < SCRIPT; i++)
        fetched.brings[i] = 1000;
    fetched.has_use = true;
    prepare_two();
    for (unsigned i = 0; i < WAIT_MS_MAX && atomic_load(&fetched.first_late) == 0; i++)
        rest();
    assert_int_equal(atomic_load(&fetched.first_late), count + 1);
    assert_true(epoch_run_is_prepared(&run));
}

static void one_pass_that_brings_little_is_enough(void **state)
{
    (void)state;
    expect_passes(1, 32, 1000, 1000);
}

static void passes_follow_until_one_brings_little(void **state)
{
    (void)state;
    expect_passes(3, 1000, 33, 0);
}

static void the_switch_waits_for_four_passes_at_most(void **state)
{
    (void)state;
    expect_passes(4, 1000, 1000, 1000);
}

static void it_is_prepared_when_all_is_loaded_and_fetched(void **state)
{
    uint32_t seen;

    (void)state;
    fetched.has_use = true;
    atomic_store(&fetched.is_held, true);
    prepare_two();
    wait_until_loaded();
    assert_false(epoch_run_is_prepared(&run));
    assert_false(is_woken(0));
    seen = eventcount_read(wakeup);
    atomic_store(&fetched.is_held, false);
    wait_until_prepared();
    assert_true(is_woken(WAIT_MS_MAX)); /* the main thread, wherever it sleeps */
    for (unsigned i = 0; i < WAIT_MS_MAX && eventcount_read(wakeup) == seen; i++)
        rest();
    assert_int_not_equal(eventcount_read(wakeup), seen);
    assert_int_equal(fetched.closed, 0); /* more is fetched until the epoch begins */
}

static void what_is_not_wanted_any_more_ends_while_it_fetches(void **state)
{
    (void)state;
    fetched.has_use = true;
    atomic_store(&fetched.is_held, true);
    config.threads = 3; /* all load, and one fetches */
    prepare_two();
    wait_until_loaded();
    for (unsigned i = 0; i < 20; i++)
        rest();
    epoch_run_stop(&run);
    assert_false(atomic_load(&fetched.is_overlapped));
    assert_int_equal(fetched.closed, 1);
    assert_int_equal(atomic_load(&fetched.passes), 1);
}

/* ---- what does not fit ---- */

static void expect_no_memory(const struct fail *fail)
{
    assert_int_equal(fail->exit_code, EXIT_ENVIRONMENT);
    assert_memory_equal(fail->text, "memory: this node's part needs much, little are available: ", 59);
}

/* Beside the present epoch, which is an alternative. */
static void what_has_no_room_beside_the_present_epoch_is_not_opened(void **state)
{
    const struct mesh_cluster_member member[] = {member_of(1), member_of(2)};
    const struct mesh_cluster_event now = event_of(member, 1, 0), plan = event_of(member, 2, 0);
    struct fail fail;

    (void)state;
    assert_int_equal(epoch_run_open(&present, &config, &now, wakeup, NULL, &fail), 0);
    available_bytes = 1000;
    prepare(&plan, &present);
    wait_until_prepared();
    assert_int_equal(atomic_load(&run.preparing), EPOCH_RUN_FAILED);
    expect_no_memory(&run.why);
    assert_false(epoch_run_fits(&run, &plan));
    assert_true(is_woken(WAIT_MS_MAX));
}

/* More nodes may come before it has all. */
static void who_joins_loads_even_if_memory_is_short(void **state)
{
    (void)state;
    available_bytes = 1000;
    prepare_two();
    wait_until_prepared();
    assert_int_equal(atomic_load(&run.preparing), EPOCH_RUN_LOADING);
}

static void a_node_alone_that_has_no_memory_says_so(void **state)
{
    const struct mesh_cluster_member self = member_of(1);
    const struct mesh_cluster_event alone = event_of(&self, 1, 0);
    struct fail fail;

    (void)state;
    available_bytes = 1000;
    assert_int_equal(epoch_run_open(&run, &config, &alone, wakeup, NULL, &fail), -1);
    expect_no_memory(&fail);
}

static void it_fits_an_epoch_in_which_this_node_computes_the_same(void **state)
{
    struct mesh_cluster_member member[] = {member_of(1), member_of(2), member_of(3)};
    struct mesh_cluster_event epoch = event_of(member, 2, 0);

    (void)state;
    prepare_two();
    wait_until_prepared();
    assert_true(epoch_run_fits(&run, &epoch));
    member[1] = member_of(3); /* another process may take the place of the other one */
    assert_true(epoch_run_fits(&run, &epoch));
    epoch.own_rank = 1;
    assert_false(epoch_run_fits(&run, &epoch));
    epoch = event_of(member, 3, 0);
    assert_false(epoch_run_fits(&run, &epoch));
    member[0].share = 1;
    member[1].share = 3;
    epoch = event_of(member, 2, 0);
    assert_false(epoch_run_fits(&run, &epoch));
}

/* The other process may be another one than was planned. What has been fetched goes to the engine. */
static void a_prepared_epoch_begins_with_its_members_and_what_was_fetched(void **state)
{
    const struct mesh_cluster_member member[] = {member_of(1), member_of(3)};
    const struct mesh_cluster_event epoch = event_of(member, 2, 0);
    struct saved_kv saved = {0};
    struct saved_kv_head *head;
    struct fail fail = {0};

    (void)state;
    fetched.has_use = true;
    fetched.brings[0] = 32;
    prepare_two();
    wait_until_prepared();
    assert_int_equal(epoch_run_open(&run, &config, &epoch, wakeup, NULL, &fail), 0);
    assert_null(run.loaders); /* nobody fetches any more */
    assert_int_equal(run.number, 7);
    assert_int_equal(run.member[1].addr.port, 3);
    assert_int_equal(run.member[1].incarnation[0], 3);
    assert_true(saved_kv_note(&run.fetch.saved_kv, 9, 0));
    head = saved_kv_add(&run.fetch.saved_kv, 9, 0, 16);
    assert_non_null(head);
    memset(head->bytes, 0, saved_kv_bytes(&run.fetch.saved_kv.shape, 16));
    assert_int_equal(epoch_run_start(&run, epoch.id, &saved, &fail), 0);
    assert_int_equal(fetched.closed, 1);
    assert_null(saved_kv_find(&saved, 9, 0)); /* the engine has it */
    epoch_run_halt(&run);
    assert_false(run.is_started);
    epoch_run_save_kv(&run, &saved);
    epoch_run_save_kv(&run, &saved); /* does nothing: it would grow older */
    assert_non_null(saved_kv_find(&saved, 9, 0));
    assert_int_equal(saved_kv_request(&saved, 9)->epochs, 1);
    saved_kv_release(&saved);
}

/* ---- results ---- */

static void begin_alone(void)
{
    const struct mesh_cluster_member self = member_of(1);
    const struct mesh_cluster_event alone = event_of(&self, 1, 0);
    struct saved_kv none = {0};
    struct fail fail;

    assert_int_equal(epoch_run_open(&run, &config, &alone, wakeup, NULL, &fail), 0);
    for (uint32_t i = 0; i < engine_load_count(run.engine); i++)
        engine_load(run.engine, i);
    engine_restore(run.engine, &none);
    engine_attach(run.engine, NULL, NULL, udp_driver_now_ns, NULL);
    run.is_started = true;
}

static void results_wake_the_main_thread_and_wait_for_it(void **state)
{
    const uint32_t prompt[] = {5, 6, 7}, count = 700;
    const struct request request = {
        .id = 9, .prompt = prompt, .prompt_count = 3, .predict = count, .sampling = {.top_p = 1, .repeat_penalty = 1}, .ignore_end = true};
    struct epoch_run_result result;
    uint32_t seen;

    (void)state;
    begin_alone();
    seen = eventcount_read(wakeup);
    assert_false(is_woken(0));
    assert_true(engine_submit(run.engine, &request));
    run.workers.engine = run.engine;
    while (engine_work(run.engine, 0) != ENGINE_IDLE) {
    }
    assert_int_not_equal(eventcount_read(wakeup), seen);
    assert_true(is_woken(0)); /* alone, it waits for datagrams */
    for (uint32_t i = 0; i < count; i++) {
        assert_true(epoch_run_next_result(&run, &result));
        assert_int_equal(result.request, 9);
        assert_false(result.is_done);
        assert_int_equal(result.token.index, i);
        assert_true(result.when_ns > 0);
    }
    assert_true(epoch_run_next_result(&run, &result));
    assert_true(result.is_done);
    assert_int_equal(result.reason, ENGINE_DONE_LENGTH);
    assert_int_equal(result.request, 9);
    assert_false(epoch_run_next_result(&run, &result));
    assert_false(epoch_run_has_lost_results(&run));
}

static void that_results_are_lost_is_said_once(void **state)
{
    (void)state;
    run.has_lost_results = true;
    assert_true(epoch_run_has_lost_results(&run));
    assert_false(epoch_run_has_lost_results(&run));
}

#define RUN_TEST(test) cmocka_unit_test_setup_teardown(test, open_config, close_config)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN_TEST(heads_that_are_lacking_are_fetched_of_members_of_both_epochs),
        RUN_TEST(who_joins_has_no_heads),
        RUN_TEST(one_pass_that_brings_little_is_enough),
        RUN_TEST(passes_follow_until_one_brings_little),
        RUN_TEST(the_switch_waits_for_four_passes_at_most),
        RUN_TEST(it_is_prepared_when_all_is_loaded_and_fetched),
        RUN_TEST(what_is_not_wanted_any_more_ends_while_it_fetches),
        RUN_TEST(what_has_no_room_beside_the_present_epoch_is_not_opened),
        RUN_TEST(who_joins_loads_even_if_memory_is_short),
        RUN_TEST(a_node_alone_that_has_no_memory_says_so),
        RUN_TEST(it_fits_an_epoch_in_which_this_node_computes_the_same),
        RUN_TEST(a_prepared_epoch_begins_with_its_members_and_what_was_fetched),
        RUN_TEST(results_wake_the_main_thread_and_wait_for_it),
        RUN_TEST(that_results_are_lost_is_said_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
