#include "analysis.h"

#include <string.h>

#include "evidence.h"
#include "numbers.h"
#include "sender_capture.h"
#include "waits.h"

#define UNDERWAY_NS UINT64_C(100000000) /* no datagram takes that long to arrive */
#define STALL_MS    0.05                /* a shorter stall is no different from the usual wait */

void analysis_init(struct analysis *analysis, void (*on_loss)(void *, const struct analysis_loss *), void *context)
{
    memset(analysis, 0, sizeof *analysis);
    analysis->on_loss = on_loss;
    analysis->context = context;
}

void analysis_release(struct analysis *analysis)
{
    links_release(&analysis->links);
}

/* ---- reporting a loss ---- */

bool analysis_is_lost_probe(const struct analysis_loss *loss)
{
    return loss->entry != NULL && !loss->entry->is_early && loss->entry->type == MESH_TYPE_PROBE &&
           loss->entry->step > loss->link->proved_bytes[loss->is_all];
}

/* How much longer than usual the receiver waited for the lost data. Losses may share a stall, which is counted with the first. */
static double stall_of(struct analysis *analysis, const struct link *link, const struct link_entry *entry)
{
    double stall_ns = entry->stall_ns;
    struct analysis_stall *last = &analysis->last_stall;

    if (!entry->has_range)
        return -1;
    if (stall_ns < 0)
        stall_ns = waits_excess_ns(link, entry->step, entry->phase);
    if (stall_ns < STALL_MS * 1e6)
        return stall_ns < 0 ? -1 : 0;
    if (last->receiver != link->receiver || last->step != entry->step || last->phase != entry->phase) {
        *last = (struct analysis_stall){link->receiver, entry->step, entry->phase};
        analysis->stalls++;
        analysis->stall_ms += stall_ns / 1e6;
    }
    return stall_ns / 1e6;
}

static void tell(struct analysis *analysis, struct link *link, bool is_all, struct link_entry *entry)
{
    const uint64_t repair_ns = evidence_repaired_ns(link, entry);
    const struct analysis_loss loss = {.link = link,
                                       .entry = entry,
                                       .is_all = is_all,
                                       .repair_ms = repair_ns > entry->ts_ns ? (double)(repair_ns - entry->ts_ns) / 1e6 : -1,
                                       .stall_ms = stall_of(analysis, link, entry)};

    link->counts.lost++;
    link->counts.lost_unseen += entry->is_missing;
    link->counts.lost_counted += entry->is_missing && !(entry->is_passed && entry->is_resent);
    link->counts.lost_probes += analysis_is_lost_probe(&loss);
    sizes_take_lost(link, is_all, entry);
    evidence_forget_repair(link, is_all, entry);
    analysis->on_loss(analysis->context, &loss);
}

/* A missing number was lost, unless the receiver has judged it and counts no more losses than are named: then the capture lacks it. */
static bool is_named_lost(struct link *link, bool is_all, struct link_entry *entry)
{
    const uint64_t judged = link->spaces[is_all].marks[1]; /* the report after this mark counted the number, or none will */

    if (!entry->is_lost && !entry->is_come &&
        !(link->has_report && entry->number <= judged && link->reported <= link->assigned + link->doubted))
        evidence_mark_lost(link, entry);
    return entry->is_lost;
}

/* May what was captured of this link be overtaken on the rest of its way? If the capture has it out of order, it was taken behind that. */
static bool is_overtaken(const struct link *link)
{
    const bool is_before = link->counts.reordered + link->counts.late == 0 && link->at_receiver != (int)link->point;

    return link->is_overtaken || (is_before && link->sender != NULL && link->sender->is_overtaken);
}

/* May it have arrived, although it was named? Of a probe in the capture whose size the path carries the answer may be lost. */
static bool may_have_come(const struct link *link, bool is_all, const struct link_entry *entry)
{
    if (entry->type == MESH_TYPE_PROBE && !entry->is_missing && !entry->is_early && !entry->is_inferred &&
        entry->step <= link->proved_bytes[is_all])
        return true;
    return entry->is_inferred && is_overtaken(link);
}

/* An entry leaves the window: settle what is still open. */
static void retire(struct analysis *analysis, struct link *link, bool is_all, struct link_entry *entry)
{
    const struct link_space *space = &link->spaces[is_all];
    const bool is_reported = link->has_report && entry->number <= space->seen;

    if (entry->number == 0)
        return;
    sizes_follow(link, entry->ts_ns);
    if (!entry->is_missing && !entry->is_sent && sender_capture_covers(link, is_all, entry->number))
        link->missed_at_sender++;
    if (entry->is_missing && !is_named_lost(link, is_all, entry))
        link->counts.not_captured++;
    if (entry->is_lost && may_have_come(link, is_all, entry))
        evidence_doubt(link, entry);
    if (entry->is_lost) {
        tell(analysis, link, is_all, entry);
    } else if (entry->is_resend && entry->is_of_known && is_reported && !entry->is_needed) { /* not known of records */
        link->counts.spurious_resend++;
        if (analysis->on_spurious != NULL)
            analysis->on_spurious(analysis->context, entry);
    }
    entry->number = 0;
}

