/* The hashes of states have in them every member that decides how a core will behave. The tables list all members of the structs: after
 * adding one, decide here whether it belongs to the hash (IN) or why it does not (OUT), and add it in libmesh/core/state_hash.c or
 * libmesh/core/cluster_state.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/core/cluster_parts.h"
#include "libmesh/core/core.h"
#include "net.h"

enum rule {
    IN,   /* another value is another hash */
    OUT,  /* it decides nothing, or only follows from others, or is left out as the hash's comment says */
    ONCE, /* hashed where it means something, or by its parts; or it never changes */
};

struct member {
    const char *name;
    size_t offset, size;
    enum rule rule;
};

#define MEMBER(type, name, rule)                                                                  \
    {                                                                                             \
#name, offsetof(struct type, name), sizeof(__typeof__(((struct type *)NULL)->name)), rule \
    }

typedef uint32_t hash_of(const void *core);

/* Larger ones are structs and arrays, whose members are checked by themselves or which end in padding. */
static bool is_number(size_t size)
{
    return size == 2 || size == 4 || size == 8;
}

/* Members follow one another without more than padding between them, so none is missing in the middle or at the end. */
static void check(const struct member *members, size_t count, void *of, size_t size, hash_of *hash, const void *core)
{
    size_t end = 0;

    for (size_t i = 0; i < count; i++) {
        const struct member *member = &members[i];
        uint8_t *first = (uint8_t *)of + member->offset;
        const uint32_t before = hash(core);

        if (member->offset < end || member->offset - end >= 8)
            fail_msg("before %s is a member that the table lacks, or another order", member->name);
        end = member->offset + member->size;
        if (member->rule == ONCE)
            continue;
        *first ^= 1;
        if ((hash(core) != before) != (member->rule == IN))
            fail_msg("%s is %s the hash", member->name, member->rule == IN ? "not in" : "in");
        *first ^= 1;
        if (member->rule == IN && is_number(member->size)) {
            first[member->size - 1] ^= 1;
            if (hash(core) == before)
                fail_msg("the other end of %s is not in the hash", member->name);
            first[member->size - 1] ^= 1;
        }
        assert_int_equal(hash(core), before);
    }
    assert_true(end <= size && size - end < 64); /* some structs are aligned to a cache line */
}

static uint32_t mesh_hash(const void *core)
{
    return mesh_state_hash(core);
}

static uint32_t cluster_hash(const void *core)
{
    return mesh_cluster_state_hash(core);
}

/* ---- the endpoint ---- */

/* Rank 0 of two, with a gather of which nothing has come and nothing was sent yet. */
static struct net *endpoint(struct net_gather *gather)
{
    struct net *net = net_new(2);

    net_up(net);
    net_gather_init(net, gather, 0, 0, 2, 8);
    assert_int_equal(net_gather_open(net, gather, 0), 0);
    assert_int_equal(net_gather_publish(net, gather, 0), 0);
    return net;
}

