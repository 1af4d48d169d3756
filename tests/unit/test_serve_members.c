/* A serving node and its members: who is lost, comes back, leaves, or is left out; and the end of the node itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/fetch/kv_source.h"
#include "served_case.h"
#include "simquestion.h"

static bool has_lost(const struct served *s)
{
    return served_noted(s, MESH_NODE_EVENT_LOST) > 0;
}

/* ---- members ---- */

static void a_member_whose_port_is_gone_is_asked_and_lost(void **state)
{
    uint64_t begin_ns;

    (void)state;
    form_two();
    break_off(true);
    begin_ns = served_now_ns();
    assert_true(packet_filter_tell_unreachable(&server->filter, served_addr(2)));
    run_for(SERVED_MS);
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_SUSPECTED), 1);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_SUSPECTED), "silent, or its port is unreachable");
    assert_in_range(server->change.doubt_ns, begin_ns, begin_ns + SERVED_MS);
    run_until(has_lost);
    run_until(is_alone);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_LOST), "127.0.0.1:2");
    assert_true(server->presence.entry[0].is_lost);
    assert_in_range(server->change.suspected_ns, begin_ns, begin_ns + SERVED_MS);
    assert_true(server->change.agreed_ns > server->change.suspected_ns);
    assert_true(served_now_ns() - begin_ns < 2 * SERVED_S);
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_LEAVING), 0);
    break_off(false);
    run_until(is_of_two);
    run_for(SERVED_S);
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_BACK), 1);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_BACK), "127.0.0.1:2");
}

/* Anybody can forge such a report. */
static void a_member_that_answers_is_not_lost_and_begins_no_change(void **state)
{
    (void)state;
    form_two();
    assert_true(packet_filter_tell_unreachable(&server->filter, served_addr(2)));
    run_for(SERVED_MS);
    assert_true(server->change.doubt_ns != 0);
    run_for(5 * SERVED_S);
    assert_int_equal(server->run->count, 2);
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_SUSPECTED), 1);
    assert_int_equal(server->change.doubt_ns, 0);
    packet_filter_tell_unreachable(&server->filter, served_addr(1)); /* itself */
    packet_filter_tell_unreachable(&server->filter, served_addr(3)); /* a stranger */
    run_for(SERVED_MS);
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_SUSPECTED), 1);
}

/* Other events stay visible. */
static void suspicions_of_a_member_are_noted_once_a_minute(void **state)
{
    (void)state;
    form_two();
    run_for(2 * SERVED_S);
    for (unsigned i = 0; i < 15; i++) {
        packet_filter_tell_unreachable(&server->filter, served_addr(2));
        run_for(i < 10 ? 200 * SERVED_MS : 11 * SERVED_S);
    }
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_SUSPECTED), 1);
    run_for(6 * SERVED_S);
    packet_filter_tell_unreachable(&server->filter, served_addr(2));
    run_for(SERVED_MS);
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_SUSPECTED), 2);
}

/* What came before the suspicion proves nothing. */
static void a_suspect_is_heard_when_more_has_come_since_the_last_look(void **state)
{
    (void)state;
    assert_false(serve_note_suspect(server, 0, 0, 100));
    assert_false(serve_note_suspect(server, 0, 5, 200));
    assert_int_equal(server->suspects, 1 << 0 | 1 << 5);
    server->suspects = 0;
    assert_false(serve_note_suspect(server, 1 << 0 | 1 << 5, 0, 100));
    assert_true(serve_note_suspect(server, 1 << 0 | 1 << 5, 5, 201));
    assert_int_equal(server->suspects, 1 << 0 | 1 << 5);
    assert_false(serve_note_suspect(server, 1 << 0 | 1 << 5, 5, 201));
    assert_false(serve_note_suspect(server, 1 << 0, 5, 300)); /* not suspected then */
    assert_false(serve_note_suspect(server, UINT64_C(1) << 62, 63, 1));
    assert_true(serve_note_suspect(server, UINT64_C(1) << 63, 63, 2));
}

static void who_leaves_is_not_called_lost(void **state)
{
    uint64_t begin_ns;

    (void)state;
    form_two();
    begin_ns = served_now_ns();
    mesh_cluster_leave(served.other, begin_ns);
    run_until(is_alone);
    run_for(SERVED_MS);
    assert_true(server->next_since_ns > begin_ns);
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_LEAVING), 1);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_LEAVING), "127.0.0.1:2 has left");
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_LOST), 0);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_EPOCH), "1 member, prepared");
}

/* It has not enough memory for the whole model beside what it has now. */
static void what_was_refused_alone_is_not_prepared_beside_something_else(void **state)
{
    (void)state;
    form_two();
    server->memory.is_refused = true;
    server->memory.has_reported_refusal = true;
    mesh_cluster_leave(served.other, served_now_ns());
    run_until(is_alone);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_EPOCH), "1 member");
    assert_int_equal(server->prepared_epochs, 1); /* the first change */
    assert_false(server->memory.has_reported_refusal);
}

/* ---- the end ---- */

static bool is_over(const struct served *s)
{
    return s->server.is_over;
}

static void a_node_that_leaves_tells_all_it_has_and_says_goodbye(void **state)
{
    const unsigned index = served_call(&served);
    struct job *job;

    (void)state;
    form_two();
    job = &server->jobs.job[0];
    *job = (struct job){.id = 9, .session = served.client[index].session, .room = 8, .prompt_count = 1, .is_done = true};
    job->token = calloc(job->room, sizeof *job->token);
    job->digest = calloc(job->room, sizeof *job->digest);
    job->count = 4;
    mesh_cluster_leave(server->cluster, served_now_ns());
    run_until(is_over);
    assert_null(server->run);
    assert_null(server->next);
    assert_int_equal(server->leave_by_ns, served_now_ns() + 1500 * SERVED_MS);
    for (unsigned i = 0; i < 100 && !served.client[index].is_over; i++) {
        served_pump(&served);
        served_let_pass(10 * SERVED_MS);
    }
    assert_int_equal(served.client[index].tokens, 3);
    assert_int_equal(served.client[index].told[CLIENT_MESSAGE_DONE], 1);
    assert_true(served.client[index].is_over);
}