/* ---- numbers ---- */

static struct link_entry *put_entry(struct analysis *analysis, struct link *link, bool is_all, uint64_t number)
{
    struct link_entry *entry = &link->spaces[is_all].entries[number % LINKS_WINDOW];

    retire(analysis, link, is_all, entry);
    *entry = (struct link_entry){.number = number, .stall_ns = -1};
    return entry;
}

/* Enter skipped numbers as missing. A hole of many windows in a capture tells nothing of single numbers. */
static void skip(struct analysis *analysis, struct link *link, bool is_all, uint64_t until, uint64_t ts_ns)
{
    enum { HOLE = 16 * LINKS_WINDOW };
    uint64_t number = link->spaces[is_all].highest + 1;

    if (until - number > HOLE) {
        link->counts.not_captured += until - number - HOLE;
        number = until - HOLE;
    }
    for (; number < until; number++) {
        struct link_entry *entry = put_entry(analysis, link, is_all, number);

        entry->is_missing = true;
        entry->ts_ns = ts_ns;
        sender_capture_fill(link, is_all, entry);
        link->spaces[is_all].last_missed = number;
    }
}

/* The entry of a new datagram; NULL for one that was seen before or is too old to tell. */
static struct link_entry *take_number(struct analysis *analysis, struct link *link, bool is_all, uint64_t number, uint64_t ts_ns)
{
    struct link_space *space = &link->spaces[is_all];
    struct link_entry *entry;

    if (space->first == 0) {
        /* A link whose HELLO is in the capture begins there in both spaces. The first tile of an idle epoch shows no such thing. */
        space->first = is_all && link->spaces[0].first == 1 ? 1 : number;
        space->highest = space->first - 1;
    }
    if (number > space->highest) {
        skip(analysis, link, is_all, number, ts_ns);
        space->highest = number;
        return put_entry(analysis, link, is_all, number);
    }
    entry = links_entry(space, number);
    if (entry != NULL && !entry->is_missing) {
        link->counts.duplicate++;
        return NULL;
    }
    if (entry != NULL && ts_ns <= entry->ts_ns + NUMBERS_REORDER_NS)
        link->counts.reordered++;
    else
        link->counts.late++;
    if (entry != NULL && entry->is_lost)
        link->assigned -= link->assigned > 0;
    if (entry == NULL)
        return NULL;
    link->turned_up++;
    if (link->receiver != NULL)
        link->receiver->is_overtaken = true; /* the way back is likely to be as bad */
    *entry = (struct link_entry){.number = number, .stall_ns = -1};
    return entry;
}

/* ---- datagrams ---- */

static void note_tile(struct link *link, struct link_entry *entry, const struct packet *packet)
{
    const struct mesh_tile *tile = &packet->message.as.tile;

    entry->has_range = true;
    entry->step = tile->step;
    entry->phase = tile->phase;
    entry->range = (struct mesh_range){tile->token_first, tile->token_count, tile->block_first, tile->block_count};
    if (entry->is_resend || entry->is_copy)
        evidence_repair(link, entry, (packet->message.header.flags & MESH_FLAG_ALL) != 0);
}

static void count(struct link *link, const struct packet *packet)
{
    const struct mesh_header *header = &packet->message.header;

    link->counts.datagrams++;
    link->counts.bytes += packet->size;
    link->last_ns = packet->ts_ns;
    if (header->type != MESH_TYPE_TILE)
        return;
    link->counts.tiles++;
    if (link->last_tile_ns != 0 && packet->ts_ns > link->last_tile_ns)
        mesh_histogram_add(&link->tile_gaps, packet->ts_ns - link->last_tile_ns);
    link->last_tile_ns = packet->ts_ns;
    if (link->first_tile_ns == 0)
        link->first_tile_ns = packet->ts_ns;
}

/* Has the same number been seen on the other path, to the group or to the receiver alone? To the receiver the two are one datagram. */
static bool is_twin(struct link *link, bool is_all, uint64_t number, bool by_group)
{
    const struct link_entry *entry = is_all ? links_entry(&link->spaces[1], number) : NULL;

    return entry != NULL && !entry->is_missing && entry->by_group != by_group;
}

static bool is_answer(const struct packet *packet)
{
    const struct mesh_message *message = &packet->message;

    return message->header.type == MESH_TYPE_HELLO_ACK ||
           (packet->state == PACKET_DECODED && message->header.type == MESH_TYPE_HELLO && message->as.hello.echo != 0);
}

