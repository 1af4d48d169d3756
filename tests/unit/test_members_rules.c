/* Single rules of the cluster core: what a cookie is a hash of, who is answered across versions, how plans that fail are slowed down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/core/cluster_parts.h"

enum { NOW_NS = 1000, PORT = 0x1234 };

static const char *kept; /* what begins with this */
static uint8_t hashed[400];
static size_t hashed_bytes;

/* Keeps what a cookie or an epoch's id is a hash of. */
static void hash(const void *data, size_t bytes, uint8_t out[16])
{
    memset(out, 0, 16);
    out[0] = (uint8_t)bytes;
    if (bytes > sizeof hashed || !kept || memcmp(data, kept, strlen(kept)) != 0)
        return;
    hashed_bytes = bytes;
    memcpy(hashed, data, bytes);
}

static int open_cluster(void **state)
{
    void *memory = aligned_alloc(64, mesh_cluster_memory_bytes());
    struct mesh_cluster_config config = {.hash = hash, .version = MESH_WIRE_VERSION};
    struct mesh_cluster *cluster;

    memset(config.incarnation, 1, sizeof config.incarnation);
    if (!memory || mesh_cluster_init(&cluster, &config, memory, mesh_cluster_memory_bytes(), NOW_NS) != 0)
        return -1;
    *state = cluster;
    return 0;
}

static int close_cluster(void **state)
{
    free(*state);
    return 0;
}

static struct mesh_addr stranger_addr(void)
{
    struct mesh_addr addr = {.port = PORT};

    for (unsigned i = 0; i < sizeof addr.ip; i++)
        addr.ip[i] = (uint8_t)(100 + i);
    return addr;
}

/* A message of a stranger whose incarnation is of bytes 2: `bytes` of it. Returns the type of what is sent to its address; 0: nothing. */
static int answer_to(struct mesh_cluster *cluster, unsigned type, uint8_t version, uint64_t number, size_t bytes)
{
    struct mesh_message message = {.header = {.magic = MESH_WIRE_MAGIC, .version = version, .type = (uint8_t)type, .number = number}};
    const struct mesh_addr from = stranger_addr();
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN] = {0}, answer[MESH_DATAGRAM_BYTES_MIN];
    struct mesh_output output;
    int found = 0;

    if (type == MESH_TYPE_JOIN)
        message.as.join.nonce = 77;
    else
        message.as.ask = (struct mesh_ask){.nonce = 77, .members = 1};
    memset(&message.as, 2, 16);
    mesh_wire_encode(&message, packet, sizeof packet);
    mesh_cluster_receive(cluster, NOW_NS, from, packet, bytes);
    while (mesh_cluster_next_datagram(cluster, NOW_NS, answer, sizeof answer, &output)) {
        if (memcmp(&output.addr, &from, sizeof from) != 0)
            continue;
        assert_int_equal(found, 0);
        assert_true(output.bytes <= bytes);
        found = answer[offsetof(struct mesh_header_bytes, type)];
    }
    return found;
}

enum { ASK_BYTES = MESH_HEADER_BYTES + sizeof(struct mesh_ask_bytes), DENY_BYTES = MESH_HEADER_BYTES + sizeof(struct mesh_deny_bytes) };

static void a_cookie_is_a_hash_of_epoch_incarnation_and_address(void **state)
{
    struct mesh_cluster *cluster = *state;
    const struct mesh_addr from = stranger_addr();
    uint8_t expected[61] = "mesh cookie", *at = expected + 11;

    kept = "mesh cookie";
    memcpy(at, cluster->epoch.id, 16);
    assert_int_equal(answer_to(cluster, MESH_TYPE_ASK, MESH_WIRE_VERSION, 1, ASK_BYTES), MESH_TYPE_COOKIE);
    memset(at + 16, 2, 16);
    memcpy(at + 32, from.ip, 16);
    at[48] = PORT & 255;
    at[49] = PORT >> 8;
    assert_int_equal(hashed_bytes, sizeof expected);
    assert_memory_equal(hashed, expected, sizeof expected);
}

