#include "findings_losses.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LOSSES_MIN = 3, MOSTLY_PERCENT = 80 };

const char *const findings_place_names[FINDINGS_PLACES] = {"unknown",         "sender's host",         "wire",
                                                           "receiver's host", "sender's host or wire", "wire or receiver's host"};

static const char *const wheres[FINDINGS_PLACES] = {"at an unknown place",    "in the sender's host",       "on the wire",
                                                    "in the receiver's host", "before the receiver's host", "behind the sender's host"};

static const char *const advice[FINDINGS_PLACES] = {
    "capture at both hosts at once to see where they vanish, or say with --at at which one this was",
    "they never left the sender: check its queue, its packet filter, datagrams above the path MTU",
    "they left and did not arrive: check cable, switch port, counters (ethtool -S at both ends)",
    "they reached the host, not the node: check socket buffer (nstat UdpRcvbufErrors), packet filter",
    "not in its capture, so on the wire or in the sender's host: capture there, too",
    "in its capture, so on the wire or in the receiver's host: capture there, too",
};

/* Of a link that loses large ones alone no cable is at fault. */
static const char *advice_for(const struct link *link, unsigned place)
{
    return place == FINDINGS_WIRE && sizes_judge(&link->sizes).bytes > 0 ? "they left and did not arrive: only large ones, see below"
                                                                         : advice[place];
}

/* bytes: the size of the probe. */
static void note_probe(struct findings *findings, size_t index, bool is_all, uint64_t bytes)
{
    findings->probes[index][is_all]++;
    if (!is_all && (findings->probe_bytes[index] == 0 || bytes < findings->probe_bytes[index]))
        findings->probe_bytes[index] = bytes;
}

void findings_note_loss(struct findings *findings, const struct analysis_loss *loss, enum findings_place place)
{
    const struct links *links = &findings->analysis->links;
    const struct link_entry *entry = loss->entry;

    for (size_t i = 0; i < links->count; i++)
        if (links->links[i] == loss->link) {
            const bool is_early = entry != NULL && entry->is_early;
            const bool is_probe = entry != NULL && !is_early && analysis_is_lost_probe(loss);

            if (is_probe)
                note_probe(findings, i, loss->is_all, entry->step);
            else if (is_early)
                findings->early[i]++;
            else
                findings->places[i][place]++;
            findings->passed[i] += !is_early && !is_probe && place == FINDINGS_UNKNOWN && (entry == NULL || !entry->is_missing);
            findings->unknown[i] += entry != NULL && entry->is_missing && entry->type == 0 && !is_early;
        }
}

/* A place of some of a link's losses, and what to look at. With captures of both hosts, only gaps of the sender's leave it unknown. */
static size_t put_place(const struct findings *findings, size_t index, unsigned place, const char *between, char *text, size_t used)
{
    const bool is_both = findings->analysis->links.links[index]->departures != NULL;
    const bool is_gap = place == FINDINGS_UNKNOWN && is_both;
    const bool is_span = is_both && (place == FINDINGS_AFTER_SENDER || place == FINDINGS_BEFORE_RECEIVER);
    char passed[80] = "";
    int more;

    if (place == FINDINGS_UNKNOWN && findings->passed[index] > 0)
        snprintf(passed, sizeof passed, " (%" PRIu32 " of these are in the capture, so behind where it was taken)",
                 findings->passed[index]);
    more = snprintf(text + used, FINDINGS_BYTES - used, "%s %" PRIu32 " of them %s%s: %s", between, findings->places[index][place],
                    wheres[place], passed,
                    is_gap    ? "the sender's capture lacks them: capture with a larger -B"
                    : is_span ? "say with --at for each capture at which host it was taken, or - for a switch: nothing in it proves that"
                              : advice_for(findings->analysis->links.links[index], place));
    return used + (size_t)more < FINDINGS_BYTES ? used + (size_t)more : FINDINGS_BYTES - 1;
}

static size_t put_link(const struct link *link, char *text)
{
    char from[FRAME_ADDRESS_TEXT_BYTES], to[FRAME_ADDRESS_TEXT_BYTES];

    frame_address_text(&link->from, link->is_v6, false, from);
    frame_address_text(&link->to, link->is_v6, false, to);
    return (size_t)snprintf(text, FINDINGS_BYTES, "rank %u (%s) to rank %u (%s), epoch %" PRIu32 ": ", link->src, from, link->dst, to,
                            link->epoch);
}

