/* The step log of a real rank 0, compared record by record with that of the recording: the request as it was asked, and what each step
 * computes.
 *
 * The steps of one request do not depend on time, so the records have to be the same. Only after the end of the request one side may have
 * more: rank 0 publishes steps ahead, and how far ahead it was at the last token is chance; these steps are never computed. */
#ifndef REPLAY_PLAYED_LOG_H
#define REPLAY_PLAYED_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct played_log_record {
    struct played_log_record *next;
    size_t bytes;
    uint8_t record[];
};

struct played_log {
    struct played_log_record *first, *last; /* received, and not yet compared */
    bool is_over;                           /* rank 0 has reported that it has finished */
    uint64_t compared, different;
    uint64_t first_different; /* record, from 0 */
    uint64_t only_recorded;   /* that have not arrived */
};

/* A record of the real rank 0, of any kind: one that is not of the log means that rank 0 has finished. -1: no memory. */
int played_log_hear(struct played_log *log, const uint8_t *record, size_t bytes);

/* The next record of the recording, of any kind. False: its counterpart has not arrived yet, so ask again. */
bool played_log_expect(struct played_log *log, const uint8_t *record, size_t bytes);

/* The number of records received that were not recorded. */
uint64_t played_log_rest(const struct played_log *log);
void played_log_release(struct played_log *log);

#endif
