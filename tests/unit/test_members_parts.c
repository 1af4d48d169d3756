/* The small parts of the cluster core: ballots, numbers of datagrams, lists in parts, addresses, rules of the configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/core/cluster_parts.h"
#include "libmesh/core/mix.h"
#include "simmembers.h"

static struct mesh_cluster_config config;

static int open_cluster(void **state)
{
    void *memory = aligned_alloc(64, mesh_cluster_memory_bytes());
    struct mesh_cluster *cluster;

    memset(&config, 0, sizeof config);
    memset(config.incarnation, 1, sizeof config.incarnation);
    config.hash = simmembers_hash;
    if (!memory || mesh_cluster_init(&cluster, &config, memory, mesh_cluster_memory_bytes(), 1000) != 0)
        return -1;
    *state = cluster;
    return 0;
}

static int close_cluster(void **state)
{
    free(*state);
    return 0;
}

static struct cluster_ballot ballot(uint32_t number, uint16_t rank, uint8_t proposer, uint32_t round)
{
    struct cluster_ballot made = {number, round, rank, {0}};

    memset(made.proposer, proposer, sizeof made.proposer);
    return made;
}

static void ballots_are_ordered_by_number_rank_incarnation_and_round(void **state)
{
    const struct cluster_ballot rising[] = {
        ballot(1, 0, 1, 9), ballot(2, 3, 1, 1), ballot(2, 2, 9, 1), ballot(2, 2, 4, 1),
        ballot(2, 2, 4, 2), ballot(2, 0, 9, 1), ballot(3, 9, 9, 1),
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rising / sizeof *rising; i++)
        for (unsigned k = 0; k < sizeof rising / sizeof *rising; k++) {
            int order = mesh_cluster_ballot_compare(&rising[i], &rising[k]);

            assert_true(i == k ? order == 0 : i > k ? order > 0 : order < 0);
        }
}

static void each_number_of_a_datagram_is_taken_once(void **state)
{
    struct mesh_cluster *cluster = *state;
    uint8_t incarnation[16] = {2};
    struct cluster_peer *peer = mesh_cluster_peer_add(cluster, incarnation, (struct mesh_addr){.port = 1});
    static const uint64_t order[] = {5, 3, 4, 600, 599, 100, 1111, 1110, 601, 1112};

    for (unsigned i = 0; i < sizeof order / sizeof *order; i++) {
        assert_int_equal(mesh_cluster_peer_has(peer, order[i]), peer->highest > order[i] && peer->highest - order[i] >= CLUSTER_NUMBERS);
        mesh_cluster_peer_number(peer, order[i]);
        assert_true(mesh_cluster_peer_has(peer, order[i]));
    }
    assert_true(mesh_cluster_peer_has(peer, 600)); /* too old to know: treated as received */
    assert_false(mesh_cluster_peer_has(peer, 602));
    assert_false(mesh_cluster_peer_has(peer, 1113));
    mesh_cluster_peer_base(peer, 1200); /* it has just answered: everything recorded before is old */
    assert_true(mesh_cluster_peer_has(peer, 602));
    assert_true(mesh_cluster_peer_has(peer, 1199));
    assert_false(mesh_cluster_peer_has(peer, 1201));
    mesh_cluster_peer_number(peer, 1203);
    assert_false(mesh_cluster_peer_has(peer, 1202));
}

/* Steps forward and back, of up to more than the window, compared with a list of all numbers. */
static void the_window_of_numbers_agrees_with_a_list_of_them(void **state)
{
    enum { NUMBERS = 20000 };
    static bool taken[2 * NUMBERS];
    struct mesh_cluster *cluster = *state;
    uint8_t incarnation[16] = {2};
    struct cluster_peer *peer = mesh_cluster_peer_add(cluster, incarnation, (struct mesh_addr){.port = 1});

    memset(taken, 0, sizeof taken);
    for (uint64_t i = 0; peer->highest < NUMBERS; i++) {
        const uint64_t span = mesh_draw_below(mesh_draw(1, 0, i), 40) == 0 ? 3 * CLUSTER_NUMBERS : 80;
        const uint64_t next = peer->highest + mesh_draw_below(mesh_draw(1, 1, i), span) + 1, back = span / 2;
        const uint64_t number = next > back ? next - back : 1;

        if (!mesh_cluster_peer_has(peer, number)) {
            mesh_cluster_peer_number(peer, number);
            taken[number] = true;
        }
        for (uint64_t at = peer->highest + 10; at > 0 && at + CLUSTER_NUMBERS + 10 > peer->highest; at--)
            if (mesh_cluster_peer_has(peer, at) != (taken[at] || at + CLUSTER_NUMBERS <= peer->highest))
                fail_msg("after %u: number %u, highest %u", (unsigned)i, (unsigned)at, (unsigned)peer->highest);
    }
}

