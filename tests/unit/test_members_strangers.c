/* Which processes are not admitted, and why; strangers can do nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "simmembers.h"

static struct simmembers members; /* too large for the stack */

static int open_members(uint16_t count)
{
    struct mesh_sim_link link = simmembers_link();

    simmembers_open(&members, count, 1, &link);
    return 0;
}

static int close_members(void **state)
{
    (void)state;
    simmembers_close(&members);
    return 0;
}

/* ---- refusals ---- */

static void expect_refusal(uint16_t place, uint16_t reason, const char *words)
{
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
    assert_int_equal(members.at[place].events[MESH_CLUSTER_REFUSED], 1); /* reported once, however often it asks */
    assert_int_equal(members.at[place].refused.reason_code, reason);
    assert_string_equal(members.at[place].reason, words);
    assert_false(simmembers_agree(&members, 3));
}

static void another_model_is_refused_in_words(void **state)
{
    (void)state;
    open_members(2);
    members.at[1].config.fingerprint[7] = 1;
    simmembers_add_seed(&members, 1, 0);
    simmembers_start(&members, 0);
    simmembers_start(&members, 1);
    expect_refusal(1, MESH_DENY_FINGERPRINT,
                   "the cluster does not take this node in: model fingerprint is 0909090909090901, there 0909090909090909: "
                   "give all nodes the same model file");
}

static void another_cluster_name_is_refused_in_words(void **state)
{
    (void)state;
    open_members(2);
    members.at[1].config.cluster[0] = 1;
    simmembers_add_seed(&members, 1, 0);
    simmembers_start(&members, 0);
    simmembers_start(&members, 1);
    expect_refusal(1, MESH_DENY_CLUSTER,
                   "the cluster does not take this node in: hash of the cluster's name is 0107070707070707, there 0707070707070707: "
                   "give all nodes the same cluster name");
}

static void a_feature_that_is_required_is_missed_in_words(void **state)
{
    (void)state;
    open_members(2);
    members.at[0].config.features = 7;
    members.at[0].config.features_required = 5;
    members.at[1].config.features = 6;
    simmembers_add_seed(&members, 1, 0);
    simmembers_start(&members, 0);
    simmembers_start(&members, 1);
    expect_refusal(1, MESH_DENY_FEATURES,
                   "the cluster does not take this node in: set of features is 0000000000000006, there 0000000000000005: "
                   "run one release everywhere");
}

static void another_protocol_version_is_refused_in_both_directions(void **state)
{
    (void)state;
    for (uint16_t asking = 0; asking < 2; asking++) {
        open_members(2);
        members.at[0].config.version = MESH_WIRE_VERSION + 1;
        simmembers_add_seed(&members, asking, !asking);
        simmembers_start(&members, 0);
        simmembers_start(&members, 1);
        expect_refusal(asking, MESH_DENY_VERSION,
                       asking ? "the cluster does not take this node in: protocol version is 1, there 2: run one release everywhere"
                              : "the cluster does not take this node in: protocol version is 2, there 1: run one release everywhere");
        if (!asking)
            simmembers_close(&members);
    }
}

/* Place 1 asks 1, 3, 7, 15, 31, 61, 91 and 121 s after its first question, and is admitted by the next one after the repair. */
static void a_process_that_is_refused_asks_ever_less_often(void **state)
{
    (void)state;
    open_members(2);
    members.at[1].config.fingerprint[7] = 1;
    simmembers_add_seed(&members, 1, 0);
    simmembers_start(&members, 0);
    simmembers_start(&members, 1);
    assert_true(simmembers_run(&members, 20 * SIMMEMBERS_S));
    assert_int_equal(members.received[MESH_TYPE_ASK], 5);
    assert_true(simmembers_run(&members, 120 * SIMMEMBERS_S));
    assert_int_equal(members.received[MESH_TYPE_ASK], 9);
    simmembers_crash(&members, 0);
    members.at[0].config.fingerprint[7] = 1;
    simmembers_start(&members, 0);
    assert_true(simmembers_run_agree(&members, 3, 31 * SIMMEMBERS_S) < UINT64_MAX);
}

/* A question or an answer that is lost is not waited for any longer than before. */
static bool loses_denials(struct simmembers *all, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)all, (void)from, (void)to;
    return message->header.type == MESH_TYPE_DENY;
}

