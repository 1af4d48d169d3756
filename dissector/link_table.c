#include "link_table.h"

#include <inttypes.h>

const struct link_table_mark link_table_marks[LINK_TABLE_MARKS] = {
    {"latency_p50_us", 500}, {"latency_p90_us", 900}, {"latency_p99_us", 990}, {"latency_max_us", 1000}};

double link_table_loss(const struct link_counts *counts)
{
    const uint64_t sent = counts->datagrams - counts->duplicate + counts->lost_unseen + counts->not_captured;

    return sent > 0 ? (double)counts->lost / (double)sent : 0;
}

/* ---- losses ---- */

static void print_link(const struct link *link, FILE *out)
{
    const struct link_counts *c = &link->counts;
    char to[8] = "?";

    if (link->dst != MESH_DST_ALL)
        snprintf(to, sizeof to, "%u", link->dst);
    fprintf(out,
            "%10" PRIu32 " %3u>%-3s %9" PRIu64 " %7" PRIu64 " %6.2f%% %7" PRIu64 " %7" PRIu64 " %8" PRIu64 " %5" PRIu64 " %6" PRIu64
            " %5" PRIu64 " %10.1f%s\n",
            link->epoch, link->src, to, c->datagrams, c->lost, 100 * link_table_loss(c), c->not_captured, c->resent, c->spurious_resend,
            c->duplicate, c->reordered, c->late, (double)mesh_histogram_quantile(&link->tile_gaps, 990) / 1e3,
            link->has_report ? "" : " *");
}

/* The mesh's links, and sessions with something to report, have a line each; all other sessions share one. */
static bool is_notable(const struct link *link)
{
    const struct link_counts *c = &link->counts;

    return !links_is_session(link) || c->lost + c->not_captured + c->resent + c->duplicate + c->reordered + c->late > 0;
}

static void print_losses(const struct links *links, FILE *out)
{
    uint64_t quiet = 0, datagrams = 0;
    bool is_blind = false, has_session = false;

    fprintf(out, "\n%10s %7s %9s %7s %7s %7s %7s %8s %5s %6s %5s %10s\n", "epoch", "link", "datagrams", "lost", "loss", "not cap", "resent",
            "spurious", "dup", "reord", "late", "gap p99 us");
    for (unsigned of_sessions = 0; of_sessions < 2; of_sessions++)
        for (size_t i = 0; i < links->count; i++) {
            const struct link *link = links->links[i];

            if (links_is_session(link) != of_sessions)
                continue;
            if (!is_notable(link)) {
                quiet++;
                datagrams += link->counts.datagrams;
                continue;
            }
            print_link(link, out);
            is_blind |= !link->has_report;
            has_session |= of_sessions;
        }
    if (quiet > 0)
        fprintf(out, "  sessions: %" PRIu64 " link%s between a node (0) and a client (1), %" PRIu64 " datagrams, nothing lost\n", quiet,
                quiet == 1 ? "" : "s", datagrams);
    if (has_session)
        fputs("epochs from 2147483648 on are sessions of clients: 0 is the node, 1 the client\n", out);
    if (is_blind)
        fputs("* no readable report of the receiver (sealed ones: give --key): what is not in the capture counts as lost\n", out);
}

/* ---- latencies, where both ends were captured ---- */

static void print_latencies(const struct links *links, FILE *out)
{
    bool has_head = false;

    for (size_t i = 0; i < links->count; i++) {
        const struct link *link = links->links[i];

        if (link->latency.count == 0 || !is_notable(link))
            continue;
        if (!has_head)
            fprintf(out, "\n%10s %7s %10s %10s %10s %10s   one way, from host to host, us\n", "epoch", "link", "p50", "p90", "p99", "max");
        has_head = true;
        fprintf(out, "%10" PRIu32 " %3u>%-3u", link->epoch, link->src, link->dst);
        for (size_t k = 0; k < LINK_TABLE_MARKS; k++)
            fprintf(out, " %10.1f", (double)mesh_histogram_quantile(&link->latency, link_table_marks[k].permille) / 1e3);
        fputc('\n', out);
    }
}

void link_table_print(const struct links *links, FILE *out)
{
    print_losses(links, out);
    print_latencies(links, out);
}
