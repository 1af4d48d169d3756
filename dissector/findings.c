#include "findings.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "findings_losses.h"

enum {
    WAITING_PERCENT = 30,
    DUPLICATE_PERCENT = 25,
    LONG_TIMES = 4,
    LONG_NS = 200000,
    LATENCIES_MIN = 20,
    SETTLED_NS = 100000000,
    SILENCE_NS = 5000000 /* a node that leaves by itself is heard until the next epoch begins */
};

void findings_note(struct findings *findings, const struct packet *packet)
{
    struct findings_seen *seen = &findings->seen;
    const bool is_whole = packet->captured == packet->size;

    if (packet->state == PACKET_FOREIGN) {
        seen->foreign++;
        seen->cut += !is_whole;
    } else if (packet->err == 0 && packet->message.header.epoch != 0 && is_whole) {
        const bool is_closed = packet->seal == KEYS_LOCKED || packet->seal == KEYS_FORGED;

        seen->closed += is_closed;
        seen->closed_aes += is_closed && (packet->message.header.flags & MESH_FLAG_AES) != 0;
        seen->opened += packet->seal == KEYS_OPENED;
    }
}

/* True, for those that tell something. */
__attribute__((format(printf, 3, 4))) static bool tell(const struct findings *findings, const char *severity, const char *format, ...)
{
    char text[FINDINGS_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    findings->on_finding(findings->context, severity, text);
    return true;
}

/* Losses named by the receiver's count alone on links of which the capture lacks other datagrams, too. */
static uint64_t count_guessed(const struct links *links)
{
    uint64_t count = 0;

    for (size_t i = 0; i < links->count; i++)
        if (links->links[i]->counts.not_captured > 0)
            count += links->links[i]->counts.lost_counted;
    return count;
}

static bool tell_not_captured(const struct findings *findings)
{
    const uint64_t guessed = count_guessed(&findings->analysis->links);
    char guess[150] = "";

    if (findings->analysis->sum.not_captured == 0)
        return false;
    if (guessed > 0)
        snprintf(guess, sizeof guess,
                 "; so of %" PRIu64
                 " lost one%s that %s not in it either, the number and place may be another's: only the count is certain",
                 guessed, guessed == 1 ? "" : "s", guessed == 1 ? "is" : "are");
    return tell(findings, "note",
                "%" PRIu64 " datagrams arrived and are not in the capture: it lost them, not the network: capture with a larger -B%s%s",
                findings->analysis->sum.not_captured,
                findings->analysis->cut_tiles > 0 ? ", and -s: frames that hold several datagrams were cut off after the first" : "",
                guess);
}

/* ---- reasons why nothing else can be told ---- */

static bool tell_empty(const struct findings *findings)
{
    const struct findings_seen *seen = &findings->seen;
    char cut[150] = "";

    if (findings->analysis->sum.datagrams > 0)
        return false;
    if (seen->foreign == 0 && seen->has_expression)
        snprintf(cut, sizeof cut, ": does the expression let them through? for frames with a VLAN tag write 'vlan and udp port 7411'");
    else if (seen->cut > 0)
        snprintf(cut, sizeof cut, ", %" PRIu64 " of them cut short before their header ends: capture with -s 400", seen->cut);
    return tell(findings, "warning", "no datagram of an epoch in the capture, and %" PRIu64 " of others%s", seen->foreign, cut);
}

static bool tell_closed(const struct findings *findings)
{
    const struct findings_seen *seen = &findings->seen;

    if (!seen->has_key || seen->closed == 0)
        return false;
    if (seen->closed_aes > 0 && !mesh_aes_is_available())
        return tell(findings, "warning",
                    "--key opens none of %" PRIu64 " datagrams that are sealed with AES: this program was built without libgcrypt: "
                    "install it and build again",
                    seen->closed_aes);
    if (seen->opened == 0)
        return tell(findings, "warning",
                    "--key opens none of %" PRIu64 " datagrams: it is the key, or --name, of another cluster, or the key file of this one, "
                    "and the capture begins after its epochs did: give a key log",
                    seen->closed);
    return false;
}

/* Only a receiver's own count tells what vanished after it had passed the capture. */
static bool tell_blind(const struct findings *findings)
{
    const struct links *links = &findings->analysis->links;
    unsigned blind = 0, all = 0;

    for (size_t i = 0; i < links->count; i++)
        if (!links_is_session(links->links[i]) && links->links[i]->counts.tiles > 0) {
            blind += !links->links[i]->has_report;
            all++;
        }
    if (blind == 0)
        return false;
    return tell(findings, "note",
                "on %u of %u link%s with tiles no report of the receiver can be read (%s): what was lost behind the capture is not seen",
                blind, all, all == 1 ? "" : "s",
                findings->seen.closed == 0 ? "none is here: capture what receivers send, too"
                : findings->seen.has_key   ? "they are sealed: give a key log that has their keys"
                                           : "they are sealed: give --key");
}

static bool tell_left_out(const struct findings *findings)
{
    const uint64_t count = findings->analysis->links.left_out;

    if (count == 0)
        return false;
    return tell(findings, "warning",
                "%" PRIu64 " datagrams of links beyond the first %d are not counted: select fewer hosts, or a shorter time", count,
                LINKS_MAX);
}

static bool tell_memory(const struct findings *findings)
{
    if (!findings->analysis->links.lacks_memory)
        return false;
    findings->on_finding(findings->context, "warning",
                         "there was not enough memory for all links, so not everything is counted: close other programs");
    return true;
}

static bool tell_renewed(const struct findings *findings)
{
    const uint64_t count = findings->analysis->links.renewed;

    if (count == 0)
        return false;
    return tell(findings, "note",
                "%" PRIu64 " link%s again in an epoch of the same number: nodes were restarted; each link has its own line", count,
                count == 1 ? " begins" : "s begin");
}

static bool tell_cut(const struct findings *findings)
{
    const uint64_t count = findings->analysis->cut_tiles;

    if (count == 0)
        return false;
    return tell(findings, "note",
                "%" PRIu64 " tile%s cut short by the capture, so their contents are unknown: steps, waiting and stalls cover the others "
                "alone: capture with a larger -s",
                count, count == 1 ? " was" : "s were");
}

static bool tell_backward(const struct findings *findings)
{
    const uint64_t count = findings->analysis->backward;

    if (count == 0)
        return false;
    return tell(findings, "note",
                "%" PRIu64
                " datagram%s clearly earlier than the one before: a clock was set, or several queues captured: times may be wrong; "
                "reordercap(1) puts frames in order",
                count, count == 1 ? " is" : "s are");
}

/* So many duplicates come from capturing a host that forwards, not from the network. */
static bool tell_duplicates(const struct findings *findings)
{
    const struct link_counts *sum = &findings->analysis->sum;

    if (100 * sum->duplicate < DUPLICATE_PERCENT * sum->datagrams || sum->duplicate == 0)
        return false;
    return tell(findings, "note",
                "%" PRIu64 " of %" PRIu64 " datagrams are in the capture twice, as on 'any' of a host that forwards them, or on a bridge "
                "and its ports: each counts as lost or resent once; capture on one interface to avoid this",
                sum->duplicate, sum->datagrams);
}

static bool tell_meshes(const struct findings *findings, unsigned count)
{
    if (count == 0)
        return false;
    return tell(findings, "note", "the capture has %u meshes at once: figures of a rank mix all of them: select the hosts of one", count);
}

/* ---- nodes without which the next epoch began ---- */

/* Is the host in the next epoch of its mesh, or is nothing known of that one, since it has neither tiles nor lasted until every member of
 * it would have been heard? *begun_ns: when the first tile of the next epoch left; 0: there is none. */
static bool goes_on(const struct links *links, const struct link_host *host, uint64_t *begun_ns)
{
    bool is_known = false;

    *begun_ns = 0;
    for (size_t i = 0; i < links->count; i++) {
        const struct link *link = links->links[i];

        if (link->epoch != host->next_epoch || link->sender == NULL || link->receiver == NULL)
            continue;
        if (frame_address_equals(&link->from, &host->address) || frame_address_equals(&link->to, &host->address))
            return true;
        if (!links_is_of_mesh(links, host, &link->from))
            continue;
        is_known |= link->first_tile_ns != 0 || link->last_ns - link->first_ns >= SETTLED_NS;
        if (link->first_tile_ns != 0 && (*begun_ns == 0 || link->first_tile_ns < *begun_ns))
            *begun_ns = link->first_tile_ns;
    }
    return !is_known;
}

/* When any host of the same mesh sent a tile for the last time in its epoch; 0: never. */
static uint64_t last_tile_ns(const struct links *links, const struct link_host *host)
{
    uint64_t last_ns = 0;

    for (size_t i = 0; i < links->host_count; i++) {
        const struct link_host *other = links->hosts[i];

        if (other->epoch == host->epoch && other->mesh == host->mesh && other->tile_ns > last_ns)
            last_ns = other->tile_ns;
    }
    return last_ns;
}

static const struct link *link_from(const struct links *links, const struct link_host *host)
{
    for (size_t i = 0; i < links->count; i++)
        if (links->links[i]->sender == host)
            return links->links[i];
    return NULL;
}

/* A node that was silent until the others went on without it: no loss, yet the reason for a stall. */
static bool tell_gone(const struct findings *findings, const struct link_host *host)
{
    const struct links *links = &findings->analysis->links;
    const struct link *link = link_from(links, host);
    const uint64_t tile_ns = last_tile_ns(links, host);
    char address[FRAME_ADDRESS_TEXT_BYTES], stood[80] = "";
    uint64_t begun_ns;

    if (link == NULL || host->next_ns < host->sent_ns + SILENCE_NS || goes_on(links, host, &begun_ns))
        return false;
    frame_address_text(&host->address, link->is_v6, false, address);
    if (tile_ns != 0 && begun_ns > tile_ns)
        snprintf(stood, sizeof stood, ", and %.1f ms passed between the tiles of the two", (double)(begun_ns - tile_ns) / 1e6);
    return tell(findings, "error",
                "epoch %" PRIu32 " began without rank %u (%s) of epoch %" PRIu32 ", which had been silent for %.1f ms%s: "
                "was its process stopped or ended, its host overloaded, or its link cut? its log and that host's tell",
                host->next_epoch, link->src, address, host->epoch, (double)(host->next_ns - host->sent_ns) / 1e6, stood);
}

/* ---- whom the others wait for ---- */

/* What 90 % of a link's datagrams take one way at most; 0: too few were captured at both ends. */
static uint64_t one_way_ns(const struct link *link)
{
    return links_is_session(link) || link->latency.count < LATENCIES_MIN ? 0 : mesh_histogram_quantile(&link->latency, 900);
}

/* Is the other link one to compare with? It does not touch the rank, or, where all do, goes the other way. */
static bool is_beside(const struct link *link, unsigned rank, const struct link *other, bool has_third)
{
    if (other->epoch != link->epoch)
        return false;
    return has_third ? other->src != rank && other->dst != rank : (other->dst == rank) != (link->dst == rank);
}

static bool has_third(const struct links *links, const struct link *link, unsigned rank)
{
    for (size_t i = 0; i < links->count; i++)
        if (one_way_ns(links->links[i]) > 0 && is_beside(link, rank, links->links[i], true))
            return true;
    return false;
}

/* Does the link take much longer than those that it is compared with, which take others_ns at most? */
static bool is_slow(const struct links *links, const struct link *link, unsigned rank, uint64_t *others_ns)
{
    const bool is_third = has_third(links, link, rank);

    *others_ns = 0;
    for (size_t i = 0; i < links->count; i++)
        if (is_beside(link, rank, links->links[i], is_third) && one_way_ns(links->links[i]) > *others_ns)
            *others_ns = one_way_ns(links->links[i]);
    return *others_ns > 0 && one_way_ns(link) > LONG_NS && one_way_ns(link) > LONG_TIMES * *others_ns;
}

/* The rank's links whose one-way times stand out. */
struct slow_links {
    const struct link *slowest; /* NULL: none does */
    uint64_t others_ns;         /* what those take that it is compared with */
    unsigned known[2], slow[2]; /* out of the rank, into it */
    bool is_compared;           /* with links that do not touch the rank */
};

static struct slow_links find_slow_links(const struct links *links, unsigned rank)
{
    struct slow_links found = {0};
    uint64_t others_ns;

    for (size_t i = 0; i < links->count; i++) {
        const struct link *link = links->links[i];

        if ((link->src != rank && link->dst != rank) || one_way_ns(link) == 0)
            continue;
        found.known[link->dst == rank]++;
        found.is_compared |= has_third(links, link, rank);
        if (!is_slow(links, link, rank, &others_ns))
            continue;
        found.slow[link->dst == rank]++;
        if (found.slowest == NULL || one_way_ns(link) > one_way_ns(found.slowest)) {
            found.slowest = link;
            found.others_ns = others_ns;
        }
    }
    return found;
}

/* "the links into rank 2 (10.0.0.3) are", or the only one "is". */
static void name_slow_links(const struct slow_links *found, unsigned rank, char *out, size_t size)
{
    const struct link *link = found->slowest;
    const bool is_in = found->slow[1] > 1 && found->slow[1] == found->known[1];
    const bool is_out = found->slow[0] > 1 && found->slow[0] == found->known[0];
    char from[FRAME_ADDRESS_TEXT_BYTES], to[FRAME_ADDRESS_TEXT_BYTES];

    frame_address_text(&link->from, link->is_v6, false, from);
    frame_address_text(&link->to, link->is_v6, false, to);
    if (is_in || is_out)
        snprintf(out, size, "the links %s rank %u (%s) are",
                 !is_out  ? "into"
                 : !is_in ? "out of"
                          : "into and out of",
                 rank, link->dst == rank ? to : from);
    else
        snprintf(out, size, "the link from rank %u (%s) to rank %u (%s) is", link->src, from, link->dst, to);
}

/* What 90 % of a host's datagrams wait before they leave it, at most; 0: not known. */
static uint64_t queued_ns(const struct findings *findings, const struct link *link)
{
    const bool is_there = link->at_sender >= 0 || (findings->analysis->links.point_count == 0 && findings->vantage != NULL &&
                                                   vantage_at(findings->vantage, link->from.ip) != VANTAGE_NONE);

    return is_there && link->sender != NULL && link->sender->queued.count >= LATENCIES_MIN
               ? mesh_histogram_quantile(&link->sender->queued, 900)
               : 0;
}

/* A link from the rank whose datagrams wait in its own host: longer than those of any other host, and for a good part of what the receiver
 * waits. NULL: none. */
static const struct link *find_queue(const struct findings *findings, unsigned rank)
{
    const struct links *links = &findings->analysis->links;
    const struct link *longest = NULL;
    uint64_t others_ns = 0;

    for (size_t i = 0; i < links->count; i++) {
        const struct link *link = links->links[i];
        const uint64_t ns = links_is_session(link) ? 0 : queued_ns(findings, link);

        if (link->src != rank)
            others_ns = ns > others_ns ? ns : others_ns;
        else if (ns > LONG_NS && link->receiver != NULL && LONG_TIMES * ns > mesh_histogram_quantile(&link->receiver->waits, 900) &&
                 (longest == NULL || ns > queued_ns(findings, longest)))
            longest = link;
    }
    return longest != NULL && queued_ns(findings, longest) > LONG_TIMES * others_ns ? longest : NULL;
}

static void tell_queue(const struct findings *findings, const struct link *link, char *out, size_t size)
{
    char from[FRAME_ADDRESS_TEXT_BYTES];

    frame_address_text(&link->from, link->is_v6, false, from);
    snprintf(
        out, size,
        "its datagrams wait in its own host (%s) before they leave, p90 %.1f us: look at the rate and the queue of the interface there "
        "(tc -s qdisc, ethtool), not at the share",
        from, (double)queued_ns(findings, link) / 1e3);
}

/* Why the others wait for this rank. */
static void tell_why(const struct findings *findings, unsigned rank, char *out, size_t size)
{
    const struct link *queue = find_queue(findings, rank);
    const struct slow_links found = find_slow_links(&findings->analysis->links, rank);
    const bool is_known = found.known[0] > 0 && found.known[1] > 0;
    char name[180];

    if (queue != NULL) {
        tell_queue(findings, queue, out, size);
        return;
    }
    if (found.slowest == NULL) {
        if (found.is_compared)
            snprintf(out, size, "is that host slower, busy, or is its share too large?");
        else
            snprintf(out, size, "is that host slower, busy, is its share too large, or its link slow?%s",
                     is_known ? "" : " captures on all hosts would show the last");
        return;
    }
    name_slow_links(&found, rank, name, sizeof name);
    snprintf(out, size,
             "%s slow, p90 %.1f us one way, others %.1f us: look at the interface's rate and queue, and the switch port's (tc -s qdisc, "
             "ethtool), not at the share",
             name, (double)one_way_ns(found.slowest) / 1e3, (double)found.others_ns / 1e3);
}

/* One rank for which the others wait much longer than for any other. */
static bool tell_slow(const struct findings *findings)
{
    uint64_t for_ns[STEPS_RANKS_MAX] = {0}, total_ns = 0, next_ns = 0;
    char why[FINDINGS_BYTES - 160];
    unsigned most = 0;

    for (unsigned rank = 0; rank < STEPS_RANKS_MAX; rank++) {
        total_ns += findings->timeline->ranks[rank].total_ns;
        for (unsigned other = 0; other < STEPS_RANKS_MAX; other++)
            for_ns[other] += findings->timeline->ranks[rank].wait_for_ns[other];
    }
    for (unsigned rank = 1; rank < STEPS_RANKS_MAX; rank++)
        if (for_ns[rank] > for_ns[most])
            most = rank;
    for (unsigned rank = 0; rank < STEPS_RANKS_MAX; rank++)
        if (rank != most && for_ns[rank] > next_ns)
            next_ns = for_ns[rank];
    if (for_ns[most] == 0 || 100 * for_ns[most] < WAITING_PERCENT * total_ns || for_ns[most] < 3 * next_ns)
        return false;
    tell_why(findings, most, why, sizeof why);
    return tell(findings, "warning",
                "the others wait for rank %u: %.1f ms in all, at most %.1f ms for any other, %.1f ms of all waiting for losses: %s", most,
                (double)for_ns[most] / 1e6, (double)next_ns / 1e6, findings->analysis->stall_ms, why);
}

void findings_tell(const struct findings *findings)
{
    const unsigned meshes = links_meshes(&findings->analysis->links);
    bool is_any = tell_empty(findings);

    is_any |= tell_closed(findings);
    is_any |= tell_left_out(findings);
    is_any |= tell_memory(findings);
    for (size_t i = 0; i < findings->analysis->links.count; i++)
        is_any |= findings_tell_losses(findings, i);
    for (size_t i = 0; i < findings->analysis->links.count; i++)
        is_any |= findings_tell_sizes(findings, i);
    for (size_t i = 0; i < findings->analysis->links.count; i++)
        is_any |= findings_tell_probes(findings, i);
    for (size_t i = 0; i < findings->analysis->links.host_count; i++)
        if (findings->analysis->links.hosts[i]->next_ns != 0)
            is_any |= tell_gone(findings, findings->analysis->links.hosts[i]);
    is_any |= findings_tell_vantage(findings);
    is_any |= tell_not_captured(findings);
    is_any |= tell_blind(findings);
    is_any |= tell_renewed(findings);
    is_any |= tell_cut(findings);
    is_any |= tell_backward(findings);
    is_any |= tell_duplicates(findings);
    is_any |= tell_meshes(findings, meshes);
    if (findings->analysis->cut_tiles == 0 && meshes == 0)
        is_any |= tell_slow(findings);
    if (!is_any)
        tell(findings, "note", "nothing unusual");
}
