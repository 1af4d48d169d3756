/* The tape of one core, call by call, from the chunks of one trace and of those that continue its recording. */
#ifndef REPLAY_TAPE_READER_H
#define REPLAY_TAPE_READER_H

#include "command.h"
#include "mesh/tape.h"

struct tape_reader {
    const char *const *paths; /* (path_count) borrowed */
    size_t path_count, path;  /* path: the one that is being read */
    uint64_t from;            /* chunk with which the core begins, in the first file */
    bool is_begun;            /* that file has been opened: it is of this recording */
    char recording[TRACE_RECORDING_BYTES];
    struct mesh_trace *trace;
    struct mesh_trace_cursor *cursor;
    int64_t core;
    uint64_t node, instance, next; /* next: number of the next call */
    uint64_t missing;              /* calls that the recorder had to leave out: the tape ends there */
    uint8_t *records;
    size_t capacity, bytes, at;
};

/* Begin with a chunk: the index of its file among the paths, and its row. Close it either way. */
void tape_reader_open(struct tape_reader *reader, const char *const *paths, size_t path_count, size_t path,
                      const struct mesh_trace_chunk *chunk);
void tape_reader_close(struct tape_reader *reader);

/* The next call, valid until the following one, and its number. 1; 0: there are no more; -1 after fail_set. */
int tape_reader_next(struct tape_reader *reader, struct mesh_tape_entry *entry, uint64_t *number, struct fail *fail);

/* Does a core begin with these records? */
bool tape_begins(const uint8_t *records, size_t bytes);

#endif
