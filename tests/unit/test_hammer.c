/* A stranger's attempts with a million overheard datagrams: none is accepted, each is counted under a reason, no state changes, and no
 * answer is longer than what it answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hammer.h"
#include "net.h"
#include "node/epoch/packet_filter.h"
#include "seal_case.h"
#include "session_net.h"
#include "simmembers.h"

enum { RANKS = 3 };

static struct hammer hammer;

static void begin_hammer(void)
{
    memset(&hammer, 0, sizeof hammer);
    hammer.random = 20261126;
    if (!mesh_seal_is_available()) {
        print_message("built without libsodium\n");
        skip();
    }
}

static uint64_t sum(const uint64_t *counts, size_t count)
{
    uint64_t all = 0;

    for (size_t i = 0; i < count; i++)
        all += counts[i];
    return all;
}

/* ---- an epoch ---- */

static struct mesh_sealer sealer[RANKS];

/* Called for every datagram sent: its bytes are made again, since the net shows only the message. */
static bool overhear(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    uint8_t packet[65536];

    (void)net;
    assert_int_equal(mesh_wire_encode(message, packet, sizeof packet), bytes);
    assert_int_equal(mesh_sealer_seal(&sealer[from], packet, bytes), 0);
    hammer_record(&hammer, from, to, packet, bytes);
    return false;
}

static struct net *exchange(void)
{
    struct net *net = net_new(RANKS);
    struct net_gather gather;

    for (uint16_t rank = 0; rank < RANKS; rank++) {
        seal_case_init(&sealer[rank], rank, MESH_SECURITY_SEAL);
        net->config[rank].epoch = SEAL_CASE_EPOCH;
    }
    net->drop = overhear;
    net_up(net);
    for (uint64_t step = 0; step < 8; step++) {
        net_gather_init(net, &gather, step, 0, 3, 90);
        for (uint16_t rank = 0; rank < RANKS; rank++)
            net_gather_open(net, &gather, rank);
        for (uint16_t rank = 0; rank < RANKS; rank++)
            net_gather_publish(net, &gather, rank);
        net_run(net, 20 * NET_MS);
        for (uint16_t rank = 0; rank < RANKS; rank++)
            mesh_consume(net->mesh[rank], net->now_ns, step, 0);
        net_run(net, 20 * NET_MS);
        net_gather_release(net, &gather);
    }
    net->drop = NULL;
    net_run(net, 100 * NET_MS); /* so that all that was overheard has arrived */
    return net;
}

static uint8_t type_of(const uint8_t *packet)
{
    return packet[offsetof(struct mesh_header_bytes, type)];
}

/* A repeated HELLO is answered again, since the first answer may have been lost. */
static bool is_hello(const uint8_t *packet)
{
    return type_of(packet) == MESH_TYPE_HELLO || type_of(packet) == MESH_TYPE_HELLO_ACK;
}

static uint32_t answer_hello(struct mesh *mesh, struct mesh_sealer *with, uint64_t now_ns, size_t bytes)
{
    uint8_t answer[1500];
    struct mesh_output output;
    struct mesh_event event;
    size_t said = 0;

    while (mesh_next_datagram(mesh, now_ns, answer, sizeof answer, &output))
        if (mesh_sealer_seal(with, answer, output.bytes) == 0) /* strangers receive no refusals */
            said += output.bytes;
    assert_true(said <= bytes);
    assert_false(mesh_next_event(mesh, &event));
    return mesh_state_hash(mesh);
}

static uint64_t refused_in_epoch(struct net *net)
{
    struct mesh_stats stats;
    uint64_t all = 0;

    for (uint16_t rank = 0; rank < RANKS; rank++) {
        mesh_get_stats(net->mesh[rank], &stats);
        all += sum(stats.dropped, sizeof stats.dropped / sizeof *stats.dropped) + sum(sealer[rank].refused, MESH_SEAL_REFUSALS);
    }
    return all;
}

