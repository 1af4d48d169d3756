#include "log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pool.h"
#include "spin.h"

enum { NOTICE_BYTES = 128 };

static const uint64_t rest_ns = 3600000000000; /* nothing is due before it is notified */

/* Pieces are queued one after another, each preceded by its size; only the thread reads the ring. */
struct log {
    atomic_bool is_started, is_ending, is_over;
    atomic_flag lock; /* of the next four */
    uint8_t ring[LOG_ROOM_BYTES];
    uint64_t put, taken; /* bytes since the start */
    uint64_t dropped;    /* lines since the last notice */
    int fd;
    _Atomic uint64_t written; /* pieces */
    struct eventcount *wakeup, *done;
    struct pool *pool;
};

static struct log one = {.lock = ATOMIC_FLAG_INIT};

/* ---- the ring ---- */

static void put_bytes(struct log *s, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        s->ring[s->put++ % LOG_ROOM_BYTES] = ((const uint8_t *)data)[i];
}

static void take_bytes(struct log *s, void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)data)[i] = s->ring[s->taken++ % LOG_ROOM_BYTES];
}

static bool put(struct log *s, const char *text, uint16_t bytes)
{
    if (s->put - s->taken + sizeof bytes + bytes > LOG_ROOM_BYTES)
        return false;
    put_bytes(s, &bytes, sizeof bytes);
    put_bytes(s, text, bytes);
    return true;
}

/* Report dropped lines where they are missing, before the next line. True: no report is owed any more. */
static bool put_notice(struct log *s)
{
    char text[NOTICE_BYTES];

    if (s->dropped > 0) {
        const int bytes = snprintf(text, sizeof text, "%llu line%s dropped here: stderr was not read\n", (unsigned long long)s->dropped,
                                   s->dropped == 1 ? " was" : "s were");

        if (!put(s, text, (uint16_t)bytes))
            return false;
    }
    s->dropped = 0;
    return true;
}

static void add(struct log *s, const char *text, uint16_t bytes, bool is_line)
{
    spin_lock(&s->lock);
    if (!put_notice(s) || !put(s, text, bytes))
        s->dropped += is_line;
    spin_unlock(&s->lock);
    eventcount_notify(s->wakeup);
}

static size_t take(struct log *s, char text[LOG_LINE_BYTES])
{
    uint16_t bytes = 0;

    spin_lock(&s->lock);
    if (s->put == s->taken)
        put_notice(s);
    if (s->put > s->taken) {
        take_bytes(s, &bytes, sizeof bytes);
        take_bytes(s, text, bytes);
    }
    spin_unlock(&s->lock);
    return bytes;
}

/* ---- writing ---- */

/* Write all, however long it takes. What cannot be written, because there is no reader or the disk is full, is lost. */
static void write_all(int fd, const char *text, size_t bytes)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};

    for (size_t done = 0; done < bytes;) {
        const ssize_t written = write(fd, text + done, bytes - done);

        if (written > 0)
            done += (size_t)written;
        else if (written < 0 && errno == EAGAIN) /* another process that shares the file has made it non-blocking */
            poll(&ready, 1, -1);
        else if (written == 0 || errno != EINTR)
            return;
    }
}

static void work(void *app, uint16_t index)
{
    struct log *s = app;
    char text[LOG_LINE_BYTES];

    (void)index;
    for (;;) {
        const uint32_t seen = eventcount_read(s->wakeup);
        const bool is_ending = atomic_load(&s->is_ending);
        const size_t bytes = take(s, text);

        if (bytes > 0) {
            write_all(s->fd, text, bytes);
            atomic_fetch_add(&s->written, 1);
        } else if (is_ending) {
            break;
        } else {
            eventcount_wait(s->wakeup, seen, rest_ns);
        }
    }
    atomic_store(&s->is_over, true);
    eventcount_notify(s->done);
}

/* ---- for everybody ---- */

int log_start(int fd, struct fail *fail)
{
    struct log *s = &one;

    assert(!atomic_load(&s->is_started));
    s->fd = fd;
    s->put = s->taken = s->dropped = 0;
    atomic_store(&s->is_ending, false);
    atomic_store(&s->is_over, false);
    s->wakeup = eventcount_open(fail);
    s->done = s->wakeup == NULL ? NULL : eventcount_open(fail);
    s->pool = s->done == NULL ? NULL : pool_start(1, work, s, fail);
    if (s->pool == NULL) {
        eventcount_close(s->wakeup);
        eventcount_close(s->done);
        return -1;
    }
    atomic_store(&s->is_started, true);
    return 0;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void log_stop(void)
{
    struct log *s = &one;
    uint64_t written = atomic_load(&s->written), since_ns = now_ns();

    if (!atomic_exchange(&s->is_started, false))
        return;
    atomic_store(&s->is_ending, true);
    eventcount_notify(s->wakeup);
    while (!atomic_load(&s->is_over) && now_ns() - since_ns < LOG_STOP_NS) {
        const uint32_t seen = eventcount_read(s->done);

        if (atomic_load(&s->written) != written) {
            written = atomic_load(&s->written);
            since_ns = now_ns();
        }
        if (!atomic_load(&s->is_over))
            eventcount_wait(s->done, seen, LOG_STOP_NS / 100);
    }
    if (!atomic_load(&s->is_over))
        return; /* the thread ends with the process */
    pool_join(s->pool);
    eventcount_close(s->wakeup);
    eventcount_close(s->done);
    s->pool = NULL;
}

static void log_text(const char *format, va_list list, bool is_line)
{
    char text[LOG_LINE_BYTES];
    const size_t room = sizeof text - 1; /* for the end of line */
    const int size = vsnprintf(text, room, format, list);
    size_t bytes = size < 0 ? 0 : (size_t)size < room ? (size_t)size : room - 1;

    if (is_line)
        text[bytes++] = '\n';
    if (atomic_load(&one.is_started))
        add(&one, text, (uint16_t)bytes, is_line);
    else
        fwrite(text, 1, bytes, stderr);
}

void log_line_list(const char *format, va_list list)
{
    log_text(format, list, true);
}

void log_line(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    log_text(format, list, true);
    va_end(list);
}

void log_part(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    log_text(format, list, false);
    va_end(list);
}
