/* The command lines of `mesh-node ask` and `mesh-node status`: clients of any node of a running cluster. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "mesh/program/json.h"
#include "mesh/program/options.h"
#include "mesh/program/progress.h"
#include "mesh/program/standard_streams.h"
#include "mesh/program/text_decode.h"
#include "node/client/ask_prompt.h"
#include "node/client/ask_watch.h"
#include "node/client/client_key.h"
#include "node/client/client_message.h"
#include "node/client/client_session.h"
#include "node/client/telemetry_lines.h"
#include "node/common/hash.h"
#include "node/engine/security.h"

static const char *const address_default = "127.0.0.1:7411";
enum { WAIT_NS = 200000000, SILENT_NS = 2000000000 /* a session is over at 10 s of it */ };

/* Options of both commands. */
struct target {
    const char *to, *key_path, *name;
    int security;
    bool has_security, json, help;
    uint32_t telemetry_s; /* status: watch for this long; 0: do not */
    struct mesh_key key;
    bool is_open;             /* its session */
    struct progress progress; /* while nothing has come */
};

struct asking {
    struct target target;
    struct ask_prompt prompt;
    struct client_message_ask ask;
    bool has_seed, ids, digest;
    /* what has arrived */
    struct json out;
    bool has_summary;
    uint32_t tokens;
    uint64_t ids_digest, logits_digest;
    struct ask_watch watch; /* for the summary of JSON */
    bool has_told_silence;
};

/* The signal that asks for an early end, 0: none yet. The next one ends the process at once. */
static volatile sig_atomic_t interrupted_by;

static void on_interrupt(int number)
{
    interrupted_by = number;
    signal(number, SIG_DFL);
}

/* A client that vanishes without a word lets the node compute in vain until the node takes the silence for an end. */
static void watch_signals(void)
{
    static const int others[] = {SIGTERM, SIGHUP};

    signal(SIGPIPE, SIG_IGN);     /* stdout then has an error */
    signal(SIGINT, on_interrupt); /* which a shell makes its background jobs ignore */
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (signal(others[i], on_interrupt) == SIG_IGN)
            signal(others[i], SIG_IGN);
}

/* Asked while opening a session blocks, and while closing it does. */
static bool tell_calling(void *app)
{
    struct target *target = app;

    if (!target->is_open)
        progress_show(&target->progress, "calling %.100s: %.0f s", target->to, progress_elapsed_s(&target->progress));
    return true;
}

static struct mesh_client *open_client(struct target *target, struct fail *fail)
{
    struct mesh_client_config config = {.address = target->to,
                                        .key = &target->key,
                                        .key_file = target->key_path,
                                        .cluster = target->name,
                                        .is_wanted = tell_calling,
                                        .app = target};
    struct mesh_client *client;

    if (client_key_read(&target->key, &config.security, target->has_security ? &target->security : NULL, target->key_path, fail) < 0)
        return NULL;
    progress_begin(&target->progress);
    client = client_session_open(&config, fail);
    progress_end(&target->progress);
    mesh_wipe(&target->key, sizeof target->key);
    target->is_open = client != NULL;
    return client;
}

static int send_message(struct mesh_client *client, const struct client_message *message, struct fail *fail)
{
    static uint8_t record[MESH_RECORD_BYTES_MAX];

    return client_session_send(client, record, client_message_write(message, record), fail);
}

/* The next record; 0 when there is none yet, or it was telemetry of a watched node. figures: NULL where none is. */
static int next_message(struct mesh_client *client, struct ask_figures *figures, struct client_message *message, struct fail *fail)
{
    const uint8_t *record;
    size_t bytes;
    int got = client_session_receive(client, &record, &bytes, WAIT_NS, fail);

    if (got <= 0)
        return got;
    if (figures != NULL && ask_figures_take(figures, record, bytes))
        return 0;
    if (client_message_read(message, record, bytes) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "the node's answer cannot be read: are both of the same version?");
    if (message->kind == CLIENT_MESSAGE_REFUSED)
        return fail_set(fail, EXIT_ENVIRONMENT, "refused: %.*s", (int)(message->text_size < 500 ? message->text_size : 500), message->text);
    if (message->kind == CLIENT_MESSAGE_UNFIT)
        return fail_set(fail, EXIT_USAGE, "%.*s", (int)(message->text_size < 500 ? message->text_size : 500), message->text);
    return 1;
}

