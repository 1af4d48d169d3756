/* The command line of `mesh-node train`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "mesh/program/options.h"
#include "node/common/pool.h"
#include "node/kernel/kernel.h"
#include "node/kernel/team.h"
#include "node/tokenizer/vocab.h"
#include "node/train/train.h"

enum { STEPS_MAX = 100000000, BATCH_MAX = 4096 };

static const char *const usage[] = {"mesh-node train --text FILE -o MODEL.gguf [options]",
                                    "Train a small model of the llama architecture on a text: the same file for the same options",
                                    "and text, on any machine, with any number of threads. Two blank lines divide documents.", NULL};
static const char *const examples[] = {"mesh-node stories -o stories.txt && mesh-node train --text stories.txt -o m.gguf",
                                       "mesh-node train --text stories.txt -o m.gguf --resume",
                                       "mesh-node train --text book.txt -o book.gguf --steps 500 --curve book.svg", NULL};

/* What the options are read into. */
struct arguments {
    struct train_options train;
    const char *type;
    uint32_t threads;
    bool has_warmup, help;
};

static int parse(struct arguments *a, int argc, char *const *argv, struct fail *fail)
{
    struct train_options *o = &a->train;
    struct train_setup *s = &o->setup;
    const struct option_spec specs[] = {
        {.name = "text", .kind = OPTION_TEXT, .target = &o->text, .metavar = "FILE", .help = "text to train on"},
        {.name = "output", .short_name = 'o', .kind = OPTION_TEXT, .target = &o->output, .metavar = "FILE", .help = "GGUF file to write"},
        {.name = "dim", .kind = OPTION_U32, .target = &s->dim, .help = "width of the residual stream (256)"},
        {.name = "hidden", .kind = OPTION_U32, .target = &s->hidden, .help = "width of the feed-forward layer (512)"},
        {.name = "layers", .kind = OPTION_U32, .target = &s->layers, .help = "layers (4)"},
        {.name = "heads", .kind = OPTION_U32, .target = &s->heads, .help = "query heads (8)"},
        {.name = "kv-heads", .kind = OPTION_U32, .target = &s->kv_heads, .help = "key and value heads (4)"},
        {.name = "vocab", .kind = OPTION_U32, .target = &s->vocab, .help = "tokens of the vocabulary, at most (1536)"},
        {.name = "ctx", .kind = OPTION_U32, .target = &s->ctx, .help = "context in tokens (512)"},
        {.name = "batch", .kind = OPTION_U32, .target = &s->batch, .min = 1, .max = BATCH_MAX, .help = "rows of ctx tokens per step (8)"},
        {.name = "steps", .kind = OPTION_U64, .target = &s->steps, .min = 1, .max = STEPS_MAX, .help = "steps of the whole run (3000)"},
        {.name = "warmup",
         .kind = OPTION_U64,
         .target = &s->warmup,
         .was_set = &a->has_warmup,
         .max = STEPS_MAX,
         .help = "steps until the full learning rate (100)"},
        {.name = "lr", .kind = OPTION_FLOAT, .target = &s->rate, .float_min = 1e-9, .float_max = 1, .help = "learning rate (0.002)"},
        {.name = "lr-min", .kind = OPTION_FLOAT, .target = &s->rate_min, .float_max = 1, .help = "learning rate at the end (0.0001)"},
        {.name = "decay", .kind = OPTION_FLOAT, .target = &s->decay, .float_max = 10, .help = "weight decay (0.1)"},
        {.name = "clip",
         .kind = OPTION_FLOAT,
         .target = &s->clip,
         .float_min = 1e-6,
         .float_max = 1e6,
         .help = "largest norm of a gradient (1)"},
        {.name = "held-out",
         .kind = OPTION_FLOAT,
         .target = &s->held_out,
         .float_max = 0.5,
         .help = "share of documents held out for validation (0.05)"},
        {.name = "seed", .kind = OPTION_U64, .target = &s->seed, .help = "seed of everything random (1)"},
        {.name = "type", .kind = OPTION_TEXT, .target = &a->type, .metavar = "TYPE", .help = "type of the file's matrices (q8_0)"},
        {.name = "name", .kind = OPTION_PROSE, .target = &o->name, .metavar = "TEXT", .help = "general.name of the file (mesh-node train)"},
        {.name = "checkpoint",
         .kind = OPTION_TEXT,
         .target = &o->checkpoint,
         .metavar = "FILE",
         .help = "checkpoint file (MODEL.gguf.ckpt)"},
        {.name = "every", .kind = OPTION_U64, .target = &o->every, .min = 1, .help = "steps between checkpoints (250)"},
        {.name = "resume", .kind = OPTION_FLAG, .target = &o->resume, .help = "continue from the checkpoint"},
        {.name = "curve", .kind = OPTION_TEXT, .target = &o->curve, .metavar = "FILE.svg", .help = "write a picture of the losses"},
        {.name = "log", .kind = OPTION_TEXT, .target = &o->log, .metavar = "FILE.csv", .help = "write the losses of all steps"},
        {.name = "threads",
         .short_name = 't',
         .kind = OPTION_U32,
         .target = &a->threads,
         .min = 1,
         .max = TEAM_THREADS_MAX,
         .help = "threads (cores)"},
        {.name = "kernel", .kind = OPTION_TEXT, .target = &o->kernel, .metavar = "NAME", .help = "instruction set (the fastest)"},
        {.name = "json", .kind = OPTION_FLAG, .target = &o->json, .help = "one object per step on stdout, and a summary"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &a->help, .help = "this text"},
    };
    const size_t count = sizeof specs / sizeof *specs;

    if (options_parse(specs, count, argc, argv, NULL, fail) < 0)
        return -1;
    if (a->help)
        options_help(stdout, usage, specs, count, examples);
    return 0;
}

