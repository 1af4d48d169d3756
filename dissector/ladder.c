#include "ladder.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TIME_COLUMNS = 11, RUNGS_MAX = 42, LABEL_BYTES = 64 };

struct ladder_row {
    uint64_t ts_ns, number, step;
    const struct link *link;
    struct mesh_range range;
    uint16_t phase, more; /* more: ranges of a NAK beyond the first */
    uint8_t type;
    bool is_all, is_resend, is_copy, is_lost, is_captured, has_step, has_range;
};

int ladder_open(struct ladder *ladder, const struct ladder_range *range, struct fail *fail)
{
    *ladder = (struct ladder){.range = *range};
    ladder->rows = calloc(LADDER_ROWS_MAX, sizeof *ladder->rows);
    return ladder->rows ? 0 : fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for the ladder: close other programs");
}

void ladder_close(struct ladder *ladder)
{
    free(ladder->rows);
    ladder->rows = NULL;
}

/* ---- rows ---- */

static void fill(struct ladder_row *row, const struct packet *packet)
{
    const struct mesh_message *message = &packet->message;

    if (packet->state != PACKET_DECODED)
        return;
    if (row->type == MESH_TYPE_TILE) {
        const struct mesh_tile *tile = &message->as.tile;

        row->has_step = row->has_range = true;
        row->step = tile->step;
        row->phase = tile->phase;
        row->range = (struct mesh_range){tile->token_first, tile->token_count, tile->block_first, tile->block_count};
    } else if (row->type == MESH_TYPE_NAK) {
        row->has_step = row->has_range = true;
        row->step = message->as.nak.step;
        row->phase = message->as.nak.phase;
        row->range = message->ranges[0];
        row->more = (uint16_t)(message->as.nak.range_count - 1);
    } else if (row->type == MESH_TYPE_NOT_YET) {
        row->has_step = true;
        row->step = message->as.not_yet.step;
        row->phase = message->as.not_yet.phase;
    }
}

static bool is_in_range(const struct ladder *ladder, const struct ladder_row *row)
{
    const struct ladder_range *range = &ladder->range;
    const uint64_t step = row->has_step ? row->step : ladder->step;
    const double seconds = (double)(int64_t)(row->ts_ns - ladder->begin_ns) / 1e9;

    return step >= range->step_first && step <= range->step_last && seconds >= range->seconds_first && seconds <= range->seconds_last;
}

static void keep(struct ladder *ladder, const struct ladder_row *row)
{
    if (!is_in_range(ladder, row))
        return;
    if (ladder->count < LADDER_ROWS_MAX)
        ladder->rows[ladder->count++] = *row;
    else
        ladder->left_out++;
}

void ladder_datagram(struct ladder *ladder, const struct link *link, const struct packet *packet, bool is_wanted)
{
    const struct mesh_header *header = &packet->message.header;
    struct ladder_row row = {.ts_ns = packet->ts_ns, .number = header->number, .link = link, .type = header->type, .is_captured = true};

    if (ladder->begin_ns == 0)
        ladder->begin_ns = packet->ts_ns;
    if (links_is_session(link))
        return;
    ladder->seen++;
    row.is_all = header->dst == MESH_DST_ALL;
    row.is_resend = (header->flags & MESH_FLAG_RESEND) != 0;
    row.is_copy = (header->flags & MESH_FLAG_COPY) != 0;
    fill(&row, packet);
    ladder->has_steps |= row.type == MESH_TYPE_TILE && row.has_step;
    if (row.type == MESH_TYPE_TILE && row.has_step && row.step > ladder->step)
        ladder->step = row.step;
    if (is_wanted)
        keep(ladder, &row);
}

void ladder_loss(struct ladder *ladder, const struct analysis_loss *loss, bool is_wanted)
{
    const struct link_entry *entry = loss->entry;
    struct ladder_row row = {.link = loss->link, .is_all = loss->is_all, .is_lost = true};

    if (entry == NULL || links_is_session(loss->link))
        return;
    for (size_t i = ladder->count; i > 0 && !entry->is_missing; i--) {
        struct ladder_row *seen = &ladder->rows[i - 1];

        if (seen->link == loss->link && seen->is_all == loss->is_all && seen->number == entry->number) {
            seen->is_lost = true;
            return;
        }
    }
    if (!entry->is_missing || !is_wanted)
        return;
    row.ts_ns = entry->ts_ns;
    row.number = entry->number;
    row.type = entry->type;
    row.is_resend = entry->is_resend;
    row.is_copy = entry->is_copy;
    row.has_step = row.has_range = entry->has_range;
    row.step = entry->step;
    row.phase = entry->phase;
    row.range = entry->range;
    if (entry->has_range || (ladder->range.step_first == 0 && ladder->range.step_last == UINT64_MAX))
        keep(ladder, &row);
}

/* ---- text ---- */

