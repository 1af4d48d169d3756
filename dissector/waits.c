#include "waits.h"

enum { NOTEWORTHY_NS = 50000 };

/* ---- what passes ---- */

void waits_depart(struct link *link, const struct packet *packet)
{
    const struct mesh_tile *tile = &packet->message.as.tile;
    struct link_gather *gather;

    link->has_tiles = true;
    if (link->sender == NULL || (packet->message.header.flags & (MESH_FLAG_RESEND | MESH_FLAG_COPY)) != 0)
        return;
    gather = links_gather(link->sender, tile->step, tile->phase, true);
    if (gather->own_first_ns == 0)
        gather->own_first_ns = packet->ts_ns;
    gather->own_last_ns = packet->ts_ns;
    if ((unsigned)tile->token_first + tile->token_count > gather->tokens)
        gather->tokens = (unsigned)tile->token_first + tile->token_count;
}

/* Is this the first tile of its sender that begins at this token and block? One in some hundred is wrongly taken as known. */
static bool is_new(struct link_gather *gather, uint16_t src, const struct mesh_tile *tile)
{
    const uint32_t hash = (src * 0x9e3779b1u ^ tile->block_first * 0x85ebca6bu ^ tile->token_first * 0xc2b2ae35u) * 0x27d4eb2fu;
    const unsigned bit = (hash >> 16) % (64 * LINKS_SEEN_WORDS);
    const uint64_t mask = UINT64_C(1) << (bit % 64);
    const bool was_seen = (gather->seen[bit / 64] & mask) != 0;

    gather->seen[bit / 64] |= mask;
    return !was_seen;
}

void waits_arrive(struct link *link, const struct packet *packet)
{
    const struct mesh_tile *tile = &packet->message.as.tile;
    struct link_gather *gather;

    if (link->receiver == NULL)
        return;
    gather = links_gather(link->receiver, tile->step, tile->phase, true);
    if (gather->have_ns != 0 || !is_new(gather, link->src, tile))
        return;
    if (link->src < STEPS_RANKS_MAX)
        link->receiver->srcs |= UINT64_C(1) << link->src;
    gather->last_ns = packet->ts_ns;
    gather->last_src = link->src;
}

/* ---- what follows ---- */

double waits_excess_ns(const struct link *link, uint64_t step, uint16_t phase)
{
    struct link_gather *gather = link->receiver ? links_gather(link->receiver, step, phase, false) : NULL;
    double excess_ns;

    if (gather == NULL || !gather->is_done)
        return -1;
    if (gather->last_src != link->src)
        return 0;
    excess_ns = (double)gather->wait_ns - (double)mesh_histogram_quantile(&link->receiver->waits, 500);
    return excess_ns > 0 ? excess_ns : 0;
}

/* Set stall_ns in the entries of this gather from the sender whose tile came last. */
static void tell_entries(struct links *links, const struct link_host *host, const struct link_gather *gather)
{
    for (size_t l = 0; l < links->count; l++) {
        struct link *link = links->links[l];

        if (link->receiver != host || link->src != gather->last_src)
            continue;
        for (unsigned space = 0; space < 2; space++)
            for (unsigned i = 0; i < LINKS_WINDOW; i++) {
                struct link_entry *entry = &link->spaces[space].entries[i];

                if (entry->number != 0 && entry->has_range && entry->step == gather->step && entry->phase == gather->phase)
                    entry->stall_ns = waits_excess_ns(link, gather->step, gather->phase);
            }
    }
}

/* Is all that the host waits for visible? Of other hosts than its own a capture shows only what they get from there, and a capture of a
 * single direction shows nothing at all. */