/* ---- ask ---- */

/* As `run` prints them. Text without a token is left by a character that was never completed. */
static void print_token_events(struct asking *a, const struct client_message *message)
{
    const char *text = message->text;

    if (message->token_count == 0) {
        json_event_begin(&a->out, "rest");
        json_string(&a->out, "text", message->text, message->text_size);
        json_event_end(&a->out);
    }
    for (uint32_t i = 0; i < message->token_count; i++) {
        json_event_begin(&a->out, "token");
        json_string(&a->out, "text", text, message->token[i].text_size);
        json_uint(&a->out, "id", message->token[i].id);
        json_event_end(&a->out);
        text += message->token[i].text_size;
    }
}

static int print_tokens(struct asking *a, const struct client_message *message, struct fail *fail)
{
    for (uint32_t i = 0; i < message->token_count; i++) {
        a->ids_digest = hash_mix64(a->ids_digest ^ message->token[i].id);
        a->logits_digest += message->token[i].digest;
        if (a->ids)
            printf("%s%" PRIu32, a->tokens > 0 ? " " : "", message->token[i].id);
        a->tokens++;
    }
    if (a->target.json) {
        print_token_events(a, message);
    } else if (!a->ids) {
        text_decode_write(stdout, message->text, message->text_size);
    }
    return standard_streams_flush(fail);
}

static double per_second(double count, uint64_t ns)
{
    return ns > 0 ? count * 1e9 / (double)ns : 0.0;
}

/* What the nodes did; null where it is not known. */
static void print_figures(struct asking *a, const struct ask_summary *summary, uint16_t nodes)
{
    json_array_begin(&a->out, "utilisation");
    for (uint16_t rank = 0; rank < nodes; rank++)
        json_double(&a->out, NULL, summary->utilisation[rank]);
    json_array_end(&a->out);
    json_double(&a->out, "bytes_sent_per_token", summary->bytes_per_token);
    json_double(&a->out, "packets_sent_per_token", summary->packets_per_token);
}

static int print_done(struct asking *a, const struct client_message_done *done, struct fail *fail)
{
    const double gen_per_s = done->tokens > 1 ? per_second(done->tokens - 1, done->all_ns - done->first_ns) : 0.0;
    const double prompt_per_s = per_second(done->prompt_tokens, done->first_ns);
    struct ask_summary summary;
    char hex[17];

    if (a->target.json) {
        json_event_begin(&a->out, "summary");
        ask_figures_sum(&a->watch.figures, &summary);
        json_uint(&a->out, "nodes", done->nodes);
        json_double(&a->out, "threads", summary.threads);
        json_uint(&a->out, "prompt_tokens", done->prompt_tokens);
        json_double(&a->out, "prompt_tok_per_s", prompt_per_s);
        json_uint(&a->out, "gen_tokens", done->tokens);
        json_double(&a->out, "gen_tok_per_s", gen_per_s);
        json_double(&a->out, "ttft_ms", (double)done->first_ns / 1e6);
        print_figures(a, &summary, done->nodes);
        json_uint(&a->out, "epochs", done->epochs);
        snprintf(hex, sizeof hex, "%016" PRIx64, a->ids_digest);
        json_text(&a->out, "digest_ids", hex);
        snprintf(hex, sizeof hex, "%016" PRIx64, a->logits_digest);
        json_text(&a->out, "digest_logits", hex);
        json_text(&a->out, "reason", engine_done_name(done->reason));
        json_event_end(&a->out);
        a->has_summary = true;
    } else {
        putchar('\n');
        if (a->digest)
            printf("digest tokens=%" PRIu32 " ids=%016" PRIx64 " logits=%016" PRIx64 "\n", a->tokens, a->ids_digest, a->logits_digest);
        fflush(stdout);
        fprintf(stderr,
                "%u node%s: prompt %" PRIu32 " token%s at %.1f tok/s, generated %" PRIu32 " at %.1f tok/s, time to first token %.1f ms",
                done->nodes, done->nodes == 1 ? "" : "s", done->prompt_tokens, done->prompt_tokens == 1 ? "" : "s", prompt_per_s,
                done->tokens, gen_per_s, (double)done->first_ns / 1e6);
        if (done->epochs > 0)
            fprintf(stderr, "; members changed %" PRIu32 " time%s meanwhile", done->epochs, done->epochs == 1 ? "" : "s");
        fputc('\n', stderr);
        if (done->reason == ENGINE_DONE_CONTEXT)
            fputs("stopped: the context is full (--ctx of the nodes)\n", stderr);
    }
    if (standard_streams_flush(fail) < 0)
        return -1;
    if (done->reason == ENGINE_DONE_ERROR)
        return fail_set(fail, EXIT_DIFFERENCE, "the generation ended with a value that is not finite: the model does not suit this prompt");
    if (done->reason == ENGINE_DONE_REFUSED)
        return fail_set(fail, EXIT_ENVIRONMENT, "the cluster had no memory for this prompt: use a shorter one");
    return 0;
}

