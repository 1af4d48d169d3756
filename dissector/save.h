/* What -w writes: a file of frames, or a series of them. */
#ifndef DISSECTOR_SAVE_H
#define DISSECTOR_SAVE_H

#include "capture.h"

struct save_options {
    const char *path;
    uint32_t file_mb, file_seconds, file_count; /* 0: not asked for */
    bool flush_packets;
};

struct save {
    struct save_options options;
    const struct capture *capture;
    struct capture_writer *writer;
    uint64_t began_ns;        /* beginning of the period of -G, by the capture's clock; 0: nothing yet */
    uint32_t number, periods; /* the file within the period; periods that are over */
    char path[4096];
};

/* Opens the first file. A name with -G goes through strftime with the time of the first frame, so its file is opened with that. */
int save_open(struct save *save, const struct capture *capture, const struct save_options *options, struct fail *fail);

/* Can further files be created? To be asked once privileges are dropped: otherwise a capture would fail when its first file is full. */
int save_check(const struct save *save, struct fail *fail);

/* 1: as many files as -G asked for are full, and this frame was not written. */
int save_add(struct save *save, const struct capture_frame *frame, struct fail *fail);
int save_flush(struct save *save, struct fail *fail);
int save_close(struct save *save, struct fail *fail);

#endif
