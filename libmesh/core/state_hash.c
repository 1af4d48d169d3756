/* A hash of all protocol state: what decides how the endpoint will behave, not statistics and not pointers.
 *
 * Left out on purpose, besides configuration: the times of calls (now_ns, due_ns), which also a refused datagram moves; answers to
 * strangers and refusals, likewise; what only follows from hashed members (busy, ends of queues, counts); contents of tiles and records,
 * which belong to the application or are counted by their numbers; events that wait. tests/unit/test_state_hash.c lists every member. */
#include "core.h"

#include <string.h>

#include "state_mix.h"

static uint64_t mix_range(uint64_t hash, const struct mesh_range *range)
{
    hash = mix(hash, (uint64_t)range->token_first << 32 | range->token_count);
    return mix(hash, (uint64_t)range->block_first << 32 | range->block_count);
}

/* Costs of numbers that are on their way. */
static uint64_t hash_costs(uint64_t hash, const uint64_t *log, uint64_t seen, uint64_t last)
{
    const uint64_t first = last - seen < MESH_SENT_LOG ? seen : last - MESH_SENT_LOG + 1;

    for (uint64_t number = first; number <= last; number++)
        hash = mix(hash, log[number % MESH_SENT_LOG]);
    return hash;
}

static uint64_t hash_window(uint64_t hash, const struct mesh_window *window)
{
    hash = mix(mix(mix(mix(hash, window->highest), window->judged), window->limit), window->gap_at_ns);
    hash = mix(mix(hash, window->old_missing), window->new_missing);
    return mix_words(hash, window->bits, MESH_NUMBERS / 64);
}

static uint64_t hash_channel(uint64_t hash, const struct mesh_channel *channel)
{
    hash = mix(mix(mix(hash, channel->send_first), channel->send_next), channel->send_end);
    hash = mix(mix(hash, channel->receive_next), channel->deliver_next);
    hash = mix(mix(hash, channel->resend_at_ns), channel->resend_delay_ns);
    hash = mix(mix(hash, channel->waiting_ns), channel->begun_bytes);
    for (unsigned i = 0; i < MESH_FRAGMENTS; i++) {
        const struct mesh_fragment *sending = &channel->sending[i], *receiving = &channel->receiving[i];

        hash = mix(mix(hash, sending->sent_ns), (uint64_t)sending->bytes << 16 | (uint64_t)sending->flags << 1 | sending->acked);
        hash = mix(hash, (uint64_t)receiving->bytes << 8 | receiving->flags);
    }
    return hash;
}

static uint64_t hash_sample(uint64_t hash, const struct mesh_clock_sample *sample)
{
    return mix(mix(mix(hash, sample->at_ns), (uint64_t)sample->ahead_ns), sample->error_ns);
}

static uint64_t hash_clock(uint64_t hash, const struct mesh_peer_clock *clock)
{
    hash = hash_sample(hash_sample(hash, &clock->kept), &clock->best);
    hash = hash_sample(hash_sample(hash, &clock->middle), &clock->oldest);
    return mix(mix(mix(hash, clock->window_ns), (uint64_t)clock->drift_ppb), clock->drift_error_ppb);
}

/* Round trips, the path, and what repairs cost. */
static uint64_t hash_path(uint64_t hash, const struct mesh_peer *peer)
{
    hash = mix(mix(mix(mix(hash, peer->ping_at_ns), peer->ping_origin_ns), peer->ping_answered_ns), peer->rtt_ns);
    hash = mix(mix(mix(mix(hash, peer->pong_origin_ns), peer->pong_received_ns), peer->ping_count), peer->rtt_deviation_ns);
    hash = mix(mix(mix(hash, peer->probe_bytes), peer->probe_at_ns), peer->probe_again_ns);
    hash = mix(mix(mix(hash, (uint64_t)peer->probe_tries << 32 | peer->probe_ack_bytes), peer->path_bytes), peer->stats.datagram_bytes);
    hash = mix(mix(hash, (uint64_t)peer->naks_in_a_row << 1 | peer->is_repairing), peer->unanswered_ns);
    hash = mix(mix(mix(hash, peer->unanswered_lost), peer->unanswered_naks), peer->stats.lost);
    hash = mix(mix(mix(hash, peer->repeated_ns), peer->repeated_naks), peer->repeated.end);
    hash = mix(mix(mix_range(hash, &peer->repeated.range), peer->group_naks), peer->group_seen);
    if (peer->probes_open[0] > 0 || peer->probes_open[1] > 0 || peer->stats.probes_lost > 0)
        hash = mix(mix(hash, (uint64_t)peer->probes_open[0] << 32 | peer->probes_open[1]), peer->stats.probes_lost);
    return mix(hash_clock(hash, &peer->clock), peer->stats.rtt_ns_min);
}