static void an_id_is_a_hash_of_number_count_and_members(void **state)
{
    struct cluster_list list = {.count = 2};
    static const uint8_t head[] = {'m', 'e', 's', 'h', ' ', 'e', 'p', 'o', 'c', 'h', 4, 3, 2, 1, 2, 0};
    uint8_t id[16];

    for (unsigned i = 0; i < 2; i++) {
        memset(list.members[i].incarnation, 5 + (int)i, sizeof list.members[i].incarnation);
        list.members[i].addr = stranger_addr();
    }
    kept = "mesh epoch";
    mesh_cluster_list_id(*state, &list, 0x01020304, id);
    assert_int_equal(hashed_bytes, sizeof head + 2 * MESH_MEMBER_BYTES);
    assert_memory_equal(hashed, head, sizeof head);
    for (unsigned i = 0; i < 2; i++)
        assert_memory_equal(hashed + sizeof head + i * MESH_MEMBER_BYTES + offsetof(struct mesh_member_bytes, incarnation),
                            list.members[i].incarnation, sizeof list.members[i].incarnation);
}

/* So that an answer is never longer than its question, and no message but a question is answered. */
static void of_another_version_only_a_question_as_long_as_the_answer_is_denied(void **state)
{
    struct mesh_cluster *cluster = *state;
    const uint8_t newer = MESH_WIRE_VERSION + 1;

    assert_int_equal(answer_to(cluster, MESH_TYPE_ASK, newer, 1, ASK_BYTES), MESH_TYPE_DENY);
    assert_int_equal(answer_to(cluster, MESH_TYPE_ASK, newer, 2, DENY_BYTES), MESH_TYPE_DENY);
    assert_int_equal(answer_to(cluster, MESH_TYPE_ASK, newer, 3, DENY_BYTES - 1), 0);
    assert_int_equal(answer_to(cluster, MESH_TYPE_ASK, newer, 0, ASK_BYTES), 0);
    assert_int_equal(answer_to(cluster, MESH_TYPE_JOIN, newer, 4, ASK_BYTES), 0);
}

/* Without a delay two members that think each other dead would flood the network. A calm second is the end of it. */
static void plans_given_up_in_a_row_are_delayed_from_the_fourth_on(void **state)
{
    struct mesh_cluster *cluster = *state;
    struct cluster_plan *plan = &cluster->plan;

    for (unsigned round = 0; round < 3; round++) {
        for (unsigned tries = 1; tries <= 40; tries++) {
            plan->stage = MESH_STAGE_PROPOSE;
            plan->backoff_until_ns = 0;
            mesh_cluster_ballot_stop(cluster);
            assert_int_equal(plan->stage, 0);
            if (tries <= 3)
                assert_int_equal(plan->backoff_until_ns, 0);
            else
                assert_in_range(plan->backoff_until_ns - cluster->now_ns, 1, (tries < 20 ? tries : 20) * CLUSTER_MS / 2);
            cluster->now_ns += 10 * CLUSTER_MS;
        }
        cluster->now_ns += CLUSTER_S;
    }
}

static void a_longer_delay_is_kept_when_a_plan_is_given_up(void **state)
{
    struct mesh_cluster *cluster = *state;
    struct cluster_plan *plan = &cluster->plan;
    const uint64_t until_ns = cluster->now_ns + CLUSTER_S;

    plan->backoff_until_ns = until_ns;
    for (unsigned tries = 1; tries <= 10; tries++) {
        plan->stage = MESH_STAGE_PROPOSE;
        mesh_cluster_ballot_stop(cluster);
    }
    assert_int_equal(plan->backoff_until_ns, until_ns);
}

enum { NEWCOMERS = 20 };

/* One answers its first question slowly; then each of the others answers its last one, when the plan is nearly over. Returns how long it is
 * checked who hears whom. */
static uint64_t checked_for_ns(struct mesh_cluster *cluster, struct cluster_peer *newcomers[NEWCOMERS])
{
    const uint64_t begin_ns = cluster->now_ns;
    uint64_t asked_ns[NEWCOMERS] = {0};
    unsigned answered = 0;

    while (cluster->plan.stage == MESH_STAGE_CHECK) {
        uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
        struct mesh_output output;

        while (mesh_cluster_next_datagram(cluster, cluster->now_ns, packet, sizeof packet, &output))
            if (packet[offsetof(struct mesh_header_bytes, type)] == MESH_TYPE_ALIVE)
                asked_ns[output.addr.port - PORT] = cluster->now_ns;
        if (answered < NEWCOMERS && (answered == 0 ? cluster->now_ns - begin_ns >= CLUSTER_RTT_NS_MAX
                                                   : cluster->plan.deadline_ns <= cluster->now_ns + CLUSTER_MS)) {
            mesh_cluster_ballot_answered(cluster, newcomers[answered], answered == 0 ? begin_ns : asked_ns[answered]);
            answered++;
        }
        for (unsigned i = 0; i < NEWCOMERS; i++)
            newcomers[i]->join_heard_ns = cluster->now_ns;
        mesh_cluster_tick(cluster, cluster->now_ns + CLUSTER_MS / 2);
        assert_true(cluster->now_ns - begin_ns < 60 * CLUSTER_S);
    }
    return cluster->now_ns - begin_ns;
}