static void a_lost_answer_to_one_that_is_refused_costs_a_second(void **state)
{
    uint64_t asked;

    (void)state;
    open_members(2);
    members.at[1].config.fingerprint[7] = 1;
    simmembers_add_seed(&members, 1, 0);
    simmembers_start(&members, 0);
    simmembers_start(&members, 1);
    assert_true(simmembers_run(&members, 40 * SIMMEMBERS_S));
    asked = members.received[MESH_TYPE_ASK];
    members.loses = loses_denials;
    assert_true(simmembers_run(&members, 30 * SIMMEMBERS_S)); /* the next question is after 61 s */
    assert_in_range(members.received[MESH_TYPE_ASK] - asked, 8, 10);
}

/* ---- strangers ---- */

/* A message of a process without a place, and the answer to it. */
struct stranger {
    uint8_t incarnation[16];
    uint64_t number;
    struct mesh_addr addr;
    struct mesh_message answer;
    size_t answer_bytes;
};

static struct stranger make_stranger(uint8_t which)
{
    struct stranger stranger = {.addr = mesh_sim_addr((uint16_t)(900 + which))};

    memset(stranger.incarnation, which, sizeof stranger.incarnation);
    return stranger;
}

static int say(struct stranger *stranger, uint16_t to, struct mesh_message *message, uint8_t *packet, size_t *bytes)
{
    struct mesh_cluster *cluster = members.at[to].cluster;
    uint8_t answer[MESH_DATAGRAM_BYTES_MIN];
    struct mesh_output output;
    int err;

    message->header.magic = MESH_WIRE_MAGIC;
    message->header.version = MESH_WIRE_VERSION;
    message->header.number = ++stranger->number;
    memcpy(&message->as, stranger->incarnation, sizeof stranger->incarnation);
    *bytes = mesh_wire_encode(message, packet, MESH_DATAGRAM_BYTES_MIN);
    err = mesh_cluster_receive(cluster, simmembers_clock(&members, to), stranger->addr, packet, *bytes);
    stranger->answer_bytes = 0;
    while (mesh_cluster_next_datagram(cluster, simmembers_clock(&members, to), answer, sizeof answer, &output))
        if (memcmp(&output.addr, &stranger->addr, sizeof output.addr) == 0) {
            assert_int_equal(stranger->answer_bytes, 0); /* one answer at most */
            stranger->answer_bytes = output.bytes;
            assert_int_equal(mesh_wire_decode(answer, output.bytes, &stranger->answer), 0);
        }
    return err;
}

static void fill_identity(uint8_t cluster[16], uint8_t fingerprint[32])
{
    memset(cluster, 7, 16);
    memset(fingerprint, 9, 32);
}

static int ask(struct stranger *stranger, uint16_t to)
{
    struct mesh_message message = {.header.type = MESH_TYPE_ASK, .as.ask = {.nonce = 77, .members = 1, .number = 900}};
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    size_t bytes;
    int err;

    fill_identity(message.as.ask.cluster, message.as.ask.fingerprint);
    err = say(stranger, to, &message, packet, &bytes);
    assert_in_range(stranger->answer_bytes, 1, bytes);
    return err;
}

static int join(struct stranger *stranger, uint16_t to, const uint8_t cookie[16], uint8_t *packet, size_t *bytes)
{
    struct mesh_message message = {.header.type = MESH_TYPE_JOIN, .as.join = {.nonce = 78}};
    int err;

    fill_identity(message.as.join.cluster, message.as.join.fingerprint);
    memcpy(message.as.join.cookie, cookie, sizeof message.as.join.cookie);
    err = say(stranger, to, &message, packet, bytes);
    assert_in_range(stranger->answer_bytes, 0, *bytes);
    return err;
}

static uint32_t state_of(uint16_t place)
{
    return mesh_cluster_state_hash(members.at[place].cluster);
}

static void a_question_changes_nothing_and_its_answer_is_no_longer(void **state)
{
    struct stranger stranger = make_stranger(3);
    uint32_t before;

    (void)state;
    open_members(3);
    simmembers_form(&members);
    before = state_of(0);
    for (unsigned i = 0; i < 1000; i++) {
        memset(stranger.incarnation, (int)(i % 250) + 1, sizeof stranger.incarnation);
        stranger.addr.port = (uint16_t)(1000 + i);
        assert_int_equal(ask(&stranger, 0), 0);
        assert_int_equal(stranger.answer.header.type, MESH_TYPE_COOKIE);
        assert_int_equal(stranger.answer.as.cookie.nonce, 77);
    }
    assert_int_equal(state_of(0), before);
}

