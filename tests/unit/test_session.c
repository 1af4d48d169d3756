/* Client sessions between two cores in memory: over bad networks, against strangers, and at their limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/wire.h"
#include "session_net.h"

#define SECOND UINT64_C(1000000000)

static struct session_net net;
static uint8_t record[SESSION_NET_RECORD_BYTES];

static void open_net(unsigned capacity, enum mesh_security security, uint64_t seed)
{
    if (!session_net_init(&net, capacity, security, seed)) {
        print_message("built without libsodium\n");
        skip();
    }
    for (size_t i = 0; i < sizeof record; i++) {
        record[i] = (uint8_t)(i * 7 + i / 256);
    }
}

static struct mesh_sessions_stats stats(void)
{
    struct mesh_sessions_stats now;

    mesh_sessions_get_stats(net.node, &now);
    return now;
}

static bool is_first_open(const struct session_net *n)
{
    return n->client[0].opened > 0 && n->opened > 0;
}

static bool has_first_record(const struct session_net *n)
{
    return n->client[0].records > 0;
}

static bool is_first_over(const struct session_net *n)
{
    struct mesh_sessions_stats now;

    mesh_sessions_get_stats(n->node, &now);
    return mesh_call_is_over(n->client[0].call) && now.open_now == 0;
}

static void open_first(void)
{
    assert_int_equal(session_net_call(&net, NULL, 0, 5 * SECOND), 0);
    session_net_run(&net, 5 * SECOND, is_first_open);
    assert_int_equal(net.client[0].opened, 1);
    assert_int_equal(net.opened, 1);
}

static void a_session_opens_echoes_and_closes(void **state)
{
    static const enum mesh_security ways[] = {MESH_SECURITY_NONE, MESH_SECURITY_AUTH, MESH_SECURITY_SEAL};

    (void)state;
    for (int way = 0; way < 3; way++) {
        open_net(4, ways[way], 1);
        open_first();
        assert_int_equal(mesh_call_send(net.client[0].call, net.now_ns, record, sizeof record), 0);
        session_net_run(&net, SECOND, has_first_record);
        assert_int_equal(net.client[0].last_bytes, sizeof record);
        assert_memory_equal(net.client[0].last, record, sizeof record);
        mesh_call_close(net.client[0].call, net.now_ns);
        session_net_run(&net, SECOND, is_first_over);
        assert_int_equal(net.closed, 1);
        assert_int_equal(net.why, MESH_SESSION_GOODBYE);
        assert_int_equal(stats().open_now, 0);
        assert_int_equal(mesh_call_timeout(net.client[0].call), UINT64_MAX);
        assert_int_equal(mesh_sessions_timeout(net.node), UINT64_MAX);
        session_net_release(&net);
    }
}

/* Data sent before a close arrives, whichever side closes. */
static void what_was_sent_before_a_close_arrives(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        open_net(4, MESH_SECURITY_NONE, seed);
        net.loss_ppm = net.reorder_ppm = 200000;
        open_first();
        for (int i = 0; i < 5; i++) {
            assert_int_equal(mesh_sessions_send(net.node, net.now_ns, net.session[0], record, sizeof record), 0);
        }
        mesh_sessions_close(net.node, net.now_ns, net.session[0]);
        session_net_run(&net, 2 * SECOND, is_first_over);
        assert_int_equal(net.client[0].records, 5);
        assert_int_equal(net.closed, 0);
        session_net_run(&net, 15 * SECOND, is_first_over);
        assert_int_equal(net.client[0].closed, 1);
        session_net_release(&net);
    }
}

