/* The filter: junk stays outside, is counted by its reason, and takes nothing from members; nor do recorded datagrams of others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/wire.h"
#include "node/bench/flood.h"
#include "node/epoch/packet_filter.h"

enum { S = 1000000000 };

static const struct mesh_key key = {.bytes = {7}}, other_key = {.bytes = {8}};
static const struct mesh_addr member = {.ip = {1}, .port = 1}, stranger = {.ip = {2}, .port = 2};
static struct packet_filter filter;
static uint8_t packet[PACKET_RING_BYTES];

static int open_filter(void **state)
{
    (void)state;
    memset(&filter, 0, sizeof filter);
    packet_filter_init(&filter, MESH_SECURITY_SEAL, &key, "mesh", 99);
    return 0;
}

/* Writes a sealed sign of life of process `which`; returns its size. */
static size_t write_alive(uint8_t which, uint64_t number, const struct mesh_key *with)
{
    struct mesh_message message = {
        .header = {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_ALIVE, .number = number}};
    struct mesh_seal_key sender;
    size_t bytes;

    memset(message.as.alive.incarnation, which, sizeof message.as.alive.incarnation);
    bytes = mesh_wire_encode(&message, packet, sizeof packet);
    assert_int_equal(mesh_seal_key_of_process(&sender, with, "mesh", message.as.alive.incarnation), 0);
    assert_int_equal(mesh_seal_packet(&sender, MESH_SECURITY_SEAL, packet, bytes), 0);
    return bytes;
}

static unsigned drain(void)
{
    unsigned count = 0;

    for (; packet_ring_first(&filter.ring) != NULL; count++)
        packet_ring_drop(&filter.ring);
    return count;
}

static uint64_t refused(void)
{
    struct packet_filter_stats stats;
    uint64_t sum;

    packet_filter_get_stats(&filter, &stats);
    sum = stats.rate + stats.replay + stats.full;
    for (int i = 0; i < MESH_SEAL_REFUSALS; i++)
        sum += stats.cluster[i];
    for (int i = 0; i < MESH_SESSION_REFUSALS; i++)
        sum += stats.clients[i];
    return sum;
}

static void a_member_is_let_in_opened_and_once(void **state)
{
    const size_t bytes = write_alive(5, 9, &key);
    struct mesh_message message;

    (void)state;
    assert_true(packet_filter_take(&filter, S, member, packet, bytes));
    assert_int_equal(mesh_wire_decode(packet_ring_first(&filter.ring)->bytes, bytes, &message), 0);
    assert_int_equal(message.as.alive.incarnation[0], 5);
    assert_false(packet_filter_take(&filter, S, member, packet, bytes));
    assert_int_equal(filter.stats.replay, 1);
    assert_int_equal(drain(), 1);
}

static void another_key_is_refused_and_nothing_is_kept(void **state)
{
    const size_t bytes = write_alive(5, 9, &other_key);

    (void)state;
    assert_false(packet_filter_take(&filter, S, member, packet, bytes));
    assert_int_equal(filter.stats.cluster[MESH_SEAL_TAG], 1);
    for (unsigned set = 0; set < PACKET_FILTER_SETS; set++)
        for (unsigned way = 0; way < PACKET_FILTER_WAYS; way++)
            assert_int_equal(filter.sender[set][way].used, 0);
}

static void what_is_plain_or_of_another_mode_is_told_apart(void **state)
{
    const size_t bytes = write_alive(5, 9, &key);

    (void)state;
    packet[offsetof(struct mesh_header_bytes, flags)] ^= MESH_FLAG_SEALED;
    assert_false(packet_filter_take(&filter, S, member, packet, bytes));
    assert_int_equal(filter.stats.cluster[MESH_SEAL_MODE], 1);
    packet[offsetof(struct mesh_header_bytes, flags)] ^= MESH_FLAG_AUTHENTICATED;
    assert_false(packet_filter_take(&filter, S, member, packet, bytes));
    assert_int_equal(filter.stats.cluster[MESH_SEAL_PLAIN], 1);
}

