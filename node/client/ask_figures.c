#include "ask_figures.h"

#include <math.h>
#include <string.h>

enum { TOKENS_MIN = 8 /* a report may be made within a step, so that few tokens between two of them say little */ };

static struct ask_node *find_node(struct ask_figures *f, const uint8_t incarnation[16])
{
    for (uint16_t i = 0; i < f->count; i++)
        if (memcmp(f->node[i].incarnation, incarnation, sizeof f->node[i].incarnation) == 0)
            return &f->node[i];
    if (f->count == ASK_NODES_MAX)
        return NULL;
    memcpy(f->node[f->count].incarnation, incarnation, sizeof f->node->incarnation);
    return &f->node[f->count++];
}

static void add_growth(struct ask_counts *sum, const struct ask_counts *from, const struct ask_counts *to)
{
    sum->stepping_ns += to->stepping_ns - from->stepping_ns;
    sum->compute_ns += to->compute_ns - from->compute_ns;
    sum->positions += to->positions - from->positions;
    sum->tokens += to->tokens - from->tokens;
    sum->datagrams += to->datagrams - from->datagrams;
    sum->bytes += to->bytes - from->bytes;
}

/* A report has come as a whole. In a new epoch counters begin at 0; of a node that was not there before they all count, if it began within
 * the request. */
static void take_report(struct ask_figures *f, struct ask_node *node, const struct mesh_telemetry_head *head)
{
    static const struct ask_counts zero;
    const struct ask_counts *before = node->epoch == head->epoch ? &node->last : &zero;

    if (f->first_epoch == 0)
        f->first_epoch = head->epoch;
    if (node->has_report || head->epoch > f->first_epoch) {
        add_growth(&node->all, before, &node->coming);
        node->has_counts = true;
    }
    if (node->has_report && node->part >= ASK_GENERATES)
        add_growth(&node->generating, before, &node->coming);
    node->has_report = true;
    node->rank = head->rank;
    node->threads = node->coming_threads;
    node->members = node->coming_members;
    node->epoch = head->epoch;
    node->part = f->part;
    node->last = node->coming;
}

static void take_item(struct ask_node *node, const struct mesh_telemetry_item *item)
{
    if (item->kind == MESH_TELEMETRY_NODE) {
        node->has_node = true;
        node->coming_threads = item->node.threads;
        node->coming_members = item->node.members;
        node->coming.stepping_ns = item->node.stepping_ns;
        node->coming.compute_ns = item->node.compute_ns;
        node->coming.positions = item->node.positions;
        node->coming.tokens = item->node.tokens;
    } else if (item->kind == MESH_TELEMETRY_LINK && (node->links >> item->link.peer & 1) == 0) {
        node->links |= UINT64_C(1) << item->link.peer;
        node->coming.datagrams += item->link.datagrams_sent;
        node->coming.bytes += item->link.bytes_sent;
    }
}

static bool is_whole(const struct ask_node *node)
{
    return node->has_node && __builtin_popcountll(node->links) + 1 >= node->coming_members;
}

bool ask_figures_take(struct ask_figures *f, const uint8_t *record, size_t bytes)
{
    struct mesh_telemetry_report report;
    struct mesh_telemetry_reader reader;
    struct mesh_telemetry_head head;
    struct mesh_telemetry_item item;
    struct ask_node *node;
    const int err = mesh_telemetry_read_report(&report, record, bytes);

    if (err == MESH_ETYPE)
        return false;
    if (err != MESH_OK || mesh_telemetry_check(report.piece, report.piece_bytes) != MESH_OK)
        return true;
    mesh_telemetry_open(&reader, report.piece, report.piece_bytes, &head);
    node = find_node(f, head.incarnation);
    if (node == NULL || (node->has_report && head.epoch < node->epoch))
        return true;
    if (head.serial != node->serial) {
        node->serial = head.serial;
        node->has_node = false;
        node->links = 0;
        node->coming = (struct ask_counts){0};
    }
    if (is_whole(node))
        return true;
    while (mesh_telemetry_next(&reader, &item) > 0)
        take_item(node, &item);
    if (is_whole(node))
        take_report(f, node, &head);
    return true;
}

/* The members of the newest epoch that have reported, by rank; returns how many there are, with those that have not. 0: nobody has. */
static unsigned members_of(const struct ask_figures *f, const struct ask_node *by_rank[MESH_RANKS_MAX])
{
    uint32_t newest = 0;
    unsigned members = 0;

    for (uint16_t i = 0; i < f->count; i++)
        if (f->node[i].has_report && f->node[i].epoch > newest)
            newest = f->node[i].epoch;
    for (unsigned rank = 0; rank < MESH_RANKS_MAX; rank++)
        by_rank[rank] = NULL;
    for (uint16_t i = 0; i < f->count; i++) {
        const struct ask_node *node = &f->node[i];

        if (!node->has_report || node->epoch != newest || node->rank >= MESH_RANKS_MAX)
            continue;
        by_rank[node->rank] = node;
        members = node->members;
    }
    return members;
}

bool ask_figures_are_there(const struct ask_figures *f)
{
    const struct ask_node *node[MESH_RANKS_MAX];
    const unsigned members = members_of(f, node);

    for (unsigned rank = 0; rank < members; rank++)
        if (node[rank] == NULL || node[rank]->part != f->part)
            return false;
    return members > 0;
}

static bool has_counts(const struct ask_node *node)
{
    return node != NULL && node->has_counts;
}

/* Part of the threads' time. */
static double utilisation_of(const struct ask_node *node)
{
    const double thread_ns = (double)node->all.stepping_ns * node->threads;
    const double busy = thread_ns > 0.0 ? (double)node->all.compute_ns / thread_ns : 0.0;

    return busy < 1.0 ? busy : 1.0;
}

static void add_sent(struct ask_summary *summary, const struct ask_counts *counts, uint64_t tokens)
{
    if (tokens > 0) {
        summary->bytes_per_token += (double)counts->bytes / (double)tokens;
        summary->packets_per_token += (double)counts->datagrams / (double)tokens;
    }
}

void ask_figures_sum(const struct ask_figures *f, struct ask_summary *summary)
{
    const struct ask_node *node[MESH_RANKS_MAX];
    const unsigned members = members_of(f, node);
    bool have_all = members > 0, have_generated = true;

    *summary = (struct ask_summary){.threads = NAN, .bytes_per_token = NAN, .packets_per_token = NAN};
    for (unsigned rank = 0; rank < MESH_RANKS_MAX; rank++) {
        summary->utilisation[rank] = has_counts(node[rank]) ? utilisation_of(node[rank]) : NAN;
        if (node[rank] != NULL)
            summary->threads = fmax(summary->threads, node[rank]->threads);
        have_all = have_all && (rank >= members || has_counts(node[rank]));
        have_generated = have_generated && (node[rank] == NULL || node[rank]->generating.tokens >= TOKENS_MIN);
    }
    if (!have_all)
        return;
    summary->bytes_per_token = summary->packets_per_token = 0.0;
    for (unsigned rank = 0; rank < members; rank++)
        if (have_generated)
            add_sent(summary, &node[rank]->generating, node[rank]->generating.tokens);
        else
            add_sent(summary, &node[rank]->all, node[rank]->all.positions);
}