static void sessions_work_over_a_bad_network(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        open_net(8, seed % 4 == 0 && mesh_seal_is_available() ? MESH_SECURITY_SEAL : MESH_SECURITY_NONE, seed);
        net.loss_ppm = 300000;
        net.duplicate_ppm = 100000;
        net.reorder_ppm = 300000;
        for (int i = 0; i < 5; i++) {
            session_net_call(&net, NULL, 0, 30 * SECOND);
        }
        session_net_run(&net, 3 * SECOND, NULL);
        for (unsigned i = 0; i < 5; i++) {
            assert_int_equal(net.client[i].opened, 1);
            for (int k = 0; k < 4; k++) {
                record[0] = (uint8_t)(16 * i + (unsigned)k);
                assert_int_equal(mesh_call_send(net.client[i].call, net.now_ns, record, sizeof record), 0);
            }
        }
        session_net_run(&net, 5 * SECOND, NULL);
        for (unsigned i = 0; i < 5; i++) {
            assert_int_equal(net.client[i].records, 4);
            assert_int_equal(net.client[i].last[0], 16 * i + 3);
            assert_memory_equal(net.client[i].last + 1, record + 1, sizeof record - 1);
            assert_int_equal(net.client[i].closed, 0);
        }
        assert_int_equal(net.opened, 5);
        assert_int_equal(stats().open_now, 5);
        session_net_release(&net);
    }
}

/* ---- strangers ---- */

static void a_client_with_another_key_gets_no_answer(void **state)
{
    struct mesh_key other = {{1}};

    (void)state;
    open_net(4, MESH_SECURITY_SEAL, 1);
    session_net_call(&net, &other, 0, 2 * SECOND);
    session_net_run(&net, 3 * SECOND, NULL);
    assert_int_equal(net.client[0].failed, 1);
    assert_int_equal(net.client[0].why, MESH_SESSION_NO_ANSWER);
    assert_true(stats().refused[MESH_SESSION_BY_TAG] > 5);
    assert_int_equal(stats().cookies, 0);
    session_net_release(&net);
}

static void a_client_without_a_key_gets_no_answer(void **state)
{
    (void)state;
    open_net(4, MESH_SECURITY_SEAL, 1);
    net.security = MESH_SECURITY_NONE;
    session_net_call(&net, NULL, 0, SECOND);
    net.security = MESH_SECURITY_AUTH;
    session_net_call(&net, NULL, 0, SECOND);
    session_net_run(&net, 2 * SECOND, NULL);
    assert_int_equal(net.client[0].failed + net.client[1].failed, 2);
    assert_true(stats().refused[MESH_SESSION_BY_PLAIN] > 0);
    assert_true(stats().refused[MESH_SESSION_BY_MODE] > 0);
    assert_int_equal(stats().cookies, 0);
    session_net_release(&net);
}

static void another_version_is_told_so(void **state)
{
    (void)state;
    open_net(4, MESH_SECURITY_NONE, 1);
    session_net_call(&net, NULL, MESH_WIRE_VERSION + 1, 5 * SECOND);
    session_net_run(&net, SECOND, NULL);
    assert_int_equal(net.client[0].failed, 1);
    assert_int_equal(net.client[0].why, MESH_SESSION_VERSION);
    assert_int_equal(stats().refused[MESH_SESSION_BY_VERSION], 1);
    session_net_release(&net);
}

struct log {
    uint8_t call[8][200];
    size_t bytes[8];
    unsigned count;
    size_t longest_answer, shortest_call;
};

static void log_calls(void *app, int to, const uint8_t *packet, size_t bytes)
{
    struct log *log = app;

    if (packet[3] == MESH_TYPE_CALL && log->count < 8) {
        memcpy(log->call[log->count], packet, bytes);
        log->bytes[log->count++] = bytes;
        log->shortest_call = log->shortest_call == 0 || bytes < log->shortest_call ? bytes : log->shortest_call;
    }
    if (to >= 0 && packet[12] == 0 && packet[15] == 0) {
        log->longest_answer = bytes > log->longest_answer ? bytes : log->longest_answer;
    }
}

static void no_answer_is_longer_than_the_call(void **state)
{
    struct log log = {0};

    (void)state;
    open_net(1, MESH_SECURITY_NONE, 1);
    net.seen = log_calls;
    net.app = &log;
    open_first();
    session_net_call(&net, NULL, 0, SECOND);
    session_net_call(&net, NULL, MESH_WIRE_VERSION + 1, SECOND);
    session_net_run(&net, SECOND, NULL);
    assert_int_equal(net.client[1].why, MESH_SESSION_FULL);
    assert_int_equal(net.client[2].why, MESH_SESSION_VERSION);
    assert_true(log.longest_answer > 0 && log.longest_answer <= log.shortest_call);
    session_net_release(&net);
}