static void a_sign_of_life_of_a_stranger_changes_nothing(void **state)
{
    struct mesh_message message = {.header.type = MESH_TYPE_ALIVE, .as.alive = {.state = MESH_ALIVE_ASKS, .number = 3, .origin_ns = 5}};
    struct stranger stranger = make_stranger(3);
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    uint32_t before;
    size_t bytes;

    (void)state;
    open_members(3);
    simmembers_form(&members);
    before = state_of(0);
    assert_int_equal(say(&stranger, 0, &message, packet, &bytes), 0);
    assert_int_equal(state_of(0), before);
    assert_int_equal(stranger.answer_bytes, bytes);
    assert_int_equal(stranger.answer.as.alive.state, MESH_ALIVE_ANSWERS | MESH_ALIVE_STRANGER);
}

static void without_its_cookie_a_process_is_not_noted(void **state)
{
    struct stranger stranger = make_stranger(3), other = make_stranger(4);
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN], cookie[16] = {0};
    uint16_t coordinator;
    uint32_t before;
    size_t bytes;

    (void)state;
    open_members(3);
    simmembers_form(&members);
    coordinator = simmembers_place(&members, 0);
    before = state_of(coordinator);
    assert_int_equal(join(&stranger, coordinator, cookie, packet, &bytes), MESH_ESTATE);
    assert_int_equal(stranger.answer.header.type, MESH_TYPE_COOKIE); /* a good cookie */
    assert_false(stranger.answer.as.cookie.is_waiting);
    memcpy(cookie, stranger.answer.as.cookie.cookie, sizeof cookie);
    assert_int_equal(join(&other, coordinator, cookie, packet, &bytes), MESH_ESTATE); /* but not for other processes */
    stranger.addr.port++;
    assert_int_equal(join(&stranger, coordinator, cookie, packet, &bytes), MESH_ESTATE); /* nor from another address */
    assert_int_equal(state_of(coordinator), before);
    stranger.addr.port--;
    assert_int_equal(join(&stranger, coordinator, cookie, packet, &bytes), 0);
    assert_true(stranger.answer.as.cookie.is_waiting);
    assert_int_not_equal(state_of(coordinator), before);
}

static void the_cookie_of_one_member_is_good_at_another(void **state)
{
    struct stranger stranger = make_stranger(3);
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN], cookie[16];
    uint16_t coordinator, last;
    size_t bytes;

    (void)state;
    open_members(3);
    simmembers_form(&members);
    coordinator = simmembers_place(&members, 0);
    last = simmembers_place(&members, 2);
    assert_int_equal(ask(&stranger, last), 0);
    assert_int_equal(stranger.answer.as.cookie.port, coordinator);
    memcpy(cookie, stranger.answer.as.cookie.cookie, sizeof cookie);
    assert_int_equal(join(&stranger, coordinator, cookie, packet, &bytes), 0);
    assert_true(stranger.answer.as.cookie.is_waiting);
}

static void a_cookie_holds_during_its_epoch_and_the_next(void **state)
{
    (void)state;
    for (uint16_t changes = 0; changes <= 2; changes++) {
        struct stranger stranger = make_stranger(3);
        uint8_t packet[MESH_DATAGRAM_BYTES_MIN], cookie[16];
        size_t bytes;

        open_members(4);
        members.count = 2;
        simmembers_form(&members);
        members.count = 4;
        assert_int_equal(ask(&stranger, 0), 0);
        memcpy(cookie, stranger.answer.as.cookie.cookie, sizeof cookie);
        for (uint16_t place = 2; place < 2 + changes; place++) {
            simmembers_add_seed(&members, place, 0);
            simmembers_start(&members, place);
            assert_true(simmembers_run_agree(&members, (UINT64_C(2) << place) - 1, SIMMEMBERS_S) < UINT64_MAX);
        }
        assert_int_equal(join(&stranger, 0, cookie, packet, &bytes), changes < 2 ? 0 : MESH_ESTATE);
        if (changes < 2)
            simmembers_close(&members);
    }
}