static void an_epoch_takes_nothing_of_it(void **state)
{
    uint32_t before[RANKS];
    struct net *net;
    uint64_t counted, hellos = 0;

    (void)state;
    begin_hammer();
    net = exchange();
    assert_true(hammer.count > 200);
    counted = refused_in_epoch(net);
    for (uint16_t rank = 0; rank < RANKS; rank++)
        before[rank] = answer_hello(net->mesh[rank], &sealer[rank], net->now_ns, SIZE_MAX); /* whatever was still to be sent */
    for (unsigned i = 0; i < HAMMER_COPIES; i++) {
        const bool is_same = hammer_next(&hammer, RANKS);
        struct mesh *mesh = net->mesh[hammer.to];
        int err = mesh_sealer_open(&sealer[hammer.to], hammer.packet, hammer.bytes);

        if (err == 0) {
            assert_true(is_same);
            err = mesh_receive(mesh, net->now_ns, net_addr(hammer.from), hammer.packet, hammer.bytes);
        }
        if (i % 1000 == 0 && err != 0)
            assert_int_equal(mesh_state_hash(mesh), before[hammer.to]);
        if (err != 0)
            continue;
        assert_true(is_hello(hammer.packet));
        before[hammer.to] = answer_hello(mesh, &sealer[hammer.to], net->now_ns, hammer.bytes);
        hellos++;
    }
    for (uint16_t rank = 0; rank < RANKS; rank++)
        assert_int_equal(mesh_state_hash(net->mesh[rank]), before[rank]);
    assert_int_equal(refused_in_epoch(net) - counted + hellos, HAMMER_COPIES);
    net_free(net);
}

/* ---- the cluster layer, behind the filter ---- */

static struct simmembers members;
static struct packet_filter filter[RANKS];
static const struct mesh_key key = {.bytes = {1, 2, 3}};

static bool overhear_members(struct simmembers *all, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    const size_t bytes = mesh_wire_encode(message, packet, sizeof packet);
    struct mesh_seal_key sender;

    (void)all;
    assert_int_equal(mesh_seal_key_of_process(&sender, &key, "mesh", message->as.alive.incarnation), 0);
    assert_int_equal(mesh_seal_packet(&sender, MESH_SECURITY_SEAL, packet, bytes), 0);
    hammer_record(&hammer, from, to, packet, bytes);
    return false;
}

static size_t drain_said(struct mesh_cluster *cluster, uint64_t now_ns)
{
    uint8_t answer[MESH_DATAGRAM_BYTES_MIN];
    struct mesh_output output;
    size_t said = 0;

    while (mesh_cluster_next_datagram(cluster, now_ns, answer, sizeof answer, &output))
        said += output.bytes;
    return said;
}

static void form_and_change(void)
{
    struct mesh_sim_link link = simmembers_link();

    simmembers_open(&members, RANKS, 5, &link);
    members.loses = overhear_members;
    simmembers_form(&members);
    for (int i = 0; i < 3; i++) { /* each time another epoch, and another process at one place */
        simmembers_crash(&members, 2);
        assert_true(simmembers_run_agree(&members, 3, 20 * SIMMEMBERS_S) != UINT64_MAX);
        simmembers_add_seed(&members, 2, 0);
        simmembers_start(&members, 2);
        assert_true(simmembers_run_agree(&members, 7, 20 * SIMMEMBERS_S) != UINT64_MAX);
    }
    members.loses = NULL;
    assert_true(simmembers_run(&members, 2 * SIMMEMBERS_S)); /* so that all that was overheard has arrived */
    for (uint16_t place = 0; place < RANKS; place++) {
        drain_said(members.at[place].cluster, simmembers_clock(&members, place));
        memset(&filter[place], 0, sizeof filter[place]);
        packet_filter_init(&filter[place], MESH_SECURITY_SEAL, &key, "mesh", 3 + place);
    }
}

static uint64_t refused_by_filters(uint64_t *rate)
{
    struct packet_filter_stats stats;
    uint64_t all = 0;

    *rate = 0;
    for (uint16_t place = 0; place < RANKS; place++) {
        packet_filter_get_stats(&filter[place], &stats);
        *rate += stats.rate;
        all += stats.replay + stats.rate + stats.full + sum(stats.cluster, MESH_SEAL_REFUSALS) + sum(stats.clients, MESH_SESSION_REFUSALS);
    }
    return all;
}