static void a_replayed_call_opens_no_session(void **state)
{
    struct log log = {0};

    (void)state;
    open_net(4, MESH_SECURITY_SEAL, 1);
    net.seen = log_calls;
    net.app = &log;
    open_first();
    assert_int_equal(log.count, 2);            /* without and with the cookie */
    for (unsigned i = 0; i < log.count; i++) { /* while it is open: the same answers again */
        session_net_inject(&net, session_net_addr(0), log.call[i], log.bytes[i]);
        session_net_inject(&net, session_net_addr(9), log.call[i], log.bytes[i]);
    }
    assert_int_equal(stats().refused[MESH_SESSION_BY_COOKIE], 1); /* at another address */
    assert_int_equal(stats().open_now, 1);
    mesh_call_close(net.client[0].call, net.now_ns);
    session_net_run(&net, SECOND, is_first_over);
    for (int k = 0; k < 60; k++) { /* after that: until the cookie is too old, and beyond */
        session_net_inject(&net, session_net_addr(0), log.call[1], log.bytes[1]);
        session_net_run(&net, SECOND / 10, NULL);
        assert_int_equal(stats().open_now, 0);
    }
    assert_true(stats().refused[MESH_SESSION_BY_REPLAY] > 10);
    assert_true(stats().refused[MESH_SESSION_BY_COOKIE] > 10);
    assert_int_equal(net.opened, 1);
    session_net_release(&net);
}

static void datagrams_of_other_sessions_and_addresses_are_refused(void **state)
{
    struct mesh_message ping = {
        .header = {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_PING, .src = 1, .number = 500}};
    uint8_t packet[200];
    size_t bytes;

    (void)state;
    open_net(4, MESH_SECURITY_NONE, 1);
    open_first();
    ping.header.epoch = 0x80000000u | net.session[0];
    bytes = mesh_wire_encode(&ping, packet, sizeof packet);
    assert_int_equal(session_net_inject(&net, session_net_addr(5), packet, bytes), MESH_ESENDER);
    assert_int_equal(session_net_inject(&net, session_net_addr(0), packet, bytes), 0);
    assert_int_equal(session_net_inject(&net, session_net_addr(0), packet, bytes), MESH_EDUPLICATE);
    ping.header.epoch ^= 1;
    bytes = mesh_wire_encode(&ping, packet, sizeof packet);
    assert_int_equal(session_net_inject(&net, session_net_addr(0), packet, bytes), MESH_EEPOCH);
    ping.header.epoch = 5;
    bytes = mesh_wire_encode(&ping, packet, sizeof packet);
    assert_int_equal(session_net_inject(&net, session_net_addr(0), packet, bytes), MESH_EEPOCH);
    assert_int_equal(session_net_inject(&net, session_net_addr(0), packet, 10), MESH_ETRUNCATED);
    assert_int_equal(stats().refused[MESH_SESSION_BY_SENDER], 1);
    assert_int_equal(stats().refused[MESH_SESSION_BY_UNKNOWN], 1);
    assert_int_equal(stats().refused[MESH_SESSION_BY_FORM], 2);
    session_net_release(&net);
}

/* Every tenth datagram has a flipped bit, and strangers send changed copies of what they see. */
static struct session_net_packet seen[64];
static unsigned seen_count;

static void remember(void *app, int to, const uint8_t *packet, size_t bytes)
{
    struct session_net_packet *slot = &seen[seen_count++ % 64];

    (void)app, (void)to;
    slot->bytes = bytes;
    memcpy(slot->packet, packet, bytes);
}

static void mutated_datagrams_change_nothing_where_there_is_a_key(void **state)
{
    (void)state;
    open_net(4, MESH_SECURITY_SEAL, 3);
    net.seen = remember;
    net.mutate_ppm = 100000;
    open_first();
    for (int i = 0; i < 30000; i++) {
        struct session_net_packet packet = seen[session_net_draw(&net) % 64];

        if (i % 300 == 0) {
            mesh_call_send(net.client[0].call, net.now_ns, record, sizeof record);
            session_net_run(&net, SECOND / 10, NULL);
        }
        if (packet.bytes == 0) {
            continue;
        }
        packet.packet[session_net_draw(&net) % packet.bytes] ^= (uint8_t)(1u << session_net_draw(&net) % 8);
        if (session_net_draw(&net) % 8 == 0) {
            packet.bytes = session_net_draw(&net) % packet.bytes;
        }
        session_net_inject(&net, session_net_addr((unsigned)(session_net_draw(&net) % 2)), packet.packet, packet.bytes);
    }
    session_net_run(&net, 3 * SECOND, NULL);
    assert_int_equal(net.opened, 1);
    assert_int_equal(stats().open_now, 1);
    assert_int_equal(net.client[0].closed, 0);
    assert_int_equal(net.client[0].records, 100);
    assert_memory_equal(net.client[0].last, record, sizeof record);
    assert_true(stats().refused[MESH_SESSION_BY_TAG] > 10000);
    session_net_release(&net);
}