/* Nor does the filter need to try a tag. */
static void outside_of_epochs_nothing_says_that_it_is_sealed_with_aes(void **state)
{
    static const uint8_t flags[] = {MESH_FLAG_AES, MESH_FLAG_AES_READY, MESH_FLAG_AES | MESH_FLAG_AES_READY};
    size_t bytes;

    (void)state;
    for (size_t i = 0; i < sizeof flags; i++) {
        bytes = write_alive(5, 9, &key);
        packet[offsetof(struct mesh_header_bytes, flags)] |= flags[i];
        assert_false(packet_filter_take(&filter, S, member, packet, bytes));
        assert_int_equal(filter.stats.cluster[MESH_SEAL_MODE], i + 1);
    }
    filter.security = MESH_SECURITY_NONE;
    bytes = write_alive(5, 9, &key);
    packet[offsetof(struct mesh_header_bytes, flags)] = MESH_FLAG_AES;
    assert_false(packet_filter_take(&filter, S, member, packet, bytes));
    packet[offsetof(struct mesh_header_bytes, flags)] = 0;
    assert_true(packet_filter_take(&filter, S, member, packet, bytes));
}

/* One source sends 50,000 datagrams a second: its tags are tried at the source's limited rate, and a member is heard as always. */
static void a_flood_costs_a_bounded_number_of_tries_and_no_member(void **state)
{
    const struct flood flood = {.kind = FLOOD_CLUSTER, .seed = 4};
    uint64_t number = 1, passed = 0, tries;
    uint8_t junk[FLOOD_BYTES_MAX];

    (void)state;
    for (uint64_t i = 0; i < 100000; i++) {
        const uint64_t now_ns = S + i * 20000;

        assert_false(packet_filter_take(&filter, now_ns, stranger, junk, flood_write(&flood, i, junk)));
        if (i % 100 == 0)
            passed += packet_filter_take(&filter, now_ns, member, packet, write_alive(5, number++, &key)) && drain() == 1;
    }
    tries = filter.stats.cluster[MESH_SEAL_TAG];
    assert_int_equal(passed, 1000);
    assert_in_range(tries, 1, 2 * PACKET_FILTER_SOURCE_RATE + PACKET_FILTER_SOURCE_BURST);
    assert_int_equal(tries + filter.stats.rate, 100000);
}

/* A member's incarnation is readable; using it neither bypasses the tag nor silences the member. */
static void who_speaks_for_a_member_is_refused_by_its_tag(void **state)
{
    size_t bytes = write_alive(5, 1, &key);

    (void)state;
    assert_true(packet_filter_take(&filter, S, member, packet, bytes));
    for (uint64_t i = 0; i < 10000; i++) {
        bytes = write_alive(5, 100 + i, &other_key);
        assert_false(packet_filter_take(&filter, S, member, packet, bytes));
    }
    assert_int_equal(filter.stats.cluster[MESH_SEAL_TAG], 10000);
    assert_true(packet_filter_take(&filter, S, member, packet, write_alive(5, 2, &key)));
}

static void a_host_gets_so_many_tries_however_many_ports_it_has(void **state)
{
    struct mesh_addr from = stranger;

    (void)state;
    for (uint16_t i = 0; i < 4 * PACKET_FILTER_HOST_BURST; i++) {
        from.port = (uint16_t)(1000 + i);
        assert_false(packet_filter_take(&filter, S, from, packet, write_alive(5, 1 + i, &other_key)));
    }
    assert_int_equal(filter.stats.cluster[MESH_SEAL_TAG], PACKET_FILTER_HOST_BURST);
    assert_int_equal(filter.stats.rate, 3 * PACKET_FILTER_HOST_BURST);
}

static void junk_from_one_port_of_a_host_does_not_shut_out_another(void **state)
{
    struct mesh_addr from = stranger;

    (void)state;
    for (uint16_t i = 0; i < 4 * PACKET_FILTER_SOURCE_BURST; i++)
        assert_false(packet_filter_take(&filter, S, from, packet, write_alive(5, 1 + i, &other_key)));
    assert_int_equal(filter.stats.cluster[MESH_SEAL_TAG], PACKET_FILTER_SOURCE_BURST);
    from.port++;
    assert_true(packet_filter_take(&filter, S, from, packet, write_alive(6, 1, &key)));
}

/* All that begin with the same byte have their places in one set. */
static struct mesh_cluster_member member_of(uint8_t last)
{
    struct mesh_cluster_member made = {.share = 0};

    memset(made.incarnation, 5, sizeof made.incarnation);
    made.incarnation[15] = last;
    return made;
}