/* A recorded JOIN makes the coordinator plan in vain once, not with every copy, nor when the coordinator has given it up. */
static void a_join_that_is_played_back_is_dropped(void **state)
{
    struct stranger stranger = make_stranger(3);
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    struct mesh_cluster_stats stats;
    uint16_t coordinator;
    uint64_t plans;
    size_t bytes;

    (void)state;
    open_members(4);
    members.count = 3;
    simmembers_form(&members);
    members.count = 4; /* there is nobody at the stranger's address, who would answer */
    stranger.addr = mesh_sim_addr(3);
    coordinator = simmembers_place(&members, 0);
    mesh_cluster_get_stats(members.at[coordinator].cluster, &stats);
    plans = stats.plans;
    assert_int_equal(ask(&stranger, coordinator), 0);
    assert_int_equal(join(&stranger, coordinator, stranger.answer.as.cookie.cookie, packet, &bytes), 0);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(
            mesh_cluster_receive(members.at[coordinator].cluster, simmembers_clock(&members, coordinator), stranger.addr, packet, bytes),
            MESH_EDUPLICATE);
    }
    mesh_cluster_get_stats(members.at[coordinator].cluster, &stats);
    assert_int_equal(stats.dropped[-MESH_EDUPLICATE], 100);
    assert_int_equal(stats.plans, plans);
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
    mesh_cluster_get_stats(members.at[coordinator].cluster, &stats);
    assert_true(stats.plans > plans);
    assert_int_equal(
        mesh_cluster_receive(members.at[coordinator].cluster, simmembers_clock(&members, coordinator), stranger.addr, packet, bytes),
        MESH_EDUPLICATE);
}

/* Two members, and a third process that takes long to load before it may join. */
static void open_two_and_one_that_loads(void)
{
    open_members(3);
    for (uint16_t place = 0; place < 3; place++)
        members.at[place].config.prepares_joins = true;
    members.at[2].prepare_ns = 300 * SIMMEMBERS_MS;
    simmembers_add_seed(&members, 1, 0);
    simmembers_add_seed(&members, 2, 0);
    simmembers_start(&members, 0);
    simmembers_start(&members, 1);
    assert_true(simmembers_run_agree(&members, 3, 3 * SIMMEMBERS_S) < UINT64_MAX);
}

/* The last number has no successor. A stranger that claims to be in an epoch near the end of the numbers is not admitted, and the current
 * plan continues. */
static void the_last_numbers_of_epochs_are_not_believed(void **state)
{
    struct mesh_message message = {.header.type = MESH_TYPE_JOIN, .as.join = {.nonce = 78, .number = MESH_EPOCH_MAX}};
    struct stranger stranger = make_stranger(3);
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    uint16_t coordinator;
    size_t bytes;

    (void)state;
    open_two_and_one_that_loads();
    simmembers_start(&members, 2);
    assert_true(simmembers_run(&members, 150 * SIMMEMBERS_MS)); /* the newcomer has been checked, and loads */
    coordinator = simmembers_place(&members, 0);
    fill_identity(message.as.join.cluster, message.as.join.fingerprint);
    assert_int_equal(ask(&stranger, coordinator), 0);
    memcpy(message.as.join.cookie, stranger.answer.as.cookie.cookie, sizeof message.as.join.cookie);
    assert_int_equal(say(&stranger, coordinator, &message, packet, &bytes), MESH_EREFUSED);
    assert_int_equal(stranger.answer.header.type, MESH_TYPE_DENY);
    assert_int_equal(stranger.answer.as.deny.reason, MESH_DENY_NUMBER);
    assert_int_equal(stranger.answer.as.deny.found, MESH_EPOCH_MAX);
    assert_true(simmembers_run_agree(&members, 7, SIMMEMBERS_S) < UINT64_MAX);
    assert_in_range(members.at[coordinator].number, 2, 100);
    simmembers_crash(&members, 2);
    assert_true(simmembers_run_agree(&members, 3, 3 * SIMMEMBERS_S) < UINT64_MAX); /* and numbers remain */
}

