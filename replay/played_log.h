/* The step log of a real rank 0, record by record beside that of the recording: the request as it was asked, and which step computes what.
 *
 * The steps of one request do not depend on time, so the records have to be the same. Only behind the end of the request there may be more
 * of them on one side: rank 0 publishes steps ahead, and how far ahead it was when the last token came is chance; nobody computes these. */
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
    struct played_log_record *first, *last; /* heard, and not yet compared */
    bool is_over;                           /* rank 0 has said that it has finished */
    uint64_t compared, different;
    uint64_t first_different; /* record, from 0 */
    uint64_t only_recorded;   /* that have not come */
};

/* A record of the real rank 0, of any kind: what is not of the log says that it has finished. -1: no memory. */
int played_log_hear(struct played_log *log, const uint8_t *record, size_t bytes);

/* The next one that was recorded, of any kind. False: what should come has not come yet, so ask again. */
bool played_log_expect(struct played_log *log, const uint8_t *record, size_t bytes);

/* How many came that were not recorded. */
uint64_t played_log_rest(const struct played_log *log);
void played_log_release(struct played_log *log);

#endif