/* Take a datagram from the capture that judges the link. */
static void take(struct analysis *analysis, struct link *link, const struct packet *packet, bool by_group)
{
    const struct mesh_header *header = &packet->message.header;
    const bool is_all = header->dst == MESH_DST_ALL;
    const uint64_t highest = link->spaces[is_all].highest;
    const struct link_entry *before = links_entry(&link->spaces[is_all], highest);
    const uint64_t before_ns = before != NULL ? before->ts_ns : 0;
    struct link_entry *entry;

    if (is_twin(link, is_all, header->number, by_group))
        return;
    count(link, packet);
    if (analysis->on_datagram != NULL)
        analysis->on_datagram(analysis->context, link, packet);
    entry = take_number(analysis, link, is_all, header->number, packet->ts_ns);
    if (entry == NULL)
        return;
    link->counts.naks += header->type == MESH_TYPE_NAK;
    link->counts.resent += (header->flags & MESH_FLAG_RESEND) != 0;
    entry->ts_ns = packet->ts_ns;
    entry->datagram = packet->number;
    entry->bytes = (uint16_t)packet->size;
    entry->by_group = by_group;
    entry->type = header->type;
    entry->is_resend = (header->flags & MESH_FLAG_RESEND) != 0;
    entry->is_copy = (header->flags & MESH_FLAG_COPY) != 0;
    sender_capture_fill(link, is_all, entry);
    if (packet->state == PACKET_DECODED && header->type == MESH_TYPE_TILE)
        note_tile(link, entry, packet);
    else if (packet->state == PACKET_DECODED && header->type == MESH_TYPE_PING)
        entry->step = packet->message.as.ping.origin_ns;
    else if (packet->state == PACKET_DECODED && header->type == MESH_TYPE_HELLO)
        entry->step = packet->message.as.hello.nonce;
    else if (header->type == MESH_TYPE_PROBE)
        entry->step = packet->size; /* also of one that cannot be read */
    if (link->answer == 0 && is_answer(packet))
        link->answer = header->number;
    if (header->number > highest + 1 && header->number > link->spaces[is_all].first)
        evidence_find_originals(link, before_ns);
}

static void pass_tile(struct link *link, const struct packet *packet)
{
    if (link->sender != NULL && link->sender->point == packet->point)
        waits_depart(link, packet);
    if (link->receiver != NULL && link->receiver->point == packet->point)
        waits_arrive(link, packet);
}

/* How long did it take from when the sender says that it sent it? The clocks' difference may be negative. */
static void note_queued(struct link_host *host, const struct packet *packet)
{
    const uint64_t ns = packet->ts_ns - packet->message.header.sent_ns;

    if (host->queued.count == 0 || (int64_t)(ns - host->least_ns) < 0)
        host->least_ns = ns;
    mesh_histogram_add(&host->queued, ns - host->least_ns);
}

/* A datagram passes on its way to one receiver. */
static void pass(struct analysis *analysis, const struct packet *packet, bool by_group)
{
    struct links *links = &analysis->links;
    const uint64_t renewed = links->renewed;
    struct link *link = links_of(links, packet), *back;

    if (link == NULL)
        return;
    if (links->renewed != renewed) { /* step numbers begin with 0 again */
        waits_end(links, &analysis->steps);
        steps_end(&analysis->steps);
    }
    if (link->sender == NULL || link->sender->point == packet->point)
        waits_have(links, &analysis->steps, link, packet);
    if (packet->state == PACKET_DECODED && packet->message.header.type == MESH_TYPE_TILE)
        pass_tile(link, packet);
    if (link->sender != NULL && (links->point_count == 0 || link->at_sender == (int)packet->point))
        note_queued(link->sender, packet);
    if (link->point == packet->point)
        take(analysis, link, packet, by_group);
    else if (link->departures != NULL && link->at_sender == (int)packet->point)
        sender_capture_add(link, packet);
    back = links_back(links, packet);
    if (packet->state == PACKET_DECODED && back != NULL && back->point == packet->point)
        evidence_take(back, packet);
}

/* A datagram passes on its way to every receiver that its sender is known to have. */
static void pass_group(struct analysis *analysis, const struct packet *packet)
{
    const struct links *links = &analysis->links;
    const size_t count = links->count;
    struct packet one = *packet;
    struct frame frame = *packet->frame;

    one.frame = &frame;
    for (size_t i = 0; i < count; i++) {
        const struct link *link = links->links[i];

        if (link->epoch != packet->message.header.epoch || link->from.port != packet->frame->src.port ||
            memcmp(link->from.ip, packet->frame->src.ip, sizeof link->from.ip) != 0)
            continue;
        frame.dst = link->to;
        pass(analysis, &one, true);
    }
}

