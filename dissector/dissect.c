#include "dissect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "capture_signals.h"
#include "datagrams.h"
#include "fragments.h"
#include "import.h"
#include "line.h"
#include "merge.h"
#include "mesh/program/progress.h"
#include "packet_json.h"
#include "privileges.h"
#include "qlog.h"
#include "report.h"
#include "save.h"
#include "selection.h"

struct run {
    const struct settings *settings;
    struct capture *capture;
    struct save save;
    struct fragments *fragments; /* of datagrams that the filter has not judged; NULL: -w writes each as it comes */
    struct keys *keys;
    struct filter *filter;     /* NULL: everything */
    struct verdicts *verdicts; /* of the file at hand, where the filter asks for them */
    struct line line;
    struct json json;
    struct report report;
    struct import *import; /* NULL: none */
    struct qlog *qlog;     /* the same */
    struct ladder ladder;
    struct selection selection;
    bool is_saving, has_text; /* has_text: something is printed of each datagram */
    bool has_told_full;       /* that there are links that are not counted */
    bool is_live, is_cut;     /* is_cut: a signal came before the end of a file */
    struct datagrams datagrams;
    struct progress progress;
};

/* ---- what becomes of a datagram ---- */

/* The report says it, too, but comes at the end: until then a live capture looks as if nothing were lost any more. */
static void tell_full(struct run *run)
{
    if (run->has_told_full || run->report.analysis.links.left_out == 0)
        return;
    run->has_told_full = true;
    fprintf(stderr,
            "mesh-dissect: --analyze: there are more than %d links, each epoch has its own: what is lost on further ones is not "
            "reported: end a live capture with Ctrl-C, which prints its report, and start it again; read a file in parts\n",
            LINKS_MAX);
}

static void take_datagram(void *context, const struct packet *packet)
{
    struct run *run = context;
    const struct selection *selection = &run->selection;
    const bool is_wanted = selection_take(&run->selection, packet);
    char notes[64];

    if (run->settings->analyze) {
        report_add(&run->report, packet, is_wanted);
        tell_full(run);
    }
    if (run->import)
        import_add(run->import, packet);
    if (run->qlog && is_wanted)
        qlog_add(run->qlog, packet, selection->verdict);
    if (!is_wanted || !run->has_text)
        return;
    if (run->settings->json) {
        packet_json_write(&run->json, packet, &selection->what, selection->verdict);
        return;
    }
    selection_note(selection, notes, sizeof notes);
    line_write(&run->line, packet, notes);
}

static void take_frame(struct run *run, const struct capture_frame *captured)
{
    const struct packet *packet = &run->datagrams.packet;

    selection_frame(&run->selection, captured->ts_ns);
    if (datagrams_add(&run->datagrams, capture_link(run->capture), captured) || !selection_take(&run->selection, packet))
        return;
    if (run->has_text && run->settings->json)
        packet_json_write_frame(&run->json, packet);
    else if (run->has_text)
        line_write_frame(&run->line, packet);
}

/* ---- a capture from its beginning to its end ---- */

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* The words are tcpdump's, whose users' scripts look for them. */
static void print_counts(const struct run *run)
{
    const struct datagrams *d = &run->datagrams;
    struct capture_counts counts;

    capture_count(run->capture, &counts);
    fprintf(stderr, "%" PRIu64 " packet%s captured\n", d->frames, plural(d->frames));
    fprintf(stderr, "%" PRIu64 " datagram%s of the mesh, %" PRIu64 " of others\n", d->count, plural(d->count), d->foreign);
    if (run->filter != NULL)
        fprintf(stderr, "%" PRIu64 " frame%s let through by the display filter\n", run->selection.frames, plural(run->selection.frames));
    if (!counts.is_live)
        return;
    fprintf(stderr, "%" PRIu64 " packet%s received by filter\n", counts.received, plural(counts.received));
    fprintf(stderr, "%" PRIu64 " packet%s dropped by kernel\n", counts.dropped, plural(counts.dropped));
    if (counts.dropped_by_interface > 0)
        fprintf(stderr, "%" PRIu64 " packet%s dropped by interface\n", counts.dropped_by_interface, plural(counts.dropped_by_interface));
}

static int heed_signals(struct run *run, struct fail *fail)
{
    if (capture_signals_wants_counts) {
        capture_signals_wants_counts = 0;
        print_counts(run);
    }
    if (capture_signals_wants_flush) {
        capture_signals_wants_flush = 0;
        if (run->is_saving && save_flush(&run->save, fail) < 0)
            return -1;
    }
    return 0;
}