static uint64_t hash_peer(uint64_t hash, const struct mesh_peer *peer)
{
    uint64_t incarnation[2];

    memcpy(incarnation, peer->incarnation, sizeof incarnation);
    hash = mix(mix(mix_words(hash, incarnation, 2), peer->state), peer->pending & ~(uint32_t)MESH_PENDING_REFUSE);
    hash = mix(peer->has_addr ? mix_addr(hash, &peer->addr) : hash, peer->has_addr);
    hash = mix(mix(mix(mix(hash, peer->nonce), peer->echo), peer->hello_at_ns), peer->hello_delay_ns);
    hash = mix(mix(hash, peer->refused_reason), peer->datagram_bytes_max);
    hash = hash_window(hash_window(hash, &peer->seen[0]), &peer->seen[1]);
    hash = mix(mix(hash, peer->number), peer->through);
    hash = mix(mix(mix(mix(hash, peer->announced_through), peer->heard_end), peer->early_end), peer->heard_ns);
    hash = mix(mix(mix(hash, peer->not_yet.step), peer->not_yet.phase), peer->not_yet.expected_ns);
    hash = mix(hash, peer->resends_exempt);
    hash = mix(mix(mix(hash, peer->reported[0]), peer->reported[1]), peer->cost_sent);
    hash = hash_costs(hash, peer->cost_log, peer->reported[0], peer->number);
    hash = mix(mix(mix(hash, peer->window_bytes), peer->consumed_bytes), peer->waits);
    hash = peer->queue_bytes ? mix(mix(mix(hash, peer->queue_bytes), peer->queue_at_ns), peer->queue_lost) : hash;
    hash = mix(mix(mix(mix(hash, peer->few_loss.seen), peer->few_loss.lost), peer->few_loss.ppm), peer->many_through);
    hash = hash_path(hash, peer);
    for (unsigned i = 0; i < peer->resend_count; i++) {
        const struct mesh_resend *resend = &peer->resends[(peer->resend_first + i) % MESH_RESEND_QUEUE];

        hash = mix_range(mix(hash, resend->end), &resend->range);
    }
    return hash_channel(hash, &peer->channel);
}

static uint64_t hash_slot(uint64_t hash, const struct mesh *mesh, const struct mesh_slot *slot)
{
    hash = mix(mix(hash, slot->is_open), slot->end);
    if (!slot->is_open)
        return hash;
    hash = mix(mix(mix(mix(hash, slot->is_complete), slot->is_consumed), slot->missing), slot->is_reader);
    hash = mix(mix(mix(mix(hash, slot->unpublished), slot->base_ns), slot->readers), slot->wait_through);
    hash = mix(mix(hash, (uint64_t)slot->gather.token_count << 16 | slot->gather.block_count), slot->gather.block_bytes);
    hash = mix(mix(hash, slot->gather.last_block_bytes), slot->last_number_all);
    for (uint16_t rank = 0; rank < mesh->config.rank_count; rank++) {
        const struct mesh_owed *owed = &slot->owed[rank];

        hash = mix(mix(mix(hash, owed->missing), owed->nak_at_ns), owed->delay_ns);
        hash = mix(hash, (uint64_t)owed->asked << 32 | (uint64_t)owed->high << 16 | owed->limit);
        hash = mix(hash, (uint64_t)owed->was_resent << 3 | (uint64_t)owed->is_truncated << 2 | (uint64_t)owed->is_due << 1 |
                             owed->is_outstanding);
        hash = mix(mix(hash, slot->last_number[rank]), slot->first[rank + 1]);
    }
    for (int16_t i = slot->queue_first; i >= 0; i = mesh->published[i].next)
        hash = mix(mix(mix_range(hash, &mesh->published[i].range), mesh->published[i].block_next), mesh->published[i].ready_ns);
    return mix_words(hash, slot->bits, (size_t)slot->gather.token_count * slot->row_words);
}

