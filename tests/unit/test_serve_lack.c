/* A serving node and its memory: what it tells of it, and what it does while all members together, or it alone, have too little for the
 * model. The machine's memory is played here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/notify.h"
#include "served_case.h"

enum { BASE = 1 << 20, STATUS_BYTES = 200 };

static struct {
    uint64_t free_bytes, held_bytes; /* by the monitor */
    uint64_t available_bytes;        /* by the system, for an engine that is about to be opened */
    unsigned opened, closed;
    char status[STATUS_BYTES];
} played;

struct memory_monitor *memory_monitor_open(struct fail *fail)
{
    (void)fail;
    played.opened++;
    return (struct memory_monitor *)&played;
}

void memory_monitor_close(struct memory_monitor *monitor)
{
    played.closed += monitor != NULL;
}

void memory_monitor_last(struct memory_monitor *monitor, uint64_t *available_bytes, uint64_t *held_bytes)
{
    assert_ptr_equal(monitor, &played);
    *available_bytes = played.free_bytes;
    *held_bytes = played.held_bytes;
}

uint64_t memory_available_bytes(void)
{
    return played.available_bytes;
}

uint64_t memory_held_bytes(void)
{
    return played.held_bytes;
}

void memory_text(uint64_t bytes, char out[MEMORY_TEXT_BYTES])
{
    (void)snprintf(out, MEMORY_TEXT_BYTES, "%llu bytes", (unsigned long long)bytes);
}

void memory_available_text(uint64_t bytes, char out[MEMORY_TEXT_BYTES])
{
    memory_text(bytes, out);
}

void notify_manager(const char *text)
{
    (void)snprintf(played.status, sizeof played.status, "%s", text);
}

static struct serve_memory *const memory = &served.server.memory;

/* It has so much for rows, keys and values, and tells it if it is time to look. */
static void give(uint64_t bytes)
{
    played.free_bytes = bytes + memory->buffer_bytes;
    serve_watch_memory(server);
}

static void measure(void)
{
    struct fail fail;

    balance_load_cache(&server->shares.load, served.config.run.kv_type, served.config.run.ctx, served.config.run.slots);
    played.held_bytes = BASE;
    played.available_bytes = UINT64_MAX;
    played.free_bytes = UINT64_MAX;
    assert_int_equal(serve_open_memory(server, &fail), 0);
    assert_true(memory->buffer_bytes > 0);
}

static int open_measured(void **state)
{
    memset(&played, 0, sizeof played);
    open_node(state);
    measure();
    return 0;
}

static int open_seeking(void **state)
{
    memset(&played, 0, sizeof played);
    open_seeker(state);
    measure();
    return 0;
}

static int close_measured(void **state)
{
    serve_close_memory(server);
    assert_int_equal(played.closed, played.opened);
    return close_node(state);
}

/* What a node holds that has the whole model. */
static uint64_t whole_bytes(void)
{
    const uint32_t all = 1;
    struct rowmap map;
    struct fail fail;

    assert_int_equal(rowmap_init(&map, served.config.run.model, &all, 1, &fail), 0);
    return balance_part_bytes(&server->shares.load, &map, 0);
}

static bool lacks_memory(const struct served *s)
{
    return s->server.memory.missing_bytes > 0;
}

static bool is_refused(const struct served *s)
{
    return s->server.memory.is_refused;
}

static uint32_t number(void)
{
    struct mesh_cluster_event now;

    mesh_cluster_get_epoch(server->cluster, &now);
    return now.number;
}

/* ---- what it tells ---- */

static void look(uint64_t free_bytes, uint64_t held_bytes)
{
    played.free_bytes = free_bytes;
    played.held_bytes = held_bytes;
    served_let_pass(250 * SERVED_MS);
    serve_watch_memory(server);
}

/* That of the present epoch is free when the next one begins. */
static void it_tells_what_is_free_or_held_for_the_epoch_less_the_buffers(void **state)
{
    const uint64_t buffers = memory->buffer_bytes;

    (void)state;
    assert_int_equal(memory->base_bytes, BASE);
    assert_int_equal(memory->reported_bytes, 0); /* the system does not say */
    look(buffers + 1000, BASE);
    assert_int_equal(memory->reported_bytes, 1000);
    look(buffers + 1000, BASE + 700);
    assert_int_equal(memory->reported_bytes, 1700);
    look(buffers + 1000, BASE - 600);
    assert_int_equal(memory->reported_bytes, 1000);
    look(buffers, BASE);
    assert_int_equal(memory->reported_bytes, 1); /* 0 would be unknown */
    look(buffers + 3200, BASE);
    look(buffers + 3101, BASE);
    assert_int_equal(memory->reported_bytes, 3200); /* not worth telling */
    look(buffers + 3100, BASE);
    assert_int_equal(memory->reported_bytes, 3200);
    look(buffers + 3099, BASE);
    assert_int_equal(memory->reported_bytes, 3099);
    look(UINT64_MAX, BASE);
    assert_int_equal(memory->reported_bytes, 0);
}