/* -w: write the frame at hand, after the kept fragments of the datagram that it completes. 1: no more frames are wanted. */
static int save_frame(struct run *run, const struct capture_frame *captured, struct fail *fail)
{
    const struct datagrams *d = &run->datagrams;
    const bool is_wanted = run->selection.is_wanted, is_judged = d->frame.kind != FRAME_FRAGMENT;
    struct capture_frame earlier;
    size_t cursor = 0;
    int saved = 0;

    if (!is_wanted && !is_judged && run->fragments != NULL)
        fragments_keep(run->fragments, &d->frame, captured);
    if (d->is_fragment && is_judged && run->fragments != NULL) {
        while (is_wanted && saved == 0 && fragments_next(run->fragments, &d->frame, &cursor, &earlier))
            saved = save_add(&run->save, &earlier, fail);
        fragments_forget(run->fragments, &d->frame);
    }
    return saved == 0 && is_wanted ? save_add(&run->save, captured, fail) : saved;
}

/* Is the count of -c, over all files, reached? */
static bool is_enough(const struct run *run)
{
    return run->settings->count != 0 && run->selection.frames >= run->settings->count;
}

/* 1: no more frames are wanted. */
static int take_captured(struct run *run, const struct capture_frame *captured, struct fail *fail)
{
    take_frame(run, captured);
    if (run->is_saving) {
        const int saved = save_frame(run, captured, fail);

        if (saved != 0)
            return saved;
    }
    if (ferror(stdout))
        return fail_output(fail, "stdout");
    return (run->import && import_has_failed(run->import)) || is_enough(run);
}

/* Read what was captured before the signal came and is still in the kernel's buffer. */
static int read_rest(struct run *run, struct fail *fail)
{
    struct capture_frame captured;
    struct timespec now;
    uint64_t until_ns;
    int result = 0;

    clock_gettime(CLOCK_REALTIME, &now);
    until_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    capture_settle(run->capture);
    while (result == 0) {
        const int got = capture_next(run->capture, &captured, fail);

        if (got == 2)
            continue; /* the signal's capture_break */
        if (got != 1)
            return got;
        if (captured.ts_ns > until_ns)
            return 0;
        result = take_captured(run, &captured, fail);
    }
    return result < 0 ? -1 : 0;
}

static int read_frames(struct run *run, struct fail *fail)
{
    struct capture_frame captured;
    int result = 0;

    while (!capture_signals_end && result == 0) {
        const int got = capture_next(run->capture, &captured, fail);

        if (got != 1 && capture_signals_end && !run->is_live)
            break; /* a pipe without further input */
        if (heed_signals(run, fail) < 0 || got < 0)
            return -1;
        if (got == 0 && run->has_text)
            fflush(stdout);
        if (got == 2 && !run->is_live)
            return 0;
        if (got == 1)
            result = take_captured(run, &captured, fail);
    }
    if (result == 0 && capture_signals_end && run->is_live)
        return read_rest(run, fail);
    if (result == 0 && capture_signals_end && capture_is_repeatable(capture_name(run->capture))) { /* a pipe has no other end */
        run->is_cut = true;
        return fail_set(fail, EXIT_ENVIRONMENT, "%.200s: interrupted by a signal: the rest was not read: start again",
                        capture_name(run->capture));
    }
    return result < 0 ? -1 : 0;
}

static int start_saving(struct run *run, struct fail *fail)
{
    const struct settings *s = run->settings;
    const struct save_options options = {s->write_file, s->file_mb, s->file_seconds, s->file_count, s->flush_packets};

    if (s->write_file == NULL)
        return 0;
    run->is_saving = true;
    run->fragments = run->filter ? fragments_open(fail) : NULL;
    if (run->filter && run->fragments == NULL)
        return -1;
    return save_open(&run->save, run->capture, &options, fail);
}

static int start_import(struct run *run, const char *file, struct fail *fail)
{
    if (run->settings->import_file == NULL)
        return 0;
    run->import = import_open(run->settings->import_file, file, fail);
    return run->import ? 0 : -1;
}

/* A field of the filter that is known only after the whole capture was read; not for the report, which comes after that. NULL: none. */
static const char *verdict_asked(const struct run *run)
{
    const struct settings *s = run->settings;

    return run->filter != NULL && (!s->analyze || s->ladder || s->write_file != NULL) ? filter_needs_verdicts(run->filter) : NULL;
}