static int check(struct arguments *a, struct fail *fail)
{
    struct train_options *o = &a->train;
    int type = tensor_type_from_name(a->type);

    if (o->text == NULL)
        return fail_set(fail, EXIT_USAGE, "train: no text to learn: give one with --text FILE, e.g. what mesh-node stories writes");
    if (o->output == NULL)
        return fail_set(fail, EXIT_USAGE, "train: no file to write: give one with -o MODEL.gguf");
    if (type < 0)
        return fail_set(fail, EXIT_USAGE, "--type %s: no such type: give one of %s", a->type, TENSOR_TYPE_NAMES);
    if (o->setup.vocab < VOCAB_MIN)
        return fail_set(fail, EXIT_USAGE, "--vocab %u: bytes and control tokens alone are %d: give more", o->setup.vocab, VOCAB_MIN);
    if (o->setup.rate_min > o->setup.rate)
        return fail_set(fail, EXIT_USAGE, "--lr-min %g: above --lr %g: give at most that", (double)o->setup.rate_min,
                        (double)o->setup.rate);
    if (a->has_warmup && o->setup.warmup >= o->setup.steps)
        return fail_set(fail, EXIT_USAGE, "--warmup %" PRIu64 ": the run has %" PRIu64 " steps: give fewer than that", o->setup.warmup,
                        o->setup.steps);
    if (o->setup.warmup >= o->setup.steps)
        o->setup.warmup = o->setup.steps / 10;
    o->type = (enum tensor_type)type;
    o->threads = (uint16_t)a->threads;
    return 0;
}

int train_command(int argc, char *const *argv, struct fail *fail)
{
    struct arguments a = {
        .train = {.setup = {.dim = 256,
                            .hidden = 512,
                            .layers = 4,
                            .heads = 8,
                            .kv_heads = 4,
                            .vocab = 1536,
                            .ctx = 512,
                            .batch = 8,
                            .steps = 3000,
                            .warmup = 100,
                            .rate = 2e-3f,
                            .rate_min = 1e-4f,
                            .decay = 0.1f,
                            .clip = 1.0f,
                            .held_out = 0.05f,
                            .seed = 1},
                  .every = 250,
                  .name = "mesh-node train"},
        .type = "q8_0",
        .threads = pool_cores(),
    };
    char *checkpoint = NULL;
    int result;

    if (parse(&a, argc, argv, fail) < 0)
        return -1;
    if (a.help)
        return 0;
    if (check(&a, fail) < 0)
        return -1;
    if (a.train.checkpoint == NULL) {
        const size_t room = strlen(a.train.output) + sizeof ".ckpt";

        checkpoint = malloc(room);
        if (checkpoint == NULL)
            return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        snprintf(checkpoint, room, "%s.ckpt", a.train.output);
        a.train.checkpoint = checkpoint;
    }
    result = train_run(&a.train, fail);
    free(checkpoint);
    return result;
}