static int compare(const void *a, const void *b)
{
    const struct ladder_row *x = a, *y = b;

    if (x->ts_ns != y->ts_ns)
        return x->ts_ns < y->ts_ns ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* The label beside an arrow. */
static void describe(const struct ladder_row *row, char out[LABEL_BYTES])
{
    const struct mesh_wire_part *part = mesh_wire_message(row->type);
    int at = snprintf(out, LABEL_BYTES, "%s", part ? part->name : "?");

    if (row->has_step)
        at += snprintf(out + at, LABEL_BYTES - (size_t)at, " %" PRIu64 ".%u", row->step, row->phase);
    if (row->has_range)
        at += snprintf(out + at, LABEL_BYTES - (size_t)at, " blocks %u+%u", row->range.block_first, row->range.block_count);
    if (row->more > 0)
        at += snprintf(out + at, LABEL_BYTES - (size_t)at, " and %u more", row->more);
    snprintf(out + at, LABEL_BYTES - (size_t)at, "%s%s%s", row->is_resend ? " resend" : "", row->is_copy ? " copy" : "",
             row->is_lost ? " LOST" : "");
}

struct columns {
    uint32_t epoch;
    unsigned count, ranks[LADDER_RANKS_MAX], apart;
    bool is_full;
};

static int column_of(const struct columns *columns, unsigned rank)
{
    for (unsigned i = 0; i < columns->count; i++)
        if (columns->ranks[i] == rank)
            return (int)(i * columns->apart);
    return -1;
}

static void add_rank(struct columns *columns, unsigned rank)
{
    unsigned at = columns->count;

    if (rank == MESH_DST_ALL || column_of(columns, rank) >= 0)
        return;
    columns->is_full = columns->count == LADDER_RANKS_MAX;
    if (columns->is_full)
        return;
    for (; at > 0 && columns->ranks[at - 1] > rank; at--)
        columns->ranks[at] = columns->ranks[at - 1];
    columns->ranks[at] = rank;
    columns->count++;
}

/* The ranks of the rows of one epoch. */
static void find_columns(const struct ladder *ladder, uint32_t epoch, struct columns *columns)
{
    *columns = (struct columns){.epoch = epoch, .apart = 1};
    for (size_t i = 0; i < ladder->count; i++)
        if (ladder->rows[i].link->epoch == epoch) {
            add_rank(columns, ladder->rows[i].link->src);
            add_rank(columns, ladder->rows[i].link->dst);
        }
    if (columns->count > 1)
        columns->apart = (RUNGS_MAX - 2) / (columns->count - 1);
}

static void print_head(const struct columns *columns, FILE *out)
{
    fprintf(out, "%*s", TIME_COLUMNS, "ms  ");
    for (unsigned i = 0; i < columns->count; i++) {
        char rank[24];

        snprintf(rank, sizeof rank, "%s%u", columns->apart > 8 ? "rank " : "", columns->ranks[i]);
        fprintf(out, "%-*s", (int)columns->apart, rank);
    }
    fprintf(out, "  epoch %" PRIu32 "%s\n", columns->epoch, columns->is_full ? ": some ranks have no column" : "");
}

/* Draw lifelines and the arrow across them; for a lost datagram only the arrow's beginning. */
static void draw(const struct columns *columns, const struct ladder_row *row, char rungs[RUNGS_MAX + 1])
{
    const int from = column_of(columns, row->link->src), to = column_of(columns, row->link->dst);
    const int step = from < to ? 1 : -1;
    int at, end;

    memset(rungs, ' ', RUNGS_MAX);
    for (unsigned i = 0; i < columns->count; i++)
        rungs[i * columns->apart] = '|';
    rungs[(columns->count > 0 ? columns->count - 1 : 0) * columns->apart + 1] = '\0';
    if (from < 0 || to < 0 || from == to)
        return;
    end = row->is_lost && !row->is_captured ? from + (to - from) / 2 : to - step;
    for (at = from + step; at != end; at += step)
        rungs[at] = row->is_resend ? '=' : '-';
    rungs[end] = row->is_lost ? 'x' : step > 0 ? '>' : '<';
}

static void print_nothing(const struct ladder *ladder, FILE *out)
{
    const bool is_by_step = ladder->range.step_first != 0 || ladder->range.step_last != UINT64_MAX;

    if (ladder->seen == 0)
        fputs("no datagram of an epoch in the capture\n", out);
    else if (is_by_step && !ladder->has_steps)
        fprintf(out, "%" PRIu64 " datagrams of epochs, and no readable tile to tell their steps: give --key\n", ladder->seen);
    else
        fprintf(out, "none of %" PRIu64 " datagrams of epochs matches --steps, --seconds and -Y\n", ladder->seen);
}

void ladder_print(struct ladder *ladder, FILE *out)
{
    struct columns columns = {0};

    qsort(ladder->rows, ladder->count, sizeof *ladder->rows, compare);
    for (size_t i = 0; i < ladder->count; i++) {
        const struct ladder_row *row = &ladder->rows[i];
        char rungs[RUNGS_MAX + 1], label[LABEL_BYTES];

        if (i == 0 || row->link->epoch != columns.epoch) {
            find_columns(ladder, row->link->epoch, &columns);
            print_head(&columns, out);
        }
        describe(row, label);
        draw(&columns, row, rungs);
        fprintf(out, "%*.3f  %s  %s\n", TIME_COLUMNS - 2, (double)(int64_t)(row->ts_ns - ladder->begin_ns) / 1e6, rungs, label);
    }
    if (ladder->count == 0)
        print_nothing(ladder, out);
    if (ladder->left_out > 0)
        fprintf(out, "%" PRIu64 " datagrams more: narrow it with --steps or --seconds\n", ladder->left_out);
}