static bool goes_to_file(void)
{
    struct stat output;

    return fstat(STDOUT_FILENO, &output) == 0 && S_ISREG(output.st_mode);
}

static int open_capture(struct run *run, const char *file, struct fail *fail)
{
    const struct settings *s = run->settings;
    struct capture_options options = {.interface = s->interfaces.count > 0 ? s->interfaces.values[0] : NULL,
                                      .file = file,
                                      .filter = s->filter,
                                      .snaplen = s->snaplen,
                                      .buffer_kib = s->buffer_kib,
                                      .is_promiscuous = !s->not_promiscuous,
                                      .is_immediate = s->is_immediate || s->line_buffered || s->flush_packets,
                                      .direction = (enum capture_direction)s->direction,
                                      .progress = &run->progress};

    if (s->qlog_file != NULL && (run->qlog = qlog_open(s->qlog_file, file, fail)) == NULL)
        return -1;
    if ((verdict_asked(run) != NULL || s->qlog_file != NULL) && !s->dump_filter) {
        run->verdicts = verdicts_read(&options, run->keys, run->qlog ? qlog_note_loss : NULL, run->qlog, fail);
        if (run->verdicts == NULL)
            return -1;
        run->selection.verdicts = run->verdicts;
        run->selection.before = run->datagrams.count;
        if (verdicts_left_out(run->verdicts) > 0)
            fprintf(stderr, "mesh-dissect: %s: %" PRIu64 " lost or spuriously resent datagrams beyond the limit are not marked\n", file,
                    verdicts_left_out(run->verdicts));
        if (verdicts_not_judged(run->verdicts) > 0)
            fprintf(stderr, "mesh-dissect: %s: whether %" PRIu64 " datagrams of links beyond the first %d were lost is not known\n", file,
                    verdicts_not_judged(run->verdicts), LINKS_MAX);
    }
    if (run->has_text && !goes_to_file())
        options.progress = NULL; /* what is printed shows it; a pager has the same terminal */
    keys_rewind(run->keys);
    run->capture = capture_open(&options, fail);
    return run->capture ? 0 : -1;
}

static void close_capture(struct run *run)
{
    capture_close(run->capture);
    verdicts_free(run->verdicts);
    qlog_close(run->qlog);
    run->capture = NULL;
    run->qlog = NULL;
    run->verdicts = NULL;
    run->selection.verdicts = NULL;
}

/* Read an opened file or interface to its end. */
static int dissect_opened(struct run *run, const char *file, struct fail *fail)
{
    int result = start_saving(run, fail);

    run->is_live = file == NULL;
    if (result == 0)
        result = start_import(run, file, fail);
    if (result == 0 && run->is_live)
        result = privileges_drop(run->settings->user, fail);
    if (result == 0 && run->is_live && run->is_saving)
        result = save_check(&run->save, fail);
    if (result == 0 && run->is_live)
        fprintf(stderr, "mesh-dissect: listening on %s, %s\n", capture_name(run->capture), capture_link_text(run->capture));
    capture_signals_wake(run->capture);
    if (result == 0)
        result = read_frames(run, fail);
    capture_signals_wake(NULL);
    progress_end(&run->progress);
    if (run->is_saving && save_close(&run->save, fail) < 0)
        result = -1;
    if (import_close(run->import, result == 0 || fail->exit_code == EXIT_BAD_FILE, fail) < 0 ||
        (run->qlog && !run->is_cut && qlog_end(run->qlog, fail) < 0))
        result = -1;
    run->import = NULL;
    if (run->settings->count_only)
        printf("%" PRIu64 " datagrams\n", run->selection.datagrams);
    if (run->settings->analyze && report_end(&run->report, result == 0 ? fail : &(struct fail){0}) < 0)
        result = -1;
    if (run->is_live)
        print_counts(run);
    return result;
}

static int dissect_one(struct run *run, const char *file, struct fail *fail)
{
    int result;

    capture_signals_catch(file != NULL && !capture_is_repeatable(file));
    result = open_capture(run, file, fail);
    capture_signals_catch(false);
    if (result == 0 && run->settings->dump_filter)
        capture_dump_filter(run->capture, run->settings->dump_filter);
    else if (result == 0)
        result = dissect_opened(run, file, fail);
    close_capture(run);
    return result;
}

/* ---- start and end ---- */

static bool is_joined(const struct settings *settings)
{
    return settings->analyze && settings->files.count > 1;
}