/* ---- lists ---- */

static void fill_list(struct cluster_list *list, unsigned count)
{
    memset(list, 0, sizeof *list);
    list->count = count;
    for (unsigned i = 0; i < count; i++) {
        memset(list->members[i].incarnation, (int)i + 1, 16);
        list->members[i].addr.port = (uint16_t)(7000 + i);
        list->members[i].summary = UINT64_C(1) << 40 | i;
        list->members[i].share = 2 * i;
    }
}

static int feed_part(struct mesh_cluster *cluster, const struct cluster_list *list, unsigned part, const struct cluster_ballot *of)
{
    struct mesh_message message = {.header.type = MESH_TYPE_PLAN};
    struct cluster_input in = {.message = &message};

    mesh_cluster_list_write(list, part, &message);
    message.as.plan.stage = MESH_STAGE_PROPOSE;
    message.as.plan.number = of->number;
    message.as.plan.round = of->round;
    message.as.plan.rank = of->rank;
    memcpy(message.as.plan.proposer, of->proposer, sizeof of->proposer);
    return mesh_cluster_assemble(cluster, &cluster->vote.plan, &in);
}

static void parts_of_a_list_come_in_any_order(void **state)
{
    struct mesh_cluster *cluster = *state;
    static struct cluster_list list;
    const struct cluster_ballot of = ballot(3, 1, 5, 7);

    for (unsigned count = 1; count <= MESH_RANKS_MAX; count++) {
        unsigned parts;

        fill_list(&list, count);
        parts = mesh_cluster_list_parts(&list);
        cluster->vote.plan.stage = 0;
        for (unsigned i = 0; i < parts; i++)
            assert_int_equal(feed_part(cluster, &list, (i + 1) % parts, &of), i + 1 < parts ? MESH_AGAIN : 0);
        assert_int_equal(cluster->vote.plan.list.count, count);
        assert_memory_equal(cluster->vote.plan.list.members, list.members, count * sizeof *list.members);
        assert_int_equal(feed_part(cluster, &list, 0, &of), 0); /* again: the list is still whole */
    }
}

static void a_lower_ballot_does_not_replace_a_higher_one_half_here(void **state)
{
    struct mesh_cluster *cluster = *state;
    static struct cluster_list list;
    const struct cluster_ballot high = ballot(3, 1, 5, 7), low = ballot(3, 2, 5, 7);

    fill_list(&list, 40);
    assert_int_equal(feed_part(cluster, &list, 0, &high), MESH_AGAIN);
    assert_int_equal(feed_part(cluster, &list, 0, &low), MESH_ESTATE);
    assert_int_equal(feed_part(cluster, &list, 1, &high), MESH_AGAIN);
    assert_int_equal(feed_part(cluster, &list, 2, &high), 0);
    assert_int_equal(feed_part(cluster, &list, 0, &low), MESH_AGAIN);  /* now it may replace the other */
    assert_int_equal(feed_part(cluster, &list, 0, &high), MESH_AGAIN); /* a higher ballot always may */
    cluster->now_ns += 100 * CLUSTER_MS;
    assert_int_equal(feed_part(cluster, &list, 0, &low), MESH_AGAIN); /* a list that gets no parts gives way */
}

static void a_late_part_of_an_older_plan_does_not_replace_the_newer(void **state)
{
    struct mesh_cluster *cluster = *state;
    static struct cluster_list list;
    const struct cluster_ballot before = ballot(4, 1, 5, 7), now = ballot(3, 1, 5, 8);

    fill_list(&list, 3);
    assert_int_equal(feed_part(cluster, &list, 0, &before), 0);
    assert_int_equal(feed_part(cluster, &list, 0, &now), 0); /* by the same proposer, later */
    assert_int_equal(feed_part(cluster, &list, 0, &before), MESH_ESTATE);
    assert_int_equal(feed_part(cluster, &list, 0, &now), 0);
}

