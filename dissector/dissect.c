#include "dissect.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture.h"
#include "import.h"
#include "join.h"
#include "line.h"
#include "numbers.h"
#include "object.h"
#include "packet.h"
#include "privileges.h"
#include "reassembly.h"
#include "report.h"
#include "save.h"
#include "split.h"

struct run {
    const struct settings *settings;
    struct capture *capture;
    struct save save;
    struct reassembly *reassembly;
    struct numbers *numbers;
    struct keys *keys;
    struct decoder *decoder;
    struct line line;
    struct json json;
    struct report report;
    struct import *import; /* NULL: none */
    struct ladder ladder;
    bool is_saving, has_text; /* has_text: something is printed of each datagram */
    uint64_t frames, datagrams, foreign;
    struct frame frame;
    struct packet packet;
};

static volatile sig_atomic_t is_interrupted, wants_counts, wants_flush;

static struct capture *volatile live; /* that waits for frames, and is to stop waiting when a signal comes */

static void on_signal(int number)
{
    if (number == SIGUSR1)
        wants_counts = 1;
    else if (number == SIGUSR2)
        wants_flush = 1;
    else
        is_interrupted = 1;
    if (live != NULL)
        capture_break(live);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal}; /* not restarted: a read that waits comes back */
    const int numbers[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
}

/* ---- what becomes of a datagram ---- */

static void notes_of(const struct numbers_verdict *what, char *out, size_t size)
{
    out[0] = '\0';
    if (what->gap > 0)
        snprintf(out, size, "%" PRIu64 " missing before", what->gap);
    else if (what->is_duplicate)
        snprintf(out, size, "duplicate");
    else if (what->is_reordered)
        snprintf(out, size, "reordered");
}

static void take_datagram(struct run *run)
{
    struct numbers_verdict what;
    char notes[48];

    if (run->packet.state == PACKET_FOREIGN)
        run->foreign++;
    else
        run->datagrams++;
    if (run->settings->analyze)
        report_add(&run->report, &run->packet);
    if (run->import)
        import_add(run->import, &run->packet);
    if (!run->has_text)
        return;
    what = numbers_add(run->numbers, &run->packet);
    if (run->settings->json) {
        object_write(&run->json, &run->packet, &what);
        return;
    }
    notes_of(&what, notes, sizeof notes);
    line_write(&run->line, &run->packet, notes);
}

/* One or, with segmentation offload, several. */
static void take_payload(struct run *run)
{
    const uint8_t *at = run->frame.payload;
    size_t captured = run->frame.captured, size = run->frame.size;

    do {
        const size_t first = split_first(at, captured, size);
        const size_t present = captured < first ? captured : first;

        run->packet.number = run->datagrams + 1;
        packet_decode(run->decoder, &run->packet, at, present, first);
        take_datagram(run);
        at += present;
        captured -= present;
        size -= first;
    } while (size > 0);
}

static void take_frame(struct run *run, const struct capture_frame *captured)
{
    run->frames++;
    frame_parse(&run->frame, capture_link(run->capture), captured->bytes, captured->captured, captured->size);
    run->packet.frame_number = run->frames;
    run->packet.ts_ns = captured->ts_ns;
    run->packet.frame = &run->frame;
    run->packet.link = captured->bytes;
    run->packet.link_captured = captured->captured;
    run->packet.link_size = captured->size;
    run->packet.bytes = NULL;
    if (run->frame.kind == FRAME_FRAGMENT)
        reassembly_add(run->reassembly, captured->ts_ns, &run->frame);
    if (run->frame.kind == FRAME_UDP) {
        take_payload(run);
        return;
    }
    run->foreign += run->frame.kind != FRAME_FRAGMENT;
    if (run->has_text && run->settings->json)
        object_write_frame(&run->json, &run->packet);
    else if (run->has_text)
        line_write_frame(&run->line, &run->packet);
}

/* ---- a capture from its beginning to its end ---- */

static void print_counts(const struct run *run)
{
    struct capture_counts counts;

    capture_count(run->capture, &counts);
    fprintf(stderr, "%" PRIu64 " frame%s captured\n", run->frames, run->frames == 1 ? "" : "s");
    fprintf(stderr, "%" PRIu64 " datagram%s of the mesh, %" PRIu64 " of others\n", run->datagrams, run->datagrams == 1 ? "" : "s",
            run->foreign);
    if (!counts.is_live)
        return;
    fprintf(stderr, "%" PRIu64 " received by filter\n%" PRIu64 " dropped by kernel\n", counts.received, counts.dropped);
    if (counts.dropped_by_interface > 0)
        fprintf(stderr, "%" PRIu64 " dropped by interface\n", counts.dropped_by_interface);
}

static int heed_signals(struct run *run, struct fail *fail)
{
    if (wants_counts) {
        wants_counts = 0;
        print_counts(run);
    }
    if (wants_flush) {
        wants_flush = 0;
        if (run->is_saving && save_flush(&run->save, fail) < 0)
            return -1;
    }
    return 0;
}

/* 1: no more is wanted. */
static int take_captured(struct run *run, const struct capture_frame *captured, struct fail *fail)
{
    if (run->is_saving) {
        const int saved = save_add(&run->save, captured, fail);

        if (saved != 0)
            return saved;
    }
    take_frame(run, captured);
    if (ferror(stdout))
        return fail_set(fail, EXIT_ENVIRONMENT, "stdout: cannot write: %s: free some space, or read to the end", strerror(errno));
    return (run->import && import_has_failed(run->import)) || (run->settings->count != 0 && run->frames >= run->settings->count);
}

