/* The tape of one core, call by call, from the chunks of one trace and of those that continue its recording. */
#ifndef REPLAY_TAPE_READER_H
#define REPLAY_TAPE_READER_H

#include "command.h"
#include "mesh/tape.h"

struct tape_reader {
    const char *const *paths; /* (path_count) borrowed */
    size_t path_count, path;  /* path: the one that is being read */
    uint64_t from;            /* row of the chunk with which the core begins, in the first file */
    bool is_begun;            /* the first file has been opened, and has named the recording */
    char recording[TRACE_RECORDING_BYTES];
    struct mesh_trace *trace; /* of the present path; NULL: it is not open. It and the cursor are owned */
    struct mesh_trace_cursor *cursor;
    int64_t core;
    uint64_t node, instance, next; /* next: number of the next call */
    uint64_t missing;              /* calls that the recorder had to leave out, and at which the tape ends; 0: none */
    uint8_t *records;              /* (capacity) owned; of them `bytes` are those of the present chunk, read up to `at` */
    size_t capacity, bytes, at;
};

/* Begin with this chunk of paths[path]. Nothing is read yet, so it cannot fail; tape_reader_close in any case. */
void tape_reader_open(struct tape_reader *reader, const char *const *paths, size_t path_count, size_t path,
                      const struct mesh_trace_chunk *chunk);
void tape_reader_close(struct tape_reader *reader);

/* The next call, valid until the following one, and its number. 1; 0: there are no more; -1 after fail_set. */
int tape_reader_next(struct tape_reader *reader, struct mesh_tape_entry *entry, uint64_t *number, struct fail *fail);

/* Does a core begin with these records? */
bool tape_begins(const uint8_t *records, size_t bytes);

#endif
