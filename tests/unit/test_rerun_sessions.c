/* A node's client sessions that are run again from their tape: the same input gives the same output, whatever protected it, and differences
 * are found where they occur. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "session_net.h"
#include "tapes.h"

#define SECOND UINT64_C(1000000000)

enum { CAPACITY = 3, CLIENTS = 7 };

static struct session_net net; /* too large for the stack */
static struct tape tape;

/* More clients than permitted, some one after the other and some at once, over a bad network; the node refuses the last ones. */
static void record_sessions(enum mesh_security security, uint64_t seed, bool leaves_payloads)
{
    static uint8_t record[SESSION_NET_RECORD_BYTES];

    tape_init(&tape);
    tape.hash = mesh_hash16;
    tape.leaves_payloads = leaves_payloads;
    if (!session_net_init_tapped(&net, CAPACITY, security, seed, &tape.tap)) {
        print_message("built without libsodium\n");
        skip();
    }
    net.loss_ppm = net.duplicate_ppm = net.reorder_ppm = 100000;
    net.mutate_ppm = 50000;
    for (unsigned i = 0; i < sizeof record; i++)
        record[i] = (uint8_t)(i * 7 + i / 256);
    for (unsigned i = 0; i < CLIENTS; i++) {
        session_net_call(&net, NULL, i == 4 ? 99 : 0, 5 * SECOND);
        session_net_run(&net, SECOND / 4, NULL);
        for (unsigned k = 0; k < 5 && net.client[i].opened > 0; k++)
            mesh_call_send(net.client[i].call, net.now_ns, record, k == 0 ? sizeof record : 10 + k);
        session_net_run(&net, SECOND / 4, NULL);
        if (i % 2 == 0)
            mesh_call_close(net.client[i].call, net.now_ns);
        else
            mesh_sessions_close(net.node, net.now_ns, net.session[0]);
    }
    mesh_sessions_end(net.node, net.now_ns);
    session_net_call(&net, NULL, 0, SECOND);
    session_net_run(&net, 15 * SECOND, NULL);
}

static void release(void)
{
    session_net_release(&net);
    tape_release(&tape);
}

static int run_again(const struct tape *which, struct mesh_rerun_difference *difference, struct mesh_rerun_stats *stats)
{
    struct mesh_rerun *rerun;
    const int err = tape_rerun(which, &rerun);

    *difference = *mesh_rerun_difference(rerun);
    if (stats != NULL)
        mesh_rerun_get_stats(rerun, stats);
    if (err < 0)
        print_message("%s\n", mesh_rerun_reason(rerun));
    mesh_rerun_close(rerun);
    return err;
}

static void sessions_run_again_say_the_same_whatever_protected_them(void **state)
{
    static const enum mesh_security ways[] = {MESH_SECURITY_NONE, MESH_SECURITY_AUTH, MESH_SECURITY_SEAL};
    struct mesh_rerun_difference difference;
    struct mesh_rerun_stats stats;

    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        record_sessions(ways[i % 3], i + 1, false);
        if (run_again(&tape, &difference, &stats) != 0)
            fail_msg("seed %u, entry %llu: how %d, kind %u and %u", i + 1, (unsigned long long)difference.index, difference.outcome,
                     difference.expected.call.kind, difference.actual.call.kind);
        assert_int_equal(stats.entries, tape.count);
        assert_int_equal(stats.payloads_unknown, 0);
        assert_true(net.opened > 1 && net.records > 0 && net.mutated > 0);
        assert_true(stats.datagrams_out > 20 && stats.payloads_compared > 5);
        release();
    }
}

static void without_what_was_said_all_else_is_compared(void **state)
{
    struct mesh_rerun_difference difference;
    struct mesh_rerun_stats stats;

    (void)state;
    record_sessions(MESH_SECURITY_NONE, 5, true);
    assert_int_equal(run_again(&tape, &difference, &stats), 0);
    assert_int_equal(stats.payloads_compared, 0);
    assert_true(stats.payloads_unknown > 5);
    release();
}

/* ---- secrets ---- */

static bool has_bytes(const uint8_t *bytes, size_t count)
{
    return memmem(tape.bytes, tape.size, bytes, count) != NULL;
}

static void no_key_is_on_the_tape(void **state)
{
    (void)state;
    record_sessions(MESH_SECURITY_SEAL, 3, false);
    assert_false(has_bytes(net.key.bytes, sizeof net.key.bytes));
    assert_false(has_bytes(net.node_seal.process.bytes, sizeof net.node_seal.process.bytes));
    release();
    record_sessions(MESH_SECURITY_SEAL, 3, false); /* while sessions are open their keys exist */
    session_net_run(&net, SECOND, NULL);
    for (unsigned i = 0; i < CAPACITY; i++)
        for (unsigned side = 0; side < 2; side++) {
            const uint8_t *key = net.node_seal.keys[i][side].bytes;
            uint8_t none[MESH_KEY_BYTES] = {0};

            assert_true(memcmp(key, none, sizeof none) == 0 || !has_bytes(key, sizeof none));
        }
    release();
}

