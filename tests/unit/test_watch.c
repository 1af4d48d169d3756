/* Clients that watch a node: leases, intervals and what is passed on, without a node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/telemetry/watch.h"

#define MS UINT64_C(1000000)

enum { MEMBERS = 3, OWN = 1, PEER = 2, SESSION = 7 };

static struct watch watch;
static struct mesh_cluster_member members[MEMBERS];
static uint64_t now_ns;
static unsigned records, looks, reports, made; /* given to clients; sent to members; reports requested */
static bool waits;                             /* for memory: then its reports have no rank */
static uint32_t last_serial;
static uint16_t last_lease_ms;
static unsigned looks_for_old;
static struct mesh_addr last_to;

static bool to_client(void *app, uint32_t session, const uint8_t *record, size_t bytes)
{
    struct mesh_telemetry_report report;
    struct mesh_telemetry_reader reader;
    struct mesh_telemetry_head head;

    (void)app;
    assert_true(session != 0);
    assert_int_equal(mesh_telemetry_read_report(&report, record, bytes), MESH_OK);
    assert_int_equal(mesh_telemetry_open(&reader, report.piece, report.piece_bytes, &head), MESH_OK);
    last_serial = head.serial;
    records++;
    return true;
}

static void to_member(void *app, const struct mesh_addr *to, struct mesh_message *message)
{
    (void)app;
    last_to = *to;
    looks += message->header.type == MESH_TYPE_LOOK;
    reports += message->header.type == MESH_TYPE_REPORT;
    if (message->header.type == MESH_TYPE_LOOK) {
        last_lease_ms = message->as.look.lease_ms;
        looks_for_old += (message->as.look.kinds & MESH_TELEMETRY_OLD_EVENTS) != 0;
    }
}

static size_t make_piece(uint8_t piece[MESH_TELEMETRY_PIECE_BYTES_MAX], uint16_t of, uint32_t serial)
{
    struct mesh_telemetry_head head = {.version = MESH_TELEMETRY_VERSION, .rank = of, .epoch = 1, .serial = serial, .now_ns = now_ns};
    const struct mesh_telemetry_item item = {.kind = MESH_TELEMETRY_NODE, .node = {.members = MEMBERS}};
    struct mesh_telemetry_writer writer;

    memcpy(head.incarnation, members[of].incarnation, sizeof head.incarnation);
    mesh_telemetry_begin(&writer, piece, MESH_TELEMETRY_PIECE_BYTES_MAX, &head);
    assert_true(mesh_telemetry_put(&writer, &item));
    return writer.used;
}

static void report(void *app, uint32_t kinds)
{
    uint8_t piece[MESH_TELEMETRY_PIECE_BYTES_MAX];
    const struct mesh_telemetry_head head = {.rank = waits || watch.count == 0 ? MESH_TELEMETRY_NOBODY : watch.rank, .serial = ++made};

    (void)app;
    (void)kinds;
    watch_give(&watch, now_ns, 1, &head, piece, make_piece(piece, OWN, made));
}

static int set_up(void **state)
{
    const struct watch_hooks hooks = {to_client, to_member, report, NULL};

    (void)state;
    memset(members, 0, sizeof members);
    for (uint16_t r = 0; r < MEMBERS; r++) {
        members[r].incarnation[0] = (uint8_t)(r + 1);
        members[r].addr.port = (uint16_t)(100 + r);
    }
    now_ns = 1000 * MS;
    records = looks = reports = made = looks_for_old = 0;
    waits = false;
    watch_init(&watch, members[OWN].incarnation, &hooks);
    watch_epoch(&watch, members, MEMBERS, OWN);
    return 0;
}

static enum watch_verdict wish(uint32_t session, uint16_t interval_ms, uint16_t lease_ms)
{
    const struct mesh_telemetry_watch w = {interval_ms, lease_ms, MESH_TELEMETRY_ALL};
    uint8_t record[MESH_TELEMETRY_WATCH_BYTES];
    const char *why = NULL;
    enum watch_verdict verdict;

    mesh_telemetry_write_watch(&w, record);
    verdict = watch_take_record(&watch, now_ns, session, record, sizeof record, &why);
    assert_true((verdict == WATCH_REFUSED) == (why != NULL));
    return verdict;
}

static uint64_t numbers; /* of the last datagram of a member */

/* Delivers a datagram of a member, with the next number where it has none. */
static enum watch_verdict take(struct mesh_message *message, uint16_t from)
{
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];

    message->header.magic = MESH_WIRE_MAGIC;
    message->header.version = MESH_WIRE_VERSION;
    message->header.have_step = MESH_STEP_NONE;
    message->header.number = message->header.number ? message->header.number : ++numbers;
    memcpy(message->as.report.incarnation, members[from].incarnation, sizeof message->as.report.incarnation);
    return watch_take_packet(&watch, now_ns, 1, &members[from].addr, packet, mesh_wire_encode(message, packet, sizeof packet));
}