static bool is_in_full_view(const struct links *links, const struct link_host *host, uint16_t rank)
{
    uint64_t senders = 0;

    for (size_t i = 0; i < links->count; i++)
        if (links->links[i]->epoch == host->epoch && links->links[i]->has_tiles && links->links[i]->src < STEPS_RANKS_MAX &&
            links->links[i]->sender != NULL && links->links[i]->sender->mesh == host->mesh)
            senders |= UINT64_C(1) << links->links[i]->src;
    if (rank < STEPS_RANKS_MAX)
        senders &= ~(UINT64_C(1) << rank);
    return host->srcs != 0 && (senders & ~host->srcs) == 0;
}

/* A gather is whole at a host, and its own tiles have left. */
static void finish(struct links *links, struct steps *steps, struct link_host *host, struct link_gather *gather, bool is_end)
{
    const bool is_first = host->done_ns == 0 || host->done_step != gather->step;
    const uint64_t ready_ns = is_first ? gather->own_first_ns : host->done_ns;
    const uint64_t own_ns = gather->own_last_ns > ready_ns ? gather->own_last_ns : ready_ns;
    struct steps_gather what = {.epoch = host->epoch, .step = gather->step, .phase = gather->phase, .rank = host->rank};

    gather->is_done = true;
    gather->wait_ns = own_ns != 0 && gather->last_ns > own_ns ? gather->last_ns - own_ns : 0;
    host->done_ns = gather->last_ns > own_ns ? gather->last_ns : own_ns;
    host->done_step = gather->step;
    what.mesh = host->mesh;
    what.tokens = gather->tokens;
    what.begin_ns = ready_ns != 0 ? ready_ns : host->done_ns;
    what.end_ns = host->done_ns;
    what.compute_ns = own_ns - ready_ns;
    what.wait_ns = gather->wait_ns;
    what.wait_for = gather->last_src;
    if (host->done_ns != 0 && is_in_full_view(links, host, host->rank) && (!is_end || steps_is_open(steps, &what)))
        steps_add(steps, &what);
    mesh_histogram_add(&host->waits, gather->wait_ns);
    if (gather->wait_ns > NOTEWORTHY_NS)
        tell_entries(links, host, gather);
}

/* Finish the gathers that the host holds, the oldest first: all, or those before the one it came to hold last. */
static void finish_all(struct links *links, struct steps *steps, struct link_host *host, bool with_last, bool is_end)
{
    for (size_t i = 0; i < LINKS_GATHERS; i++) {
        struct link_gather *gather = &host->gathers[(host->next_gather + i) % LINKS_GATHERS];
        const bool is_last = gather->step == host->have_step && gather->phase == host->have_phase;

        if (gather->is_used && gather->have_ns != 0 && !gather->is_done && (with_last || !is_last))
            finish(links, steps, host, gather, is_end);
    }
}

/* The first gather of an epoch: those before it are over. */
static void end_older(struct links *links, struct steps *steps, const struct link_host *host)
{
    for (size_t i = 0; i < links->host_count; i++)
        if (links->hosts[i]->epoch < host->epoch)
            finish_all(links, steps, links->hosts[i], true, false);
}

void waits_have(struct links *links, struct steps *steps, struct link *link, const struct packet *packet)
{
    const struct mesh_header *header = &packet->message.header;
    struct link_host *host = link->sender;

    if (host == NULL || header->have_step == MESH_STEP_NONE || links_has(host, header->have_step, header->have_phase))
        return;
    if (!host->has_any)
        end_older(links, steps, host);
    host->has_any = true;
    host->rank = header->src;
    host->have_step = header->have_step;
    host->have_phase = header->have_phase;
    for (size_t i = 0; i < LINKS_GATHERS; i++) {
        struct link_gather *gather = &host->gathers[i];

        if (gather->is_used && gather->have_ns == 0 && links_has(host, gather->step, gather->phase))
            gather->have_ns = packet->ts_ns;
    }
    finish_all(links, steps, host, false, false);
}

void waits_end(struct links *links, struct steps *steps)
{
    for (size_t i = 0; i < links->host_count; i++)
        finish_all(links, steps, links->hosts[i], true, true);
}
