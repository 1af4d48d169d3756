#include "save.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* NAME; with -G passed through strftime; with -C the second file is NAME1, as with tcpdump; with -W numbers have leading zeros and wrap
 * around. */
static void name_file(struct save *save)
{
    const struct save_options *o = &save->options;
    const time_t second = (time_t)(save->began_ns / 1000000000u);
    struct tm local;
    size_t used = 0;
    int width = 0;

    if (o->file_seconds && localtime_r(&second, &local) != NULL)
        used = strftime(save->path, sizeof save->path, o->path, &local);
    if (used == 0)
        used = (size_t)snprintf(save->path, sizeof save->path, "%s", o->path);
    if (!o->file_mb || used >= sizeof save->path)
        return;
    for (uint32_t last = o->file_count > 0 ? o->file_count - 1 : 0; last > 0; last /= 10)
        width++;
    if (save->number > 0 || o->file_count > 0)
        snprintf(save->path + used, sizeof save->path - used, "%0*u", width, save->number);
}

static int open_next(struct save *save, uint64_t ts_ns, struct fail *fail)
{
    if (save->began_ns == 0)
        save->began_ns = ts_ns;
    name_file(save);
    save->writer = capture_writer_open(save->capture, save->path, fail);
    return save->writer ? 0 : -1;
}

int save_open(struct save *save, const struct capture *capture, const struct save_options *options, struct fail *fail)
{
    *save = (struct save){.options = *options, .capture = capture};
    return options->file_seconds ? 0 : open_next(save, 0, fail);
}

int save_check(const struct save *save, struct fail *fail)
{
    const struct save_options *o = &save->options;
    const char *slash = strrchr(o->path, '/');
    char folder[sizeof save->path];

    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - o->path + 1) : 1, slash ? o->path : ".");
    if ((!o->file_mb && !o->file_seconds) || strchr(folder, '%') != NULL || access(folder, W_OK | X_OK) == 0)
        return 0;
    return fail_set(fail, EXIT_ENVIRONMENT,
                    "-w: %.200s: no further file can be created there: %s: give -Z root, or a folder where that user may write", folder,
                    strerror(errno));
}

/* Is it time for another file? */
static bool is_over(const struct save *save, uint64_t ts_ns)
{
    const uint64_t seconds = save->options.file_seconds;

    return seconds && ts_ns > save->began_ns && ts_ns - save->began_ns >= seconds * UINT64_C(1000000000);
}

static bool is_full(struct save *save)
{
    const uint64_t mb = save->options.file_mb;

    return mb && capture_writer_bytes(save->writer) > mb * UINT64_C(1000000);
}

int save_add(struct save *save, const struct capture_frame *frame, struct fail *fail)
{
    const struct save_options *o = &save->options;

    if (save->writer && is_over(save, frame->ts_ns)) {
        if (save_close(save, fail) < 0)
            return -1;
        save->number = 0;
        save->began_ns = 0;
        if (o->file_count && ++save->periods >= o->file_count && !o->file_mb)
            return 1;
    } else if (save->writer && is_full(save)) {
        if (save_close(save, fail) < 0)
            return -1;
        if (o->file_count && ++save->number >= o->file_count)
            save->number = 0;
        else if (!o->file_count)
            save->number++;
    }
    if (!save->writer && open_next(save, frame->ts_ns, fail) < 0)
        return -1;
    if (capture_writer_add(save->writer, frame, fail) < 0)
        return -1;
    return o->flush_packets ? capture_writer_flush(save->writer, fail) : 0;
}

int save_flush(struct save *save, struct fail *fail)
{
    return save->writer ? capture_writer_flush(save->writer, fail) : 0;
}

int save_close(struct save *save, struct fail *fail)
{
    struct capture_writer *writer = save->writer;

    save->writer = NULL;
    return capture_writer_close(writer, fail);
}