/* Otherwise nobody else would be taken in, and no member could leave, as long as some want it so. */
static void newcomers_that_answer_at_the_last_moment_prolong_a_plan_once(void **state)
{
    struct mesh_cluster *cluster = *state;
    struct cluster_peer *newcomers[NEWCOMERS];

    cluster->now_ns = 10 * CLUSTER_S;
    cluster->epoch.is_seeking = false;
    for (unsigned i = 0; i < NEWCOMERS; i++) {
        struct mesh_addr addr = stranger_addr();
        uint8_t incarnation[16];

        addr.port = (uint16_t)(PORT + i);
        memset(incarnation, 2 + (int)i, sizeof incarnation);
        newcomers[i] = mesh_cluster_peer_add(cluster, incarnation, addr);
        assert_non_null(newcomers[i]);
        newcomers[i]->is_joining = newcomers[i]->needs_check = true;
        newcomers[i]->join_heard_ns = cluster->now_ns;
    }
    mesh_cluster_plan_settle(cluster);
    assert_int_equal(cluster->plan.stage, MESH_STAGE_CHECK);
    assert_in_range(checked_for_ns(cluster, newcomers), CLUSTER_S, 3 * CLUSTER_S);
}

/* A stranger's JOIN to another address than the node believes to be its own: addresses are translated on the way, or somebody lies. */
static void join_sent_elsewhere(struct mesh_cluster *cluster)
{
    struct mesh_message message = {
        .header = {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_JOIN, .number = 1},
        .as.join = {.nonce = 77, .cookie = {61}, .to_ip = {9, 9}, .to_port = 99}, /* {61}: by hash, above */
    };
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];

    memset(message.as.join.incarnation, 2, sizeof message.as.join.incarnation);
    const size_t bytes = mesh_wire_encode(&message, packet, sizeof packet);
    assert_int_equal(mesh_cluster_receive(cluster, NOW_NS, stranger_addr(), packet, bytes), 0);
}

static void an_address_that_was_configured_is_not_learnt_anew(void **state)
{
    struct mesh_cluster *cluster = *state;
    const struct mesh_addr own = {.ip = {1, 2, 3}, .port = 4};

    cluster->config.addr = cluster->addr = own;
    join_sent_elsewhere(cluster);
    assert_int_equal(cluster->addr.port, own.port);
}

static void an_address_that_nobody_configured_is_learnt_from_who_joins(void **state)
{
    struct mesh_cluster *cluster = *state;

    join_sent_elsewhere(cluster);
    assert_int_equal(cluster->addr.port, 99);
}

/* ---- a member that is behind ---- */

/* An epoch with one other member, whose incarnation is of bytes 2. */
static void install_two(struct mesh_cluster *cluster)
{
    struct cluster_ballot ballot = {.number = 5, .round = 1};
    struct cluster_list list = {.count = 2};
    const uint8_t id[16] = {55};

    memset(ballot.proposer, 1, sizeof ballot.proposer);
    for (unsigned i = 0; i < 2; i++) {
        memset(list.members[i].incarnation, (int)i + 1, sizeof list.members[i].incarnation);
        list.members[i].addr = stranger_addr();
        list.members[i].addr.port = (uint16_t)(PORT + i);
    }
    mesh_cluster_install(cluster, &ballot, id, &list);
}

/* Otherwise one that the others have left behind would take some of them in, one by one. */
static void members_that_are_lost_do_not_count_where_two_clusters_meet(void **state)
{
    static const struct {
        enum cluster_liveness liveness;
        uint16_t members;
    } cases[] = {{CLUSTER_TRUSTED, 2}, {CLUSTER_SUSPECTED, 2}, {CLUSTER_ASKING, 2}, {CLUSTER_DEAD, 1}, {CLUSTER_GONE, 1}};
    struct mesh_cluster *cluster = *state;
    struct cluster_standing standing;

    install_two(cluster);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mesh_cluster_peer_at(cluster, 1)->liveness = cases[i].liveness;
        mesh_cluster_standing(cluster, &standing);
        assert_int_equal(standing.members, cases[i].members);
    }
}

