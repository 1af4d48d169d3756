/* Captures: live from an interface, or from a file; and files of captured frames. The only file that knows libpcap.
 *
 * Timestamps are nanoseconds since 1970. One thread per capture, except capture_break, which signal handlers may call. */
#ifndef DISSECTOR_CAPTURE_H
#define DISSECTOR_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "frame.h"
#include "mesh/program/fail.h"

/* Of live captures. The snapshot length is an IP datagram of any size in its frame and no more, as the kernel reserves that much for each
 * frame in immediate mode (-l, -U); the buffer has room for some hundred frames even then. */
enum { CAPTURE_SNAPLEN_DEFAULT = 65535 + 65, CAPTURE_BUFFER_KIB_DEFAULT = 16384 };

enum capture_direction { CAPTURE_BOTH, CAPTURE_IN, CAPTURE_OUT };

struct progress;

struct capture_options {
    const char *interface; /* live; a name or a number of capture_list; NULL: the first one */
    const char *file;      /* instead: a pcap or pcapng file, "-" is stdin */
    const char *filter;    /* a BPF expression; empty or NULL: everything; NULL: nothing to dump */
    uint32_t snaplen;      /* bytes of each frame that are kept; 0: all */
    uint32_t buffer_kib;   /* of the kernel's buffer; 0: the default */
    bool is_promiscuous, is_immediate;
    enum capture_direction direction;
    struct progress *progress; /* borrowed: shows how much of the file is read; NULL: nothing does */
};

struct capture_frame {
    uint64_t ts_ns;
    const uint8_t *bytes; /* valid until the next call */
    size_t captured, size;
};

struct capture_counts {
    bool is_live;
    uint64_t received, dropped, dropped_by_interface; /* of live captures, as the kernel counts */
};

struct capture;

/* NULL with EXIT_USAGE (the filter), EXIT_BAD_FILE or EXIT_ENVIRONMENT. */
struct capture *capture_open(const struct capture_options *options, struct fail *fail);
void capture_close(struct capture *capture); /* NULL is fine */

enum frame_link capture_link(const struct capture *capture);
const char *capture_link_text(const struct capture *capture);
const char *capture_name(const struct capture *capture); /* of the interface or file */

/* 1: a frame; 0: none within some tenths of a second (live); 2: the end of the file, or capture_break; -1 with EXIT_BAD_FILE or
 * EXIT_ENVIRONMENT: the frames before it were whole. */
int capture_next(struct capture *capture, struct capture_frame *out, struct fail *fail);

/* Of a live capture: capture_next returns 2, once. Of a pipe, if is_end: it ends, as if its writer had closed it. Of a file: nothing. */
void capture_break(struct capture *capture, bool is_end);

/* Before a live capture ends: wait until the kernel hands over the frames it still holds; after that, capture_next does not wait. */
void capture_settle(struct capture *capture);

void capture_count(struct capture *capture, struct capture_counts *out);

/* The compiled filter, in the manner of tcpdump -d. */
void capture_dump_filter(const struct capture *capture, unsigned form);

/* One line per interface. -1 with EXIT_ENVIRONMENT. */
int capture_list(FILE *out, struct fail *fail);

/* ---- files of frames ---- */

struct capture_writer;

/* Would writing to path destroy the file that is being read? "-" is stdin. */
bool capture_is_same_file(const char *file, const char *path);

/* Can it be read twice? Not stdin, nor a pipe, whatever its name. True of what is no capture file, which is found when it is opened. */
bool capture_is_repeatable(const char *file);

/* "-": stdout. Frames keep nanoseconds when the capture had them. Refuses the file that is being read. */
struct capture_writer *capture_writer_open(const struct capture *capture, const char *path, struct fail *fail);
int capture_writer_add(struct capture_writer *writer, const struct capture_frame *frame, struct fail *fail);
uint64_t capture_writer_bytes(struct capture_writer *writer); /* so far */
int capture_writer_flush(struct capture_writer *writer, struct fail *fail);
int capture_writer_close(struct capture_writer *writer, struct fail *fail); /* NULL is fine */

#endif
