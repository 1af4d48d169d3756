/* The outcome of a comparison, in words and as JSON. */
#include <inttypes.h>

#include "diff.h"

static const char *const verdict_words[] = {"nothing in common to compare", "the same", "different", "unknown (hashes with other keys)"};
static const char *const verdict_names[] = {"nothing", "same", "different", "unknown"};
static const char *const change_words[] = {"no difference beyond noise", "faster", "slower", "too few to tell"};
static const char *const change_names[] = {"unchanged", "faster", "slower", "too_few"};

static void write_token(FILE *out, const char *name, int64_t token)
{
    if (token == MESH_TRACE_NULL)
        fprintf(out, ", %s has none", name);
    else
        fprintf(out, ", %s has %" PRId64, name, token);
}

static void write_tokens(const struct diff_tokens *tokens, FILE *out)
{
    fprintf(out, "tokens: %s: %" PRIu64 " in both, %" PRIu64 " of them different; %" PRIu64 " only in A, %" PRIu64 " only in B\n",
            verdict_words[tokens->verdict], tokens->aligned, tokens->different, tokens->only[0], tokens->only[1]);
    if (!tokens->has_first)
        return;
    fprintf(out, "  they diverge at request %" PRId64 ", position %" PRId64, tokens->request, tokens->position);
    write_token(out, "A", tokens->first[0]);
    write_token(out, "B", tokens->first[1]);
    fputc('\n', out);
}

static void write_tiles(const struct diff_tiles *tiles, FILE *out)
{
    fprintf(out, "tiles: %s: %" PRIu64 " in both, %" PRIu64 " of them different; %" PRIu64 " only in A, %" PRIu64 " only in B\n",
            tiles->are_steps_shared ? "unknown (concurrent requests share steps differently each time; verify -m computes them)"
                                    : verdict_words[tiles->verdict],
            tiles->aligned, tiles->different, tiles->only[0], tiles->only[1]);
    if (tiles->candidates > 0)
        fprintf(out, "  and %" PRIu64 " in both with candidates, which are not compared: the shares of the ranks differ\n",
                tiles->candidates);
    if (tiles->left_out > 0)
        fprintf(out, "  and %" PRIu64 " in both that are not compared: a recorder had to leave out their data\n", tiles->left_out);
    if (tiles->has_first) {
        fprintf(out, "  the first different one: epoch %" PRId64, tiles->epoch[0]);
        if (tiles->epoch[1] != tiles->epoch[0])
            fprintf(out, " (B: %" PRId64 ")", tiles->epoch[1]);
        fprintf(out, ", step %" PRId64 ", phase %" PRId64 ", token %" PRId64 ", block %" PRId64 ", of rank %" PRId64 "\n", tiles->step,
                tiles->phase, tiles->token, tiles->block, tiles->src);
    }
    if (tiles->has_move)
        fprintf(out,
                "order: %" PRIu64 " of %" PRIu64 " tiles arrived at another place in their gather, first in epoch %" PRId64
                ", step %" PRId64 ", phase %" PRId64 "\n",
                tiles->moved, tiles->aligned, tiles->move_epoch, tiles->move_step, tiles->move_phase);
    else if (tiles->aligned > 0)
        fputs("order: the same in every gather\n", out);
}

void diff_write_text(const struct diff *diff, FILE *out)
{
    fprintf(out, "A: %s\nB: %s\n", diff->paths[0], diff->paths[1]);
    write_tokens(&diff->tokens, out);
    write_tiles(&diff->tiles, out);
    fputs("\ntimes in us                 count       p50       p90       p99       max\n", out);
    for (unsigned i = 0; i < DIFF_METRICS; i++) {
        const struct diff_timing *timing = &diff->timings[i];

        for (unsigned side = 0; side < 2; side++) {
            const struct diff_sample *sample = &timing->samples[side];

            fprintf(out, "%-20s %c %10" PRIu64 " %9.1f %9.1f %9.1f %9.1f\n", side == 0 ? timing->what : "", 'A' + (int)side, sample->count,
                    (double)sample->p50_ns / 1e3, (double)sample->p90_ns / 1e3, (double)sample->p99_ns / 1e3, (double)sample->max_ns / 1e3);
        }
        fprintf(out, "  %s", change_words[timing->change]);
        if (timing->change != DIFF_TOO_FEW)
            fprintf(out, ": median %+.1f %%, p99 %+.1f %%", timing->p50_percent, timing->p99_percent);
        if (timing->change == DIFF_FASTER && timing->p99_is_slower)
            fputs(", of which the second is slower beyond noise", out);
        fputc('\n', out);
    }
}

