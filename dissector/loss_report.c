#include "loss_report.h"

#include <string.h>

#include "evidence.h"

#define SETTLED_NS UINT64_C(5000000) /* a receiver has counted a loss within that time */
#define JUDGED_NS  UINT64_C(1000000) /* and, however slowly it runs, within four reports that are so far apart */

enum { SETTLES = 4 }; /* entries of link_space.settled */

/* The order in which numbers up to those seen are matched with the receiver's count of losses. */
enum kind {
    KIND_MISSED,  /* not in the capture; the receiver asked for it after seeing its number or later ones, and it was sent again */
    KIND_MISSING, /* not in the capture */
    KIND_ASKED,   /* the receiver asked for its data after seeing its number or later ones, and it was sent again */
    KIND_PROBE,   /* a probe that was not answered; in the end only if none of its size was */
    KIND_HELLO,   /* sent before the receiver listened */
    KIND_EARLY,   /* sent before an answer told the receiver that this sender knows it */
    KINDS
};

static bool is_kind(const struct link *link, unsigned is_all, const struct link_entry *entry, enum kind kind)
{
    if (entry->is_lost || entry->is_proved || entry->is_doubtful)
        return false;
    switch (kind) {
    case KIND_MISSING:
        return entry->is_missing;
    case KIND_MISSED:
    case KIND_ASKED:
        return (entry->is_missing || kind == KIND_ASKED) && entry->is_passed && entry->is_resent;
    case KIND_PROBE:
        return entry->type == MESH_TYPE_PROBE && (is_all || entry->number >= link->answer);
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
    const struct link_space *space = &link->spaces[is_all];

    for (unsigned report = LINKS_REPORTS; report-- > 0;)
        if (link->fresh[report] > 0 && number > space->counted[report] && number <= seen_by(space, report)) {
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
        const uint64_t oldest = links_oldest(space->highest);

        for (uint64_t number = oldest; number <= space->seen; number++) {
            struct link_entry *entry = links_entry(space, number);

            if (entry == NULL || !is_kind(link, is_all, entry, kind))
                continue;
            count++;
            if (!naming || !spend(link, is_all, number))
                continue;
            evidence_mark_lost(link, entry);
            entry->is_early = kind >= KIND_HELLO;
            entry->is_inferred = kind == KIND_ASKED && !entry->is_missing;
        }
    }
    return count;
}

/* Can this number be the lost one? Not a tile without which the receiver could not hold the gather that it holds, nor an answered ping. */
static bool is_suspect(const struct link *link, const struct link_entry *entry)
{
    if (entry->is_lost || entry->is_proved || entry->is_doubtful || entry->is_missing)
        return false;
    return entry->type != MESH_TYPE_TILE || !entry->has_range || entry->repair != 0 || entry->is_resend || entry->is_copy ||
           !links_has(link->receiver, entry->step, entry->phase);
}

/* The first number that the last two reports, or those of the last milliseconds, can have counted. */
static uint64_t first_suspect(const struct link_space *space)
{
    const uint64_t oldest = links_oldest(space->highest);
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
            if (!naming)
                continue;
            evidence_mark_lost(link, entry);
            entry->is_inferred = true;
        }
    }
    return count;
}

/* Does the capture have the link from its first number? */
static bool is_from_beginning(const struct link *link)
{
    return link->spaces[0].first == 1 && link->spaces[1].first <= 1;
}

/* Name the suspects when there are exactly as many as the last two reports counted; the earlier report had seen fewer numbers. */
static void name_suspects(struct link *link)
{
    const uint64_t counted = link->fresh[0] + link->fresh[1];
    const unsigned report = link->fresh[0] == 0; /* the last report that counted some */

    if (!is_from_beginning(link) && link->settles <= SETTLES)
        return; /* what was lost before the capture may not be counted yet */
    if (counted == 0 || count_suspects(link, report, false) != counted || count_suspects(link, 1, false) < link->fresh[1])
        return;
    count_suspects(link, report, true);
    link->fresh[0] = link->fresh[1] = 0;
}

/* The highest number that has been seen has come. */
static void prove(struct link *link, struct link_space *space, uint64_t seen)
{
    struct link_entry *last = links_entry(space, seen);

    if (last == NULL)
        return;
    last->is_come = true;
    evidence_prove(link, last);
}

/* Put a value before those of the reports until now. */
static void push(uint64_t values[LINKS_REPORTS], uint64_t value)
{
    memmove(values + 1, values, (LINKS_REPORTS - 1) * sizeof *values);
    values[0] = value;
}

static void see(struct link_space *space, uint64_t seen)
{
    if (seen > space->highest)
        seen = space->highest; /* the capture has not shown the rest yet */
    push(space->seen_before, space->seen);
    push(space->counted, space->settled[3]);
    if (seen > space->seen)
        space->seen = seen;
}

/* What a receiver counts while the handshake goes on is of the handshake, if nothing else that it can have counted was sent by then. */
static bool is_of_handshake(const struct link *link)
{
    const struct link_space *space = &link->spaces[0];

    if (link->spaces[1].seen != 0)
        return false;
    for (uint64_t number = first_suspect(space); number <= space->seen; number++) {
        const struct link_entry *entry = links_entry((struct link_space *)space, number);

        if (entry != NULL && is_suspect(link, entry) && !is_kind(link, 0, entry, KIND_HELLO) && !is_kind(link, 0, entry, KIND_EARLY))
            return false;
    }
    return true;
}

