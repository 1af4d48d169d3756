#include "evidence.h"

#include "sender_capture.h"

bool evidence_overlaps(const struct mesh_range *a, const struct mesh_range *b)
{
    return a->token_first < b->token_first + b->token_count && b->token_first < a->token_first + a->token_count &&
           a->block_first < b->block_first + b->block_count && b->block_first < a->block_first + a->block_count;
}

#define SETTLED_NS UINT64_C(5000000) /* a receiver has counted a loss within that time */

static bool is_of(const struct link_entry *entry, uint64_t step, uint16_t phase, const struct mesh_range *range)
{
    return entry->number != 0 && entry->has_range && entry->step == step && entry->phase == phase &&
           evidence_overlaps(&entry->range, range);
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
    uint64_t number = space->highest >= LINKS_WINDOW ? space->highest - LINKS_WINDOW + 1 : 1;
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

static void mend(struct link *link, struct link_entry *entry, struct link_entry *by, bool is_all)
{
    entry->is_resent |= by->is_resend;
    by->is_of_known = true;
    by->is_needed |= entry->is_lost && (entry->repair == 0 || !by->is_repeat);
    if (entry->repair != 0)
        return;
    entry->is_proved |= is_held_before(link, by);
    entry->repair_ns = by->ts_ns;
    entry->repair = by->number;
    entry->repair_is_all = is_all;
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
            entry->repair_ns = by->ts_ns;
            entry->repair = by->number;
            entry->repair_is_all = space == 1;
            entry->is_proved |= is_held_before(link, by);
        }
}

/* ---- NAKs ---- */

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

/* ---- reports ---- */

/* The order in which numbers up to those seen are matched with the receiver's count of losses. */
enum kind {
    KIND_MISSED,  /* not in the capture; the receiver asked for it after seeing its number or later ones, and it was sent again */
    KIND_MISSING, /* not in the capture */
    KIND_ASKED,   /* the receiver asked for its data after seeing its number or later ones, and it was sent again */
    KIND_HELLO,   /* sent before the receiver listened */
    KIND_EARLY,   /* sent before an answer told the receiver that this sender knows it */
    KINDS
};

static bool is_kind(const struct link *link, unsigned is_all, const struct link_entry *entry, enum kind kind)
{
    if (entry->is_lost || entry->is_proved)
        return false;
    switch (kind) {
    case KIND_MISSING:
        return entry->is_missing;
    case KIND_MISSED:
    case KIND_ASKED:
        return (entry->is_missing || kind == KIND_ASKED) && entry->is_passed && entry->is_resent;
    case KIND_HELLO:
        return entry->type == MESH_TYPE_HELLO;
    default:
        return !is_all && entry->number < link->answer;
    }
}

/* The highest number that the receiver had seen when it counted link.fresh[report]. */
static uint64_t seen_by(const struct link_space *space, unsigned report)
{
    return report == 0 ? space->seen : space->seen_before[report - 1];
}

/* Is this number one of those counted and not yet named? It is charged to the oldest report that can mean it. */
static bool spend(struct link *link, unsigned is_all, uint64_t number)
{
    for (unsigned report = 3; report-- > 0;)
        if (link->fresh[report] > 0 && number <= seen_by(&link->spaces[is_all], report)) {
            link->fresh[report]--;
            return true;
        }
    return false;
}

/* Name numbers of this kind as far as losses are counted; without `naming`, only say how many there are. */
static uint64_t name_kind(struct link *link, enum kind kind, bool naming)
{
    uint64_t count = 0;

    for (unsigned is_all = 0; is_all < 2; is_all++) {
        struct link_space *space = &link->spaces[is_all];
        const uint64_t oldest = space->highest >= LINKS_WINDOW ? space->highest - LINKS_WINDOW + 1 : 1;

        for (uint64_t number = oldest; number <= space->seen; number++) {
            struct link_entry *entry = links_entry(space, number);

            if (entry == NULL || !is_kind(link, is_all, entry, kind))
                continue;
            count++;
            if (!naming || !spend(link, is_all, number))
                continue;
            evidence_mark_lost(link, entry);
            entry->is_early = kind >= KIND_HELLO;
        }
    }
    return count;
}

/* Can this number be the lost one? Not a tile without which the receiver could not hold the gather that it holds, nor an answered ping. */
static bool is_suspect(const struct link *link, const struct link_entry *entry)
{
    if (entry->is_lost || entry->is_proved || entry->is_missing)
        return false;
    return entry->type != MESH_TYPE_TILE || !entry->has_range || entry->repair != 0 || entry->is_resend || entry->is_copy ||
           !links_has(link->receiver, entry->step, entry->phase);
}

/* The first number that the last two reports, or those of the last milliseconds, can have counted. */
static uint64_t first_suspect(const struct link_space *space)
{
    const uint64_t oldest = space->highest >= LINKS_WINDOW ? space->highest - LINKS_WINDOW + 1 : 1;
    const uint64_t settled = space->seen_before[2] < space->marks[2] ? space->seen_before[2] : space->marks[2];

    return settled + 1 > oldest ? settled + 1 : oldest;
}

/* Count the suspects up to what that report had seen; with `naming`, name them. */
static uint64_t count_suspects(struct link *link, unsigned report, bool naming)
{
    uint64_t count = 0;

    for (unsigned is_all = 0; is_all < 2; is_all++) {
        struct link_space *space = &link->spaces[is_all];

        for (uint64_t number = first_suspect(space); number <= seen_by(space, report); number++) {
            struct link_entry *entry = links_entry(space, number);

            if (entry == NULL || !is_suspect(link, entry))
                continue;
            count++;
            if (naming)
                evidence_mark_lost(link, entry);
        }
    }
    return count;
}