static bool other_is_alone(const struct served *s)
{
    struct mesh_cluster_event now;

    mesh_cluster_get_epoch(s->other, &now);
    return now.member_count == 1;
}

/* The others may wait for it already: what it prepares for them it still does, and says so. */
static void who_was_left_out_is_back_as_soon_as_it_is_ready(void **state)
{
    uint64_t begin_ns;

    (void)state;
    form_two();
    break_off(true);
    assert_int_equal(mesh_cluster_suspect(served.other, served_now_ns(), server->run->rank), 0);
    run_until(other_is_alone);
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_EVICTED), 0);
    break_off(false);
    begin_ns = served_now_ns();
    server->memory.missing_bytes = 1; /* as far as that epoch goes */
    run_until(is_in_no_epoch);
    assert_int_equal(server->memory.missing_bytes, 0);
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_EVICTED), 1);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_EVICTED), "joining the others again");
    assert_int_equal(server->watching.watch.count, 0);
    assert_null(server->cached);
    run_until(is_of_two);
    assert_in_range(served_now_ns() - begin_ns, 0, 10 * SERVED_S);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_EPOCH), "2 members, prepared");
}

static void who_is_left_out_while_it_opens_what_comes_next_loads_later(void **state)
{
    uint64_t begin_ns;

    (void)state;
    form_two();
    break_off(true);
    assert_int_equal(mesh_cluster_suspect(served.other, served_now_ns(), server->run->rank), 0);
    run_until(other_is_alone);
    break_off(false);
    begin_ns = served_now_ns();
    run_until(is_preparing);
    run_for(SERVED_MS);
    served.is_held = true;
    atomic_store(&server->next->preparing, EPOCH_RUN_OPENING);
    run_until(is_in_no_epoch);
    assert_null(server->next);
    run_until(is_of_two);
    assert_in_range(served_now_ns() - begin_ns, 0, 10 * SERVED_S);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_EPOCH), "2 members");
}

static void who_is_taken_in_prepares_without_an_epoch_of_its_own(void **state)
{
    (void)state;
    served_start_other(&served, false);
    served_run_other(&served, 3 * SERVED_S);
    assert_true(other_is_alone(&served));
    run_until(is_of_two);
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_EPOCH), 1);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_EPOCH), "2 members, prepared");
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_PREPARE), 1);
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_JOINED), 1);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_JOINED), "took this node in");
}

/* How many lines the log has of it when that many newcomers are told that a member does not hear them. */
static unsigned lines_of_denied(uint16_t newcomers)
{
    struct mesh_message deny = {.header = {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_DENY, .number = 1},
                                .as.deny = {.reason = MESH_DENY_UNHEARD, .nonce = 7}};
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    const size_t bytes = mesh_wire_encode(&deny, packet, sizeof packet);
    const int before = dup(STDERR_FILENO);
    FILE *log = tmpfile();
    char line[600];
    unsigned lines = 0;

    assert_non_null(log);
    assert_int_equal(dup2(fileno(log), STDERR_FILENO), STDERR_FILENO);
    served.config.is_quiet = false;
    for (uint16_t i = 0; i < newcomers; i++) {
        const struct mesh_addr at = served_addr((uint16_t)(1000 + i));

        serve_troubles_denied(server, &at, packet, bytes);
    }
    served.config.is_quiet = true;
    assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
    close(before);
    rewind(log);
    while (fgets(line, sizeof line, log) != NULL)
        lines += strstr(line, " is not taken in: ") != NULL;
    fclose(log);
    return lines;
}

/* Without a key, anybody can ask from one port after the other. */
static void the_log_tells_of_some_newcomers_that_are_not_taken_in_and_then_of_no_more(void **state)
{
    (void)state;
    assert_int_equal(lines_of_denied(1), 1);
    assert_int_equal(lines_of_denied(1), 0);
    assert_int_equal(lines_of_denied(200), SERVE_DENIED - 1);
    served_let_pass(599 * SERVED_S);
    assert_int_equal(lines_of_denied(200), 0);
    served_let_pass(SERVED_S);
    assert_int_equal(lines_of_denied(200), SERVE_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(a_member_whose_port_is_gone_is_asked_and_lost),
        NODE_TEST(a_member_that_answers_is_not_lost_and_begins_no_change),
        NODE_TEST(suspicions_of_a_member_are_noted_once_a_minute),
        NODE_TEST(a_suspect_is_heard_when_more_has_come_since_the_last_look),
        NODE_TEST(who_leaves_is_not_called_lost),
        NODE_TEST(what_was_refused_alone_is_not_prepared_beside_something_else),
        NODE_TEST(a_node_that_leaves_tells_all_it_has_and_says_goodbye),
        NODE_TEST(who_was_left_out_is_back_as_soon_as_it_is_ready),
        NODE_TEST(who_is_left_out_while_it_opens_what_comes_next_loads_later),
        NODE_TEST(the_log_tells_of_some_newcomers_that_are_not_taken_in_and_then_of_no_more),
        SEEKER_TEST(who_is_taken_in_prepares_without_an_epoch_of_its_own),
    };

    return SERVED_RUN(tests);
}
