/* Where a recording and what is computed now diverge, in words: for finding the cause. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "compute_epoch.h"

enum { ROWS_SHOWN_MAX = 8, BYTES_SHOWN = 8 };

static void write_columns(FILE *out, const char *name, const char *recorded, const char *now)
{
    fprintf(out, "  %-24s %-34s %s\n", name, recorded, now);
}

static void number_text(float number, char out[40])
{
    snprintf(out, 40, "%.9g", (double)number);
}

static void write_place(const struct compute_epoch *e, FILE *out, size_t source, uint64_t call, uint64_t at_ns)
{
    fprintf(out, "  recorded by %.200s, call %" PRIu64 ", at %" PRIu64 ".%09" PRIu64 " s\n", e->tapes->paths[e->tapes->tapes[source].path],
            call, at_ns / 1000000000, at_ns % 1000000000);
}

/* ---- tiles ---- */

static uint32_t largest(const float *values, uint32_t count)
{
    uint32_t row = 0;

    for (uint32_t i = 1; i < count; i++)
        if (fabsf(values[i]) > fabsf(values[row]))
            row = i;
    return row;
}

/* The row that has changed most. The largest value of a block sets the rounding step of all others: if another value is the largest now, or
 * its size has changed, others seem to change that have not. */
static uint32_t worst_row(const float *expected, const float *actual, uint32_t count)
{
    float by[32] = {0};
    uint32_t was, is;

    for (uint32_t i = 0; i < count; i++)
        by[i] = fabsf(expected[i] - actual[i]);
    was = largest(expected, count);
    is = largest(actual, count);
    if (fabsf(expected[was]) == fabsf(actual[is]))
        return largest(by, count);
    return by[was] > by[is] ? was : is;
}

static void write_rows(FILE *out, const struct recompute_place *place, const float *expected, const float *actual)
{
    unsigned shown = 0, left = 0;

    for (uint32_t i = 0; i < place->row_count; i++) {
        char name[40], recorded[40], now[40];

        if (memcmp(&expected[i], &actual[i], sizeof *expected) == 0)
            continue;
        if (shown == ROWS_SHOWN_MAX) {
            left++;
            continue;
        }
        snprintf(name, sizeof name, "row %" PRIu32, place->row_first + i);
        number_text(expected[i], recorded);
        number_text(actual[i], now);
        write_columns(out, name, recorded, now);
        shown++;
    }
    if (left > 0)
        fprintf(out, "  and %u more rows of this block\n", left);
}

static void bytes_text(const uint8_t *bytes, uint32_t count, char *out, size_t capacity)
{
    size_t used = 0;

    for (uint32_t i = 0; i < count && used + 3 < capacity; i++)
        used += (size_t)snprintf(out + used, capacity - used, "%s%02x", i > 0 ? " " : "", bytes[i]);
}

/* The bytes at which they begin to differ. */
static void write_bytes(FILE *out, const struct compute_difference *d)
{
    char name[40], recorded[40], now[40];
    uint32_t at = 0, count;

    while (at < d->block_bytes && d->expected[at] == d->actual[at])
        at++;
    at = at / BYTES_SHOWN * BYTES_SHOWN;
    count = d->block_bytes - at < BYTES_SHOWN ? d->block_bytes - at : BYTES_SHOWN;
    snprintf(name, sizeof name, "bytes %" PRIu32 "-%" PRIu32 " of the block", at, at + count - 1);
    bytes_text(d->expected + at, count, recorded, sizeof recorded);
    bytes_text(d->actual + at, count, now, sizeof now);
    write_columns(out, name, recorded, now);
}

static void write_square_sum(const struct compute_epoch *e, FILE *out)
{
    const struct compute_difference *d = &e->tiles.difference;
    char recorded[40], now[40];
    float expected, actual;

    if (!recompute_square_sum(e->recompute, d->phase, d->expected, &expected) ||
        !recompute_square_sum(e->recompute, d->phase, d->actual, &actual) || memcmp(&expected, &actual, sizeof actual) == 0)
        return;
    number_text(expected, recorded);
    number_text(actual, now);
    write_columns(out, "sum of squares", recorded, now);
}