static void every_member_of_an_endpoint_is_in_its_hash_or_decides_nothing(void **state)
{
    static const struct member members[] = {
        MEMBER(mesh, config, ONCE),
        MEMBER(mesh, others, OUT),
        MEMBER(mesh, now_ns, OUT),
        MEMBER(mesh, due_ns, OUT),
        MEMBER(mesh, busy, OUT),
        MEMBER(mesh, stats, OUT),
        MEMBER(mesh, slots, ONCE),
        MEMBER(mesh, opened, IN),
        MEMBER(mesh, held, IN),
        MEMBER(mesh, opened_end, IN),
        MEMBER(mesh, ends, IN),
        MEMBER(mesh, through, IN),
        MEMBER(mesh, pace, ONCE),
        MEMBER(mesh, published, ONCE),
        MEMBER(mesh, published_free, OUT),
        MEMBER(mesh, published_count, OUT),
        MEMBER(mesh, current, ONCE),
        MEMBER(mesh, current_ready_ns, ONCE),
        MEMBER(mesh, current_ranks, IN),
        MEMBER(mesh, flights, IN),
        MEMBER(mesh, flight_next, ONCE),
        MEMBER(mesh, copies, ONCE),
        MEMBER(mesh, copy_first, OUT),
        MEMBER(mesh, copy_count, IN),
        MEMBER(mesh, copying, IN),
        MEMBER(mesh, number_all, IN),
        MEMBER(mesh, cost_sent_all, IN),
        MEMBER(mesh, cost_log_all, ONCE),
        MEMBER(mesh, solicit_at_ns, IN),
        MEMBER(mesh, solicit_delay_ns, IN),
        MEMBER(mesh, ping_all, IN),
        MEMBER(mesh, ping_all_number, IN),
        MEMBER(mesh, group_bytes, IN),
        MEMBER(mesh, group_hears, ONCE),
        MEMBER(mesh, group_at_ns, ONCE),
        MEMBER(mesh, group_again_ns, ONCE),
        MEMBER(mesh, group_whole_ns, ONCE),
        MEMBER(mesh, group_tries, ONCE),
        MEMBER(mesh, group_is_due, ONCE),
        MEMBER(mesh, early, ONCE),
        MEMBER(mesh, grant_bytes, IN),
        MEMBER(mesh, status_at_ns, IN),
        MEMBER(mesh, events, OUT),
        MEMBER(mesh, event_first, OUT),
        MEMBER(mesh, event_count, IN),
        MEMBER(mesh, reason, OUT),
        MEMBER(mesh, refusals, OUT),
        MEMBER(mesh, record, ONCE),
        MEMBER(mesh, stranger, OUT),
        MEMBER(mesh, stranger_refuse, OUT),
        MEMBER(mesh, stranger_waits, OUT),
        MEMBER(mesh, goodbyes, IN),
        MEMBER(mesh, is_leaving, IN),
        MEMBER(mesh, taped_drained, OUT),
        MEMBER(mesh, taped_ns, OUT),
    };
    struct net_gather gather;
    struct net *net = endpoint(&gather);

    (void)state;
    check(members, sizeof members / sizeof *members, net->mesh[0], sizeof(struct mesh), mesh_hash, net->mesh[0]);
    net_gather_release(net, &gather);
    net_free(net);
}

static const struct member peer_members[] = {
    MEMBER(mesh_peer, addr, IN),
    MEMBER(mesh_peer, has_addr, IN),
    MEMBER(mesh_peer, state, IN),
    MEMBER(mesh_peer, pending, OUT), /* bit 0, a REFUSE, as strangers cause it */
    MEMBER(mesh_peer, rank, OUT),
    MEMBER(mesh_peer, incarnation, IN),
    MEMBER(mesh_peer, nonce, IN),
    MEMBER(mesh_peer, echo, IN),
    MEMBER(mesh_peer, hello_at_ns, IN),
    MEMBER(mesh_peer, hello_delay_ns, IN),
    MEMBER(mesh_peer, refuse, OUT),
    MEMBER(mesh_peer, refused_reason, IN),
    MEMBER(mesh_peer, datagram_bytes_max, IN),
    MEMBER(mesh_peer, seen, IN),
    MEMBER(mesh_peer, number, IN),
    MEMBER(mesh_peer, through, IN),
    MEMBER(mesh_peer, announced_through, IN),
    MEMBER(mesh_peer, heard_end, IN),
    MEMBER(mesh_peer, early_end, IN),
    MEMBER(mesh_peer, not_yet, IN),
    MEMBER(mesh_peer, resends, ONCE),
    MEMBER(mesh_peer, resend_first, OUT),
    MEMBER(mesh_peer, resend_count, IN),
    MEMBER(mesh_peer, resends_exempt, IN),
    MEMBER(mesh_peer, reported, IN),
    MEMBER(mesh_peer, cost_sent, IN),
    MEMBER(mesh_peer, cost_log, ONCE),
    MEMBER(mesh_peer, window_bytes, IN),
    MEMBER(mesh_peer, consumed_bytes, IN),
    MEMBER(mesh_peer, waits, IN),
    MEMBER(mesh_peer, queue_bytes, IN),
    MEMBER(mesh_peer, queue_at_ns, ONCE), /* only while there is a limit */
    MEMBER(mesh_peer, queue_lost, ONCE),
    MEMBER(mesh_peer, loss, OUT),
    MEMBER(mesh_peer, few_loss, IN),
    MEMBER(mesh_peer, many_through, IN),
    MEMBER(mesh_peer, heard_ns, IN),
    MEMBER(mesh_peer, ping_at_ns, IN),
    MEMBER(mesh_peer, ping_origin_ns, IN),
    MEMBER(mesh_peer, ping_answered_ns, IN),
    MEMBER(mesh_peer, pong_origin_ns, IN),
    MEMBER(mesh_peer, pong_received_ns, IN),
    MEMBER(mesh_peer, ping_count, IN),
    MEMBER(mesh_peer, rtt_ns, IN),
    MEMBER(mesh_peer, rtt_deviation_ns, IN),
    MEMBER(mesh_peer, clock, IN), /* all of it: test_peer.c */
    MEMBER(mesh_peer, probe_bytes, IN),
    MEMBER(mesh_peer, probe_ack_bytes, IN),
    MEMBER(mesh_peer, probe_tries, IN),
    MEMBER(mesh_peer, probe_at_ns, IN),
    MEMBER(mesh_peer, probe_again_ns, IN),
    MEMBER(mesh_peer, probes_open, IN),
    MEMBER(mesh_peer, path_bytes, IN),
    MEMBER(mesh_peer, naks_in_a_row, IN),
    MEMBER(mesh_peer, is_repairing, IN),
    MEMBER(mesh_peer, unanswered_ns, IN),
    MEMBER(mesh_peer, unanswered_lost, IN),
    MEMBER(mesh_peer, unanswered_naks, IN),
    MEMBER(mesh_peer, repeated_ns, IN),
    MEMBER(mesh_peer, repeated_naks, IN),
    MEMBER(mesh_peer, repeated, IN),
    MEMBER(mesh_peer, group_naks, IN),
    MEMBER(mesh_peer, group_seen, IN),
    MEMBER(mesh_peer, channel, IN),
    MEMBER(mesh_peer, stats, ONCE),
    MEMBER(mesh_peer, latency, OUT),
    MEMBER(mesh_peer, round_trip, OUT),
};

