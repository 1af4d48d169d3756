/* The command line of `mesh-node quantize`, and its report. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "mesh/program/json.h"
#include "mesh/program/options.h"
#include "node/common/pool.h"
#include "node/quantise/quantise_data.h"
#include "node/quantise/quantise_file.h"

enum { NAMES_MAX = TYPE_COUNT + 1, TYPE_TEXT_MAX = 60 };

struct arguments {
    const char *paths[2];
    const char *type;
    uint32_t threads;
    bool json, help;
};

static int parse(struct arguments *a, int argc, char *const *argv, struct fail *fail)
{
    static const char *const usage[] = {"mesh-node quantize IN.gguf OUT.gguf --type TYPE [options]",
                                        "Write a model with its matrices in another type and all else unchanged; vectors become f32.",
                                        NULL};
    static const char *const examples[] = {"mesh-node quantize model-f16.gguf model-q4_k.gguf --type q4_k",
                                           "mesh-node quantize model-q8_0.gguf model-f32.gguf --type f32 --json", NULL};
    const struct option_spec specs[] = {
        {.name = "type", .kind = OPTION_TEXT, .target = &a->type, .metavar = "TYPE", .help = "type of all matrices: " TENSOR_TYPE_NAMES},
        {.name = "threads",
         .short_name = 't',
         .kind = OPTION_U32,
         .target = &a->threads,
         .min = 1,
         .max = QUANTISE_DATA_THREADS_MAX,
         .help = "threads (cores); any number gives the same file"},
        {.name = "json", .kind = OPTION_FLAG, .target = &a->json, .help = "the figures as one JSON object"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &a->help, .help = "this text"},
    };
    const size_t count = sizeof specs / sizeof *specs;
    struct options_operands operands = {.metavar = "IN.gguf OUT.gguf", .min = 2, .max = 2, .values = a->paths};

    if (options_parse(specs, count, argc, argv, &operands, fail) < 0)
        return -1;
    if (a->help)
        options_help(stdout, usage, specs, count, examples);
    return 0;
}

static int refuse_type(const char *type, struct fail *fail)
{
    const char *names[NAMES_MAX];
    char lower[TYPE_TEXT_MAX + 1];
    size_t count = 0;

    snprintf(lower, sizeof lower, "%s", type);
    for (char *p = lower; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    for (uint32_t number = 0; number < TYPE_COUNT; number++) {
        if (tensor_type_info(number) != NULL)
            names[count++] = tensor_type_info(number)->name;
    }
    names[count] = NULL;

    const char *nearest = options_nearest(lower, names);

    if (nearest == NULL)
        return fail_set(fail, EXIT_USAGE, "--type %.60s: no such type: give one of %s", type, TENSOR_TYPE_NAMES);
    return fail_set(fail, EXIT_USAGE, "--type %.60s: no such type: did you mean %s? There are %s", type, nearest, TENSOR_TYPE_NAMES);
}

static uint16_t threads_of_machine(void)
{
    return pool_cores() < QUANTISE_DATA_THREADS_MAX ? pool_cores() : QUANTISE_DATA_THREADS_MAX;
}

/* Matrices that could not get the requested type. */
static void print_others(const struct quantise_file_report *report, enum tensor_type type)
{
    const struct tensor_type_info *info = tensor_type_info(type);

    if (report->short_rows + report->odd_rows == 0)
        return;
    fputs("mesh-node: quantize: not all matrices can be ", stderr);
    fputs(info->name, stderr);
    if (report->short_rows > 0)
        fprintf(stderr, "; %" PRIu64 " became q8_0, since their rows are no multiples of %u", report->short_rows, info->block_values);
    if (report->odd_rows > 0)
        fprintf(stderr, "; %" PRIu64 " became f16, since their rows are no multiples of 32", report->odd_rows);
    fputc('\n', stderr);
}

static void print_text(const struct quantise_file_report *report)
{
    const char *comma = ": ";

    printf("tensors  %" PRIu64, report->tensors);
    for (uint32_t type = 0; type < TYPE_COUNT; type++) {
        if (report->of_type[type] == 0)
            continue;
        printf("%s%" PRIu64 " %s", comma, report->of_type[type], tensor_type_name(type));
        comma = ", ";
    }
    printf("\nbytes    %" PRIu64 " before, %" PRIu64 " after (%.1f %%)\n", report->bytes_before, report->bytes_after,
           100.0 * (double)report->bytes_after / (double)report->bytes_before);
    printf("error    %.4g of the root mean square of all matrices' values\n", report->rms_error);
}

static void print_json(const struct quantise_file_report *report, const struct arguments *a, enum tensor_type type)
{
    struct json json;

    json_init(&json, stdout);
    json_event_begin(&json, "summary");
    json_text(&json, "in", a->paths[0]);
    json_text(&json, "out", a->paths[1]);
    json_text(&json, "type", tensor_type_name(type));
    json_uint(&json, "tensors", report->tensors);
    json_object_begin(&json, "tensors_of_type");
    for (uint32_t number = 0; number < TYPE_COUNT; number++) {
        if (report->of_type[number] > 0)
            json_uint(&json, tensor_type_name(number), report->of_type[number]);
    }
    json_object_end(&json);
    json_uint(&json, "vectors", report->vectors);
    json_uint(&json, "matrices_q8_0_for_short_rows", report->short_rows);
    json_uint(&json, "matrices_f16_for_odd_rows", report->odd_rows);
    json_uint(&json, "bytes_before", report->bytes_before);
    json_uint(&json, "bytes_after", report->bytes_after);
    json_double(&json, "rms_error", report->rms_error);
    json_event_end(&json);
}

static int run(const struct arguments *a, struct fail *fail)
{
    struct quantise_file_report report;

    if (a->type == NULL)
        return fail_set(fail, EXIT_USAGE, "quantize: no type to convert to: give one with --type: %s", TENSOR_TYPE_NAMES);

    const int type = tensor_type_from_name(a->type);

    if (type < 0)
        return refuse_type(a->type, fail);

    const struct quantise_file_options options = {
        .in = a->paths[0],
        .out = a->paths[1],
        .type = (enum tensor_type)type,
        .threads = a->threads > 0 ? (uint16_t)a->threads : threads_of_machine(),
    };

    if (quantise_file(&options, &report, fail) < 0)
        return -1;
    print_others(&report, options.type);
    if (a->json)
        print_json(&report, a, options.type);
    else
        print_text(&report);
    return 0;
}

int quantise_command(int argc, char *const *argv, struct fail *fail)
{
    struct arguments arguments = {0};

    if (parse(&arguments, argc, argv, fail) < 0)
        return -1;
    if (arguments.help)
        return 0;
    return run(&arguments, fail);
}