/* Writes a CALL as a client had sent it once, with an incarnation of the set of member_of. */
static size_t write_call(uint8_t which)
{
    struct mesh_message message = {
        .header = {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_CALL, .number = (UINT64_C(1) << 63) + 1},
        .as.calling.nonce = 5};
    struct mesh_seal_key sender;
    size_t bytes;

    memset(message.as.calling.incarnation, which, sizeof message.as.calling.incarnation);
    message.as.calling.incarnation[0] = 5 + PACKET_FILTER_SETS;
    bytes = mesh_wire_encode(&message, packet, sizeof packet);
    assert_int_equal(mesh_seal_key_of_process(&sender, &key, "mesh", message.as.calling.incarnation), 0);
    assert_int_equal(mesh_seal_packet(&sender, MESH_SECURITY_SEAL, packet, bytes), 0);
    return bytes;
}

static void replay_calls(uint8_t count)
{
    for (uint8_t i = 0; i < count; i++)
        packet_filter_take(&filter, S, stranger, packet, write_call(i));
    drain();
}

/* Recorded CALLs are valid: each takes a place, and a member that loses its own is a stranger whose old datagrams are taken again. */
static void replayed_calls_push_no_member_out(void **state)
{
    const struct mesh_cluster_member members[] = {member_of(5), member_of(6)};

    (void)state;
    assert_true(packet_filter_take(&filter, S, member, packet, write_alive(5, 9, &key)));
    packet_filter_set_members(&filter, members, 2);
    replay_calls(2 * PACKET_FILTER_WAYS);
    for (unsigned i = 0; i < 2 * PACKET_FILTER_SOURCE_BURST; i++) /* as from the member's address: no try is left for it */
        packet_filter_take(&filter, S, member, packet, write_alive(77, 1, &other_key));
    assert_false(packet_filter_take(&filter, S, member, packet, write_alive(5, 9, &key)));
    assert_int_equal(filter.stats.replay, 1);
    assert_true(packet_filter_take(&filter, S, member, packet, write_alive(5, 10, &key)));
}

static void members_of_the_next_epoch_take_the_places_of_those_of_the_last(void **state)
{
    struct mesh_cluster_member members[MESH_RANKS_MAX];

    (void)state;
    for (uint8_t round = 0; round < 3; round++) {
        for (uint8_t i = 0; i < MESH_RANKS_MAX; i++)
            members[i] = member_of((uint8_t)(MESH_RANKS_MAX * round + i));
        packet_filter_set_members(&filter, members, MESH_RANKS_MAX); /* more than the set holds */
        for (unsigned way = 0, count = 0; way < PACKET_FILTER_WAYS; way++) {
            count += filter.sender[5][way].is_member;
            assert_in_range(count, way, way + 1);
        }
        assert_true(packet_filter_take(&filter, S, stranger, packet, write_call(round)));
        drain();
    }
    packet_filter_set_members(&filter, NULL, 0);
    replay_calls(PACKET_FILTER_WAYS);
    for (unsigned way = 0; way < PACKET_FILTER_WAYS; way++)
        assert_int_equal(filter.sender[5][way].incarnation[0], 5 + PACKET_FILTER_SETS);
}

static void every_kind_of_junk_is_counted_once(void **state)
{
    struct flood flood = {.epoch = 3};
    uint8_t junk[FLOOD_BYTES_MAX];

    (void)state;
    for (int kind = 0; kind <= FLOOD_MIXED; kind++) {
        flood.kind = (enum flood_kind)kind;
        for (uint64_t i = 0; i < 2000; i++) {
            const uint64_t before = refused();

            assert_false(packet_filter_take(&filter, S, stranger, junk, flood_write(&flood, i, junk)));
            assert_int_equal(refused(), before + 1);
        }
    }
    assert_int_equal(drain(), 0);
}

static size_t write_session(uint32_t session)
{
    const struct mesh_message message = {.header = {.magic = MESH_WIRE_MAGIC,
                                                    .version = MESH_WIRE_VERSION,
                                                    .type = MESH_TYPE_PING,
                                                    .flags = MESH_FLAG_AUTHENTICATED | MESH_FLAG_SEALED,
                                                    .src = 1,
                                                    .epoch = MESH_SESSION_EPOCH | session,
                                                    .number = 1},
                                         .as.ping = {.origin_ns = 1}};

    return mesh_wire_encode(&message, packet, sizeof packet);
}