static void every_member_of_its_peers_is_in_its_hash_or_decides_nothing(void **state)
{
    struct net_gather gather;
    struct net *net = endpoint(&gather);

    (void)state;
    check(peer_members, sizeof peer_members / sizeof *peer_members, &net->mesh[0]->peers[1], sizeof(struct mesh_peer), mesh_hash,
          net->mesh[0]);
    net_gather_release(net, &gather);
    net_free(net);
}

static void every_member_of_its_channels_and_gathers_is_in_its_hash_or_decides_nothing(void **state)
{
    static const struct member channel[] = {
        MEMBER(mesh_channel, send_first, IN),      MEMBER(mesh_channel, send_next, IN),    MEMBER(mesh_channel, send_end, IN),
        MEMBER(mesh_channel, receive_next, IN),    MEMBER(mesh_channel, deliver_next, IN), MEMBER(mesh_channel, resend_at_ns, IN),
        MEMBER(mesh_channel, resend_delay_ns, IN), MEMBER(mesh_channel, waiting_ns, IN),   MEMBER(mesh_channel, begun_bytes, IN),
        MEMBER(mesh_channel, sending, ONCE),       MEMBER(mesh_channel, receiving, ONCE),
    };
    static const struct member owed[] = {
        MEMBER(mesh_owed, missing, IN),    MEMBER(mesh_owed, asked, IN),          MEMBER(mesh_owed, nak_at_ns, IN),
        MEMBER(mesh_owed, delay_ns, IN),   MEMBER(mesh_owed, high, IN),           MEMBER(mesh_owed, limit, IN),
        MEMBER(mesh_owed, is_due, IN),     MEMBER(mesh_owed, is_outstanding, IN), MEMBER(mesh_owed, is_truncated, IN),
        MEMBER(mesh_owed, was_resent, IN),
    };
    static const struct member slot[] = {
        MEMBER(mesh_slot, is_open, IN),       MEMBER(mesh_slot, is_reader, IN),   MEMBER(mesh_slot, is_complete, IN),
        MEMBER(mesh_slot, is_consumed, IN),   MEMBER(mesh_slot, gather, ONCE),    MEMBER(mesh_slot, end, IN),
        MEMBER(mesh_slot, wait_through, IN),  MEMBER(mesh_slot, first, OUT), /* first[0] is 0 */
        MEMBER(mesh_slot, row_words, ONCE),   MEMBER(mesh_slot, bits, ONCE),      MEMBER(mesh_slot, missing, IN),
        MEMBER(mesh_slot, unpublished, IN),   MEMBER(mesh_slot, readers, IN),     MEMBER(mesh_slot, base_ns, IN),
        MEMBER(mesh_slot, queue_first, ONCE), MEMBER(mesh_slot, queue_last, OUT), MEMBER(mesh_slot, last_number_all, IN),
        MEMBER(mesh_slot, last_number, IN),   MEMBER(mesh_slot, owed, ONCE),
    };
    static const struct member published[] = {
        MEMBER(mesh_published, range, IN),
        MEMBER(mesh_published, block_next, IN),
        MEMBER(mesh_published, ready_ns, IN),
        MEMBER(mesh_published, next, ONCE),
    };
    static const struct member pace[] = {MEMBER(mesh_pace, mean_ns, IN), MEMBER(mesh_pace, deviation_ns, IN)};
    struct net_gather gather;
    struct net *net = endpoint(&gather);
    struct mesh *mesh = net->mesh[0];
    struct mesh_slot *open = &mesh->slots[0];

    (void)state;
    assert_true(open->is_open && open->queue_first >= 0);
    check(channel, sizeof channel / sizeof *channel, &mesh->peers[1].channel, sizeof(struct mesh_channel), mesh_hash, mesh);
    check(owed, sizeof owed / sizeof *owed, &open->owed[1], sizeof(struct mesh_owed), mesh_hash, mesh);
    check(slot, sizeof slot / sizeof *slot, open, sizeof(struct mesh_slot), mesh_hash, mesh);
    check(published, sizeof published / sizeof *published, &mesh->published[open->queue_first], sizeof(struct mesh_published), mesh_hash,
          mesh);
    check(pace, sizeof pace / sizeof *pace, mesh->pace, sizeof(struct mesh_pace), mesh_hash, mesh);
    net_gather_release(net, &gather);
    net_free(net);
}

