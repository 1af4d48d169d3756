/* The side of a bulk transfer that has what is asked for: sources of resources, and GETs of clients that are being answered.
 *
 * Never more than some records at a time, as far as the sessions' queues and a budget go, so that the thread which runs it is soon back at
 * its other work and what it holds is bounded. While tokens are made the budget is small. One thread. */
#ifndef NODE_BULK_HOST_H
#define NODE_BULK_HOST_H

#include "bulk.h"
#include "mesh/session.h"

enum { BULK_GETS_MAX = 64 };

enum bulk_read_result {
    BULK_READ_DATA,   /* *bytes are written; 0: the resource ends here */
    BULK_READ_LATER,  /* not yet: ask again in some milliseconds */
    BULK_READ_REFUSED /* *why says so, in words; it stays valid. With the others it means nothing */
};

/* What of want, at offset, into out: at most *bytes, then *bytes of it. Must not block. */
typedef enum bulk_read_result bulk_read_function(void *app, const struct bulk_want *want, uint64_t offset, uint8_t *out, size_t *bytes,
                                                 const char **why);

struct bulk_source {
    bulk_read_function *read; /* NULL: none */
    void *app;
};

struct bulk_answer {
    uint32_t session; /* 0: free */
    uint32_t tag;
    struct bulk_want want;
    uint64_t next, end, again_ns;
    bool is_over;    /* END or REFUSED is still to be said */
    const char *why; /* REFUSED */
};

struct bulk_host {
    struct bulk_source source[BULK_RESOURCES];
    struct bulk_answer answer[BULK_GETS_MAX];
    unsigned turn, count;
    uint64_t filled_ns, allowed_bytes; /* the budget */
    uint64_t sent_bytes;               /* since the start */
};

void bulk_host_init(struct bulk_host *host);

/* From now on, or, with read NULL, no longer; GETs that are open are then refused. */
void bulk_provide(struct bulk_host *host, enum bulk_resource resource, bulk_read_function *read, void *app);

/* A record of a client for which bulk_is_one is true. -1: not of its form. */
int bulk_host_take(struct bulk_host *host, struct mesh_sessions *sessions, uint64_t now_ns, uint32_t session, const uint8_t *record,
                   size_t bytes);

/* The session is over. */
void bulk_host_drop(struct bulk_host *host, uint32_t session);

/* Queue what may be queued; then drain the sessions' datagrams. is_busy: tokens are being made. */
void bulk_host_run(struct bulk_host *host, struct mesh_sessions *sessions, uint64_t now_ns, bool is_busy);

/* When to run next, if nothing arrives before; UINT64_MAX never. */
uint64_t bulk_host_due_ns(const struct bulk_host *host, struct mesh_sessions *sessions, bool is_busy);

#endif
