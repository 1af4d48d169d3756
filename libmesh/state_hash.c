/* A hash of all protocol state: what decides how the endpoint will behave, not statistics and not pointers. */
#include "core.h"

#include <string.h>

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t mix_words(uint64_t hash, const uint64_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hash = mix(hash, words[i]);
    return hash;
}

static uint64_t hash_window(uint64_t hash, const struct mesh_window *window)
{
    hash = mix(mix(mix(hash, window->highest), window->judged), window->limit);
    hash = mix(mix(hash, window->old_missing), window->new_missing);
    return mix_words(hash, window->bits, MESH_NUMBERS / 64);
}

static uint64_t hash_channel(uint64_t hash, const struct mesh_channel *channel)
{
    hash = mix(mix(mix(hash, channel->send_first), channel->send_next), channel->send_end);
    hash = mix(mix(hash, channel->receive_next), channel->deliver_next);
    hash = mix(mix(hash, channel->resend_at_ns), channel->resend_delay_ns);
    for (unsigned i = 0; i < MESH_FRAGMENTS; i++) {
        hash = mix(mix(hash, channel->sending[i].sent_ns), channel->sending[i].acked);
        hash = mix(hash, channel->receiving[i].bytes);
    }
    return hash;
}

static uint64_t hash_peer(uint64_t hash, const struct mesh_peer *peer)
{
    uint64_t incarnation[2];

    memcpy(incarnation, peer->incarnation, sizeof incarnation);
    hash = mix(mix(mix_words(hash, incarnation, 2), peer->state), peer->pending & ~(uint32_t)MESH_PENDING_REFUSE);
    hash = mix(mix(mix(hash, peer->nonce), peer->echo), peer->hello_at_ns);
    hash = hash_window(hash_window(hash, &peer->seen[0]), &peer->seen[1]);
    hash = mix(mix(mix(hash, peer->gap_at_ns), peer->number), peer->through);
    hash = mix(mix(mix(hash, peer->announced_through), peer->heard_end), peer->early_end);
    hash = mix(mix(mix(hash, peer->reported[0]), peer->reported[1]), peer->cost_sent);
    hash = mix(mix(mix(hash, peer->window_bytes), peer->consumed_bytes), peer->stats.datagram_bytes);
    hash = mix(mix(mix(mix(hash, peer->ping_at_ns), peer->ping_origin_ns), peer->ping_answered_ns), peer->rtt_ns);
    hash = mix(mix(mix(hash, peer->probe_bytes), peer->probe_at_ns), peer->probe_again_ns);
    hash = mix(mix(mix(mix(hash, peer->few_loss.seen), peer->few_loss.lost), peer->few_loss.ppm), peer->many_through);
    for (unsigned i = 0; i < peer->resend_count; i++) {
        const struct mesh_resend *resend = &peer->resends[(peer->resend_first + i) % MESH_RESEND_QUEUE];

        hash = mix(mix(hash, resend->end), (uint64_t)resend->range.token_first << 32 | resend->range.block_first);
    }
    return hash_channel(hash, &peer->channel);
}

static uint64_t hash_slot(uint64_t hash, const struct mesh *mesh, const struct mesh_slot *slot)
{
    hash = mix(mix(hash, slot->is_open), slot->end);
    if (!slot->is_open)
        return hash;
    hash = mix(mix(mix(hash, slot->is_complete), slot->is_consumed), slot->missing);
    hash = mix(mix(hash, slot->unpublished), slot->base_ns);
    for (uint16_t rank = 0; rank < mesh->config.rank_count; rank++) {
        const struct mesh_owed *owed = &slot->owed[rank];

        hash = mix(mix(mix(hash, owed->missing), owed->nak_at_ns), owed->delay_ns);
        hash = mix(mix(hash, owed->asked), (uint64_t)owed->is_due << 1 | owed->is_outstanding);
    }
    for (int16_t i = slot->queue_first; i >= 0; i = mesh->published[i].next)
        hash = mix(mix(hash, mesh->published[i].range.token_first), mesh->published[i].block_next);
    return mix_words(hash, slot->bits, (size_t)slot->gather.token_count * slot->row_words);
}

uint32_t mesh_state_hash(const struct mesh *mesh)
{
    uint64_t hash = mix(mix(mix(0, mesh->opened), mesh->held), mesh->through);

    hash = mix(mix(mix(hash, mesh->number_all), mesh->cost_sent_all), mesh->current_ranks);
    hash = mix(mix(mix(hash, mesh->solicit_at_ns), mesh->status_at_ns), mesh->event_count);
    hash = mix(mix(hash, mesh->copying), mesh->copy_count);
    if (mesh->group_bytes) {
        hash = mix(mix(mix(mix(hash, mesh->group_hears), mesh->group_at_ns), mesh->group_tries), mesh->group_again_ns);
        hash = mix(hash, mesh->group_whole_ns);
    }
    for (unsigned i = 0; i < MESH_GATHERS_OPEN_MAX; i++)
        hash = hash_slot(hash, mesh, &mesh->slots[i]);
    for (unsigned i = 0; i < MESH_EARLY_TILES; i++)
        hash = mix(mix(hash, mesh->early[i].end), mesh->early[i].end ? mesh->early[i].header.number : 0);
    for (uint16_t rank = 0; rank < mesh->config.rank_count; rank++)
        if (rank != mesh->config.rank)
            hash = hash_peer(hash, &mesh->peers[rank]);
    return (uint32_t)(hash ^ hash >> 32);
}