static enum watch_verdict take_report(uint16_t of, uint32_t serial)
{
    uint8_t piece[MESH_TELEMETRY_PIECE_BYTES_MAX];
    struct mesh_message message = {.header.type = MESH_TYPE_REPORT, .data = piece, .data_bytes = make_piece(piece, of, serial)};

    return take(&message, of);
}

static uint16_t look_interval_ms = 100;

static enum watch_verdict take_look_at(uint16_t of, uint16_t lease_ms, uint32_t kinds)
{
    struct mesh_message message = {.header.type = MESH_TYPE_LOOK};

    message.as.look.interval_ms = look_interval_ms;
    message.as.look.lease_ms = lease_ms;
    message.as.look.kinds = kinds;
    return take(&message, of);
}

static enum watch_verdict take_look(uint16_t of, uint16_t lease_ms)
{
    return take_look_at(of, lease_ms, MESH_TELEMETRY_ALL);
}

/* Time passes, and the node does what is due. */
static void pass(unsigned ms)
{
    for (unsigned i = 0; i < ms; i++) {
        now_ns += MS;
        if (watch_due_ns(&watch, now_ns) <= now_ns)
            watch_run(&watch, now_ns);
    }
}

static void a_client_is_told_of_the_node_at_its_interval(void **state)
{
    (void)state;
    assert_int_equal(wish(SESSION, 100, 10000), WATCH_TAKEN);
    pass(2000);
    assert_in_range(records, 19, 21);
    assert_int_equal(reports, 0); /* no member watches */
}

static void while_a_client_watches_the_others_are_looked_at_every_second(void **state)
{
    (void)state;
    wish(SESSION, 100, 10000);
    pass(3500);
    assert_int_equal(looks, 4 * (MEMBERS - 1));
    assert_true(last_lease_ms > 2000); /* one LOOK may be lost */
}

/* The other members receive LOOKs already, and cannot tell those for the new client from them. */
static void of_a_second_client_the_others_are_asked_for_old_events_too(void **state)
{
    (void)state;
    wish(SESSION, 100, 20000);
    pass(5000);
    assert_int_equal(looks_for_old, 3 * (MEMBERS - 1)); /* one may be lost */
    looks_for_old = 0;
    pass(2000);
    assert_int_equal(looks_for_old, 0);
    wish(SESSION + 1, 100, 20000);
    pass(5000);
    assert_int_equal(looks_for_old, 3 * (MEMBERS - 1));
}

static void old_events_are_told_to_a_member_that_looks_for_the_first_time_or_asks_for_them(void **state)
{
    (void)state;
    take_look(PEER, 5000);
    assert_true(watch.tells_all_events);
    watch.tells_all_events = false;
    take_look(PEER, 5000);
    assert_false(watch.tells_all_events);
    take_look_at(PEER, 5000, MESH_TELEMETRY_ALL | MESH_TELEMETRY_OLD_EVENTS);
    assert_true(watch.tells_all_events);
}

static void nothing_is_due_when_nobody_watches(void **state)
{
    (void)state;
    assert_true(watch_due_ns(&watch, now_ns) == UINT64_MAX);
    wish(SESSION, 100, 500);
    take_look(PEER, 400);
    pass(600);
    records = looks = reports = 0;
    assert_true(watch_due_ns(&watch, now_ns) == UINT64_MAX);
    assert_int_equal(watch_count(&watch, now_ns), 0);
    pass(2000);
    assert_int_equal(records + looks + reports, 0);
}

static void who_is_done_says_so_to_the_others(void **state)
{
    (void)state;
    wish(SESSION, 100, 10000);
    pass(300);
    looks = 0;
    assert_int_equal(wish(SESSION, 100, 0), WATCH_TAKEN);
    assert_int_equal(looks, MEMBERS - 1);
    assert_int_equal(last_lease_ms, 1);
    assert_true(watch_due_ns(&watch, now_ns) == UINT64_MAX);
}

static void a_member_that_looks_is_answered_while_its_lease_lasts(void **state)
{
    (void)state;
    assert_int_equal(take_look(PEER, 1000), WATCH_TAKEN);
    pass(950);
    assert_in_range(reports, 9, 10);
    assert_int_equal(last_to.port, members[PEER].addr.port);
    pass(100);
    reports = 0;
    pass(1000);
    assert_int_equal(reports, 0);
}