/* Readers of events are also told when no summary will come. */
static int end_events(struct asking *a, int result, const struct fail *fail)
{
    if (result == 0 || !a->target.json || a->has_summary || ferror(stdout))
        return result;
    json_event_begin(&a->out, "failed");
    json_uint(&a->out, "gen_tokens", a->tokens);
    json_uint(&a->out, "exit_code", fail->exit_code);
    json_text(&a->out, "error", fail->text);
    json_event_end(&a->out);
    fflush(stdout);
    return result;
}

/* Whoever waits at a terminal for a node that may be gone is told so, and for how long. Text that is there stays. */
static void tell_waiting(struct asking *a, const struct mesh_client *client)
{
    struct progress *progress = &a->target.progress;
    const bool is_silent = mesh_client_silent_ns(client) >= SILENT_NS;

    if (a->tokens == 0)
        progress_show(progress, "waiting for the answer: %.0f s%s", progress_elapsed_s(progress),
                      is_silent ? "; nothing heard, is it gone?" : "");
    else if (is_silent && !a->has_told_silence && progress->is_terminal)
        fprintf(stderr, "%smesh-node: %.100s: nothing heard for 2 s: is it gone? waiting for up to 10 s\n",
                isatty(STDOUT_FILENO) ? "\n" : "", a->target.to);
    a->has_told_silence = is_silent;
}

/* The next record of the answer; 0: the user wants no more. */
static int next_of_answer(struct asking *a, struct mesh_client *client, struct client_message *message, struct fail *fail)
{
    int got = 0;

    while (interrupted_by == 0 && got == 0) {
        got = ask_watch_run(&a->watch, client, fail) < 0 ? -1 : next_message(client, &a->watch.figures, message, fail);
        if (got == 0)
            tell_waiting(a, client);
    }
    progress_end(&a->target.progress);
    return got;
}

static int listen_to(struct asking *a, struct mesh_client *client, struct fail *fail)
{
    const struct client_message cancel = {.kind = CLIENT_MESSAGE_CANCEL};
    struct client_message message;
    int got;

    progress_begin(&a->target.progress);
    for (;;) {
        got = next_of_answer(a, client, &message, fail);
        if (got < 0)
            return -1;
        if (got == 0) {
            if (!a->target.json)
                putchar('\n');
            fflush(stdout);
            return send_message(client, &cancel, fail);
        }
        if (message.kind == CLIENT_MESSAGE_DONE) {
            ask_watch_end(&a->watch, client);
            return print_done(a, &message.done, fail);
        }
        if (message.kind == CLIENT_MESSAGE_TOKENS) {
            ask_watch_generates(&a->watch);
            if (print_tokens(a, &message, fail) < 0)
                return -1;
        }
    }
}

static int ask_node(struct asking *a, struct fail *fail)
{
    struct client_message question = {.ask = a->ask};
    struct mesh_client *client;
    int result;

    if (ask_prompt_make(&a->prompt, &question, fail) < 0)
        return -1;
    client = open_client(&a->target, fail);
    if (client == NULL)
        return -1;
    result = a->target.json ? ask_watch_begin(&a->watch, client, fail) : 0;
    watch_signals(); /* before the question there is nothing to cancel */
    if (result == 0)
        result = send_message(client, &question, fail);
    if (result == 0)
        result = listen_to(a, client, fail);
    client_session_close(client);
    if (interrupted_by != 0 && interrupted_by != SIGINT)
        raise(interrupted_by); /* with its usual effect, so that the sender of the signal sees that it worked */
    return result;
}

