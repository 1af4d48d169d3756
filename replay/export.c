#include "export.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "mesh/program/replace_file.h"
#include "progress_line.h"

struct outputs {
    const char *perfetto, *pcap, *csv;
};

static void close_all(struct export_traces *traces)
{
    for (size_t i = 0; i < traces->count; i++)
        mesh_trace_close(traces->traces[i]);
}

static int open_all(struct export_traces *traces, size_t count, struct fail *fail)
{
    for (traces->count = 0; traces->count < count; traces->count++) {
        traces->traces[traces->count] = trace_open(traces->paths[traces->count], fail);
        if (traces->traces[traces->count] == NULL)
            return -1;
    }
    return 0;
}

int export_to_file(const char *path, int (*write)(void *context, FILE *out, struct fail *fail), void *context, struct fail *fail)
{
    struct replace_file file;
    FILE *out;
    int descriptor, result;

    if (strcmp(path, "-") == 0) {
        progress_line_end();
        return write(context, stdout, fail);
    }
    if (replace_file_open(&file, path, fail) < 0)
        return -1;
    descriptor = dup(file.descriptor);
    out = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (out == NULL) {
        fail_fill(fail, EXIT_ENVIRONMENT, "%.300s: cannot be written: %s: %s", path, strerror(errno),
                  fail_advice(errno, "close other programs"));
        if (descriptor >= 0)
            close(descriptor);
        replace_file_abandon(&file);
        return -1;
    }
    result = write(context, out, fail);
    if (fclose(out) != 0 && result == 0)
        result = fail_set(fail, EXIT_ENVIRONMENT, "%.300s: cannot write: %s: free some space", path, strerror(errno));
    return replace_file_end(&file, result, fail);
}

static int write_perfetto(void *context, FILE *out, struct fail *fail)
{
    return export_perfetto(context, out, fail);
}

static int write_pcap(void *context, FILE *out, struct fail *fail)
{
    uint64_t without_data = 0;
    const int result = export_pcap(context, out, &without_data, fail);

    if (result == 0 && without_data > 0)
        fprintf(stderr, "mesh-replay: %" PRIu64 " datagrams without their data, which is not in the trace: zeros stand for it\n",
                without_data);
    return result;
}

static int export_all(struct export_traces *traces, const struct outputs *outputs, struct fail *fail)
{
    int result = 0;

    if (outputs->perfetto)
        result = export_to_file(outputs->perfetto, write_perfetto, traces, fail);
    if (result == 0 && outputs->pcap)
        result = export_to_file(outputs->pcap, write_pcap, traces, fail);
    if (result == 0 && outputs->csv)
        result = export_csv(traces, outputs->csv, fail);
    return result;
}

int export_command(int argc, char *const *argv, struct fail *fail)
{
    static const char *const usage[] = {"mesh-replay export TRACE.db ... --perfetto FILE.json | --pcap FILE | --csv DIR",
                                        "Write traces in formats that other programs read.", NULL};
    static const char *const examples[] = {"mesh-replay export run.db run.1.db run.2.db --perfetto run.json",
                                           "mesh-replay export run.db --pcap - | tcpdump -r -", NULL};
    struct export_traces traces = {0};
    struct options_operands operands = {.metavar = "at most 64 traces", .max = EXPORT_TRACES_MAX, .values = traces.paths};
    struct outputs outputs = {0};
    bool wants_help = false;
    const struct option_spec specs[] = {
        {.name = "perfetto",
         .kind = OPTION_TEXT,
         .target = &outputs.perfetto,
         .metavar = "FILE.json",
         .help = "for ui.perfetto.dev: a process per node"},
        {.name = "pcap",
         .kind = OPTION_TEXT,
         .target = &outputs.pcap,
         .metavar = "FILE",
         .help = "the datagrams, opened, for mesh-dissect and Wireshark (one trace)"},
        {.name = "csv", .kind = OPTION_TEXT, .target = &outputs.csv, .metavar = "DIR", .help = "a file per table and view (one trace)"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &wants_help, .help = "this text"},
    };
    const size_t count = sizeof specs / sizeof *specs;
    int result;

    if (options_parse(specs, count, argc, argv, &operands, fail) < 0)
        return -1;
    if (wants_help) {
        options_help(stdout, usage, specs, count, examples);
        return EXIT_OK;
    }
    if (operands.count == 0 || (!outputs.perfetto && !outputs.pcap && !outputs.csv))
        return fail_set(fail, EXIT_USAGE, "export: needs a trace, and --perfetto, --pcap or --csv: see mesh-replay export --help");
    if (outputs.pcap && operands.count > 1)
        return fail_set(fail, EXIT_USAGE,
                        "--pcap: several traces: each makes a capture of its own: give one at a time, then all captures to mesh-dissect: "
                        "mesh-dissect -r A.pcap -r B.pcap --analyze");
    if (outputs.csv && operands.count > 1)
        return fail_set(fail, EXIT_USAGE, "--csv: several traces: each makes a folder of its own: give one");
    if (outputs.perfetto && outputs.pcap && replace_file_is_same(outputs.perfetto, outputs.pcap))
        return fail_set(fail, EXIT_USAGE, "--perfetto and --pcap: the same file: give two names");
    if (trace_check_unique(traces.paths, operands.count, fail) < 0 ||
        trace_check_output("--perfetto", outputs.perfetto, traces.paths, operands.count, fail) < 0 ||
        trace_check_output("--pcap", outputs.pcap, traces.paths, operands.count, fail) < 0)
        return -1;
    result = open_all(&traces, operands.count, fail);
    if (result == 0)
        result = export_all(&traces, &outputs, fail);
    close_all(&traces);
    return result;
}