/* Frames from several queues, or under a clock that was set back, are not in order of time. */
static void note_time(struct analysis *analysis, uint64_t ts_ns)
{
    analysis->backward += ts_ns + NUMBERS_REORDER_NS < analysis->now_ns;
    analysis->now_ns = ts_ns;
    if (analysis->first_ns == 0 || ts_ns < analysis->first_ns)
        analysis->first_ns = ts_ns;
    if (ts_ns > analysis->last_ns)
        analysis->last_ns = ts_ns;
}

void analysis_add(struct analysis *analysis, const struct packet *packet)
{
    if (!packet_is_numbered(packet))
        return;
    note_time(analysis, packet->ts_ns);
    analysis->cut_tiles += packet->message.header.type == MESH_TYPE_TILE && packet->captured < packet->size;
    links_pass(&analysis->links, packet);
    if (frame_address_is_group(&packet->frame->dst))
        pass_group(analysis, packet);
    else
        pass(analysis, packet, false);
}

/* ---- the end ---- */

static void add_counts(struct link_counts *sum, const struct link_counts *more)
{
    sum->datagrams += more->datagrams;
    sum->bytes += more->bytes;
    sum->tiles += more->tiles;
    sum->lost += more->lost;
    sum->lost_unseen += more->lost_unseen;
    sum->lost_probes += more->lost_probes;
    sum->not_captured += more->not_captured;
    sum->resent += more->resent;
    sum->spurious_resend += more->spurious_resend;
    sum->duplicate += more->duplicate;
    sum->reordered += more->reordered;
    sum->late += more->late;
    sum->naks += more->naks;
}

/* Count as missing what left after the last number that arrived, where the capture at the receiver's host goes on for long enough. */
static void end_departures(struct analysis *analysis, struct link *link, bool is_all)
{
    const struct link_departures *departures = &link->departures[is_all];
    const struct links_point *point = &analysis->links.points[link->point];
    struct link_space *space = &link->spaces[is_all];
    const uint64_t oldest = links_oldest(departures->highest);
    uint64_t until = 0;

    for (uint64_t number = space->highest + 1 > oldest ? space->highest + 1 : oldest; number <= departures->highest; number++) {
        const struct link_sent *sent = &departures->sent[number % LINKS_WINDOW];

        if (sent->number != number || sent->ts_ns < point->first_ns || sent->ts_ns + UNDERWAY_NS > point->last_ns)
            continue;
        until = number;
        if (space->first == 0) { /* nothing of this space has arrived */
            space->first = number;
            space->highest = number - 1;
        }
    }
    if (until <= space->highest)
        return;
    skip(analysis, link, is_all, until + 1, point->last_ns);
    space->highest = until;
}

/* Settle losses before the resends that repaired them. */
static void end_missing(struct link *link, bool is_all)
{
    struct link_space *space = &link->spaces[is_all];
    const uint64_t oldest = links_oldest(space->highest);

    for (uint64_t number = oldest; number <= space->highest; number++) {
        struct link_entry *entry = links_entry(space, number);

        if (entry != NULL && entry->is_missing)
            is_named_lost(link, is_all, entry);
    }
}

static void end_link(struct analysis *analysis, struct link *link)
{
    uint64_t unnamed = 0;

    for (int is_all = 0; link->departures != NULL && is_all < 2; is_all++)
        if (link->departures[is_all].first != 0)
            end_departures(analysis, link, is_all);
    for (int is_all = 0; is_all < 2; is_all++)
        end_missing(link, is_all);
    for (int is_all = 0; is_all < 2; is_all++) {
        struct link_space *space = &link->spaces[is_all];
        const uint64_t oldest = links_oldest(space->highest);

        for (uint64_t number = oldest; number <= space->highest; number++)
            retire(analysis, link, is_all, &space->entries[number % LINKS_WINDOW]);
    }
    if (link->reported > link->assigned)
        unnamed = link->reported - link->assigned;
    if (unnamed > link->counts.datagrams)
        unnamed = link->counts.datagrams; /* no receiver counts so many losses */
    for (; unnamed > 0; unnamed--) {
        const struct analysis_loss loss = {.link = link, .repair_ms = -1, .stall_ms = -1};

        link->counts.lost++;
        sizes_lost(&link->sizes, 0);
        analysis->on_loss(analysis->context, &loss);
    }
    add_counts(&analysis->sum, &link->counts);
}

void analysis_end(struct analysis *analysis)
{
    waits_end(&analysis->links, &analysis->steps);
    for (size_t i = 0; i < analysis->links.count; i++)
        end_link(analysis, analysis->links.links[i]);
    steps_end(&analysis->steps);
}

int analysis_check(const struct analysis *analysis, struct fail *fail)
{
    return analysis->links.lacks_memory
               ? fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for links, not all of which are analysed: close other programs")
               : 0;
}
