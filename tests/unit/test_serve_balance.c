/* Shares of a serving node: what it tells of its speed, when it measures it again, and when it proposes to deal the rows anew. The meter
 * and the benchmark are played here. */
#include <stdlib.h>
#include <string.h>

#include "served_case.h"
#include "simquestion.h"

#define LOOK_NS (250 * SERVED_MS)

static struct serve_shares *const shares = &served.server.shares;

static struct {
    unsigned restarts, feeds;
    uint64_t bytes, busy_ns; /* fed last */
    uint32_t median;
} meter;

static struct {
    bool is_running, is_done, has_no_memory;
    unsigned started, ended;
    uint64_t bytes;
    uint16_t threads;
    uint32_t speed;
} benchmark;

void speed_meter_restart(struct speed_meter *of, uint64_t now_ns, uint64_t bytes, uint64_t busy_ns)
{
    (void)of;
    (void)bytes;
    (void)busy_ns;
    assert_int_equal(now_ns, served_now_ns());
    meter.restarts++;
}

void speed_meter_feed(struct speed_meter *of, uint64_t now_ns, uint64_t bytes, uint64_t busy_ns, uint16_t workers)
{
    (void)of;
    assert_int_equal(now_ns, served_now_ns());
    assert_int_equal(workers, 1);
    meter.bytes = bytes;
    meter.busy_ns = busy_ns;
    meter.feeds++;
}

uint32_t speed_meter_median(const struct speed_meter *of)
{
    (void)of;
    return meter.median;
}

struct speed_test *speed_test_start(const struct kernel *kernel, enum tensor_type type, uint64_t bytes, uint16_t threads, struct fail *fail)
{
    (void)fail;
    assert_ptr_equal(kernel, served.config.run.kernel);
    assert_int_equal(type, served.config.run.model->layer[0].down->type);
    assert_false(benchmark.is_running);
    if (benchmark.has_no_memory)
        return NULL;
    benchmark.is_running = true;
    benchmark.started++;
    benchmark.bytes = bytes;
    benchmark.threads = threads;
    return (struct speed_test *)&benchmark;
}

bool speed_test_is_done(const struct speed_test *test)
{
    assert_ptr_equal(test, &benchmark);
    return benchmark.is_done;
}

uint32_t speed_test_end(struct speed_test *test)
{
    assert_ptr_equal(test, &benchmark);
    assert_true(benchmark.is_running);
    benchmark.is_running = false;
    benchmark.ended++;
    return benchmark.speed;
}

static int open_played(void **state)
{
    open_node(state);
    memset(&meter, 0, sizeof meter);
    memset(&benchmark, 0, sizeof benchmark);
    shares->benchmark = 1000;
    return 0;
}

/* Until it has loaded, too. */
static void run_until_loaded(bool (*is_done)(const struct served *s))
{
    run_until(is_done);
    wait_until_loaded();
}

static void form_loaded(void)
{
    run_until_loaded(is_alone);
    served_start_other(&served, false);
    run_until_loaded(is_of_two);
}

/* The node looks at its speed, and then there is time to tell of it. */
static void look(void)
{
    struct fail fail = {0};

    served_let_pass(LOOK_NS);
    serve_watch_shares(server);
    assert_true(served_run(&served, LOOK_NS, NULL, &fail));
}

/* What the other process has heard of this node. */
static struct balance_member heard(void)
{
    struct mesh_cluster_peer_stats peer;

    assert_int_equal(mesh_cluster_get_peer_stats(served.other, server->run->rank, &peer), MESH_OK);
    return balance_member_of(peer.speed, peer.flags);
}

/* ---- the speed of this node ---- */