static int draw_seed(struct asking *a, struct fail *fail)
{
    if (a->has_seed || a->ask.sampling.temperature == 0.0f)
        return 0;
    if (mesh_random(&a->ask.sampling.seed, sizeof a->ask.sampling.seed) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "random numbers: the system gives none: give --seed");
    fprintf(stderr, "seed: %" PRIu64 "\n", a->ask.sampling.seed);
    return 0;
}

int ask_command(int argc, char *const *argv, struct fail *fail)
{
    static const char *const usage[] = {"mesh-node ask [--to ADDR:PORT] [--key FILE] -p TEXT [-n TOKENS] [options]",
                                        "Ask a running cluster to generate text. Any of its nodes will do.", NULL};
    static const char *const examples[] = {"mesh-node ask -p \"Once upon a time\" -n 200 --temp 0.7",
                                           "mesh-node ask --to 10.0.0.2:7411 --key mesh.key -p abc --temp 0 --digest", NULL};
    struct asking a = {
        .target = {.to = address_default, .name = "mesh"},
        .ask = {.predict = 128, .sampling = {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.0f}}};
    struct sampling *s = &a.ask.sampling;
    struct ask_prompt *p = &a.prompt;
    const struct option_spec specs[] = {
        {.name = "to", .kind = OPTION_TEXT, .target = &a.target.to, .metavar = "ADDR:PORT", .help = "any member (127.0.0.1:7411)"},
        {.name = "key", .kind = OPTION_TEXT, .target = &a.target.key_path, .metavar = "FILE", .help = "the cluster's pre-shared key"},
        {.name = "name", .kind = OPTION_PROSE, .target = &a.target.name, .metavar = "TEXT", .help = "cluster name (mesh)"},
        {.name = "security",
         .kind = OPTION_WORD,
         .target = &a.target.security,
         .was_set = &a.target.has_security,
         .words = security_words,
         .help = "same as on the nodes (seal with a key)"},
        {.name = "prompt", .short_name = 'p', .kind = OPTION_PROSE, .target = &p->text, .metavar = "TEXT", .help = "text to continue"},
        {.name = "chat", .kind = OPTION_FLAG, .target = &p->is_chat, .help = "the prompt is a question to a model made for answering"},
        {.name = "system", .kind = OPTION_PROSE, .target = &p->system, .metavar = "TEXT", .help = "with --chat: how it is to answer"},
        {.name = "prompt-ids", .kind = OPTION_TEXT, .target = &p->ids_path, .metavar = "FILE", .help = "token ids to continue instead"},
        {.name = "predict",
         .short_name = 'n',
         .kind = OPTION_U32,
         .target = &a.ask.predict,
         .min = 1,
         .max = 1 << 24,
         .metavar = "TOKENS",
         .help = "limit of generated tokens (128)"},
        {.name = "temp", .kind = OPTION_FLOAT, .target = &s->temperature, .metavar = "T", .help = "0 is greedy (0.8)"},
        {.name = "top-k", .kind = OPTION_U32, .target = &s->top_k, .max = 1 << 22, .metavar = "K", .help = "0 is off (40)"},
        {.name = "top-p", .kind = OPTION_FLOAT, .target = &s->top_p, .metavar = "P", .help = "1 is off (0.95)"},
        {.name = "min-p", .kind = OPTION_FLOAT, .target = &s->min_p, .metavar = "P", .help = "0 is off (0.05)"},
        {.name = "repeat-penalty", .kind = OPTION_FLOAT, .target = &s->repeat_penalty, .metavar = "X", .help = "1 is off (1)"},
        {.name = "presence-penalty", .kind = OPTION_FLOAT, .target = &s->presence_penalty, .metavar = "X", .help = "(0)"},
        {.name = "frequency-penalty", .kind = OPTION_FLOAT, .target = &s->frequency_penalty, .metavar = "X", .help = "(0)"},
        {.name = "seed", .kind = OPTION_U64, .target = &s->seed, .was_set = &a.has_seed, .metavar = "S", .help = "(random, and printed)"},
        {.name = "ignore-eos", .kind = OPTION_FLAG, .target = &a.ask.ignore_end, .help = "do not stop at the end-of-text token"},
        {.name = "ids", .kind = OPTION_FLAG, .target = &a.ids, .help = "print token ids instead of text"},
        {.name = "digest", .kind = OPTION_FLAG, .target = &a.digest, .help = "print a line of hashes after the text"},
        {.name = "json", .kind = OPTION_FLAG, .target = &a.target.json, .help = "one object per event"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &a.target.help, .help = "this text"},
    };
    const size_t count = sizeof specs / sizeof *specs;

    if (options_parse(specs, count, argc, argv, NULL, fail) < 0)
        return -1;
    if (a.target.help) {
        options_help(stdout, usage, specs, count, examples);
        return 0;
    }
    if (ask_prompt_check(p, fail) < 0)
        return -1;
    if (a.target.json && a.ids)
        return fail_set(fail, EXIT_USAGE, "ask: --json and --ids together: JSON has the ids: give one of them");
    a.ask.want_digest = a.digest || a.target.json;
    if (sampler_check(s, fail) < 0 || draw_seed(&a, fail) < 0)
        return -1;
    json_init(&a.out, stdout);
    return end_events(&a, ask_node(&a, fail), fail);
}

