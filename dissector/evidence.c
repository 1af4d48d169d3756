#include "evidence.h"

#include "loss_report.h"
#include "sender_capture.h"

bool evidence_overlaps(const struct mesh_range *a, const struct mesh_range *b)
{
    return a->token_first < b->token_first + b->token_count && b->token_first < a->token_first + a->token_count &&
           a->block_first < b->block_first + b->block_count && b->block_first < a->block_first + a->block_count;
}

static bool holds(const struct link_entry *entry, uint64_t step, uint16_t phase, const struct mesh_range *range)
{
    return entry->has_range && entry->step == step && entry->phase == phase && evidence_overlaps(&entry->range, range);
}

static bool is_of(const struct link_entry *entry, uint64_t step, uint16_t phase, const struct mesh_range *range)
{
    return entry->number != 0 && holds(entry, step, phase, range);
}

/* A datagram larger than resends is sent again in parts: each part that brings something for the first time is needed. */
static void need_parts(struct link *link, const struct link_entry *entry)
{
    for (unsigned space = 0; space < 2; space++)
        for (unsigned i = 0; i < LINKS_WINDOW; i++) {
            struct link_entry *by = &link->spaces[space].entries[i];

            if (by != entry && by->is_resend && !by->is_repeat && (entry->is_missing || by->ts_ns >= entry->ts_ns) &&
                is_of(by, entry->step, entry->phase, &entry->range))
                by->is_needed = true;
        }
}

void evidence_mark_lost(struct link *link, struct link_entry *entry)
{
    struct link_entry *repair = entry->repair != 0 ? links_entry(&link->spaces[entry->repair_is_all], entry->repair) : NULL;

    entry->is_lost = true;
    link->assigned++;
    if (repair == NULL)
        return;
    repair->is_needed = true;
    need_parts(link, entry);
}

static void unmark_lost(struct link *link, struct link_entry *entry)
{
    entry->is_lost = false;
    link->assigned -= link->assigned > 0;
}

void evidence_prove(struct link *link, struct link_entry *entry)
{
    entry->is_proved = true;
    if (entry->is_lost)
        unmark_lost(link, entry);
}

void evidence_doubt(struct link *link, struct link_entry *entry)
{
    unmark_lost(link, entry);
    entry->is_doubtful = true;
    link->doubted++;
}

/* Did the receiver hold the gather before this was sent? Then what was sent earlier has arrived, however early it was asked for. */
static bool is_held_before(const struct link *link, const struct link_entry *by)
{
    const struct link_gather *gather = link->receiver ? links_gather(link->receiver, by->step, by->phase, false) : NULL;

    return gather != NULL ? gather->have_ns != 0 && gather->have_ns < by->ts_ns
                          : !by->is_missing && links_has(link->receiver, by->step, by->phase);
}

/* ---- what a missing number held ---- */

static bool is_original(const struct link_entry *entry)
{
    return entry->type == MESH_TYPE_TILE && entry->has_range && !entry->is_missing && !entry->is_resend && !entry->is_copy;
}

/* Is the tile of that gather, of an earlier one (below 0), or of a later one? */
static int compare_gather(const struct link_entry *tile, uint64_t step, uint16_t phase)
{
    if (tile->step != step)
        return tile->step < step ? -1 : 1;
    return (tile->phase > phase) - (tile->phase < phase);
}

/* In each space tiles leave in the order of their gathers, except resends: the first missing number of unknown content that lies between a
 * tile of no later and a tile of no earlier gather. `anywhere`: wherever it lies. */
static struct link_entry *missing_place(struct link_space *space, uint64_t step, uint16_t phase, bool anywhere)
{
    uint64_t number = links_oldest(space->highest);
    struct link_entry *first = NULL;
    bool has_before = false, has_any = false;

    for (; number <= space->highest && (first != NULL || number <= space->last_missed); number++) {
        struct link_entry *entry = links_entry(space, number);
        int order;

        if (entry != NULL && entry->is_missing && entry->type == 0 && !entry->has_range && first == NULL)
            first = entry;
        has_any |= first != NULL;
        if (first != NULL && anywhere)
            return first;
        if (entry == NULL || !is_original(entry))
            continue;
        order = compare_gather(entry, step, phase);
        if (order > 0 || (order == 0 && first != NULL))
            return first;
        first = NULL;
        has_before = true;
    }
    if (!has_any)
        space->last_missed = 0; /* nothing to look for until another number is missed */
    return has_before ? first : NULL;
}

/* Data that no datagram in the capture has brought belongs to a missing number whose neighbours fit it; where no tile of the sender can be
 * read, to the oldest. NULL: to none, as the data is late or was sent before the capture. */
static struct link_entry *give_to_missing(struct link *link, uint64_t step, uint16_t phase, const struct mesh_range *range)
{
    struct link_entry *alone = missing_place(&link->spaces[0], step, phase, !link->has_tiles);
    struct link_entry *oldest = missing_place(&link->spaces[1], step, phase, !link->has_tiles);