/* How many COMMITs follow when it says at this time that it is in an earlier epoch. */
static unsigned commits_at(struct mesh_cluster *cluster, uint64_t now_ns)
{
    static uint64_t number;
    struct mesh_message message = {
        .header = {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_ALIVE, .number = ++number},
        .as.alive = {.number = 4},
    };
    struct mesh_addr from = stranger_addr();
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    struct mesh_output output;
    unsigned commits = 0;

    from.port++;
    memset(&message.as, 2, 16);
    const size_t bytes = mesh_wire_encode(&message, packet, sizeof packet);
    assert_int_equal(mesh_cluster_receive(cluster, now_ns, from, packet, bytes), 0);
    while (mesh_cluster_next_datagram(cluster, now_ns, packet, sizeof packet, &output))
        commits += packet[offsetof(struct mesh_header_bytes, type)] == MESH_TYPE_COMMIT;
    return commits;
}

static void a_member_that_is_behind_is_sent_the_commit_every_three_milliseconds_at_most(void **state)
{
    struct mesh_cluster *cluster = *state;
    const uint64_t now_ns = 10 * CLUSTER_MS;

    install_two(cluster);
    assert_int_equal(commits_at(cluster, now_ns), 1);
    assert_int_equal(commits_at(cluster, now_ns), 0);
    assert_int_equal(commits_at(cluster, now_ns + 3 * CLUSTER_MS - 1), 0);
    assert_int_equal(commits_at(cluster, now_ns + 3 * CLUSTER_MS), 1);
    assert_int_equal(commits_at(cluster, now_ns + 5 * CLUSTER_MS), 0);
}

/* With the same key two datagrams must not have the same. */
static void a_number_that_is_spent_has_no_datagram(void **state)
{
    struct mesh_cluster *cluster = *state;
    uint64_t last = 0;

    for (unsigned i = 0; i < 6; i++) {
        uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
        struct mesh_message message;
        struct mesh_output output;
        uint64_t number;

        if (i % 3 < 2) {
            number = mesh_cluster_spend_number(cluster);
        } else {
            mesh_cluster_enqueue(cluster, stranger_addr(), MESH_TYPE_ALIVE);
            assert_true(mesh_cluster_next_datagram(cluster, NOW_NS, packet, sizeof packet, &output));
            assert_int_equal(mesh_wire_decode(packet, output.bytes, &message), 0);
            number = message.header.number;
        }
        assert_true(number > last);
        last = number;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_cookie_is_a_hash_of_epoch_incarnation_and_address, open_cluster, close_cluster),
        cmocka_unit_test_setup_teardown(an_id_is_a_hash_of_number_count_and_members, open_cluster, close_cluster),
        cmocka_unit_test_setup_teardown(of_another_version_only_a_question_as_long_as_the_answer_is_denied, open_cluster, close_cluster),
        cmocka_unit_test_setup_teardown(plans_given_up_in_a_row_are_delayed_from_the_fourth_on, open_cluster, close_cluster),
        cmocka_unit_test_setup_teardown(newcomers_that_answer_at_the_last_moment_prolong_a_plan_once, open_cluster, close_cluster),
        cmocka_unit_test_setup_teardown(an_address_that_was_configured_is_not_learnt_anew, open_cluster, close_cluster),
        cmocka_unit_test_setup_teardown(an_address_that_nobody_configured_is_learnt_from_who_joins, open_cluster, close_cluster),
        cmocka_unit_test_setup_teardown(a_longer_delay_is_kept_when_a_plan_is_given_up, open_cluster, close_cluster),
        cmocka_unit_test_setup_teardown(a_member_that_is_behind_is_sent_the_commit_every_three_milliseconds_at_most, open_cluster,
                                        close_cluster),
        cmocka_unit_test_setup_teardown(a_number_that_is_spent_has_no_datagram, open_cluster, close_cluster),
        cmocka_unit_test_setup_teardown(members_that_are_lost_do_not_count_where_two_clusters_meet, open_cluster, close_cluster),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