static void a_speed_at_work_is_told_once_it_is_known_and_when_it_changes(void **state)
{
    struct fail fail = {0};

    (void)state;
    form_loaded();
    look();
    assert_true(meter.feeds > 0);
    assert_int_equal(shares->self.ratio, 0);
    meter.median = 1000;
    look();
    assert_int_equal(shares->self.speed, 1000);
    assert_int_equal(shares->self.ratio, BALANCE_RATIO_ONE);
    meter.median = 1030;
    look();
    assert_int_equal(shares->self.speed, 1000); /* not worth telling */
    meter.median = 1031;
    look();
    assert_int_equal(shares->self.speed, 1031);
    meter.median = 1001;
    look();
    assert_int_equal(shares->self.speed, 1031);
    meter.median = 500;
    look();
    assert_int_equal(shares->self.speed, 500);
    assert_int_equal(shares->self.ratio, BALANCE_RATIO_ONE - BALANCE_RATIO_OCTAVE);
    assert_true(served_run(&served, 3 * SERVED_S, NULL, &fail));
    assert_int_equal(heard().speed, 500);
    assert_int_equal(heard().ratio, shares->self.ratio);
    assert_int_equal(heard().share, BALANCE_SHARE_AUTO);
    meter.median = 0; /* unknown again */
    look();
    assert_int_equal(shares->self.speed, 500);
}

static void while_the_next_epoch_is_loaded_no_speed_is_measured(void **state)
{
    struct epoch_run *next = calloc(1, sizeof *next);
    struct engine_figures figures;
    unsigned restarts;

    (void)state;
    serve_watch_shares(server); /* in no epoch */
    run_until_loaded(is_alone);
    restarts = meter.restarts;
    assert_true(restarts > 0); /* another engine */
    meter.median = 700;
    server->next = next;
    served_let_pass(LOOK_NS);
    serve_watch_shares(server);
    served_let_pass(LOOK_NS - 1);
    serve_watch_shares(server); /* not yet again */
    assert_int_equal(meter.restarts, restarts + 1);
    assert_int_equal(meter.feeds, 0);
    assert_int_equal(shares->self.speed, 1000);
    server->next = NULL;
    free(next);
    atomic_fetch_add(&server->run->workers.load_left, 1);
    served_let_pass(LOOK_NS);
    serve_watch_shares(server);
    atomic_fetch_sub(&server->run->workers.load_left, 1);
    assert_int_equal(meter.restarts, restarts + 2);
    server->is_leaving = true;
    served_let_pass(LOOK_NS);
    serve_watch_shares(server);
    assert_int_equal(meter.feeds, 0);
    server->is_leaving = false;
    serve_watch_shares(server);
    assert_int_equal(meter.feeds, 1);
    engine_figures(server->run->engine, &figures);
    assert_int_equal(meter.bytes, figures.decode_bytes);
    assert_int_equal(meter.busy_ns, figures.decode_ns);
    assert_int_equal(shares->self.speed, 700);
}

/* It may have become faster, and cannot know that otherwise. */
static void who_has_no_rows_measures_itself_twice_a_minute(void **state)
{
    uint64_t begin_ns;

    (void)state;
    run_until_loaded(is_alone);
    begin_ns = server->watching.epoch_ns;
    assert_int_equal(shares->test_at_ns, begin_ns + 30 * SERVED_S);
    served_let_pass(begin_ns + 31 * SERVED_S - served_now_ns());
    serve_watch_shares(server);
    assert_int_equal(benchmark.started, 0); /* it has rows */
    server->run->map.share[0] = 0;
    shares->self.share = 3; /* it gets what was asked for */
    look();
    assert_int_equal(benchmark.started, 0);
    shares->self.share = BALANCE_SHARE_AUTO;
    shares->test_at_ns = served_now_ns() + LOOK_NS + 1;
    look();
    assert_int_equal(benchmark.started, 0);
    benchmark.has_no_memory = true;
    look();
    benchmark.has_no_memory = false;
    for (unsigned i = 0; i < 59; i++)
        look();
    assert_int_equal(benchmark.started, 0);
    look();
    assert_int_equal(benchmark.started, 1);
    assert_int_equal(benchmark.bytes, shares->load.bytes);
    assert_int_equal(benchmark.threads, 1);
    for (unsigned i = 0; i < 300; i++)
        look();
    assert_int_equal(benchmark.ended, 0);
    benchmark.is_done = true;
    benchmark.speed = 1700;
    shares->self.ratio = 77;
    shares->meter.windows = 9;
    look();
    assert_int_equal(benchmark.ended, 1);
    assert_null(shares->test);
    assert_int_equal(shares->benchmark, 1700);
    assert_int_equal(shares->self.speed, 1700);
    assert_int_equal(shares->self.ratio, 0);
    assert_int_equal(shares->meter.windows, 0);
    look();
    assert_int_equal(benchmark.started, 2);
    serve_close_shares(server);
    assert_int_equal(benchmark.ended, 2);
}