/* ---- the cluster core ---- */

static void sum_bytes(const void *data, size_t bytes, uint8_t out[16])
{
    memset(out, 0, 16);
    for (size_t i = 0; i < bytes; i++)
        out[i % 16] = (uint8_t)(31 * out[i % 16] + ((const uint8_t *)data)[i]);
}

static struct mesh_cluster *cluster_of_one(void **memory)
{
    static struct mesh_cluster_config config = {.hash = sum_bytes, .incarnation = {1}};
    struct mesh_cluster *cluster;

    *memory = aligned_alloc(64, mesh_cluster_memory_bytes());
    assert_non_null(*memory);
    assert_int_equal(mesh_cluster_init(&cluster, &config, *memory, mesh_cluster_memory_bytes(), 1000), 0);
    return cluster;
}

static void every_member_of_a_cluster_is_in_its_hash_or_decides_nothing(void **state)
{
    static const struct member members[] = {
        MEMBER(mesh_cluster, config, OUT),
        MEMBER(mesh_cluster, addr, IN),
        MEMBER(mesh_cluster, now_ns, OUT),
        MEMBER(mesh_cluster, due_ns, OUT),
        MEMBER(mesh_cluster, sent_ns, OUT),
        MEMBER(mesh_cluster, woke_ns, IN),
        MEMBER(mesh_cluster, number, OUT),
        MEMBER(mesh_cluster, draws, OUT),
        MEMBER(mesh_cluster, settle_at_ns, IN),
        MEMBER(mesh_cluster, summary, IN),
        MEMBER(mesh_cluster, number_floor, IN),
        MEMBER(mesh_cluster, round, IN),
        MEMBER(mesh_cluster, is_leaving, IN),
        MEMBER(mesh_cluster, is_left, IN),
        MEMBER(mesh_cluster, leave_at_ns, IN),
        MEMBER(mesh_cluster, stats, OUT),
        MEMBER(mesh_cluster, epoch, IN),
        MEMBER(mesh_cluster, peers, ONCE),
        MEMBER(mesh_cluster, peer_of, OUT),
        MEMBER(mesh_cluster, contacts, ONCE),
        MEMBER(mesh_cluster, joining, IN),
        MEMBER(mesh_cluster, plan, ONCE),
        MEMBER(mesh_cluster, gather_at_ns, IN),
        MEMBER(mesh_cluster, gather_until_ns, IN),
        MEMBER(mesh_cluster, vote, IN),
        MEMBER(mesh_cluster, asked_ns, IN),
        MEMBER(mesh_cluster, asked, IN),
        MEMBER(mesh_cluster, report, IN),
        MEMBER(mesh_cluster, strikes, IN),
        MEMBER(mesh_cluster, mistakes, IN),
        MEMBER(mesh_cluster, late, ONCE),
        MEMBER(mesh_cluster, bans, IN),
        MEMBER(mesh_cluster, ban_next, IN),
        MEMBER(mesh_cluster, outgoing, OUT),
        MEMBER(mesh_cluster, outgoing_lost, OUT),
        MEMBER(mesh_cluster, outgoing_first, OUT),
        MEMBER(mesh_cluster, outgoing_count, OUT),
        MEMBER(mesh_cluster, part_turn, OUT),
        MEMBER(mesh_cluster, log, OUT),
        MEMBER(mesh_cluster, log_first, OUT),
        MEMBER(mesh_cluster, log_count, OUT),
        MEMBER(mesh_cluster, evicted_is_pending, OUT),
        MEMBER(mesh_cluster, prepare_is_pending, OUT),
        MEMBER(mesh_cluster, epoch_is_pending, OUT),
        MEMBER(mesh_cluster, left_is_pending, OUT),
        MEMBER(mesh_cluster, epoch_is_delivered, OUT),
        MEMBER(mesh_cluster, reason, OUT),
        MEMBER(mesh_cluster, scratch, OUT),
    };
    void *memory;
    struct mesh_cluster *cluster = cluster_of_one(&memory);

    (void)state;
    check(members, sizeof members / sizeof *members, cluster, sizeof(struct mesh_cluster), cluster_hash, cluster);
    free(memory);
}