static void a_datagram_that_cannot_be_opened_is_not_told(void **state)
{
    uint8_t junk[MESH_HEADER_BYTES + 40] = {0};
    uint64_t before;

    (void)state;
    tape_init(&tape);
    if (!session_net_init_tapped(&net, CAPACITY, MESH_SECURITY_SEAL, 1, &tape.tap)) {
        print_message("built without libsodium\n");
        skip();
    }
    session_net_run(&net, SECOND, NULL);
    before = tape.count;
    for (unsigned i = 0; i < 256; i++) {
        memset(junk, (int)i, sizeof junk);
        session_net_inject(&net, session_net_addr(1), junk, sizeof junk);
    }
    assert_int_equal(tape.count, before);
    release();
}

/* ---- differences ---- */

struct altering {
    unsigned kind;
    uint64_t after, altered; /* the first entry of that kind after so many; its index */
    bool is_done, drops;
    void (*alter)(struct mesh_tape_entry *entry);
};

static bool alter_one(void *app, uint64_t index, struct mesh_tape_entry *entry)
{
    struct altering *a = app;

    if (a->is_done || index < a->after || entry->call.kind != a->kind)
        return true;
    a->is_done = true;
    a->altered = index;
    if (a->alter != NULL)
        a->alter(entry);
    return !a->drops;
}

static void expect_difference(struct altering altering, enum mesh_rerun_outcome outcome, struct mesh_rerun_difference *difference)
{
    struct tape other;

    tape_copy(&other, &tape, alter_one, &altering);
    other.hash = tape.hash;
    assert_true(altering.is_done);
    assert_int_equal(run_again(&other, difference, NULL), 1);
    assert_int_equal(difference->outcome, outcome);
    if (!altering.drops)
        assert_int_equal(difference->index, altering.altered);
    tape_release(&other);
}

static void wait_longer(struct mesh_tape_entry *entry)
{
    entry->call.due_ns += 10000;
}

static void take_another_session(struct mesh_tape_entry *entry)
{
    entry->sessions_send.session ^= 1;
}

static void say_another_reason(struct mesh_tape_entry *entry)
{
    entry->sessions_event.why++;
}

static void the_first_difference_is_named(void **state)
{
    struct mesh_rerun_difference difference;

    (void)state;
    record_sessions(MESH_SECURITY_NONE, 2, false);
    expect_difference((struct altering){.kind = MESH_TAPE_SESSIONS_TICK, .after = 50, .alter = wait_longer}, MESH_RERUN_DIFFERENT,
                      &difference);
    expect_difference((struct altering){.kind = MESH_TAPE_SESSIONS_EVENT, .alter = say_another_reason}, MESH_RERUN_DIFFERENT, &difference);
    expect_difference((struct altering){.kind = MESH_TAPE_SESSIONS_SEND, .alter = take_another_session}, MESH_RERUN_IMPOSSIBLE,
                      &difference);
    assert_non_null(difference.reason);
    expect_difference((struct altering){.kind = MESH_TAPE_SESSIONS_RECEIVE, .drops = true}, MESH_RERUN_MISSING, &difference);
    expect_difference((struct altering){.kind = MESH_TAPE_SESSIONS_DATAGRAM, .drops = true}, MESH_RERUN_DIFFERENT, &difference);
    release();
}

static void what_no_sessions_ever_told_is_refused(void **state)
{
    struct mesh_tape_entry entry = {
        .sessions_init = {.kind = MESH_TAPE_SESSIONS_INIT, .format = MESH_TAPE_FORMAT, .capacity = MESH_SESSIONS_MAX + 1, .version = 1}};
    struct mesh_rerun *rerun;

    (void)state;
    mesh_hash16("", 0, entry.sessions_init.hash);
    assert_int_equal(mesh_rerun_open(&rerun, mesh_hash16), 0);
    assert_int_equal(mesh_rerun_feed(rerun, &entry), MESH_EINVAL);
    entry.sessions_init.capacity = 1;
    entry.sessions_init.hash[0] ^= 1;
    assert_int_equal(mesh_rerun_feed(rerun, &entry), MESH_ESTATE);
    entry.sessions_init.hash[0] ^= 1;
    assert_int_equal(mesh_rerun_feed(rerun, &entry), 1); /* it is due otherwise: never */
    mesh_rerun_close(rerun);
    assert_int_equal(mesh_rerun_open(&rerun, mesh_hash16), 0);
    entry = (struct mesh_tape_entry){.call = {.kind = MESH_TAPE_SESSIONS_TICK}};
    assert_int_equal(mesh_rerun_feed(rerun, &entry), MESH_EINVAL);
    mesh_rerun_close(rerun);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_run_again_say_the_same_whatever_protected_them),
        cmocka_unit_test(without_what_was_said_all_else_is_compared),
        cmocka_unit_test(no_key_is_on_the_tape),
        cmocka_unit_test(a_datagram_that_cannot_be_opened_is_not_told),
        cmocka_unit_test(the_first_difference_is_named),
        cmocka_unit_test(what_no_sessions_ever_told_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