/* An ASK of a process that is gone may be answered once more, which changes no state; everything else is dropped. */
static void hand_over(uint64_t *passed)
{
    const uint16_t to = hammer.to;
    struct mesh_cluster *cluster = members.at[to].cluster;
    const uint64_t now_ns = simmembers_clock(&members, to);
    const uint32_t before = mesh_cluster_state_hash(cluster);
    struct packet_ring_entry *packet = packet_ring_first(&filter[to].ring);
    int err = mesh_cluster_receive(cluster, now_ns, mesh_sim_addr(hammer.from), packet->bytes, packet->size);

    assert_true(err != 0 || type_of(packet->bytes) == MESH_TYPE_ASK || type_of(packet->bytes) == MESH_TYPE_ALIVE);
    assert_true(drain_said(cluster, now_ns) <= packet->size);
    assert_int_equal(mesh_cluster_state_hash(cluster), before);
    packet_ring_drop(&filter[to].ring);
    ++*passed;
}

static void the_cluster_layer_takes_nothing_of_it(void **state)
{
    uint64_t passed = 0, rate;

    (void)state;
    begin_hammer();
    form_and_change();
    assert_true(hammer.count > 200);
    for (unsigned i = 0; i < HAMMER_COPIES; i++) {
        const bool is_same = hammer_next(&hammer, RANKS);
        /* A datagram of this layer does not name its receiver: an unchanged one is only replayed to its original receiver. */
        const uint16_t to = hammer.to = is_same ? hammer.meant : hammer.to;
        const bool is_in = packet_filter_take(&filter[to], UINT64_C(1000000) * i, mesh_sim_addr(hammer.from), hammer.packet, hammer.bytes);

        if (is_in) {
            assert_true(is_same);
            hand_over(&passed);
        }
    }
    assert_int_equal(refused_by_filters(&rate) + passed, HAMMER_COPIES);
    assert_true(passed <= RANKS * hammer.count); /* each once at each member, since the filters have not seen them yet */
    assert_true(rate < HAMMER_COPIES / 100);     /* most have been tried */
    simmembers_close(&members);
}

/* ---- client sessions ---- */

static struct session_net net;
static size_t answered;

static void overhear_session(void *app, int to, const uint8_t *packet, size_t bytes)
{
    (void)app;
    if (to < 0)
        hammer_record(&hammer, 0, 0, packet, bytes);
    else
        answered += bytes;
}

static bool is_first_up(const struct session_net *all)
{
    return all->client[0].opened > 0 || all->client[0].failed > 0;
}

static void sessions_take_nothing_of_it(void **state)
{
    static const uint8_t record[3000] = {1};
    struct mesh_sessions_stats stats;
    uint64_t before, again = 0;

    (void)state;
    begin_hammer();
    assert_true(session_net_init(&net, 4, MESH_SECURITY_SEAL, 8));
    net.seen = overhear_session;
    net.echoes = true;
    session_net_call(&net, NULL, 0, 5 * SIMMEMBERS_S);
    session_net_run(&net, 5 * SIMMEMBERS_S, is_first_up);
    for (int i = 0; i < 20; i++) {
        mesh_call_send(net.client[0].call, net.now_ns, record, sizeof record);
        session_net_run(&net, SIMMEMBERS_S / 10, NULL);
    }
    assert_int_equal(net.client[0].records, 20);
    net.seen = NULL;
    session_net_run(&net, SIMMEMBERS_S, NULL); /* so that all that was overheard has arrived */
    assert_true(hammer.count > 60);
    net.seen = overhear_session;
    mesh_sessions_get_stats(net.node, &stats);
    before = sum(stats.refused, MESH_SESSION_REFUSALS);
    for (unsigned i = 0, recorded = hammer.count; i < HAMMER_COPIES / 2; i++) {
        const bool is_same = hammer_next(&hammer, 3);
        int err;

        answered = 0;
        err = session_net_inject(&net, session_net_addr(hammer.from), hammer.packet, hammer.bytes);
        assert_true(err != 0 || (is_same && (type_of(hammer.packet) == MESH_TYPE_CALL || is_hello(hammer.packet))));
        assert_true(answered <= hammer.bytes);
        again += err == 0 || err == MESH_EDUPLICATE;
        hammer.count = recorded;
    }
    mesh_sessions_get_stats(net.node, &stats);
    assert_int_equal(stats.open_now, 1);
    assert_int_equal(stats.opened, 1);
    assert_in_range(sum(stats.refused, MESH_SESSION_REFUSALS) - before, HAMMER_COPIES / 2 - again, HAMMER_COPIES / 2);
    assert_int_equal(net.client[0].closed, 0);
    session_net_release(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_takes_nothing_of_it),
        cmocka_unit_test(the_cluster_layer_takes_nothing_of_it),
        cmocka_unit_test(sessions_take_nothing_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