static void it_looks_four_times_a_second(void **state)
{
    (void)state;
    serve_watch_memory(server);
    played.free_bytes = memory->buffer_bytes + 1000;
    served_let_pass(250 * SERVED_MS - 1);
    serve_watch_memory(server);
    assert_int_equal(memory->reported_bytes, 0);
    served_let_pass(1);
    serve_watch_memory(server);
    assert_int_equal(memory->reported_bytes, 1000);
}

static void members_agree_on_what_was_told(void **state)
{
    (void)state;
    give(10 * whole_bytes());
    run_until(is_alone);
    assert_int_equal(server->run->member[0].summary, 10 * whole_bytes());
    assert_false(lacks_memory(&served));
}

/* ---- all together have too little ---- */

/* It says at once why, and ends. */
static void a_node_that_expects_no_others_does_not_wait_for_them(void **state)
{
    struct fail fail = {0};

    (void)state;
    give(whole_bytes() / 2);
    played.available_bytes = 1000;
    assert_false(served_run(&served, 60 * SERVED_S, is_alone, &fail));
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_memory_equal(fail.text, "memory: this node's part needs ", 31);
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_SHORT), 0);
}

static void expect_said(unsigned members)
{
    char expected[STATUS_BYTES];

    (void)snprintf(expected, sizeof expected, "epoch %u with %u member%s: %llu bytes are missing", memory->number, members,
                   members == 1 ? "" : "s", (unsigned long long)memory->missing_bytes);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_SHORT), expected);
    (void)snprintf(expected, sizeof expected, "STATUS=waits for others: %llu bytes of memory are missing",
                   (unsigned long long)memory->missing_bytes);
    assert_string_equal(played.status, expected);
}

static void a_node_that_looks_for_others_waits_and_tries_again_now_and_then(void **state)
{
    uint32_t first;

    (void)state;
    give(whole_bytes() - 5000);
    run_until(lacks_memory);
    first = memory->number;
    assert_null(server->run);
    assert_int_equal(memory->missing_bytes, 5000);
    assert_int_equal(memory->count, 1);
    assert_int_equal(memory->rank, 0);
    assert_int_equal(first, number());
    assert_int_equal(memory->member[0].summary, whole_bytes() - 5000);
    assert_int_equal(memory->again_at_ns, served_now_ns() + 30 * SERVED_S);
    assert_int_equal(server->watching.watch.count, 1);
    assert_false(server->has_company);
    expect_said(1);
    run_for(29 * SERVED_S);
    assert_int_equal(number(), first);
    run_for(3 * SERVED_S);
    assert_int_equal(number(), first + 1);
    assert_int_equal(memory->number, first + 1);
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_SHORT), 1); /* it is as it was */
    give(whole_bytes() - 4000);
    run_for(35 * SERVED_S);
    assert_int_equal(memory->missing_bytes, 4000);
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_SHORT), 2);
    expect_said(1);
}

static void what_suffices_is_used_at_once(void **state)
{
    uint64_t since_ns;

    (void)state;
    give(whole_bytes() - 5000);
    run_until(lacks_memory);
    since_ns = served_now_ns();
    give(whole_bytes() - 1);
    run_for(5 * SERVED_S);
    assert_int_equal(memory->missing_bytes, 5000);
    give(whole_bytes());
    run_until(is_alone);
    assert_in_range(served_now_ns() - since_ns, 5 * SERVED_S, 8 * SERVED_S);
    assert_int_equal(memory->missing_bytes, 0);
}

static void who_leaves_does_not_try_again(void **state)
{
    uint32_t first;

    (void)state;
    give(whole_bytes() - 5000);
    run_until(lacks_memory);
    first = number();
    server->is_leaving = true;
    run_for(70 * SERVED_S);
    assert_int_equal(number(), first);
}