static void a_list_that_names_somebody_twice_is_refused(void **state)
{
    struct mesh_cluster *cluster = *state;
    static struct cluster_list list;
    const struct cluster_ballot of = ballot(3, 1, 5, 7);

    fill_list(&list, 20);
    list.members[17] = list.members[2];
    assert_int_equal(feed_part(cluster, &list, 0, &of), MESH_AGAIN);
    assert_int_equal(feed_part(cluster, &list, 1, &of), MESH_ERANGE);
}

static void every_field_of_the_list_and_the_number_are_in_the_id(void **state)
{
    struct mesh_cluster *cluster = *state;
    static struct cluster_list list, changed;
    uint8_t id[16], other[16];

    fill_list(&list, 3);
    mesh_cluster_list_id(cluster, &list, 4, id);
    mesh_cluster_list_id(cluster, &list, 5, other);
    assert_memory_not_equal(id, other, 16);
    for (unsigned field = 0; field < 8; field++) {
        struct mesh_cluster_member *member = &changed.members[1];

        changed = list;
        *(uint8_t *[]){member->incarnation,       member->nonce,
                       member->addr.ip,           (uint8_t *)&member->addr.port,
                       (uint8_t *)&member->speed, (uint8_t *)&member->share,
                       (uint8_t *)&member->flags, (uint8_t *)&member->summary}[field] ^= 64;
        mesh_cluster_list_id(cluster, &changed, 4, other);
        assert_memory_not_equal(id, other, 16);
    }
    changed = list;
    changed.count = 2;
    mesh_cluster_list_id(cluster, &changed, 4, other);
    assert_memory_not_equal(id, other, 16);
}

/* ---- the rest ---- */

static struct cluster_standing standing(uint16_t count, uint32_t number, uint8_t first)
{
    struct cluster_standing made = {.members = count, .number = number};

    memset(made.first, first, sizeof made.first);
    return made;
}

static void the_better_cluster_has_more_members_then_a_higher_epoch_then_a_lower_incarnation(void **state)
{
    const struct cluster_standing falling[] = {standing(3, 1, 9), standing(2, 8, 9), standing(2, 7, 1), standing(2, 7, 2),
                                               standing(1, 99, 1)};

    (void)state;
    for (unsigned i = 0; i < sizeof falling / sizeof *falling; i++)
        for (unsigned k = 0; k < sizeof falling / sizeof *falling; k++)
            assert_int_equal(mesh_cluster_is_better(&falling[i], &falling[k]), i < k);
}

static void a_link_local_address_is_of_the_link_the_message_came_by(void **state)
{
    const struct mesh_addr from = {.ip = {0xfe, 0x80, [15] = 9}, .port = 5, .scope = 3};
    uint8_t local[16] = {0xfe, 0x80, [15] = 7}, global[16] = {0xfd, [15] = 7}, none[16] = {0};
    struct mesh_addr addr = mesh_cluster_addr(local, 8, &from);

    (void)state;
    assert_int_equal(addr.scope, 3);
    assert_int_equal(addr.port, 8);
    assert_int_equal(mesh_cluster_addr(global, 8, &from).scope, 0);
    addr = mesh_cluster_addr(none, 0, &from); /* no address: the sender's is used */
    assert_true(mesh_addr_equal(&addr, &from));
    assert_int_equal(addr.scope, from.scope);
}