static void every_member_of_its_peers_and_contacts_is_in_its_hash_or_decides_nothing(void **state)
{
    static const struct member peer[] = {
        MEMBER(cluster_peer, is_used, IN),       MEMBER(cluster_peer, incarnation, IN),    MEMBER(cluster_peer, addr, IN),
        MEMBER(cluster_peer, since_ns, IN),      MEMBER(cluster_peer, rank, IN),           MEMBER(cluster_peer, is_fresh, IN),
        MEMBER(cluster_peer, highest, IN),       MEMBER(cluster_peer, numbers, IN),        MEMBER(cluster_peer, state_number, IN),
        MEMBER(cluster_peer, is_in, IN),         MEMBER(cluster_peer, is_leaving, IN),     MEMBER(cluster_peer, is_ahead, IN),
        MEMBER(cluster_peer, ahead_ns, IN),      MEMBER(cluster_peer, speed, IN),          MEMBER(cluster_peer, flags, IN),
        MEMBER(cluster_peer, heard_ns, IN),      MEMBER(cluster_peer, ping_at_ns, IN),     MEMBER(cluster_peer, mesh_heard_ns, IN),
        MEMBER(cluster_peer, confirmed_ns, IN),  MEMBER(cluster_peer, rtt_ns, IN),         MEMBER(cluster_peer, answer_ns, IN),
        MEMBER(cluster_peer, answers, IN),       MEMBER(cluster_peer, late, ONCE),         MEMBER(cluster_peer, liveness, IN),
        MEMBER(cluster_peer, asked_ns, IN),      MEMBER(cluster_peer, asked_until_ns, IN), MEMBER(cluster_peer, ask_at_ns, IN),
        MEMBER(cluster_peer, is_out, IN),        MEMBER(cluster_peer, accusers, IN),       MEMBER(cluster_peer, deaf, IN),
        MEMBER(cluster_peer, commit_due, IN),    MEMBER(cluster_peer, commit_ns, IN),      MEMBER(cluster_peer, is_joining, IN),
        MEMBER(cluster_peer, needs_check, IN),   MEMBER(cluster_peer, join_nonce, IN),     MEMBER(cluster_peer, join_ns, IN),
        MEMBER(cluster_peer, join_heard_ns, IN), MEMBER(cluster_peer, join_number, IN),
    };
    static const struct member contact[] = {
        MEMBER(cluster_contact, is_used, IN),      MEMBER(cluster_contact, is_seed, IN),     MEMBER(cluster_contact, is_met, IN),
        MEMBER(cluster_contact, is_self, IN),      MEMBER(cluster_contact, is_lost, IN),     MEMBER(cluster_contact, is_by_move, IN),
        MEMBER(cluster_contact, is_group, IN),     MEMBER(cluster_contact, has_cookie, IN),  MEMBER(cluster_contact, addr, IN),
        MEMBER(cluster_contact, at_ns, IN),        MEMBER(cluster_contact, interval_ns, IN), MEMBER(cluster_contact, since_ns, IN),
        MEMBER(cluster_contact, denied_ns, IN),    MEMBER(cluster_contact, met_ns, IN),      MEMBER(cluster_contact, nonce, IN),
        MEMBER(cluster_contact, asked_number, IN), MEMBER(cluster_contact, group_nonce, IN), MEMBER(cluster_contact, denied, IN),
    };
    static const struct member joining[] = {
        MEMBER(cluster_joining, is_active, IN),   MEMBER(cluster_joining, is_waiting, IN),
        MEMBER(cluster_joining, is_guess, IN),    MEMBER(cluster_joining, is_unsure, IN),
        MEMBER(cluster_joining, addr, IN),        MEMBER(cluster_joining, via, IN),
        MEMBER(cluster_joining, cookie, IN),      MEMBER(cluster_joining, nonce, IN),
        MEMBER(cluster_joining, standing, IN),    MEMBER(cluster_joining, at_ns, IN),
        MEMBER(cluster_joining, interval_ns, IN), MEMBER(cluster_joining, until_ns, IN),
        MEMBER(cluster_joining, redirects, IN),   MEMBER(cluster_joining, backoff_until_ns, IN),
        MEMBER(cluster_joining, denied, IN),
    };
    void *memory;
    struct mesh_cluster *cluster = cluster_of_one(&memory);

    (void)state;
    cluster->peers[3].is_used = true;
    cluster->contacts[2].is_used = true;
    check(peer, sizeof peer / sizeof *peer, &cluster->peers[3], sizeof *cluster->peers, cluster_hash, cluster);
    check(contact, sizeof contact / sizeof *contact, &cluster->contacts[2], sizeof *cluster->contacts, cluster_hash, cluster);
    check(joining, sizeof joining / sizeof *joining, &cluster->joining, sizeof cluster->joining, cluster_hash, cluster);
    free(memory);
}