static void tokens_object(struct json *json, const struct diff_tokens *tokens)
{
    json_event_begin(json, "tokens");
    json_text(json, "verdict", verdict_names[tokens->verdict]);
    json_uint(json, "aligned", tokens->aligned);
    json_uint(json, "different", tokens->different);
    json_uint(json, "only_a", tokens->only[0]);
    json_uint(json, "only_b", tokens->only[1]);
    if (tokens->has_first) {
        json_int(json, "request", tokens->request);
        json_int(json, "position", tokens->position);
        if (tokens->first[0] != MESH_TRACE_NULL)
            json_int(json, "token_a", tokens->first[0]);
        if (tokens->first[1] != MESH_TRACE_NULL)
            json_int(json, "token_b", tokens->first[1]);
    }
    json_event_end(json);
}

static void tiles_object(struct json *json, const struct diff_tiles *tiles)
{
    json_event_begin(json, "tiles");
    json_text(json, "verdict", verdict_names[tiles->verdict]);
    json_uint(json, "aligned", tiles->aligned);
    json_uint(json, "different", tiles->different);
    json_uint(json, "only_a", tiles->only[0]);
    json_uint(json, "only_b", tiles->only[1]);
    json_uint(json, "moved", tiles->moved);
    json_uint(json, "candidates_not_compared", tiles->candidates);
    json_uint(json, "left_out_not_compared", tiles->left_out);
    if (tiles->has_first) {
        json_int(json, "epoch_a", tiles->epoch[0]);
        json_int(json, "epoch_b", tiles->epoch[1]);
        json_int(json, "step", tiles->step);
        json_int(json, "phase", tiles->phase);
        json_int(json, "token", tiles->token);
        json_int(json, "block", tiles->block);
        json_int(json, "src", tiles->src);
    }
    json_event_end(json);
}

static void timing_object(struct json *json, const struct diff_timing *timing)
{
    static const char *const sides[] = {"a", "b"};

    json_event_begin(json, "timing");
    json_text(json, "of", timing->name);
    json_text(json, "change", change_names[timing->change]);
    json_double(json, "p50_percent", timing->p50_percent);
    json_double(json, "p99_percent", timing->p99_percent);
    for (unsigned side = 0; side < 2; side++) {
        json_object_begin(json, sides[side]);
        json_uint(json, "count", timing->samples[side].count);
        json_int(json, "p50_ns", timing->samples[side].p50_ns);
        json_int(json, "p90_ns", timing->samples[side].p90_ns);
        json_int(json, "p99_ns", timing->samples[side].p99_ns);
        json_int(json, "max_ns", timing->samples[side].max_ns);
        json_object_end(json);
    }
    json_event_end(json);
}

void diff_write_json(const struct diff *diff, FILE *out)
{
    struct json json;

    json_init(&json, out);
    tokens_object(&json, &diff->tokens);
    tiles_object(&json, &diff->tiles);
    for (unsigned i = 0; i < DIFF_METRICS; i++)
        timing_object(&json, &diff->timings[i]);
    json_event_begin(&json, "summary");
    json_text(&json, "tokens", verdict_names[diff->tokens.verdict]);
    json_text(&json, "tiles", verdict_names[diff->tiles.verdict]);
    json_event_end(&json);
}