bool findings_tell_probes(const struct findings *findings, size_t index)
{
    const struct link *link = findings->analysis->links.links[index];
    const uint32_t *probes = findings->probes[index];
    const uint64_t bytes = findings->probe_bytes[index];
    const uint64_t proved = link->proved_bytes[0] > 0 ? link->proved_bytes[0] : MESH_DATAGRAM_BYTES_MIN;
    const uint32_t large = sizes_judge(&link->sizes).bytes;
    char text[FINDINGS_BYTES];
    size_t used;

    if (probes[0] > 0) {
        used = put_link(link, text);
        snprintf(text + used, sizeof text - used,
                 "the path carries no datagram of %" PRIu64 " bytes (its MTU is below %" PRIu64 "), and %s%" PRIu64 " at least: %" PRIu32
                 " of the lost ones are probes that tried it, so no data was lost with them",
                 bytes, bytes + (link->is_v6 ? 48 : 28), large > 0 && large <= proved ? "at some time " : "", proved, probes[0]);
        findings->on_finding(findings->context, "note", text);
    }
    if (probes[1] > 0) {
        used = put_link(link, text);
        snprintf(text + used, sizeof text - used,
                 "%" PRIu32 " of the lost ones are probes of the multicast group, which that rank does not hear: it is sent to alone, so "
                 "no data was lost with them",
                 probes[1]);
        findings->on_finding(findings->context, "note", text);
    }
    return probes[0] > 0 || probes[1] > 0;
}

bool findings_tell_losses(const struct findings *findings, size_t index)
{
    const struct link *link = findings->analysis->links.links[index];
    const uint32_t *places = findings->places[index];
    char text[FINDINGS_BYTES];
    const uint64_t lost = link->counts.lost - findings->early[index] - findings->probes[index][0] - findings->probes[index][1];
    const char *between = ",";
    unsigned most = 0;
    size_t used;

    if (lost < LOSSES_MIN)
        return false;
    for (unsigned place = 0; place < FINDINGS_PLACES; place++)
        if (places[place] > places[most])
            most = place;
    used = put_link(link, text);
    used += (size_t)snprintf(text + used, sizeof text - used, "%" PRIu64 " lost", lost);
    for (unsigned i = 1; i <= FINDINGS_PLACES; i++) { /* an unknown one last */
        const unsigned place = i % FINDINGS_PLACES;

        if (100 * (uint64_t)places[most] >= MOSTLY_PERCENT * lost ? place != most : places[place] == 0)
            continue;
        used = put_place(findings, index, place, between, text, used);
        between = ";";
    }
    if (findings->unknown[index] == lost && link->has_report)
        snprintf(text + used, sizeof text - used,
                 "; nobody asked for any of them: probes of sizes that the path does not carry look like that, and a capture at the sender "
                 "names them");
    findings->on_finding(findings->context, findings->analysis->stall_ms > 0 ? "error" : "warning", text);
    return true;
}

bool findings_tell_sizes(const struct findings *findings, size_t index)
{
    const struct link *link = findings->analysis->links.links[index];
    const struct sizes_verdict found = sizes_judge(&link->sizes);
    char text[FINDINGS_BYTES], arrived[80] = "no other so large", smaller[80] = "none smaller";
    size_t used;

    if (found.bytes == 0)
        return false;
    if (found.unknown > 0)
        snprintf(smaller, sizeof smaller, "%" PRIu32 " of unknown size", found.unknown);
    if (found.large > 0)
        snprintf(arrived, sizeof arrived, "of others so large %" PRIu32, found.large);
    used = put_link(link, text);
    snprintf(text + used, sizeof text - used,
             "only large datagrams are lost on the way: %" PRIu32 " of %" PRIu32 " bytes or more, and %s; meanwhile %s arrived%s, "
             "and %" PRIu32 " smaller ones: %s: 'ping -M do -s %" PRIu32 "' between the two tries that size",
             found.lost, found.bytes, smaller, arrived, found.unknown > 0 ? " for certain" : "", found.small,
             found.large == 0 ? "something on the path carries less (an MTU, a tunnel, a firewall that drops fragments)"
                              : "one of several paths carries less, fragments are dropped, or a queue has no room for them",
             found.bytes);
    findings->on_finding(findings->context, "warning", text);
    return true;
}

bool findings_tell_vantage(const struct findings *findings)
{
    static const char *const proofs[] = {[VANTAGE_STATED] = "by --at",
                                         [VANTAGE_COOKED] = "its frames tell which way they went",
                                         [VANTAGE_CHECKSUMS] = "only what that host sent has unfinished checksums"};
    const struct vantage *vantage = findings->vantage;
    char text[FINDINGS_BYTES], address[FRAME_ADDRESS_TEXT_BYTES];
    bool is_any = false;

    for (size_t i = 0; vantage != NULL && findings->analysis->sum.lost > 0 && i < vantage->host_count; i++) {
        const struct vantage_host *host = &vantage->hosts[i];
        const enum vantage_proof proof = vantage_at(vantage, host->ip);
        struct frame_address at = {.port = 0};

        if (proof == VANTAGE_NONE)
            continue;
        memcpy(at.ip, host->ip, sizeof at.ip);
        frame_address_text(&at, host->is_v6, false, address);
        snprintf(text, sizeof text, "the capture was taken at %s: %s", address, proofs[proof]);
        findings->on_finding(findings->context, "note", text);
        is_any = true;
    }
    if (is_any || vantage == NULL || !vantage->is_stated || vantage->is_between || vantage->host_count == 0 ||
        findings->analysis->sum.lost == 0)
        return is_any;
    findings->on_finding(findings->context, "warning",
                         "--at: no datagram is from or to that address: give one of those of the losses, or leave it out");
    return true;
}