/* A member that proposes the last number, above which there is none. */
static int propose_the_last_number(uint16_t as, uint16_t to, uint32_t round)
{
    struct mesh_message message = {.header.type = MESH_TYPE_PLAN,
                                   .as.plan = {.stage = MESH_STAGE_PROPOSE,
                                               .number = MESH_EPOCH_MAX,
                                               .round = round,
                                               .rank = members.at[as].rank,
                                               .total = 1,
                                               .member_count = 1}};
    struct stranger liar = {.number = (UINT64_C(1) << 40) + round, .addr = mesh_sim_addr(as)};
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    size_t bytes;

    memcpy(liar.incarnation, members.at[as].config.incarnation, sizeof liar.incarnation);
    memcpy(message.as.plan.proposer, liar.incarnation, sizeof message.as.plan.proposer);
    memcpy(message.as.plan.id, members.at[to].id, sizeof message.as.plan.id);
    memcpy(message.members[0].incarnation, members.at[to].config.incarnation, sizeof message.members[0].incarnation);
    message.header.magic = MESH_WIRE_MAGIC;
    message.header.version = MESH_WIRE_VERSION;
    message.header.number = liar.number;
    memcpy(&message.as, liar.incarnation, sizeof liar.incarnation);
    bytes = mesh_wire_encode(&message, packet, sizeof packet);
    return mesh_cluster_receive(members.at[to].cluster, simmembers_clock(&members, to), liar.addr, packet, bytes);
}

static void a_proposal_of_the_last_number_is_not_believed(void **state)
{
    uint16_t coordinator;

    (void)state;
    open_two_and_one_that_loads();
    coordinator = simmembers_place(&members, 0);
    simmembers_start(&members, 2);
    assert_true(simmembers_run(&members, 150 * SIMMEMBERS_MS)); /* the newcomer loads */
    for (uint32_t i = 1; i <= 50; i++) {
        assert_int_equal(propose_the_last_number(simmembers_place(&members, 1), coordinator, i), MESH_ERANGE);
        assert_true(simmembers_run(&members, 10 * SIMMEMBERS_MS));
    }
    assert_true(simmembers_run(&members, 5 * SIMMEMBERS_S));
    assert_in_range(members.at[coordinator].number, 2, 1000);
}

static void every_reason_of_the_wire_is_counted_and_has_a_word(void **state)
{
    const struct mesh_wire_part *deny = mesh_wire_message(MESH_TYPE_DENY);
    uint64_t last = 0;

    (void)state;
    for (unsigned i = 0; i < deny->field_count; i++)
        if (strcmp(deny->fields[i].name, "reason") == 0)
            last = deny->fields[i].max;
    assert_int_equal(last + 1, MESH_CLUSTER_REASONS);
    for (unsigned a = 1; a <= last; a++)
        for (unsigned b = 0; b < a; b++)
            assert_string_not_equal(mesh_cluster_reason_name(a), mesh_cluster_reason_name(b));
    assert_string_equal(mesh_cluster_reason_name(MESH_DENY_VERSION), "version");
    assert_string_equal(mesh_cluster_reason_name(MESH_DENY_UNHEARD), "unheard");
    assert_string_equal(mesh_cluster_reason_name(0), "?");
    assert_string_equal(mesh_cluster_reason_name(MESH_CLUSTER_REASONS), "?");
}

int main(void)
{
#define MEMBERS_TEST(name) cmocka_unit_test_teardown(name, close_members)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_of_the_wire_is_counted_and_has_a_word),
        MEMBERS_TEST(another_model_is_refused_in_words),
        MEMBERS_TEST(another_cluster_name_is_refused_in_words),
        MEMBERS_TEST(a_feature_that_is_required_is_missed_in_words),
        MEMBERS_TEST(another_protocol_version_is_refused_in_both_directions),
        MEMBERS_TEST(a_process_that_is_refused_asks_ever_less_often),
        MEMBERS_TEST(a_lost_answer_to_one_that_is_refused_costs_a_second),
        MEMBERS_TEST(a_question_changes_nothing_and_its_answer_is_no_longer),
        MEMBERS_TEST(a_sign_of_life_of_a_stranger_changes_nothing),
        MEMBERS_TEST(without_its_cookie_a_process_is_not_noted),
        MEMBERS_TEST(the_cookie_of_one_member_is_good_at_another),
        MEMBERS_TEST(a_cookie_holds_during_its_epoch_and_the_next),
        MEMBERS_TEST(a_join_that_is_played_back_is_dropped),
        MEMBERS_TEST(the_last_numbers_of_epochs_are_not_believed),
        MEMBERS_TEST(a_proposal_of_the_last_number_is_not_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