/* The shares of the epoch for which they waited are by speed. */
static void rows_are_kept_while_members_wait_and_used_afterwards(void **state)
{
    struct engine_figures figures;

    (void)state;
    give(whole_bytes() / 4); /* it loaded all the same, as it expected nobody */
    run_until(is_alone);
    wait_until_loaded();
    served_start_other(&served, false);
    mesh_cluster_set_speed(served.other, 3000);
    mesh_cluster_set_summary(served.other, whole_bytes() / 4);
    run_until(lacks_memory);
    assert_null(server->run);
    assert_null(server->next);
    assert_non_null(memory->rows);
    assert_int_equal(memory->count, 2);
    assert_true(server->has_company);
    assert_int_equal(server->watching.watch.count, 2);
    expect_said(2);
    assert_true(mesh_cluster_is_coordinator(server->cluster));
    run_for(31 * SERVED_S);
    assert_null(server->run);
    assert_non_null(memory->rows); /* of the last epoch that had any */
    mesh_cluster_set_summary(served.other, 2 * whole_bytes());
    give(2 * whole_bytes());
    run_until(is_of_two);
    assert_null(memory->rows);
    assert_int_equal(memory->missing_bytes, 0);
    wait_until_loaded();
    engine_figures(server->run->engine, &figures);
    assert_true(figures.copied_bytes > 0);
    assert_in_range(server->run->map.share[other_rank()], 2 * server->run->map.share[server->run->rank],
                    4 * server->run->map.share[server->run->rank]);
}

/* ---- it alone ---- */

static void a_node_that_is_refused_memory_tries_again_until_it_gets_it(void **state)
{
    uint32_t first;

    (void)state;
    played.available_bytes = 1000;
    run_until(is_refused);
    first = number();
    assert_null(server->run);
    assert_int_equal(memory->missing_bytes, 0);
    assert_int_equal(memory->count, 1);
    assert_int_equal(memory->number, first);
    assert_true(memory->has_reported_refusal);
    assert_int_equal(memory->again_at_ns, served_now_ns() + 10 * SERVED_S);
    assert_int_equal(server->watching.epoch_ns, served_now_ns());
    run_for(9 * SERVED_S);
    assert_int_equal(number(), first);
    run_for(3 * SERVED_S);
    assert_int_equal(number(), first + 1);
    assert_true(is_refused(&served));
    run_for(10 * SERVED_S);
    assert_int_equal(number(), first + 2);
    played.available_bytes = UINT64_MAX;
    run_until(is_alone);
    assert_false(memory->is_refused);
    assert_false(memory->has_reported_refusal);
    assert_int_equal(number(), first + 3);
}

static void only_a_lack_of_memory_of_one_node_that_may_join_others_is_waited_for(void **state)
{
    const struct mesh_cluster_member member[2] = {{.incarnation = {1}}, {.incarnation = {2}}};
    struct mesh_cluster_event epoch = {.type = MESH_CLUSTER_EPOCH, .number = 7, .members = member, .member_count = 2};
    struct fail fail = {.exit_code = EXIT_ENVIRONMENT, .text = "memory: none"};

    (void)state;
    assert_false(serve_waits_alone(server, &epoch, &fail));
    epoch.member_count = 1;
    fail.exit_code = EXIT_BAD_FILE;
    assert_false(serve_waits_alone(server, &epoch, &fail));
    fail.exit_code = EXIT_ENVIRONMENT;
    served.config.seed_count = 0;
    assert_false(serve_waits_alone(server, &epoch, &fail));
    served.config.seed_count = 1;
    assert_string_equal(fail.text, "memory: none");
    assert_true(serve_waits_alone(server, &epoch, &fail));
    assert_string_equal(fail.text, "");
    memory->is_refused = false;
}

#define MEASURED_TEST(test) cmocka_unit_test_setup_teardown(test, open_measured, close_measured)
#define SEEKING_TEST(test)  cmocka_unit_test_setup_teardown(test, open_seeking, close_measured)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEASURED_TEST(it_tells_what_is_free_or_held_for_the_epoch_less_the_buffers),
        MEASURED_TEST(it_looks_four_times_a_second),
        MEASURED_TEST(members_agree_on_what_was_told),
        MEASURED_TEST(a_node_that_expects_no_others_does_not_wait_for_them),
        SEEKING_TEST(a_node_that_looks_for_others_waits_and_tries_again_now_and_then),
        SEEKING_TEST(what_suffices_is_used_at_once),
        SEEKING_TEST(who_leaves_does_not_try_again),
        MEASURED_TEST(rows_are_kept_while_members_wait_and_used_afterwards),
        SEEKING_TEST(a_node_that_is_refused_memory_tries_again_until_it_gets_it),
        SEEKING_TEST(only_a_lack_of_memory_of_one_node_that_may_join_others_is_waited_for),
    };

    return SERVED_RUN(tests);
}