/* What was captured before the signal came, and waits in the kernel's buffer. */
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
            continue; /* the break of the signal */
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

    while (!is_interrupted && result == 0) {
        const int got = capture_next(run->capture, &captured, fail);

        if (heed_signals(run, fail) < 0 || got < 0)
            return -1;
        if (got == 0 && run->has_text)
            fflush(stdout);
        if (got == 2 && live == NULL)
            return 0;
        if (got == 1)
            result = take_captured(run, &captured, fail);
    }
    if (result == 0 && is_interrupted && live != NULL)
        return read_rest(run, fail);
    return result < 0 ? -1 : 0;
}

static int start_saving(struct run *run, struct fail *fail)
{
    const struct settings *s = run->settings;
    const struct save_options options = {s->write_file, s->file_mb, s->file_seconds, s->file_count, s->flush_packets};

    if (s->write_file == NULL)
        return 0;
    run->is_saving = true;
    return save_open(&run->save, run->capture, &options, fail);
}

static int start_import(struct run *run, const char *file, struct fail *fail)
{
    if (run->settings->import_file == NULL)
        return 0;
    run->import = import_open(run->settings->import_file, file, fail);
    return run->import ? 0 : -1;
}

static int open_capture(struct run *run, const char *file, struct fail *fail)
{
    const struct settings *s = run->settings;
    const struct capture_options options = {.interface = s->interface,
                                            .file = file,
                                            .filter = s->filter,
                                            .snaplen = s->snaplen,
                                            .buffer_kib = s->buffer_kib,
                                            .is_promiscuous = !s->not_promiscuous,
                                            .is_immediate = s->is_immediate || s->line_buffered,
                                            .direction = (enum capture_direction)s->direction};

    run->capture = capture_open(&options, fail);
    return run->capture ? 0 : -1;
}

static int dissect_one(struct run *run, const char *file, struct fail *fail)
{
    int result = open_capture(run, file, fail);

    if (result == 0 && run->settings->dump_filter) {
        capture_dump_filter(run->capture, run->settings->dump_filter);
    } else if (result == 0) {
        result = start_saving(run, fail);
        if (result == 0)
            result = start_import(run, file, fail);
        if (result == 0 && file == NULL)
            result = privileges_drop(run->settings->user, fail);
        if (result == 0 && file == NULL)
            fprintf(stderr, "mesh-dissect: listening on %s, %s\n", capture_name(run->capture), capture_link_text(run->capture));
        live = file == NULL ? run->capture : NULL;
        if (result == 0)
            result = read_frames(run, fail);
        live = NULL;
        if (run->is_saving && save_close(&run->save, fail) < 0)
            result = -1;
        if (import_close(run->import, fail) < 0)
            result = -1;
        run->import = NULL;
        if (run->settings->count_only)
            printf("%" PRIu64 " datagrams\n", run->datagrams);
        if (run->settings->analyze)
            report_end(&run->report);
        if (file == NULL)
            print_counts(run);
    }
    capture_close(run->capture);
    run->capture = NULL;
    return result;
}

/* ---- start and end ---- */

static int read_keys(struct run *run, struct fail *fail)
{
    const struct option_list *files = &run->settings->keys;

    if (files->count == 0)
        return 0;
    run->keys = keys_open(run->settings->cluster);
    if (run->keys == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "no memory: for keys: end other programs");
    for (size_t i = 0; i < files->count; i++)
        if (keys_read(run->keys, files->values[i], fail) < 0)
            return -1;
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

    run->has_text = !s->count_only && !s->analyze && ((s->write_file == NULL && s->import_file == NULL) || s->print_too);
    line_init(&run->line, stdout, &options);
    json_init(&run->json, stdout);
    if (s->ladder && ladder_open(&run->ladder, &s->ladder_range, fail) < 0)
        return -1;
    report_begin(&run->report, stdout, s->json, s->ladder ? &run->ladder : NULL);
    if (s->line_buffered)
        setvbuf(stdout, NULL, _IOLBF, 0);
    run->reassembly = reassembly_open();
    run->numbers = numbers_open();
    run->decoder = calloc(1, sizeof *run->decoder);
    if (run->reassembly == NULL || run->numbers == NULL || run->decoder == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "no memory: for the tables: end other programs");
    if (read_keys(run, fail) < 0)
        return -1;
    run->decoder->keys = run->keys;
    return 0;
}

static void stop(struct run *run)
{
    reassembly_close(run->reassembly);
    numbers_close(run->numbers);
    keys_close(run->keys);
    free(run->decoder);
    report_release(&run->report);
    ladder_close(&run->ladder);
}

int dissect(const struct settings *settings, struct fail *fail)
{
    const bool is_joined = settings->analyze && settings->files.count > 1;
    struct run *run = calloc(1, sizeof *run); /* too large for a stack */
    int result;

    if (run == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "no memory: for the tables: end other programs");
        return (int)fail->exit_code;
    }
    run->settings = settings;
    catch_signals();
    result = start(run, fail);
    if (result == 0 && settings->files.count == 0)
        result = dissect_one(run, NULL, fail);
    else if (result == 0 && is_joined)
        result = join_analyze(settings, run->keys, &run->report, &is_interrupted, fail);
    for (size_t i = 0; !is_joined && result == 0 && !is_interrupted && i < settings->files.count; i++)
        result = dissect_one(run, settings->files.values[i], fail);
    stop(run);
    free(run);
    return result < 0 ? (int)fail->exit_code : EXIT_OK;
}
