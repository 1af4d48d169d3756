/* The verdict on a real node among played ranks. */
#include <inttypes.h>
#include <unistd.h>

#include "rows.h"
#include "run_rank.h"

enum {
    CASES_MAX = 5 + RUN_LIMITS, /* steps, tiles, end, tokens, timing */
    SHOWN_BYTES = 8
};

/* Eight bytes from the first difference on. */
static void bytes_text(const struct compute_difference *d, char was[2 * SHOWN_BYTES + 1], char is[2 * SHOWN_BYTES + 1])
{
    uint32_t first = 0;

    while (first + 1 < d->block_bytes && d->expected[first] == d->actual[first])
        first++;
    for (uint32_t i = 0; i < SHOWN_BYTES && first + i < d->block_bytes; i++) {
        snprintf(was + 2 * i, 3, "%02x", d->expected[first + i]);
        snprintf(is + 2 * i, 3, "%02x", d->actual[first + i]);
    }
}

static void judge_tiles(const struct run_rank *run, struct run_cases *cases)
{
    const struct compute_difference *d = &run->sum.first_difference, *m = &run->sum.first_missing;
    char was[2 * SHOWN_BYTES + 1] = "", is[2 * SHOWN_BYTES + 1] = "";

    bytes_text(d, was, is);
    run_case_begin(cases, "tiles that rank %u sent", run->rank);
    if (run->sum.different > 0)
        run_case_say(cases, VERDICT_FAIL,
                     "%" PRIu64 " of %" PRIu64 " blocks differ, the first in step %" PRIu64
                     ", phase %u, token %u, block %u: %s was recorded, %s came now",
                     run->sum.different, run->sum.compared, d->step, d->phase, d->token, d->block, was, is);
    else if (run->sum.missing > 0)
        run_case_say(cases, VERDICT_FAIL,
                     "%" PRIu64 " blocks never came, the first of step %" PRIu64 ", phase %u, token %u, block %u; %" PRIu64 " are the same",
                     run->sum.missing, m->step, m->phase, m->token, m->block, run->sum.compared);
    else if (run->sum.compared == 0)
        run_case_say(cases, VERDICT_SKIP, "none came that the recording has");
    else
        run_case_say(cases, VERDICT_PASS, "the same bits: %" PRIu64 " blocks; %" PRIu64 " that the recording has no data of",
                     run->sum.compared, run->sum.unknown);
}

static void judge_end(const struct run_rank *run, bool is_cut, struct run_cases *cases)
{
    run_case_begin(cases, "all that was recorded");
    if (run->stuck != NULL)
        run_case_say(cases, VERDICT_FAIL, "rank %u was still waiting: %.300s", run->stuck_rank, run->stuck);
    else if (is_cut)
        run_case_say(cases, VERDICT_FAIL, "rank %u did not end after it: see its log with --keep", run->rank);
    else
        run_case_say(cases, VERDICT_PASS, "%" PRIu64 " calls of %u played ranks, at most %.1f ms after their time", run->calls,
                     run->rank_count - 1, (double)run->late_ns / 1e6);
    run_case_took(cases, run->took_ns);
}

/* The steps that rank 0 plans decide all else. */
static void judge_log(const struct run_rank *run, struct run_cases *cases)
{
    const struct played_log *log = &run->log;

    run_case_begin(cases, "steps that rank 0 planned");
    if (log->different > 0)
        run_case_say(cases, VERDICT_FAIL, "%" PRIu64 " of %" PRIu64 " records of the step log differ, the first one is number %" PRIu64,
                     log->different, log->compared, log->first_different + 1);
    else if (log->compared == 0)
        run_case_say(cases, VERDICT_SKIP, "none came");
    else
        run_case_say(cases, VERDICT_PASS,
                     "the same: %" PRIu64 " records; %" PRIu64 " and %" PRIu64 " more after the end, which no node computes", log->compared,
                     log->only_recorded, run->log_only_now);
}

static int judge_tokens(struct run_rank *run, const char *path, struct run_cases *cases, struct fail *fail)
{
    struct mesh_trace *trace = trace_open(path, fail);
    const struct compute_token *is = NULL;
    size_t i = 0;
    int result;

    if (trace == NULL)
        return -1;
    result = compute_tokens_read(&run->is, path, trace, fail);
    mesh_trace_close(trace);
    if (result != 0)
        return -1;
    run_case_begin(cases, "tokens that rank %u sampled", run->rank);
    for (; i < run->was.count; i++) {
        const struct compute_token *was = &run->was.tokens[i];

        is = compute_tokens_get(&run->is, was->request, was->position);
        if (is == NULL || is->id != was->id)
            break;
    }
    if (run->was.count == 0)
        run_case_say(cases, VERDICT_SKIP, "the recording has none");
    else if (i == run->was.count)
        run_case_say(cases, VERDICT_PASS, "the same: %zu", i);
    else if (is == NULL)
        run_case_say(cases, VERDICT_FAIL, "none at position %" PRIu64 ", where %" PRIu64 " was recorded", run->was.tokens[i].position,
                     run->was.tokens[i].id);
    else
        run_case_say(cases, VERDICT_FAIL, "another token at position %" PRIu64 ": %" PRIu64 " was recorded, %" PRIu64 " came now",
                     run->was.tokens[i].position, run->was.tokens[i].id, is->id);
    return 0;
}

/* From the first token to the last. */
static int judge_speed(const char *path, struct run_judging *j, struct fail *fail)
{
    struct mesh_trace *trace = trace_open(path, fail);
    int64_t ns = 0;
    int result;

    if (trace == NULL)
        return -1;
    result = rows_number(path, trace, "SELECT (max(t_ns) - min(t_ns)) / max(count(*) - 1, 1) FROM tokens", &ns, fail);
    mesh_trace_close(trace);
    if (result != 0)
        return -1;
    if (ns > 0) {
        run_case_number(&j->cases, "--min-tok-s", false, 1e9 / (double)ns, (double)j->limits->tokens_per_s, "tok_per_s", "tok/s");
        return 0;
    }
    run_case_begin(&j->cases, "--min-tok-s");
    run_case_say(&j->cases, VERDICT_SKIP, "there were not two tokens");
    return 0;
}

int run_rank_judge(struct run_rank *run, struct run_judging *j, struct fail *fail)
{
    const char *path = j->nodes->trace[0];
    int result = run_cases_reserve(&j->cases, CASES_MAX, fail);

    if (result != 0)
        return -1;
    if (run->rank == 0)
        judge_log(run, &j->cases);
    judge_tiles(run, &j->cases);
    judge_end(run, j->nodes->is_cut, &j->cases);
    if (j->nodes->is_cut || (run->stuck != NULL && access(path, R_OK) != 0))
        return 0; /* its recording lacks its end, or even its beginning: what is not there proves nothing */
    result = judge_tokens(run, path, &j->cases, fail);
    if (result == 0)
        result = run_judge_latency(j, fail);
    if (result == 0 && j->limits->has_tokens_per_s)
        result = judge_speed(path, j, fail);
    if (result == 0 && j->limits->has_loss)
        result = run_judge_loss(j, fail);
    return result;
}
