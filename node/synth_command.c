/* The command line of `mesh-node synth`. */
#include "commands.h"
#include "mesh/program/options.h"
#include "node/synth/synth.h"

int synth_command(int argc, char *const *argv, struct fail *fail)
{
    static const char *const usage[] = {"mesh-node synth -o FILE.gguf [options]",
                                        "Write a valid model of random weights: the same bytes for the same options on any machine.", NULL};
    static const char *const examples[] = {
        "mesh-node synth -o small.gguf", "mesh-node synth -o big.gguf --dim 2048 --hidden 5632 --layers 22 --heads 32 --vocab 32000", NULL};
    struct synth_options o = {.dim = 512, .hidden = 1376, .layers = 6, .heads = 8, .kv_heads = 4, .vocab = 3000, .context = 512, .seed = 1};
    const char *path = NULL, *type = "q8_0";
    bool help = false;
    const struct option_spec specs[] = {
        {.name = "output", .short_name = 'o', .kind = OPTION_TEXT, .target = &path, .metavar = "FILE", .help = "GGUF file to write"},
        {.name = "arch", .kind = OPTION_TEXT, .target = &o.architecture, .metavar = "llama|qwen2|qwen3", .help = "architecture (llama)"},
        {.name = "dim", .kind = OPTION_U32, .target = &o.dim, .help = "width of the residual stream (512)"},
        {.name = "hidden", .kind = OPTION_U32, .target = &o.hidden, .help = "width of the feed-forward layer (1376)"},
        {.name = "layers", .kind = OPTION_U32, .target = &o.layers, .help = "layers of attention and feed-forward (6)"},
        {.name = "heads", .kind = OPTION_U32, .target = &o.heads, .help = "query heads (8)"},
        {.name = "kv-heads", .kind = OPTION_U32, .target = &o.kv_heads, .help = "key and value heads (4)"},
        {.name = "vocab", .kind = OPTION_U32, .target = &o.vocab, .help = "tokens (3000)"},
        {.name = "ctx", .kind = OPTION_U32, .target = &o.context, .help = "context in tokens (512)"},
        {.name = "type",
         .kind = OPTION_TEXT,
         .target = &type,
         .metavar = "TYPE",
         .help = "type of all matrices: " TENSOR_TYPE_NAMES " (q8_0)"},
        {.name = "seed", .kind = OPTION_U64, .target = &o.seed, .help = "seed of the weights (1)"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &help, .help = "this text"},
    };
    const size_t count = sizeof specs / sizeof *specs;

    if (options_parse(specs, count, argc, argv, NULL, fail) < 0)
        return -1;
    if (help) {
        options_help(stdout, usage, specs, count, examples);
        return 0;
    }
    if (path == NULL)
        return fail_set(fail, EXIT_USAGE, "synth: no file to write: give one with -o FILE.gguf");
    int number = tensor_type_from_name(type);
    if (number < 0)
        return fail_set(fail, EXIT_USAGE, "--type %s: no such type: give one of %s", type, TENSOR_TYPE_NAMES);
    o.type = (enum tensor_type)number;
    return synth_write(&o, path, fail);
}