/* More numbers missing than counted: the capture lacks some, or not all are judged. Which ones are lost only NAKs can tell then. */
static void name_losses(struct link *link)
{
    uint64_t counted = 0;
    bool is_unclear;

    for (unsigned i = 0; i < LINKS_REPORTS; i++)
        counted += link->fresh[i];
    is_unclear = name_kind(link, KIND_MISSING, false) > counted;
    for (enum kind kind = KIND_MISSED; kind < (is_unclear ? KIND_MISSING : KINDS); kind++)
        if (kind < KIND_HELLO || is_of_handshake(link))
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

/* The same by the receiver's clock, which tells whether it has run between its reports, however they came here. It judges what is missing
 * in two rounds, either of which may come after the next report when it hardly gets to run. */
static void settle(struct link *link, uint64_t sent_ns)
{
    if (sent_ns < link->settle_ns + JUDGED_NS)
        return;
    link->settle_ns = sent_ns;
    link->settles++;
    for (unsigned space = 0; space < 2; space++) {
        uint64_t *settled = link->spaces[space].settled;

        for (unsigned i = 3; i > 0; i--)
            settled[i] = settled[i - 1];
        settled[0] = link->spaces[space].seen;
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The receiver counts fewer than before: some that seemed lost came late. If the capture does not show that, they are among those named,
 * and nothing tells which ones. */
static void take_back(struct link *link, uint64_t fewer)
{
    const uint64_t shown = least(fewer, link->turned_up);

    link->turned_up -= shown;
    if (fewer == shown)
        return;
    link->is_overtaken = true;
    if (link->sender != NULL)
        link->sender->is_overtaken = true;
    for (unsigned is_all = 0; is_all < 2; is_all++)
        for (unsigned i = 0; i < LINKS_WINDOW; i++) {
            struct link_entry *entry = &link->spaces[is_all].entries[i];

            if (entry->number == 0 || !entry->is_lost || entry->is_missing || entry->is_early)
                continue;
            evidence_doubt(link, entry);
        }
    link->doubted -= least(link->doubted, fewer - shown);
}

void loss_report_take(struct link *link, const struct loss_report *report)
{
    const uint64_t sent_ns = report->sent_ns != 0 ? report->sent_ns : report->ts_ns;
    uint64_t lost = report->lost;

    if (!link->has_report) {
        link->has_report = true;
        link->report_base = is_from_beginning(link) ? 0 : lost;
    }
    prove(link, &link->spaces[1], report->seen_all);
    prove(link, &link->spaces[0], report->seen_peer);
    if (sent_ns < link->report_ns)
        return; /* a later one has overtaken it */
    link->report_ns = sent_ns;
    see(&link->spaces[1], report->seen_all);
    see(&link->spaces[0], report->seen_peer);
    lost = lost > link->report_base ? lost - link->report_base : 0;
    if (lost < link->reported)
        take_back(link, link->reported - lost);
    push(link->fresh, lost > link->reported ? lost - link->reported : 0);
    link->reported = lost;
    if (lost > link->assigned + link->doubted)
        name_losses(link);
    mark(link, report->ts_ns);
    settle(link, sent_ns);
}

/* The entry of the ping with this time; NULL: there is none, or there are two. */
static struct link_entry *find_ping(struct link *link, uint64_t origin_ns)
{
    struct link_entry *ping = NULL;

    for (unsigned is_all = 0; is_all < 2; is_all++)
        for (unsigned back = 0; back < 64; back++) {
            struct link_space *space = &link->spaces[is_all];
            struct link_entry *entry = back < space->highest ? links_entry(space, space->highest - back) : NULL;

            if (entry == NULL || entry->type != MESH_TYPE_PING || entry->step != origin_ns)
                continue;
            if (ping != NULL)
                return NULL;
            ping = entry;
        }
    return ping;
}

void loss_report_take_pong(struct link *link, const struct packet *packet)
{
    const struct mesh_pong *pong = &packet->message.as.pong;
    const struct loss_report report = {packet->ts_ns, packet->message.header.sent_ns, pong->seen_all, pong->seen_peer, pong->lost};
    const uint64_t held_ns = packet->message.header.sent_ns - pong->received_ns;
    struct link_entry *ping = find_ping(link, pong->origin_ns);

    if (ping != NULL) {
        const uint64_t turn_ns = packet->ts_ns > ping->ts_ns + held_ns ? packet->ts_ns - ping->ts_ns - held_ns : 1;

        evidence_prove(link, ping);
        if (link->turn_ns == 0 || turn_ns < link->turn_ns)
            link->turn_ns = turn_ns;
    }
    loss_report_take(link, &report);
}

/* Of several tries of a size the last one has been answered: the next one comes only when there was no answer for a while. */
void loss_report_take_probe_ack(struct link *link, uint32_t bytes)
{
    const unsigned is_all = bytes == MESH_DATAGRAM_BYTES_MIN; /* only the probe of a group has this size */
    struct link_space *space = &link->spaces[is_all];

    if (bytes > link->proved_bytes[is_all])
        link->proved_bytes[is_all] = bytes;
    for (uint64_t number = space->highest; number > 0 && number >= links_oldest(space->highest); number--) {
        struct link_entry *entry = links_entry(space, number);

        if (entry == NULL || entry->type != MESH_TYPE_PROBE || entry->step != bytes || entry->is_proved)
            continue;
        evidence_prove(link, entry);
        return;
    }
}

void loss_report_take_hello_ack(struct link *link, uint64_t echo)
{
    struct link_space *space = &link->spaces[0];
    const uint64_t oldest = links_oldest(space->highest);
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
        evidence_prove(link, answered);
}