/* Replaying a member's datagram to another node does not make this node continue to report. */
static void a_look_from_before_the_last_one_is_not_taken(void **state)
{
    struct mesh_message message = {.header = {.type = MESH_TYPE_LOOK, .number = 900},
                                   .as.look = {.interval_ms = 100, .lease_ms = 60000, .kinds = MESH_TELEMETRY_ALL}};

    (void)state;
    numbers = 1000;
    take_look(PEER, 1000);
    pass(2000);
    reports = 0;
    take(&message, PEER);
    pass(2000);
    watch_epoch(&watch, members, MEMBERS, OWN);
    take(&message, PEER);
    pass(2000);
    watch_epoch(&watch, members, PEER, OWN); /* it is lost, and comes back */
    watch_epoch(&watch, members, MEMBERS, OWN);
    take(&message, PEER);
    pass(2000);
    assert_int_equal(reports, 0);
    take_look(PEER, 1000);
    pass(1000);
    assert_in_range(reports, 1, 20);
}

static void what_another_member_says_goes_on_to_clients(void **state)
{
    (void)state;
    assert_int_equal(take_report(PEER, 5), WATCH_TAKEN);
    assert_int_equal(records, 0); /* no client watches */
    wish(SESSION, 100, 10000);
    assert_int_equal(take_report(PEER, 6), WATCH_TAKEN);
    assert_int_equal(take_report(PEER, 6), WATCH_TAKEN); /* another piece of it */
    assert_int_equal(records, 2);
}

static void more_often_than_it_wishes_a_client_is_told_nothing(void **state)
{
    (void)state;
    wish(SESSION, 1000, 10000);
    for (uint32_t serial = 1; serial <= 30; serial++) {
        take_report(PEER, serial);
        now_ns += 100 * MS;
    }
    assert_in_range(records, 3, 4);
}

/* Its counters end with that report. */
static void but_for_the_last_report_of_an_epoch(void **state)
{
    (void)state;
    watch_report_last(&watch, now_ns); /* no client watches */
    assert_int_equal(made, 0);
    wish(SESSION, 1000, 10000);
    take_look(PEER, 2000);
    pass(1);
    assert_int_equal(records, 1);
    pass(100);
    assert_int_equal(records, 1);
    reports = 0;
    watch_report_last(&watch, now_ns);
    assert_int_equal(records, 2);
    assert_int_equal(reports, 1);
}

/* The longer interval is not waited for: that would look like silence. */
static void a_shorter_interval_holds_at_once(void **state)
{
    (void)state;
    wish(SESSION, 10000, 20000);
    pass(1000);
    take_report(PEER, 5);
    records = looks = 0;
    wish(SESSION, 200, 20000);
    pass(1050);
    assert_int_equal(records, 5);
    take_report(PEER, 6);
    assert_int_equal(records, 6);
    assert_in_range(looks, 2 * (MEMBERS - 1), 3 * (MEMBERS - 1));
    wish(SESSION, 200, 0);
    look_interval_ms = 10000;
    take_look(PEER, 20000);
    pass(1000);
    reports = 0;
    look_interval_ms = 100;
    take_look(PEER, 20000);
    pass(1050);
    assert_int_equal(reports, 10);
}

static void a_report_that_was_overtaken_is_not_told(void **state)
{
    (void)state;
    wish(SESSION, 50, 10000);
    take_report(PEER, 9);
    now_ns += 100 * MS;
    assert_int_equal(take_report(PEER, 8), WATCH_TAKEN);
    assert_int_equal(records, 1);
    assert_int_equal(last_serial, 9);
}

static void nor_is_it_after_the_ranks_have_changed(void **state)
{
    struct mesh_cluster_member turned[MEMBERS] = {members[PEER], members[OWN], members[0]};

    (void)state;
    wish(SESSION, 50, 10000);
    take_report(PEER, 9);
    watch_epoch(&watch, turned, MEMBERS, OWN);
    take_report(PEER, 8);
    assert_int_equal(records, 1);
    take_report(PEER, 10); /* and at once, since it changed */
    assert_int_equal(records, 2);
}

/* It was lost, or this node was: what it said before may still arrive, replayed by whoever heard it. */
static void nor_is_it_when_its_sender_is_a_member_again(void **state)
{
    (void)state;
    wish(SESSION, 50, 10000);
    take_report(PEER, 9);
    watch_epoch(&watch, members, PEER, OWN);
    watch_epoch(&watch, members, MEMBERS, OWN);
    take_report(PEER, 8);
    watch_epoch(&watch, NULL, 0, 0);
    watch_epoch(&watch, members, MEMBERS, OWN);
    take_report(PEER, 7);
    assert_int_equal(records, 1);
    take_report(PEER, 10);
    assert_int_equal(records, 2);
}

/* The client comes after the member's newer report, of which another client was told. */
static void nor_is_a_new_client_told_of_it(void **state)
{
    (void)state;
    take_report(PEER, 9);
    wish(SESSION, 50, 10000);
    take_report(PEER, 8);
    assert_int_equal(records, 0);
    take_report(PEER, 9);
    assert_int_equal(records, 1);
}