static void every_member_of_its_agreements_is_in_its_hash_or_decides_nothing(void **state)
{
    static const struct member plan[] = {
        MEMBER(cluster_plan, stage, ONCE),       MEMBER(cluster_plan, is_urgent, IN),    MEMBER(cluster_plan, prepares, IN),
        MEMBER(cluster_plan, ballot, IN),        MEMBER(cluster_plan, id, IN),           MEMBER(cluster_plan, list, ONCE),
        MEMBER(cluster_plan, self, IN),          MEMBER(cluster_plan, lost, IN),         MEMBER(cluster_plan, leavers, IN),
        MEMBER(cluster_plan, leavers_ready, IN), MEMBER(cluster_plan, voted, IN),        MEMBER(cluster_plan, known, IN),
        MEMBER(cluster_plan, heard, IN),         MEMBER(cluster_plan, nonces, IN),       MEMBER(cluster_plan, due, IN),
        MEMBER(cluster_plan, leaver_due, IN),    MEMBER(cluster_plan, repeat_at_ns, IN), MEMBER(cluster_plan, repeat_ns, IN),
        MEMBER(cluster_plan, deadline_ns, IN),   MEMBER(cluster_plan, repeats, IN),      MEMBER(cluster_plan, backoff_until_ns, IN),
        MEMBER(cluster_plan, tries, IN),         MEMBER(cluster_plan, stopped_ns, IN),   MEMBER(cluster_plan, has_shares, IN),
        MEMBER(cluster_plan, shares, IN),        MEMBER(cluster_plan, answered, IN),
    };
    static const struct member vote[] = {
        MEMBER(cluster_vote, promised, IN),      MEMBER(cluster_vote, promised_until_ns, IN),
        MEMBER(cluster_vote, given, IN),         MEMBER(cluster_vote, given_next, IN),
        MEMBER(cluster_vote, plan, IN),          MEMBER(cluster_vote, commit, IN),
        MEMBER(cluster_vote, plan_from, IN),     MEMBER(cluster_vote, other_plan_until_ns, IN),
        MEMBER(cluster_vote, is_checking, IN),   MEMBER(cluster_vote, checked, IN),
        MEMBER(cluster_vote, heard, IN),         MEMBER(cluster_vote, check_from_ns, IN),
        MEMBER(cluster_vote, check_at_ns, IN),   MEMBER(cluster_vote, token, IN),
        MEMBER(cluster_vote, is_preparing, IN),  MEMBER(cluster_vote, is_ready, IN),
        MEMBER(cluster_vote, is_own, IN),        MEMBER(cluster_vote, prepared, IN),
        MEMBER(cluster_vote, prepared_from, IN), MEMBER(cluster_vote, await_tries, IN),
        MEMBER(cluster_vote, await_at_ns, IN),   MEMBER(cluster_vote, await_ns, IN),
    };
    static const struct member ban[] = {
        MEMBER(cluster_ban, incarnation, IN), MEMBER(cluster_ban, number, IN),  MEMBER(cluster_ban, until_ns, IN),
        MEMBER(cluster_ban, starved_ns, IN),  MEMBER(cluster_ban, unheard, IN), MEMBER(cluster_ban, needs_check, IN),
        MEMBER(cluster_ban, is_starved, IN),
    };
    static const struct member member[] = {
        MEMBER(mesh_cluster_member, incarnation, IN), MEMBER(mesh_cluster_member, nonce, IN), MEMBER(mesh_cluster_member, addr, IN),
        MEMBER(mesh_cluster_member, speed, IN),       MEMBER(mesh_cluster_member, share, IN), MEMBER(mesh_cluster_member, flags, IN),
        MEMBER(mesh_cluster_member, summary, IN),
    };
    static const struct member assembly[] = {
        MEMBER(cluster_assembly, stage, ONCE), MEMBER(cluster_assembly, ballot, IN), MEMBER(cluster_assembly, id, IN),
        MEMBER(cluster_assembly, have, IN),    MEMBER(cluster_assembly, at_ns, IN),  MEMBER(cluster_assembly, list, IN),
    };
    static const struct member report[] = {
        MEMBER(cluster_report, is_active, IN),   MEMBER(cluster_report, rank, IN),     MEMBER(cluster_report, at_ns, IN),
        MEMBER(cluster_report, interval_ns, IN), MEMBER(cluster_report, until_ns, IN),
    };
    void *memory;
    struct mesh_cluster *cluster = cluster_of_one(&memory);

    (void)state;
    cluster->plan.stage = MESH_STAGE_PREPARE;
    cluster->plan.has_shares = true;
    cluster->plan.list.count = 1;
    cluster->vote.is_checking = cluster->vote.is_preparing = true;
    check(plan, sizeof plan / sizeof *plan, &cluster->plan, sizeof cluster->plan, cluster_hash, cluster);
    check(vote, sizeof vote / sizeof *vote, &cluster->vote, sizeof cluster->vote, cluster_hash, cluster);
    cluster->vote.commit.stage = MESH_STAGE_COMMIT;
    cluster->vote.commit.list.count = 1;
    check(assembly, sizeof assembly / sizeof *assembly, &cluster->vote.commit, sizeof cluster->vote.commit, cluster_hash, cluster);
    check(member, sizeof member / sizeof *member, &cluster->vote.commit.list.members[0], sizeof *cluster->vote.commit.list.members,
          cluster_hash, cluster);
    check(member, sizeof member / sizeof *member, &cluster->plan.list.members[0], sizeof *cluster->plan.list.members, cluster_hash,
          cluster);
    check(ban, sizeof ban / sizeof *ban, &cluster->bans[1], sizeof *cluster->bans, cluster_hash, cluster);
    check(report, sizeof report / sizeof *report, &cluster->report, sizeof cluster->report, cluster_hash, cluster);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_of_an_endpoint_is_in_its_hash_or_decides_nothing),
        cmocka_unit_test(every_member_of_its_peers_is_in_its_hash_or_decides_nothing),
        cmocka_unit_test(every_member_of_its_channels_and_gathers_is_in_its_hash_or_decides_nothing),
        cmocka_unit_test(every_member_of_a_cluster_is_in_its_hash_or_decides_nothing),
        cmocka_unit_test(every_member_of_its_peers_and_contacts_is_in_its_hash_or_decides_nothing),
        cmocka_unit_test(every_member_of_its_agreements_is_in_its_hash_or_decides_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
