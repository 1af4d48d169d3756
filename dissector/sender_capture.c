#include "sender_capture.h"

#include "evidence.h"

static struct link_sent *sent_at(const struct link *link, bool is_all, uint64_t number)
{
    struct link_sent *sent = link->departures ? &link->departures[is_all].sent[number % LINKS_WINDOW] : NULL;

    return sent != NULL && sent->number == number ? sent : NULL;
}

bool sender_capture_covers(const struct link *link, bool is_all, uint64_t number)
{
    const struct link_departures *departures = link->departures ? &link->departures[is_all] : NULL;

    return departures != NULL && departures->first != 0 && number >= departures->first && number <= departures->highest;
}

/* What the sender's capture tells of a number that did not arrive: its content, and when it left. */
static void fill(struct link *link, bool is_all, struct link_entry *entry, const struct link_sent *sent)
{
    entry->ts_ns = sent->ts_ns;
    entry->type = sent->type;
    entry->bytes = sent->bytes;
    entry->is_resend = sent->is_resend;
    entry->is_copy = sent->is_copy;
    entry->has_range = sent->has_range;
    entry->step = sent->step;
    entry->phase = sent->phase;
    entry->range = sent->range;
    if (sent->nak_ns != 0)
        entry->nak_ns = sent->nak_ns;
    if (!sent->has_range)
        return;
    if (entry->is_resend || entry->is_copy)
        evidence_repair(link, entry, is_all);
    evidence_find_repair(link, entry);
}

static void match(struct link *link, bool is_all, struct link_entry *entry, const struct link_sent *sent)
{
    if (entry->is_sent)
        return;
    entry->is_sent = true;
    if (entry->is_missing)
        fill(link, is_all, entry, sent);
    else
        mesh_histogram_add(&link->latency, entry->ts_ns > sent->ts_ns ? entry->ts_ns - sent->ts_ns : 0);
}

void sender_capture_fill(struct link *link, bool is_all, struct link_entry *entry)
{
    const struct link_sent *sent = sent_at(link, is_all, entry->number);

    if (sent != NULL)
        match(link, is_all, entry, sent);
}

void sender_capture_add(struct link *link, const struct packet *packet)
{
    const struct mesh_header *header = &packet->message.header;
    const struct mesh_tile *tile = &packet->message.as.tile;
    const bool is_all = header->dst == MESH_DST_ALL;
    struct link_departures *departures = &link->departures[is_all];
    struct link_sent *sent = &departures->sent[header->number % LINKS_WINDOW];
    struct link_entry *entry = links_entry(&link->spaces[is_all], header->number);

    if (sent->number >= header->number)
        return; /* twice, or too old */
    *sent = (struct link_sent){.number = header->number, .ts_ns = packet->ts_ns, .type = header->type, .bytes = (uint16_t)packet->size};
    sent->is_resend = (header->flags & MESH_FLAG_RESEND) != 0;
    sent->is_copy = (header->flags & MESH_FLAG_COPY) != 0;
    if (packet->state == PACKET_DECODED && header->type == MESH_TYPE_TILE) {
        sent->has_range = true;
        sent->step = tile->step;
        sent->phase = tile->phase;
        sent->range = (struct mesh_range){tile->token_first, tile->token_count, tile->block_first, tile->block_count};
    }
    if (header->type == MESH_TYPE_PROBE)
        sent->step = packet->size;
    if (departures->first == 0)
        departures->first = header->number;
    if (header->number > departures->highest)
        departures->highest = header->number;
    if (entry != NULL)
        match(link, is_all, entry, sent);
}

bool sender_capture_take_nak(struct link *link, const struct packet *packet, const struct mesh_range *range)
{
    const struct mesh_nak *nak = &packet->message.as.nak;
    bool is_known = false;

    for (unsigned space = 0; link->departures != NULL && space < 2; space++)
        for (unsigned i = 0; i < LINKS_WINDOW; i++) {
            struct link_sent *sent = &link->departures[space].sent[i];

            if (sent->number <= link->spaces[space].highest || !sent->has_range || sent->step != nak->step || sent->phase != nak->phase ||
                !evidence_overlaps(&sent->range, range))
                continue;
            is_known = true;
            if (sent->nak_ns == 0)
                sent->nak_ns = packet->ts_ns;
        }
    return is_known;
}