    if (oldest == NULL || (alone != NULL && alone->ts_ns <= oldest->ts_ns))
        oldest = alone;
    if (oldest == NULL)
        return NULL;
    oldest->has_range = true;
    oldest->type = MESH_TYPE_TILE;
    oldest->step = step;
    oldest->phase = phase;
    oldest->range = *range;
    return oldest;
}

/* ---- resends ---- */

/* One range of a NAK may cover several datagrams in a row. A resend shows where one of them begins and ends: the part before it, its own
 * part and the part behind it belong to successive missing numbers. Ranges that differ in tokens and in blocks are left as they are. */
static void split_asked(struct link *link, struct link_entry *entry, const struct mesh_range *by)
{
    const struct mesh_range whole = entry->range;
    const bool by_tokens = by->block_first == whole.block_first && by->block_count == whole.block_count;
    const bool by_blocks = by->token_first == whole.token_first && by->token_count == whole.token_count;
    const unsigned first = by_tokens ? whole.token_first : whole.block_first, count = by_tokens ? whole.token_count : whole.block_count;
    const unsigned from = by_tokens ? by->token_first : by->block_first, size = by_tokens ? by->token_count : by->block_count;
    const unsigned cuts[] = {first, from > first ? from : first, from + size < first + count ? from + size : first + count, first + count};
    bool is_used = false;

    if (by_tokens == by_blocks)
        return;
    for (unsigned i = 0; i < 3; i++) {
        struct mesh_range piece = whole;
        struct link_entry *place = entry;

        if (cuts[i + 1] <= cuts[i])
            continue;
        *(by_tokens ? &piece.token_first : &piece.block_first) = (uint16_t)cuts[i];
        *(by_tokens ? &piece.token_count : &piece.block_count) = (uint16_t)(cuts[i + 1] - cuts[i]);
        if (is_used)
            place = give_to_missing(link, entry->step, entry->phase, &piece);
        if (place == NULL)
            return;
        place->range = piece;
        place->nak_ns = entry->nak_ns;
        place->is_asked = i != 1;
        is_used = true;
    }
}

/* A resend shows more closely what a NAK asked for. It is a repeat if a copy or another resend has brought the same before. */
static void look_before(struct link *link, struct link_entry *by)
{
    for (unsigned space = 0; space < 2; space++)
        for (unsigned i = 0; i < LINKS_WINDOW; i++) {
            struct link_entry *entry = &link->spaces[space].entries[i];

            if (entry == by || !is_of(entry, by->step, by->phase, &by->range))
                continue;
            by->is_repeat |= !entry->is_missing && (entry->is_resend || entry->is_copy);
            if (entry->is_missing && entry->is_asked && entry->repair == 0)
                split_asked(link, entry, &by->range);
        }
}

static void set_repair(struct link_entry *entry, const struct link_entry *by, bool is_all)
{
    entry->repair_ns = by->ts_ns;
    entry->repair = by->number;
    entry->repair_is_all = is_all;
}

static void mend(struct link *link, struct link_entry *entry, struct link_entry *by, bool is_all)
{
    entry->is_resent |= by->is_resend;
    by->is_of_known = true;
    by->is_needed |= entry->is_lost && (entry->repair == 0 || !by->is_repeat);
    if (entry->repair == 0)
        entry->is_proved |= is_held_before(link, by);
    if (entry->repair == 0 || entry->repair_ns == 0)
        set_repair(entry, by, is_all);
}

void evidence_repair(struct link *link, struct link_entry *by, bool is_all)
{
    struct link_entry *missing;

    if (!by->is_missing)
        look_before(link, by);
    for (unsigned space = 0; space < 2; space++)
        for (unsigned i = 0; i < LINKS_WINDOW; i++) {
            struct link_entry *entry = &link->spaces[space].entries[i];

            if (entry != by && entry->ts_ns <= by->ts_ns && is_of(entry, by->step, by->phase, &by->range))
                mend(link, entry, by, is_all);
        }
    missing = by->is_of_known || by->is_missing ? NULL : give_to_missing(link, by->step, by->phase, &by->range);
    if (missing != NULL)
        mend(link, missing, by, is_all);
}

void evidence_find_originals(struct link *link, uint64_t since_ns)
{
    for (unsigned space = 0; space < 2; space++)
        for (unsigned i = 0; i < LINKS_WINDOW; i++) {
            struct link_entry *by = &link->spaces[space].entries[i], *missing;

            if (by->number == 0 || by->ts_ns < since_ns || by->is_missing || by->is_of_known || !by->has_range ||
                !(by->is_resend || by->is_copy))
                continue;
            missing = give_to_missing(link, by->step, by->phase, &by->range);
            if (missing != NULL)
                mend(link, missing, by, space == 1);
        }
}