static void the_configuration_has_rules(void **state)
{
    void *memory = aligned_alloc(64, mesh_cluster_memory_bytes());
    size_t bytes = mesh_cluster_memory_bytes();
    struct mesh_cluster_config bad;
    struct mesh_cluster *cluster;

    (void)state;
    assert_int_equal(mesh_cluster_init(&cluster, &config, memory, bytes, 0), 0);
    assert_int_equal(mesh_cluster_init(&cluster, &config, memory, bytes - 1, 0), MESH_EINVAL);
    assert_int_equal(mesh_cluster_init(&cluster, &config, (uint8_t *)memory + 1, bytes, 0), MESH_EINVAL);
    assert_int_equal(mesh_cluster_init(&cluster, &config, NULL, bytes, 0), MESH_EINVAL);
    bad = config;
    bad.hash = NULL;
    assert_int_equal(mesh_cluster_init(&cluster, &bad, memory, bytes, 0), MESH_EINVAL);
    bad = config;
    memset(bad.incarnation, 0, sizeof bad.incarnation);
    assert_int_equal(mesh_cluster_init(&cluster, &bad, memory, bytes, 0), MESH_EINVAL);
    bad = config;
    bad.seed_count = 1;
    assert_int_equal(mesh_cluster_init(&cluster, &bad, memory, bytes, 0), MESH_EINVAL);
    bad = config;
    bad.features_required = 1;
    assert_int_equal(mesh_cluster_init(&cluster, &bad, memory, bytes, 0), MESH_EINVAL);
    free(memory);
}

static void more_seeds_than_there_is_room_for_are_refused(void **state)
{
    struct mesh_cluster *cluster = *state;
    struct mesh_addr seeds[MESH_CLUSTER_SEEDS_MAX + 1] = {{{0}, 0, 0}};

    for (unsigned i = 0; i <= MESH_CLUSTER_SEEDS_MAX; i++) {
        seeds[i].ip[0] = 0xfd;
        seeds[i].port = (uint16_t)(1 + i);
    }
    assert_int_equal(mesh_cluster_join(cluster, 2000, seeds, MESH_CLUSTER_SEEDS_MAX), 0);
    assert_int_equal(mesh_cluster_join(cluster, 2000, seeds, MESH_CLUSTER_SEEDS_MAX), 0); /* a repetition */
    assert_int_equal(mesh_cluster_join(cluster, 2000, seeds + MESH_CLUSTER_SEEDS_MAX, 1), MESH_AGAIN);
}

/* What a process that has no epoch yet would have made, had its epoch before this one had an id. */
static void a_cookie_that_nobody_was_given_is_none(void **state)
{
    struct mesh_cluster *cluster = *state;
    const struct mesh_addr from = {.ip = {0xfd, [15] = 9}, .port = 5};
    struct mesh_message message = {.header = {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_JOIN, .number = 1},
                                   .as.join = {.incarnation = {7}, .nonce = 1, .to_port = 6}};
    uint8_t input[61] = "mesh cookie", packet[MESH_DATAGRAM_BYTES_MIN];

    memcpy(input + 27, message.as.join.incarnation, 16);
    memcpy(input + 43, from.ip, 16);
    input[59] = (uint8_t)from.port;
    simmembers_hash(input, sizeof input, message.as.join.cookie);
    assert_int_equal(mesh_cluster_receive(cluster, 2000, from, packet, mesh_wire_encode(&message, packet, sizeof packet)), MESH_ESTATE);
    assert_null(mesh_cluster_peer_find(cluster, message.as.join.incarnation));
}

int main(void)
{
#define PARTS_TEST(name) cmocka_unit_test_setup_teardown(name, open_cluster, close_cluster)
    const struct CMUnitTest tests[] = {
        PARTS_TEST(ballots_are_ordered_by_number_rank_incarnation_and_round),
        PARTS_TEST(each_number_of_a_datagram_is_taken_once),
        PARTS_TEST(the_window_of_numbers_agrees_with_a_list_of_them),
        PARTS_TEST(parts_of_a_list_come_in_any_order),
        PARTS_TEST(a_lower_ballot_does_not_replace_a_higher_one_half_here),
        PARTS_TEST(a_late_part_of_an_older_plan_does_not_replace_the_newer),
        PARTS_TEST(a_list_that_names_somebody_twice_is_refused),
        PARTS_TEST(every_field_of_the_list_and_the_number_are_in_the_id),
        PARTS_TEST(the_better_cluster_has_more_members_then_a_higher_epoch_then_a_lower_incarnation),
        PARTS_TEST(a_link_local_address_is_of_the_link_the_message_came_by),
        PARTS_TEST(the_configuration_has_rules),
        PARTS_TEST(more_seeds_than_there_is_room_for_are_refused),
        PARTS_TEST(a_cookie_that_nobody_was_given_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