static void mutated_datagrams_do_no_harm_where_there_is_none(void **state)
{
    (void)state;
    open_net(4, MESH_SECURITY_NONE, 3);
    net.seen = remember;
    open_first();
    for (int i = 0; i < 50000; i++) {
        struct session_net_packet packet = seen[session_net_draw(&net) % 64];

        for (int k = 0; k < 2 && packet.bytes > 0; k++) {
            packet.packet[session_net_draw(&net) % packet.bytes] ^= (uint8_t)(1u << session_net_draw(&net) % 8);
        }
        session_net_inject(&net, session_net_addr((unsigned)(session_net_draw(&net) % 3)), packet.packet, packet.bytes);
        if (i % 500 == 0) {
            session_net_run(&net, SECOND / 100, NULL);
        }
    }
    assert_true(stats().open_now <= 4);
    session_net_release(&net);
}

/* ---- limits ---- */

static void a_full_node_says_so_and_has_room_again_later(void **state)
{
    (void)state;
    open_net(2, MESH_SECURITY_NONE, 1);
    for (int i = 0; i < 3; i++) {
        session_net_call(&net, NULL, 0, 5 * SECOND);
        session_net_run(&net, SECOND / 10, NULL);
    }
    assert_int_equal(net.opened, 2);
    assert_int_equal(net.client[2].failed, 1);
    assert_int_equal(net.client[2].why, MESH_SESSION_FULL);
    mesh_call_close(net.client[0].call, net.now_ns);
    session_net_run(&net, SECOND / 10, NULL);
    session_net_call(&net, NULL, 0, 5 * SECOND);
    session_net_run(&net, SECOND / 10, NULL);
    assert_int_equal(net.client[3].opened, 1);
    session_net_release(&net);
}

/* As with a loop in a shell, or a web page that asks one question at a time. */
static void thousands_of_clients_have_sessions_one_after_the_other(void **state)
{
    const unsigned clients = 3000;
    uint64_t begin_ns;

    (void)state;
    open_net(2, MESH_SECURITY_NONE, 1);
    begin_ns = net.now_ns;
    for (unsigned i = 0; i < clients; i++) {
        session_net_call(&net, NULL, 0, SECOND);
        session_net_run(&net, SECOND, is_first_open);
        mesh_call_close(net.client[0].call, net.now_ns);
        session_net_run(&net, SECOND / 2000, is_first_over);
        session_net_forget_last(&net);
    }
    assert_int_equal(net.opened, clients);
    assert_true(net.now_ns - begin_ns < 4 * SECOND); /* for this long each is remembered */
    session_net_release(&net);
}

static void a_node_that_ends_closes_all_and_refuses(void **state)
{
    (void)state;
    open_net(4, MESH_SECURITY_NONE, 1);
    open_first();
    mesh_sessions_end(net.node, net.now_ns);
    session_net_call(&net, NULL, 0, 5 * SECOND);
    session_net_run(&net, SECOND, NULL);
    assert_int_equal(net.client[0].closed, 1);
    assert_int_equal(net.client[0].why, MESH_SESSION_GOODBYE);
    assert_int_equal(net.client[1].failed, 1);
    assert_int_equal(net.client[1].why, MESH_SESSION_ENDING);
    assert_int_equal(stats().open_now, 0);
    session_net_release(&net);
}