void evidence_find_repair(struct link *link, struct link_entry *entry)
{
    for (unsigned space = 0; space < 2; space++)
        for (unsigned i = 0; i < LINKS_WINDOW; i++) {
            struct link_entry *by = &link->spaces[space].entries[i];

            if (by == entry || by->is_missing || !(by->is_resend || by->is_copy) || by->ts_ns < entry->ts_ns ||
                !is_of(by, entry->step, entry->phase, &entry->range))
                continue;
            entry->is_resent |= by->is_resend;
            by->is_of_known = true;
            if (entry->repair != 0 && entry->repair_ns <= by->ts_ns)
                continue;
            set_repair(entry, by, space == 1);
            entry->is_proved |= is_held_before(link, by);
        }
}

/* By what an entry's data was first sent again after that time and not lost as well, in the space to all if *is_all; NULL: by nothing.
 * Places that are free again hold what was there: at the end of a capture entries leave one after the other. */
static const struct link_entry *next_repair(const struct link *link, const struct link_entry *entry, uint64_t after_ns, bool *is_all)
{
    const struct link_entry *first = NULL;

    for (unsigned space = 0; space < 2; space++)
        for (unsigned i = 0; i < LINKS_WINDOW; i++) {
            const struct link_entry *by = &link->spaces[space].entries[i];

            if ((by->is_resend || by->is_copy) && !by->is_missing && !by->is_lost && by->ts_ns > after_ns &&
                (first == NULL || by->ts_ns < first->ts_ns) && holds(by, entry->step, entry->phase, &entry->range)) {
                first = by;
                *is_all = space == 1;
            }
        }
    return first;
}

uint64_t evidence_repaired_ns(const struct link *link, const struct link_entry *entry)
{
    const struct link_entry *repair = &link->spaces[entry->repair_is_all].entries[entry->repair % LINKS_WINDOW];
    const bool is_there = entry->repair != 0 && (repair->number == 0 || repair->number == entry->repair);
    bool is_all;

    if (is_there && repair->is_lost) {
        repair = next_repair(link, entry, repair->ts_ns, &is_all);
        return repair != NULL ? repair->ts_ns : 0;
    }
    return entry->repair_ns;
}

void evidence_forget_repair(struct link *link, bool is_all, const struct link_entry *lost)
{
    for (unsigned space = 0; (lost->is_resend || lost->is_copy) && space < 2; space++)
        for (unsigned i = 0; i < LINKS_WINDOW; i++) {
            struct link_entry *entry = &link->spaces[space].entries[i];
            const struct link_entry *next;
            bool is_next_all;

            if (entry->number == 0 || entry->repair != lost->number || entry->repair_is_all != is_all)
                continue;
            entry->repair_ns = 0;
            next = next_repair(link, entry, lost->ts_ns, &is_next_all);
            if (next != NULL)
                set_repair(entry, next, is_next_all);
        }
}

/* ---- NAKs and reports ---- */

static void take_nak(struct link *link, const struct packet *packet)
{
    const struct mesh_nak *nak = &packet->message.as.nak;

    for (unsigned r = 0; r < nak->range_count; r++) {
        const struct mesh_range *range = &packet->message.ranges[r];
        bool is_known = false;

        for (unsigned space = 0; space < 2; space++)
            for (unsigned i = 0; i < LINKS_WINDOW; i++) {
                struct link_entry *entry = &link->spaces[space].entries[i];

                if (!is_of(entry, nak->step, nak->phase, range))
                    continue;
                is_known = true;
                if (entry->nak_ns == 0)
                    entry->nak_ns = packet->ts_ns;
                entry->is_passed |= entry->number <= link->spaces[space].seen; /* a STATUS just before the NAK says so */
            }
        if (!is_known && !sender_capture_take_nak(link, packet, range)) {
            struct link_entry *missing = give_to_missing(link, nak->step, nak->phase, range);

            if (missing != NULL) {
                missing->nak_ns = packet->ts_ns;
                missing->is_asked = true;
            }
        }
    }
}

void evidence_take(struct link *link, const struct packet *packet)
{
    const struct mesh_message *message = &packet->message;
    const struct mesh_status *status = &message->as.status;
    const struct loss_report report = {packet->ts_ns, message->header.sent_ns, status->seen_all, status->seen_peer, status->lost};

    if (link == NULL)
        return;
    if (message->header.type == MESH_TYPE_STATUS)
        loss_report_take(link, &report);
    else if (message->header.type == MESH_TYPE_PONG)
        loss_report_take_pong(link, packet);
    else if (message->header.type == MESH_TYPE_NAK)
        take_nak(link, packet);
    else if (message->header.type == MESH_TYPE_HELLO_ACK)
        loss_report_take_hello_ack(link, message->as.hello_ack.echo);
    else if (message->header.type == MESH_TYPE_PROBE_ACK)
        loss_report_take_probe_ack(link, message->as.probe_ack.bytes);
}