/* ---- status ---- */

static int print_status(const struct client_message *message, struct fail *fail)
{
    text_decode_write(stdout, message->text, message->text_size);
    putchar('\n');
    return standard_streams_flush(fail);
}

static int status(struct target *target, struct fail *fail)
{
    const struct client_message question = {.kind = target->json ? CLIENT_MESSAGE_STATUS : CLIENT_MESSAGE_STATUS_TEXT};
    struct mesh_client *client = open_client(target, fail);
    struct client_message message = {0};
    int result, tries = 0;

    if (client == NULL)
        return -1;
    if (target->telemetry_s > 0) {
        result = telemetry_lines(client, target->telemetry_s, fail);
        client_session_close(client);
        return result < 0 ? -1 : standard_streams_flush(fail);
    }
    result = send_message(client, &question, fail);
    while (result == 0 && tries++ < 25 && (result = next_message(client, NULL, &message, fail)) == 0)
        ;
    if (result == 0 || (result > 0 && message.kind != CLIENT_MESSAGE_STATE))
        result = fail_set(fail, EXIT_ENVIRONMENT,
                          "%s: no answer within 5 s: is the node busy, or does the path to it carry datagrams of 1200 bytes?", target->to);
    else if (result > 0)
        result = print_status(&message, fail); /* its text is the client's */
    client_session_close(client);
    return result;
}

int status_command(int argc, char *const *argv, struct fail *fail)
{
    static const char *const usage[] = {"mesh-node status [--to ADDR:PORT] [--key FILE] [--json]", "Show the members of a running cluster.",
                                        NULL};
    static const char *const examples[] = {"mesh-node status", "mesh-node status --to 10.0.0.2:7411 --key mesh.key --json", NULL};
    struct target target = {.to = address_default, .name = "mesh"};
    const struct option_spec specs[] = {
        {.name = "to", .kind = OPTION_TEXT, .target = &target.to, .metavar = "ADDR:PORT", .help = "any member (127.0.0.1:7411)"},
        {.name = "key", .kind = OPTION_TEXT, .target = &target.key_path, .metavar = "FILE", .help = "the cluster's pre-shared key"},
        {.name = "name", .kind = OPTION_PROSE, .target = &target.name, .metavar = "TEXT", .help = "cluster name (mesh)"},
        {.name = "security",
         .kind = OPTION_WORD,
         .target = &target.security,
         .was_set = &target.has_security,
         .words = security_words,
         .help = "same as on the nodes (seal with a key)"},
        {.name = "json", .kind = OPTION_FLAG, .target = &target.json, .help = "one object, with everything"},
        {.name = "telemetry",
         .kind = OPTION_U32,
         .target = &target.telemetry_s,
         .min = 1,
         .max = 86400,
         .metavar = "SECONDS",
         .help = "telemetry of all nodes for that many seconds, as JSON Lines"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &target.help, .help = "this text"},
    };
    const size_t count = sizeof specs / sizeof *specs;

    if (options_parse(specs, count, argc, argv, NULL, fail) < 0)
        return -1;
    if (target.help) {
        options_help(stdout, usage, specs, count, examples);
        return 0;
    }
    return status(&target, fail);
}