static void only_open_sessions_from_their_address_are_let_in(void **state)
{
    const struct mesh_session_peer place = {.session = 12, .addr = member};

    (void)state;
    packet_filter_set_sessions(&filter, &place, 1);
    assert_true(packet_filter_take(&filter, S, member, packet, write_session(12)));
    assert_false(packet_filter_take(&filter, S, stranger, packet, write_session(12)));
    assert_int_equal(filter.stats.clients[MESH_SESSION_BY_SENDER], 1);
    assert_false(packet_filter_take(&filter, S, member, packet, write_session(13)));
    assert_int_equal(filter.stats.clients[MESH_SESSION_BY_UNKNOWN], 1);
}

static void what_is_said_in_a_session_leaves_room_for_members(void **state)
{
    const struct mesh_session_peer place = {.session = 77, .addr = stranger};
    const struct mesh_wire_part *part = mesh_wire_message(MESH_TYPE_PING);
    const size_t bytes = MESH_HEADER_BYTES + part->wire_bytes;
    uint8_t junk[PACKET_RING_BYTES] = {0};
    struct mesh_message message = {.header = {.magic = MESH_WIRE_MAGIC,
                                              .version = MESH_WIRE_VERSION,
                                              .type = MESH_TYPE_PING,
                                              .flags = MESH_FLAG_AUTHENTICATED | MESH_FLAG_SEALED,
                                              .src = 1,
                                              .epoch = MESH_SESSION_EPOCH | 77,
                                              .number = 1}};
    unsigned taken = 0;

    (void)state;
    packet_filter_set_sessions(&filter, &place, 1);
    assert_int_equal(mesh_wire_encode(&message, junk, sizeof junk), bytes);
    for (unsigned i = 0; i < PACKET_RING_PACKETS; i++)
        taken += packet_filter_take(&filter, S, stranger, junk, bytes);
    assert_int_equal(taken, PACKET_RING_PACKETS / 2);
    assert_int_equal(filter.stats.full, PACKET_RING_PACKETS - taken);
    assert_true(packet_filter_take(&filter, S, member, packet, write_alive(5, 1, &key)));
}

static void a_ring_that_is_full_is_counted(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < PACKET_RING_PACKETS; i++)
        assert_true(packet_filter_take(&filter, S, member, packet, write_alive(5, i + 1, &key)));
    assert_false(packet_filter_take(&filter, S, member, packet, write_alive(5, PACKET_RING_PACKETS + 1, &key)));
    assert_int_equal(filter.stats.full, 1);
    assert_int_equal(drain(), PACKET_RING_PACKETS);
    assert_true(
        packet_filter_take(&filter, S, member, packet, write_alive(5, PACKET_RING_PACKETS + 1, &key))); /* its number was not recorded */
}

int main(void)
{
#define FILTER_TEST(name) cmocka_unit_test_setup(name, open_filter)
    const struct CMUnitTest tests[] = {
        FILTER_TEST(a_member_is_let_in_opened_and_once),
        FILTER_TEST(another_key_is_refused_and_nothing_is_kept),
        FILTER_TEST(what_is_plain_or_of_another_mode_is_told_apart),
        FILTER_TEST(outside_of_epochs_nothing_says_that_it_is_sealed_with_aes),
        FILTER_TEST(a_flood_costs_a_bounded_number_of_tries_and_no_member),
        FILTER_TEST(who_speaks_for_a_member_is_refused_by_its_tag),
        FILTER_TEST(a_host_gets_so_many_tries_however_many_ports_it_has),
        FILTER_TEST(junk_from_one_port_of_a_host_does_not_shut_out_another),
        FILTER_TEST(replayed_calls_push_no_member_out),
        FILTER_TEST(members_of_the_next_epoch_take_the_places_of_those_of_the_last),
        FILTER_TEST(every_kind_of_junk_is_counted_once),
        FILTER_TEST(only_open_sessions_from_their_address_are_let_in),
        FILTER_TEST(what_is_said_in_a_session_leaves_room_for_members),
        FILTER_TEST(a_ring_that_is_full_is_counted),
    };

    if (!mesh_seal_is_available()) {
        puts("skipped: built without libsodium");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
