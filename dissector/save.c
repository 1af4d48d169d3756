#include "save.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* NAME; with -G through strftime; with -C the second file is NAME1, as tcpdump has it, and with -W digits are padded and go round. */
static void name_file(struct save *save, uint64_t ts_ns)
{
    const struct save_options *o = &save->options;
    const time_t second = (time_t)(ts_ns / 1000000000u);
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
    name_file(save, ts_ns);
    save->writer = capture_writer_open(save->capture, save->path, fail);
    save->opened_ns = ts_ns;
    return save->writer ? 0 : -1;
}

int save_open(struct save *save, const struct capture *capture, const struct save_options *options, struct fail *fail)
{
    *save = (struct save){.options = *options, .capture = capture};
    return options->file_seconds ? 0 : open_next(save, 0, fail);
}

static int close_file(struct save *save, struct fail *fail)
{
    struct capture_writer *writer = save->writer;

    save->writer = NULL;
    return capture_writer_close(writer, fail);
}

/* Is it time for another file? */
static bool is_full(struct save *save, uint64_t ts_ns)
{
    const struct save_options *o = &save->options;

    if (o->file_seconds && ts_ns > save->opened_ns && ts_ns - save->opened_ns >= o->file_seconds * UINT64_C(1000000000))
        return true;
    return o->file_mb && capture_writer_bytes(save->writer) > o->file_mb * UINT64_C(1000000);
}

int save_add(struct save *save, const struct capture_frame *frame, struct fail *fail)
{
    const struct save_options *o = &save->options;

    if (save->writer && is_full(save, frame->ts_ns)) {
        if (close_file(save, fail) < 0)
            return -1;
        save->number++;
        if (o->file_count && save->number >= o->file_count) {
            if (!o->file_mb)
                return 1;
            save->number = 0;
        }
    }
    if (!save->writer && open_next(save, frame->ts_ns, fail) < 0)
        return -1;
    capture_writer_add(save->writer, frame);
    return o->flush_packets ? capture_writer_flush(save->writer, fail) : 0;
}

int save_flush(struct save *save, struct fail *fail)
{
    return save->writer ? capture_writer_flush(save->writer, fail) : 0;
}

int save_close(struct save *save, struct fail *fail)
{
    return close_file(save, fail);
}