static int read_keys(struct run *run, struct fail *fail)
{
    const struct option_list *files = &run->settings->keys;

    if (files->count == 0)
        return 0;
    run->keys = keys_open(run->settings->cluster);
    if (run->keys == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for keys: close other programs");
    for (size_t i = 0; i < files->count; i++)
        if (keys_read(run->keys, files->values[i], fail) < 0)
            return -1;
    return 0;
}

static bool reads_pipe(const struct settings *s)
{
    for (size_t i = 0; i < s->files.count; i++)
        if (!capture_is_repeatable(s->files.values[i]))
            return true;
    return false;
}

/* Refuse fields that are known only at the end of a capture where the capture can be read only once. */
static int compile_filter(struct run *run, struct fail *fail)
{
    const struct settings *s = run->settings;
    const char *field;

    if (s->display_filter == NULL)
        return 0;
    run->filter = filter_compile(s->display_filter, fail);
    if (run->filter == NULL)
        return -1;
    field = verdict_asked(run);
    if (field != NULL && (s->files.count == 0 || reads_pipe(s)))
        return fail_set(fail, EXIT_USAGE,
                        "-Y: %s: is known only when the whole capture was read: write it to a file with -w, then filter that with -r",
                        field);
    return 0;
}

static int start(struct run *run, struct fail *fail)
{
    const struct settings *s = run->settings;
    const struct line_options options = {.verbose = s->verbose,
                                         .time_form = s->time_form,
                                         .hex = s->hex,
                                         .hex_ascii = s->hex_ascii,
                                         .ascii = s->ascii,
                                         .quiet = s->quiet,
                                         .link_header = s->link_header,
                                         .numbered = s->numbered};

    run->has_text =
        !s->count_only && !s->analyze && ((s->write_file == NULL && s->import_file == NULL && s->qlog_file == NULL) || s->print_too);
    progress_begin(&run->progress);
    line_init(&run->line, stdout, &options);
    json_init(&run->json, stdout);
    run->json.is_lazy = !s->line_buffered && !s->flush_packets; /* flush every line, or when no frame is ready */
    if (s->qlog_file != NULL && !capture_is_repeatable(s->files.values[0]))
        return fail_set(fail, EXIT_USAGE, "--qlog: -r %.200s: the capture is read twice: give a file, not a pipe", s->files.values[0]);
    if (compile_filter(run, fail) < 0)
        return -1;
    if (s->ladder && ladder_open(&run->ladder, &s->ladder_range, fail) < 0)
        return -1;
    report_begin(&run->report, stdout, s->json, s->ladder ? &run->ladder : NULL);
    run->report.filter = run->filter;
    settings_place(s, 0, &run->report.vantage);
    run->report.findings.seen.has_key = s->keys.count > 0;
    run->report.findings.seen.has_expression = s->filter[0] != '\0';
    if (s->line_buffered || s->flush_packets)
        setvbuf(stdout, NULL, _IOLBF, 0);
    if (selection_open(&run->selection, run->filter, run->has_text || run->filter != NULL, fail) < 0 || read_keys(run, fail) < 0)
        return -1;
    run->datagrams.take = take_datagram;
    run->datagrams.context = run;
    return datagrams_open(&run->datagrams, run->keys, fail);
}

static void stop(struct run *run)
{
    fragments_close(run->fragments);
    datagrams_close(&run->datagrams);
    selection_close(&run->selection);
    keys_close(run->keys);
    filter_free(run->filter);
    report_release(&run->report);
    ladder_close(&run->ladder);
}

int dissect(const struct settings *settings, struct fail *fail)
{
    struct run *run = calloc(1, sizeof *run); /* too large for a stack */
    size_t read = 0;
    int result;

    if (run == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for the tables: close other programs");
    run->settings = settings;
    capture_signals_catch(false);
    result = start(run, fail);
    if (result == 0 && settings->files.count == 0)
        result = dissect_one(run, NULL, fail);
    else if (result == 0 && is_joined(settings))
        result = merge_analyze(settings, run->keys, &run->report, &capture_signals_end, fail);
    for (; !is_joined(settings) && result == 0 && !capture_signals_end && read < settings->files.count && !is_enough(run); read++)
        result = dissect_one(run, settings->files.values[read], fail);
    if (!is_joined(settings) && result == 0 && read < settings->files.count && !is_enough(run))
        result =
            fail_set(fail, EXIT_ENVIRONMENT, "%.200s: interrupted by a signal: it was not read: start again", settings->files.values[read]);
    stop(run);
    free(run);
    return result;
}
