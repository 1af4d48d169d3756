/* The providing side of a bulk transfer: the providers of resources, and the clients' GETs in progress.
 *
 * It queues only a few records at a time, limited by the sessions' queues and a budget, so that its thread soon returns to its other work
 * and the memory in use is bounded. While tokens are generated the budget is small. One thread. */
#ifndef NODE_BULK_HOST_H
#define NODE_BULK_HOST_H

#include "bulk.h"
#include "mesh/session.h"

enum { BULK_GETS_MAX = 64 };

enum bulk_read_result {
    BULK_READ_DATA,   /* *bytes are written; 0: the resource ends here */
    BULK_READ_LATER,  /* not yet: retry in some milliseconds */
    BULK_READ_REFUSED /* *why says so, in words, and stays valid; it is meaningless with other results */
};

/* Write into out at most *bytes of the resource that want names, from offset on, and set *bytes to the number written. Must not block. */
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
    bool is_over;    /* END or REFUSED is still to be sent */
    const char *why; /* REFUSED */
};

/* All zeros: nothing is provided. */
struct bulk_host {
    struct bulk_source source[BULK_RESOURCES];
    struct bulk_answer answer[BULK_GETS_MAX];
    unsigned turn, count;
    uint64_t filled_ns, allowed_bytes; /* the budget */
    uint64_t sent_bytes;               /* since the start */
};

/* Provide a resource from now on, or, with read NULL, no longer: its open GETs are then refused. */
void bulk_provide(struct bulk_host *host, enum bulk_resource resource, bulk_read_function *read, void *app);

/* A record of a client for which bulk_is_one is true; it may be refused a GET. -1: not of its form. */
int bulk_host_take(struct bulk_host *host, struct mesh_sessions *sessions, uint64_t now_ns, uint32_t session, bool may_get,
                   const uint8_t *record, size_t bytes);

bool bulk_host_has(const struct bulk_host *host, uint32_t session); /* it has an open GET */

/* The session is over. */
void bulk_host_drop(struct bulk_host *host, uint32_t session);

/* Queue what may be queued; the caller then drains the sessions' datagrams. is_busy: tokens are being generated. */
void bulk_host_run(struct bulk_host *host, struct mesh_sessions *sessions, uint64_t now_ns, bool is_busy);

/* When to run next, if nothing arrives earlier; UINT64_MAX: never. */
uint64_t bulk_host_due_ns(const struct bulk_host *host, struct mesh_sessions *sessions, bool is_busy);

#endif
