#include "played_log.h"

#include <stdlib.h>
#include <string.h>

#include "node/recompute/recompute.h"

int played_log_hear(struct played_log *log, const uint8_t *record, size_t bytes)
{
    struct played_log_record *heard;

    if (!recompute_is_log(record, bytes)) {
        log->is_over = true;
        return 0;
    }
    heard = malloc(sizeof *heard + bytes);
    if (heard == NULL)
        return -1;
    *heard = (struct played_log_record){.bytes = bytes};
    memcpy(heard->record, record, bytes);
    *(log->last != NULL ? &log->last->next : &log->first) = heard;
    log->last = heard;
    return 0;
}

static void compare(struct played_log *log, const uint8_t *record, size_t bytes)
{
    struct played_log_record *heard = log->first;

    if (heard->bytes != bytes || memcmp(heard->record, record, bytes) != 0) {
        if (log->different == 0)
            log->first_different = log->compared;
        log->different++;
    }
    log->compared++;
    log->first = heard->next;
    if (log->first == NULL)
        log->last = NULL;
    free(heard);
}

bool played_log_expect(struct played_log *log, const uint8_t *record, size_t bytes)
{
    if (!recompute_is_log(record, bytes))
        return log->is_over;
    if (log->first == NULL) {
        log->only_recorded += log->is_over;
        return log->is_over;
    }
    compare(log, record, bytes);
    return true;
}

uint64_t played_log_rest(const struct played_log *log)
{
    uint64_t count = 0;

    for (const struct played_log_record *heard = log->first; heard != NULL; heard = heard->next)
        count++;
    return count;
}

void played_log_release(struct played_log *log)
{
    while (log->first != NULL) {
        struct played_log_record *heard = log->first;

        log->first = heard->next;
        free(heard);
    }
    log->last = NULL;
}