static void silence_closes_a_session_on_both_sides(void **state)
{
    (void)state;
    open_net(4, MESH_SECURITY_NONE, 1);
    open_first();
    session_net_run(&net, 60 * SECOND, NULL); /* pings keep it open */
    assert_int_equal(net.closed + net.client[0].closed, 0);
    net.loss_ppm = 1000000;
    session_net_run(&net, 9 * SECOND, NULL);
    assert_int_equal(net.closed + net.client[0].closed, 0);
    session_net_run(&net, 2 * SECOND, NULL);
    assert_int_equal(net.closed, 1);
    assert_int_equal(net.why, MESH_SESSION_SILENT);
    assert_int_equal(net.client[0].closed, 1);
    assert_int_equal(net.client[0].why, MESH_SESSION_SILENT);
    assert_int_equal(stats().open_now, 0);
    session_net_release(&net);
}

static void nobody_there_is_a_failure_in_time(void **state)
{
    (void)state;
    open_net(4, MESH_SECURITY_NONE, 1);
    net.node_is_silent = true;
    session_net_call(&net, NULL, 0, 2 * SECOND);
    session_net_run(&net, 1999 * SECOND / 1000, NULL);
    assert_int_equal(net.client[0].failed, 0);
    session_net_run(&net, SECOND / 100, NULL);
    assert_int_equal(net.client[0].failed, 1);
    assert_int_equal(net.client[0].why, MESH_SESSION_NO_ANSWER);
    assert_in_range(net.sent, 10, 30); /* 5 ms doubling to 200 ms, and the node's datagrams */
    session_net_run(&net, 10 * SECOND, NULL);
    assert_int_equal(net.opened, 0);
    assert_int_equal(stats().open_now, 0); /* no state of it is kept */
    session_net_release(&net);
}

static void a_full_queue_says_again(void **state)
{
    int err = 0, count = 0;

    (void)state;
    open_net(4, MESH_SECURITY_NONE, 1);
    open_first();
    assert_int_equal(mesh_sessions_send(net.node, net.now_ns, net.session[0] ^ 1, record, 1), MESH_ESTATE);
    while (err == 0 && count < 1000) {
        err = mesh_call_send(net.client[0].call, net.now_ns, record, sizeof record);
        count += err == 0;
    }
    assert_int_equal(err, MESH_AGAIN);
    session_net_run(&net, SECOND, NULL);
    assert_int_equal(net.records, count);
    session_net_release(&net);
}

static void every_reason_has_a_word(void **state)
{
    (void)state;
    for (unsigned a = 0; a < MESH_SESSION_REFUSALS; a++)
        for (unsigned b = 0; b < a; b++)
            assert_string_not_equal(mesh_session_refusal_name((enum mesh_session_refusal)a),
                                    mesh_session_refusal_name((enum mesh_session_refusal)b));
    assert_string_equal(mesh_session_refusal_name(MESH_SESSION_BY_FORM), "form");
    assert_string_equal(mesh_session_refusal_name(MESH_SESSION_BY_ENDING), "ending");
    assert_string_equal(mesh_session_refusal_name(MESH_SESSION_REFUSALS), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_opens_echoes_and_closes),
        cmocka_unit_test(what_was_sent_before_a_close_arrives),
        cmocka_unit_test(sessions_work_over_a_bad_network),
        cmocka_unit_test(a_client_with_another_key_gets_no_answer),
        cmocka_unit_test(a_client_without_a_key_gets_no_answer),
        cmocka_unit_test(another_version_is_told_so),
        cmocka_unit_test(no_answer_is_longer_than_the_call),
        cmocka_unit_test(a_replayed_call_opens_no_session),
        cmocka_unit_test(datagrams_of_other_sessions_and_addresses_are_refused),
        cmocka_unit_test(mutated_datagrams_change_nothing_where_there_is_a_key),
        cmocka_unit_test(mutated_datagrams_do_no_harm_where_there_is_none),
        cmocka_unit_test(a_full_node_says_so_and_has_room_again_later),
        cmocka_unit_test(thousands_of_clients_have_sessions_one_after_the_other),
        cmocka_unit_test(a_node_that_ends_closes_all_and_refuses),
        cmocka_unit_test(silence_closes_a_session_on_both_sides),
        cmocka_unit_test(nobody_there_is_a_failure_in_time),
        cmocka_unit_test(a_full_queue_says_again),
        cmocka_unit_test(every_reason_has_a_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