/* More processes than are remembered come and go; the last ones are remembered. */
static void of_many_former_members_the_last_ones_are_known(void **state)
{
    const unsigned last = WATCH_FORMER_MAX + 50;

    (void)state;
    wish(SESSION, 50, 60000);
    for (unsigned i = 1; i <= last; i++) {
        memcpy(members[PEER].incarnation, &i, sizeof i);
        members[PEER].incarnation[8] = 1;
        watch_epoch(&watch, members, MEMBERS, OWN);
        take_report(PEER, 9);
    }
    records = 0;
    for (unsigned i = last; i > last - WATCH_FORMER_MAX; i--) {
        memcpy(members[PEER].incarnation, &i, sizeof i);
        watch_epoch(&watch, members, MEMBERS, OWN);
        take_report(PEER, 8);
    }
    assert_int_equal(records, 0);
}

static void what_is_of_no_member_is_refused(void **state)
{
    uint8_t piece[MESH_TELEMETRY_PIECE_BYTES_MAX];
    struct mesh_message message = {.header.type = MESH_TYPE_REPORT, .data = piece, .data_bytes = make_piece(piece, PEER, 1)};
    struct mesh_addr home = members[PEER].addr;

    (void)state;
    wish(SESSION, 50, 10000);
    assert_int_equal(take(&message, 0), WATCH_REFUSED); /* a report of another member than the sender */
    members[PEER].addr.port = 999;                      /* from another address */
    assert_int_equal(take(&message, PEER), WATCH_REFUSED);
    members[PEER].addr = home;
    message.data_bytes = 10; /* truncated */
    assert_int_equal(take(&message, PEER), WATCH_REFUSED);
    assert_int_equal(take_report(OWN, 1), WATCH_REFUSED);
    watch_epoch(&watch, NULL, 0, 0);
    assert_int_equal(take_look(PEER, 1000), WATCH_REFUSED);
    assert_int_equal(records, 0);
    assert_int_equal(watch.refused, 5);
}

/* Its own reports are not taken for newer ones of rank 0. */
static void a_node_that_waits_for_memory_passes_on_what_rank_0_says(void **state)
{
    unsigned own;

    (void)state;
    waits = true;
    wish(SESSION, 100, 10000);
    pass(1000);
    own = records;
    assert_in_range(own, 5, 11);
    assert_int_equal(take_report(0, 1), WATCH_TAKEN);
    assert_int_equal(records, own + 1);
}

static void one_client_too_many_is_told_why(void **state)
{
    (void)state;
    for (uint32_t session = 1; session <= WATCHERS_MAX; session++)
        assert_int_equal(wish(session, 100, 1000), WATCH_TAKEN);
    assert_int_equal(wish(100, 100, 1000), WATCH_REFUSED);
    now_ns += 1001 * MS; /* leases end */
    assert_int_equal(wish(100, 100, 1000), WATCH_TAKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_client_is_told_of_the_node_at_its_interval, set_up),
        cmocka_unit_test_setup(while_a_client_watches_the_others_are_looked_at_every_second, set_up),
        cmocka_unit_test_setup(of_a_second_client_the_others_are_asked_for_old_events_too, set_up),
        cmocka_unit_test_setup(old_events_are_told_to_a_member_that_looks_for_the_first_time_or_asks_for_them, set_up),
        cmocka_unit_test_setup(nothing_is_due_when_nobody_watches, set_up),
        cmocka_unit_test_setup(who_is_done_says_so_to_the_others, set_up),
        cmocka_unit_test_setup(a_member_that_looks_is_answered_while_its_lease_lasts, set_up),
        cmocka_unit_test_setup(a_look_from_before_the_last_one_is_not_taken, set_up),
        cmocka_unit_test_setup(what_another_member_says_goes_on_to_clients, set_up),
        cmocka_unit_test_setup(more_often_than_it_wishes_a_client_is_told_nothing, set_up),
        cmocka_unit_test_setup(but_for_the_last_report_of_an_epoch, set_up),
        cmocka_unit_test_setup(a_shorter_interval_holds_at_once, set_up),
        cmocka_unit_test_setup(a_report_that_was_overtaken_is_not_told, set_up),
        cmocka_unit_test_setup(nor_is_it_after_the_ranks_have_changed, set_up),
        cmocka_unit_test_setup(nor_is_it_when_its_sender_is_a_member_again, set_up),
        cmocka_unit_test_setup(nor_is_a_new_client_told_of_it, set_up),
        cmocka_unit_test_setup(of_many_former_members_the_last_ones_are_known, set_up),
        cmocka_unit_test_setup(what_is_of_no_member_is_refused, set_up),
        cmocka_unit_test_setup(a_node_that_waits_for_memory_passes_on_what_rank_0_says, set_up),
        cmocka_unit_test_setup(one_client_too_many_is_told_why, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