/* Name the suspects when there are exactly as many as the last two reports counted; the earlier report had seen fewer numbers. */
static void name_suspects(struct link *link)
{
    const uint64_t counted = link->fresh[0] + link->fresh[1];
    const unsigned report = link->fresh[0] == 0; /* the last report that counted some */

    if (counted == 0 || count_suspects(link, report, false) != counted || count_suspects(link, 1, false) < link->fresh[1])
        return;
    count_suspects(link, report, true);
    link->fresh[0] = link->fresh[1] = 0;
}

static void see(struct link_space *space, uint64_t seen)
{
    if (seen > space->highest)
        seen = space->highest; /* the capture has not shown the rest yet */
    space->seen_before[2] = space->seen_before[1];
    space->seen_before[1] = space->seen_before[0];
    space->seen_before[0] = space->seen;
    if (seen > space->seen)
        space->seen = seen;
}

/* More numbers missing than counted: the capture lacks some, or not all are judged. Which ones are lost only NAKs can tell then. */
static void name_losses(struct link *link)
{
    const bool is_unclear = name_kind(link, KIND_MISSING, false) > link->fresh[0] + link->fresh[1] + link->fresh[2];

    for (enum kind kind = KIND_MISSED; kind < (is_unclear ? KIND_MISSING : KINDS); kind++)
        if (kind < KIND_HELLO || link->spaces[1].seen == 0)
            name_kind(link, kind, true);
    if (!is_unclear)
        name_suspects(link);
}

/* A receiver may report a number as seen before it has judged the missing ones below it. */
static void mark(struct link *link, uint64_t ts_ns)
{
    if (ts_ns + SETTLED_NS < link->mark_ns)
        link->mark_ns = ts_ns; /* the clock was set back */
    if (ts_ns < link->mark_ns + SETTLED_NS)
        return;
    link->mark_ns = ts_ns;
    for (unsigned space = 0; space < 2; space++) {
        uint64_t *marks = link->spaces[space].marks;

        marks[2] = marks[1];
        marks[1] = marks[0];
        marks[0] = link->spaces[space].seen;
    }
}

static void take_report(struct link *link, uint64_t ts_ns, uint64_t seen_all, uint64_t seen_peer, uint64_t lost)
{
    if (!link->has_report) {
        link->has_report = true;
        link->report_base = link->spaces[0].first == 1 && link->spaces[1].first <= 1 ? 0 : lost;
    }
    see(&link->spaces[1], seen_all);
    see(&link->spaces[0], seen_peer);
    lost = lost > link->report_base ? lost - link->report_base : 0;
    link->fresh[2] = link->fresh[1];
    link->fresh[1] = link->fresh[0];
    link->fresh[0] = lost > link->reported ? lost - link->reported : 0; /* fewer: what seemed lost was late */
    link->reported = lost;
    if (lost > link->assigned)
        name_losses(link);
    mark(link, ts_ns);
}

/* The ping that a pong answers has arrived. Note the round-trip time of the two as seen from the capture. */
static void take_pong(struct link *link, const struct packet *packet)
{
    const struct mesh_pong *pong = &packet->message.as.pong;
    const uint64_t held_ns = packet->message.header.sent_ns - pong->received_ns;

    for (unsigned is_all = 0; is_all < 2; is_all++)
        for (unsigned back = 0; back < 64; back++) {
            struct link_space *space = &link->spaces[is_all];
            struct link_entry *entry = back < space->highest ? links_entry(space, space->highest - back) : NULL;
            uint64_t turn_ns;

            if (entry == NULL || entry->type != MESH_TYPE_PING || entry->step != pong->origin_ns)
                continue;
            entry->is_proved = true;
            turn_ns = packet->ts_ns > entry->ts_ns + held_ns ? packet->ts_ns - entry->ts_ns - held_ns : 1;
            if (link->turn_ns == 0 || turn_ns < link->turn_ns)
                link->turn_ns = turn_ns;
        }
    take_report(link, packet->ts_ns, pong->seen_all, pong->seen_peer, pong->lost);
}

/* The HELLO that is answered has arrived. If several match, nothing tells which one. */
static void take_hello_ack(struct link *link, uint64_t echo)
{
    struct link_space *space = &link->spaces[0];
    const uint64_t oldest = space->highest >= LINKS_WINDOW ? space->highest - LINKS_WINDOW + 1 : 1;
    struct link_entry *answered = NULL;

    for (uint64_t number = oldest; number <= space->highest; number++) {
        struct link_entry *entry = links_entry(space, number);

        if (entry == NULL || entry->type != MESH_TYPE_HELLO || entry->step != echo)
            continue;
        if (answered != NULL)
            return;
        answered = entry;
    }
    if (answered != NULL)
        answered->is_proved = true;
}

void evidence_take(struct link *link, const struct packet *packet)
{
    const struct mesh_message *message = &packet->message;

    if (link == NULL)
        return;
    if (message->header.type == MESH_TYPE_STATUS)
        take_report(link, packet->ts_ns, message->as.status.seen_all, message->as.status.seen_peer, message->as.status.lost);
    else if (message->header.type == MESH_TYPE_PONG)
        take_pong(link, packet);
    else if (message->header.type == MESH_TYPE_NAK)
        take_nak(link, packet);
    else if (message->header.type == MESH_TYPE_HELLO_ACK)
        take_hello_ack(link, message->as.hello_ack.echo);
}