/* What is sent one by one, was sent a moment ago, or is to be sent once more. */
static uint64_t hash_sending(uint64_t hash, const struct mesh *mesh)
{
    if (mesh->current_ranks) {
        hash = mix_range(mix(mix(hash, mesh->current_ranks), mesh->current.end), &mesh->current.range);
        hash = mix(hash, mesh->current_ready_ns);
    }
    for (unsigned i = 0; i < MESH_FLIGHTS; i++) {
        const struct mesh_flight *flight = &mesh->flights[(mesh->flight_next + i) % MESH_FLIGHTS];

        hash = mix_range(mix(mix(hash, flight->end), flight->ranks), &flight->range);
        hash = mix(mix(mix(hash, flight->number), flight->is_to_all), flight->sent_ns);
    }
    for (unsigned i = 0; i < mesh->copy_count; i++) {
        const struct mesh_copy *copy = &mesh->copies[(mesh->copy_first + i) % MESH_COPIES];

        hash = mix_range(mix(mix(hash, copy->what.end), copy->ranks), &copy->what.range);
        hash = mix(hash, copy->ready_ns);
    }
    return mix(mix(hash, mesh->copying), mesh->copy_count);
}

static uint64_t hash_early(uint64_t hash, const struct mesh_early *early)
{
    hash = mix(hash, early->end);
    if (!early->end)
        return hash;
    hash = mix(mix(mix(hash, early->header.number), early->header.flags), early->rank);
    return mix(hash, early->data_bytes);
}

uint32_t mesh_state_hash(const struct mesh *mesh)
{
    const size_t pace_count = (size_t)mesh->config.rank_count * mesh->config.phase_count * MESH_TOKEN_CLASSES;
    uint64_t hash = mix(mix(mix(mix(0, mesh->opened), mesh->held), mesh->through), mesh->opened_end);

    hash = mix_words(hash, mesh->ends, sizeof mesh->ends / sizeof *mesh->ends);
    hash = mix(mix(mix(hash, mesh->number_all), mesh->cost_sent_all), mesh->grant_bytes);
    hash = mix(mix(mix(mix(hash, mesh->solicit_at_ns), mesh->solicit_delay_ns), mesh->status_at_ns), mesh->event_count);
    hash = mix(mix(mix(hash, mesh->ping_all), mesh->ping_all_number), (uint64_t)mesh->goodbyes << 1 | mesh->is_leaving);
    hash = hash_sending(hash, mesh);
    for (size_t i = 0; i < pace_count; i++)
        hash = mix(hash, (uint64_t)mesh->pace[i].mean_ns << 32 | mesh->pace[i].deviation_ns);
    if (mesh->group_bytes) {
        hash = mix(mix(mix(mix(hash, mesh->group_hears), mesh->group_at_ns), mesh->group_tries), mesh->group_again_ns);
        hash = mix(mix(mix(hash, mesh->group_whole_ns), mesh->group_bytes), mesh->group_is_due);
    }
    for (unsigned i = 0; i < MESH_GATHERS_OPEN_MAX; i++)
        hash = hash_slot(hash, mesh, &mesh->slots[i]);
    for (unsigned i = 0; i < MESH_EARLY_TILES; i++)
        hash = hash_early(hash, &mesh->early[i]);
    for (uint16_t rank = 0; rank < mesh->config.rank_count; rank++) {
        if (rank == mesh->config.rank)
            continue;
        hash = hash_peer(hash, &mesh->peers[rank]);
        hash = hash_costs(hash, mesh->cost_log_all, mesh->peers[rank].reported[1], mesh->number_all);
    }
    return (uint32_t)(hash ^ hash >> 32);
}
