#include "output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "mesh/program/standard_streams.h"
#include "mesh/program/text_decode.h"
#include "node/common/hash.h"
#include "node/engine/security.h"

void output_begin(struct output *output, const struct run_options *options, const struct tokenizer *tokenizer, bool has_prompt)
{
    *output =
        (struct output){.options = options, .tokenizer = tokenizer, .utf8 = {.is_first = !has_prompt && tokenizer_puts_space(tokenizer)}};
    json_init(&output->json, stdout);
}

static void print_json_token(struct output *output, uint32_t id, const char *text, size_t size)
{
    json_event_begin(&output->json, "token");
    json_string(&output->json, "text", text, size);
    json_uint(&output->json, "id", id);
    json_event_end(&output->json);
}

int output_token(struct output *output, const struct member_token *token, struct fail *fail)
{
    /* A matrix may have more rows than the tokenizer has tokens: those ids have no text. */
    size_t size = 0;
    const char *piece = token->id < tokenizer_count(output->tokenizer) ? tokenizer_piece(output->tokenizer, token->id, &size) : "";
    char *text = malloc((size + 4) * UTF8_STREAM_GROWTH);

    if (text == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    size = utf8_stream_push(&output->utf8, piece, size, text);
    if (output->options->json)
        print_json_token(output, token->id, text, size);
    else if (output->options->ids)
        printf("%s%" PRIu32, output->tokens > 0 ? " " : "", token->id);
    else
        text_decode_write(stdout, text, size);
    free(text);
    output->tokens++;
    output->ids_digest = hash_mix64(output->ids_digest ^ token->id);
    output->logits_digest += token->digest;
    return standard_streams_flush(fail);
}

int output_end(struct output *output, struct fail *fail)
{
    char text[4 * UTF8_STREAM_GROWTH];
    size_t size = utf8_stream_flush(&output->utf8, text);

    if (output->options->json) {
        /* A character that was never completed belongs to no token. */
        if (size > 0) {
            json_event_begin(&output->json, "rest");
            json_string(&output->json, "text", text, size);
            json_event_end(&output->json);
        }
        return standard_streams_flush(fail);
    }
    if (!output->options->ids)
        text_decode_write(stdout, text, size);
    putchar('\n');
    if (output->options->digest)
        printf("digest tokens=%" PRIu32 " ids=%016" PRIx64 " logits=%016" PRIx64 "\n", output->tokens, output->ids_digest,
               output->logits_digest);
    return standard_streams_flush(fail);
}

static double per_second(uint32_t count, uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? count * 1e9 / (double)(to_ns - from_ns) : 0.0;
}

struct rates {
    double prompt_per_s, gen_per_s, ttft_ms, bytes_per_token, packets_per_token;
    double send_calls_per_token, receive_calls_per_token, wait_calls_per_token, yield_calls_per_token;
    double utilisation[MESH_RANKS_MAX];
    uint64_t resent, naks, lost, duplicates_sent, kernel_drops;
};

static void add_up(const struct output_figures *f, struct rates *rates)
{
    const struct member_outcome *o = f->outcome;
    uint64_t wall_ns = o->done_ns - o->submitted_ns, packets = 0, bytes = 0;
    uint64_t send_calls = 0, receive_calls = 0, wait_calls = 0, yields = 0;

    *rates = (struct rates){0};
    if (o->tokens > 0) {
        rates->prompt_per_s = per_second(f->prompt_tokens, o->submitted_ns, o->first_token_ns);
        rates->gen_per_s = per_second(o->tokens - 1, o->first_token_ns, o->done_ns);
        rates->ttft_ms = (double)(o->first_token_ns - o->submitted_ns) / 1e6;
    }
    for (uint16_t r = 0; r < f->ranks; r++) {
        const struct member_report *report = &f->reports[r];

        if (report->is_there && report->threads > 0 && wall_ns > 0)
            rates->utilisation[r] = (double)report->compute_ns / ((double)wall_ns * report->threads);
        packets += report->decode_datagrams;
        bytes += report->decode_bytes;
        send_calls += report->decode_send_calls;
        receive_calls += report->decode_receive_calls;
        wait_calls += report->decode_wait_calls;
        yields += report->decode_yields;
        rates->resent += report->resent;
        rates->naks += report->naks;
        rates->lost += report->lost;
        rates->duplicates_sent += report->duplicates_sent;
        rates->kernel_drops += report->kernel_drops;
    }
    if (o->tokens > 1) {
        rates->bytes_per_token = (double)bytes / (o->tokens - 1);
        rates->packets_per_token = (double)packets / (o->tokens - 1);
        rates->send_calls_per_token = (double)send_calls / (o->tokens - 1);
        rates->receive_calls_per_token = (double)receive_calls / (o->tokens - 1);
        rates->wait_calls_per_token = (double)wait_calls / (o->tokens - 1);
        rates->yield_calls_per_token = (double)yields / (o->tokens - 1);
    }
}

static int print_json(struct output *output, const struct output_figures *f, const struct rates *rates, struct fail *fail)
{
    struct json *json = &output->json;
    char hex[17];

    json_event_begin(json, "summary");
    json_uint(json, "nodes", f->ranks);
    json_uint(json, "threads", f->threads);
    json_text(json, "kernel", f->kernel);
    json_text(json, "security", security_words[output->options->security]);
    json_text(json, "cipher", f->cipher);
    json_text(json, "topology", run_topology_words[output->options->topology]);
    json_text(json, "pipeline", run_pipeline_words[output->options->pipeline]);
    json_uint(json, "prompt_tokens", f->prompt_tokens);
    json_double(json, "prompt_tok_per_s", rates->prompt_per_s);
    json_uint(json, "gen_tokens", f->outcome->tokens);
    json_double(json, "gen_tok_per_s", rates->gen_per_s);
    json_double(json, "ttft_ms", rates->ttft_ms);
    json_array_begin(json, "utilisation");
    for (uint16_t r = 0; r < f->ranks; r++)
        json_double(json, NULL, rates->utilisation[r]);
    json_array_end(json);
    json_double(json, "bytes_sent_per_token", rates->bytes_per_token);
    json_double(json, "packets_sent_per_token", rates->packets_per_token);
    json_double(json, "send_calls_per_token", rates->send_calls_per_token);
    json_double(json, "receive_calls_per_token", rates->receive_calls_per_token);
    json_double(json, "wait_calls_per_token", rates->wait_calls_per_token);
    json_double(json, "yield_calls_per_token", rates->yield_calls_per_token);
    json_double(json, "system_calls_per_token",
                rates->send_calls_per_token + rates->receive_calls_per_token + rates->wait_calls_per_token + rates->yield_calls_per_token);
    json_uint(json, "lost", rates->lost);
    json_uint(json, "naks", rates->naks);
    json_uint(json, "resent", rates->resent);
    json_uint(json, "duplicates_sent", rates->duplicates_sent);
    json_uint(json, "dropped_by_kernel", rates->kernel_drops);
    snprintf(hex, sizeof hex, "%016" PRIx64, output->ids_digest);
    json_text(json, "digest_ids", hex);
    snprintf(hex, sizeof hex, "%016" PRIx64, output->logits_digest);
    json_text(json, "digest_logits", hex);
    json_text(json, "reason", engine_done_name(f->outcome->reason));
    if (output->options->lab_text != NULL)
        json_text(json, "lab", output->options->lab_text);
    json_event_end(json);
    return standard_streams_flush(fail);
}

int output_figures(struct output *output, const struct output_figures *f, struct fail *fail)
{
    struct rates rates;

    add_up(f, &rates);
    if (output->options->json)
        return print_json(output, f, &rates, fail);
    fprintf(stderr,
            "%u node%s, %u thread%s each, %s: prompt %u token%s at %.1f tok/s, generated %u at %.1f tok/s, time to first token %.1f ms\n",
            f->ranks, f->ranks == 1 ? "" : "s", f->threads, f->threads == 1 ? "" : "s", f->kernel, f->prompt_tokens,
            f->prompt_tokens == 1 ? "" : "s", rates.prompt_per_s, f->outcome->tokens, rates.gen_per_s, rates.ttft_ms);
    fprintf(stderr, "utilisation");
    for (uint16_t r = 0; r < f->ranks; r++)
        fprintf(stderr, " %.2f", rates.utilisation[r]);
    if (f->ranks > 1)
        fprintf(stderr, "; per token %.1f kB in %.0f datagrams sent; lost %" PRIu64 ", NAKs sent %" PRIu64 ", resent %" PRIu64,
                rates.bytes_per_token / 1e3, rates.packets_per_token, rates.lost, rates.naks, rates.resent);
    if (rates.duplicates_sent > 0)
        fprintf(stderr, ", copies sent %" PRIu64, rates.duplicates_sent);
    if (rates.kernel_drops > 0)
        fprintf(stderr, "; %" PRIu64 " dropped by the kernel, whose socket buffer was full", rates.kernel_drops);
    fputc('\n', stderr);
    if (f->outcome->reason == ENGINE_DONE_CONTEXT)
        fprintf(stderr, "stopped: the context is full (--ctx)\n");
    if (output->options->lab_text != NULL)
        fprintf(stderr, "lab: %s\n", output->options->lab_text);
    return 0;
}

int output_check(const struct member_outcome *outcome, const char *model, struct fail *fail)
{
    static const char *const names[] = {"attention", "attention output", "gate and up", "down"}; /* by phase of a layer */
    const struct engine_fault *fault = &outcome->fault;
    char place[60] = "logits";

    if (outcome->reason != ENGINE_DONE_ERROR)
        return 0;
    if (fault->phase == ENGINE_FAULT_CANDIDATES)
        return fail_set(fail, EXIT_ENVIRONMENT,
                        "rank %u: sent candidates that are none of its tokens: its program or memory is damaged: start it again",
                        fault->row);
    if (fault->phase < sizeof names / sizeof *names)
        snprintf(place, sizeof place, "layer %u, %s", fault->layer, names[fault->phase]);
    return fail_set(fail, EXIT_BAD_FILE,
                    "%s: %s, row %u: a value is not a finite number: the file is damaged, or its type has too small a range", model, place,
                    fault->row);
}