static void a_node_measures_itself_before_all_else(void **state)
{
    struct fail fail = {0};

    (void)state;
    served.config.share = 5;
    benchmark.speed = 1700;
    benchmark.has_no_memory = true;
    assert_int_equal(serve_open_shares(server, &fail), -1);
    benchmark.has_no_memory = false;
    assert_int_equal(serve_open_shares(server, &fail), 0);
    assert_int_equal(shares->self.speed, 1700);
    assert_int_equal(shares->self.share, 5);
    assert_int_equal(shares->self.ratio, 0);
    assert_int_equal(shares->benchmark, 1700);
    assert_true(shares->load.cache_bytes > 0);
    server->epoch_run_config.pace_bytes_per_s = 1699999; /* --lab pace */
    assert_int_equal(serve_open_shares(server, &fail), 0);
    assert_int_equal(shares->self.speed, 1699);
    server->epoch_run_config.pace_bytes_per_s = 1800000;
    assert_int_equal(serve_open_shares(server, &fail), 0);
    assert_int_equal(shares->self.speed, 1700);
    serve_close_shares(server); /* nothing runs */
    assert_int_equal(benchmark.ended, 3);
}

/* ---- shares ---- */

static bool has_new_shares(const struct served *s)
{
    return s->server.shares.changes > 0;
}

static void tell_of_other(uint32_t speed)
{
    const struct balance_member told = {.speed = speed, .share = BALANCE_SHARE_AUTO, .ratio = BALANCE_RATIO_ONE};

    mesh_cluster_set_speed(served.other, speed);
    mesh_cluster_set_flags(served.other, balance_flags(&told));
}

static void rows_are_dealt_anew_when_speeds_have_differed_for_long(void **state)
{
    const struct epoch_run *first;
    uint64_t begin_ns;

    (void)state;
    form_loaded();
    first = server->run;
    begin_ns = served_now_ns();
    assert_int_equal(first->map.share[0], first->map.share[1]);
    meter.median = 1000;
    tell_of_other(4000);
    while (served_now_ns() - begin_ns < 9 * SERVED_S)
        look();
    assert_null(server->next);
    for (unsigned i = 0; i < 100 && !has_new_shares(&served); i++)
        look();
    assert_int_equal(shares->changes, 1);
    run_until_loaded(is_of_two);
    assert_true(server->run->member[0].share > 0);
    assert_true(server->run->map.share[other_rank()] > 2 * server->run->map.share[server->run->rank]);
    for (unsigned i = 0; i < 100; i++) /* speeds are as they were */
        look();
    assert_int_equal(shares->changes, 1);
}

/* Also if some get no rows. A change of members is none of shares. */
static void an_epoch_in_which_any_member_has_a_share_is_one_of_new_shares(void **state)
{
    (void)state;
    form_loaded();
    assert_int_equal(shares->changes, 0);
    for (unsigned r = 0; r < 2; r++) {
        server->run->member[r].share = 1;
        server->run->member[1 - r].share = 0;
        serve_begin_shares(server);
        assert_int_equal(shares->changes, r + 1);
        assert_int_equal(shares->balance.changes, r + 1);
        assert_int_equal(shares->look_at_ns, served_now_ns() + LOOK_NS);
    }
}