static void describe_values(const struct compute_epoch *e, const struct recompute_place *place, char *headline, size_t capacity, FILE *out)
{
    const struct compute_difference *d = &e->tiles.difference;
    float expected[32] = {0}, actual[32] = {0};
    const size_t used = strlen(headline);

    write_columns(out, "", "recorded", "now");
    if (recompute_values(e->recompute, d->phase, d->expected, expected) > 0 &&
        recompute_values(e->recompute, d->phase, d->actual, actual) > 0) {
        if (memcmp(expected, actual, sizeof actual) == 0) /* the change is less than a rounding step */
            snprintf(headline + used, capacity - used, ", among rows %" PRIu32 "-%" PRIu32, place->row_first,
                     place->row_first + place->row_count - 1);
        else
            snprintf(headline + used, capacity - used, ", row %" PRIu32, place->row_first + worst_row(expected, actual, place->row_count));
        write_rows(out, place, expected, actual);
    }
    write_square_sum(e, out);
    write_bytes(out, d);
}

static void describe_tile(const struct compute_epoch *e, char *headline, size_t capacity, FILE *out)
{
    const struct compute_difference *d = &e->tiles.difference;
    struct recompute_place place;
    uint64_t request = 0;
    uint32_t position = 0;

    recompute_place(e->recompute, d->phase, d->block, &place);
    snprintf(headline, capacity, "another result: step %" PRIu64 ", layer %" PRIu32 ", %s: %s", d->step, place.layer, place.phase,
             place.matrix);
    fprintf(out, "  step %" PRIu64 ", phase %u, token %u, block %u, of rank %u", d->step, d->phase, d->token, d->block, d->rank);
    if (place.row_count > 0 && place.row_count <= 32)
        fprintf(out, ": rows %" PRIu32 "-%" PRIu32, place.row_first, place.row_first + place.row_count - 1);
    if (recompute_whose(e->recompute, d->phase, d->token, &request, &position))
        fprintf(out, "; request %" PRIu64 ", position %" PRIu32, request, position);
    fputc('\n', out);
    write_place(e, out, d->source, d->call, d->at_ns);
    if (d->is_shape)
        fprintf(out, "  its tile is not of the size that such blocks have now\n");
    else
        describe_values(e, &place, headline, capacity, out);
}

/* ---- tokens and rows ---- */

static void hash_text(int64_t number, char out[40])
{
    snprintf(out, 40, "%016" PRIx64, (uint64_t)number);
}

static void describe_token(const struct compute_epoch *e, char *headline, size_t capacity, FILE *out)
{
    const struct compute_token_difference *d = &e->token;
    const bool is_id = d->recorded.id != d->id;
    char recorded[40], now[40];

    snprintf(headline, capacity, "another %s: request %" PRIu64 ", token %" PRIu64, is_id ? "token" : "logit", d->recorded.request,
             d->recorded.position);
    write_columns(out, "", "recorded", "now");
    snprintf(recorded, sizeof recorded, "%" PRIu64, d->recorded.id);
    snprintf(now, sizeof now, "%" PRIu64, d->id);
    if (is_id)
        write_columns(out, "token id", recorded, now);
    if (d->recorded.digest == MESH_TRACE_NULL || d->digest == 0)
        return;
    hash_text(d->recorded.digest, recorded);
    hash_text((int64_t)d->digest, now);
    write_columns(out, "hash of its logits", recorded, now);
}

static void blocks_text(unsigned first, unsigned end, char out[40])
{
    if (first < end)
        snprintf(out, 40, "%u-%u", first, end - 1);
    else
        snprintf(out, 40, "none");
}

static void describe_row_map(const struct compute_epoch *e, char *headline, size_t capacity, FILE *out)
{
    const struct compute_deal_difference *d = &e->deal;
    struct recompute_place place;

    recompute_place(e->recompute, d->phase, 0, &place);
    snprintf(headline, capacity, "another row map: %s: %s", place.phase, place.matrix);
    write_place(e, out, d->source, d->call, d->at_ns);
    write_columns(out, "", "recorded", "now");
    for (uint16_t r = 0; r < d->rank_count; r++) {
        char name[40], recorded[40], now[40];

        snprintf(name, sizeof name, "blocks of rank %u", r);
        blocks_text(d->recorded[r], d->recorded[r + 1], recorded);
        blocks_text(d->now[r], d->now[r + 1], now);
        if (strcmp(recorded, now) != 0)
            write_columns(out, name, recorded, now);
    }
}

void compute_epoch_describe(const struct compute_epoch *e, char *headline, size_t capacity, FILE *detail)
{
    if (e->deal.is_set)
        describe_row_map(e, headline, capacity, detail);
    else if (e->tiles.difference.is_set)
        describe_tile(e, headline, capacity, detail);
    else
        describe_token(e, headline, capacity, detail);
}