static void members_are_settled_when_all_are_heard(void **state)
{
    const struct balance_member self = {.speed = 77, .share = 3, .ratio = 5};
    struct balance_member member[MESH_RANKS_MAX];

    (void)state;
    form_loaded();
    tell_of_other(4000);
    look();
    look();
    server->run->member[0].summary = 100;
    server->run->member[1].summary = 101;
    assert_true(serve_members_speed(server->cluster, server->run, &self, member));
    assert_int_equal(member[server->run->rank].speed, 77);
    assert_int_equal(member[server->run->rank].share, 3);
    assert_int_equal(member[other_rank()].speed, 4000);
    assert_int_equal(member[other_rank()].share, BALANCE_SHARE_AUTO);
    assert_int_equal(member[0].memory_bytes, 100);
    assert_int_equal(member[1].memory_bytes, 101);
    served.other_is_deaf = served.other_is_mute = true;
    mesh_cluster_suspect(server->cluster, served_now_ns(), other_rank());
    assert_false(serve_members_speed(server->cluster, server->run, &self, member));
    assert_int_equal(member[other_rank()].speed, 4000);
}

/* Of an epoch that is over only what was agreed on is known. */
static void a_member_that_the_cluster_does_not_know_is_as_it_was_agreed(void **state)
{
    const struct balance_member self = {.speed = 77}, agreed = {.speed = 55, .share = 9};
    struct balance_member member[MESH_RANKS_MAX];

    (void)state;
    form_loaded();
    look();
    look();
    assert_true(serve_members_speed(server->cluster, server->run, &self, member));
    server->run->count = 3;
    server->run->member[2].speed = 55;
    server->run->member[2].flags = balance_flags(&agreed);
    assert_false(serve_members_speed(server->cluster, server->run, &self, member));
    assert_int_equal(member[2].speed, 55);
    assert_int_equal(member[2].share, 9);
    server->run->count = 2;
}

static void a_pace_for_later_begins_when_it_is_time_and_nothing_is_prepared(void **state)
{
    struct epoch_run *next = calloc(1, sizeof *next);
    struct epoch_run_config *c = &server->epoch_run_config;

    (void)state;
    run_until_loaded(is_alone);
    c->pace_bytes_per_s = 5;
    served_let_pass(LOOK_NS);
    serve_watch_shares(server);
    assert_int_equal(c->pace_bytes_per_s, 5);
    c->pace_later_bytes_per_s = 9000;
    c->pace_later_at_ns = served_now_ns() + 2 * LOOK_NS;
    served_let_pass(2 * LOOK_NS - 1);
    serve_watch_shares(server);
    assert_int_equal(c->pace_bytes_per_s, 5);
    server->next = next;
    served_let_pass(LOOK_NS);
    serve_watch_shares(server);
    assert_int_equal(c->pace_bytes_per_s, 5);
    server->next = NULL;
    free(next);
    served_let_pass(LOOK_NS);
    serve_watch_shares(server);
    assert_int_equal(c->pace_bytes_per_s, 9000);
}

#define PLAYED_TEST(test) cmocka_unit_test_setup_teardown(test, open_played, close_node)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAYED_TEST(a_speed_at_work_is_told_once_it_is_known_and_when_it_changes),
        PLAYED_TEST(while_the_next_epoch_is_loaded_no_speed_is_measured),
        PLAYED_TEST(who_has_no_rows_measures_itself_twice_a_minute),
        PLAYED_TEST(a_node_measures_itself_before_all_else),
        PLAYED_TEST(rows_are_dealt_anew_when_speeds_have_differed_for_long),
        PLAYED_TEST(an_epoch_in_which_any_member_has_a_share_is_one_of_new_shares),
        PLAYED_TEST(members_are_settled_when_all_are_heard),
        PLAYED_TEST(a_member_that_the_cluster_does_not_know_is_as_it_was_agreed),
        PLAYED_TEST(a_pace_for_later_begins_when_it_is_time_and_nothing_is_prepared),
    };

    return SERVED_RUN(tests);
}
