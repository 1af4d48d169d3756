/* Memory of a serving node: what it tells the others of its own, and the time in which all of them together have too little for the model.
 *
 * Then nobody holds a part of it: the members are in an epoch, loading nothing, until another one brings enough. */
#ifndef NODE_SERVE_MEMORY_H
#define NODE_SERVE_MEMORY_H

#include <stdbool.h>

#include "memory_look.h"
#include "memory_text.h"
#include "mesh/cluster.h"
#include "rows.h"

struct server;

struct serve_memory {
    struct memory_look *look; /* NULL: not open yet */
    uint64_t base_bytes;      /* of this process without any part of the model */
    uint64_t buffer_bytes;    /* that an engine has at most beside rows, keys and values */
    uint64_t told_bytes;      /* what this node can have for these; 0: unknown */
    uint64_t missing_bytes;   /* 0: what the epoch's members have is enough, as far as they know, or there is no epoch */
    bool is_refused; /* alone, by the system: memory that the plan counted on could not be had. Tried again, as when bytes are missing */
    bool has_told_refusal; /* since the last epoch that it could begin */
    uint64_t look_at_ns, again_at_ns;
    struct mesh_cluster_member member[MESH_RANKS_MAX]; /* while bytes are missing or it is refused, as are the next ones: of the epoch */
    uint16_t count, rank;
    uint32_t number;
    char said[MEMORY_TEXT_BYTES]; /* so many were missing when it was said last */
    struct rows *rows;            /* of the last epoch that had any, for the next one; NULL: none */
};

/* Measures this process before it has any part of the model; then what is told to the cluster, which is open. -1 with fail set. */
int serve_open_memory(struct server *server, struct fail *fail);
void serve_close_memory(struct server *server);

/* Look at it now and then, and tell the others; where memory is missing see whether it still is. */
void serve_watch_memory(struct server *server);

/* So many for this node are worth telling. Small differences would move rows whenever members change; but where there are no rows, and
 * more memory is waited for, a little may be all that is missing. */
bool serve_memory_is_news(const struct serve_memory *memory, uint64_t bytes);

/* While bytes are missing: so many for this node would be enough for all. Less is told with the next try, every half a minute: what other
 * programs take goes up and down all the time. */
bool serve_memory_suffices(const struct serve_memory *memory, uint64_t bytes);

/* The members of an EPOCH or PREPARE event have too little together, and this node is not one that expects no others. */
bool serve_lacks_memory(const struct server *server, const struct mesh_cluster_event *event, uint64_t *missing_bytes);

/* At the beginning of an epoch: true when it lacks memory. What was there is over then, and all is said. */
bool serve_waits_for_memory(struct server *server, const struct mesh_cluster_event *epoch);
void serve_forget_lack(struct server *server); /* it is out of that epoch */

/* An epoch could not be begun, for `fail`. True: this node is alone in it and asks for others, so it waits for them, or until it goes after
 * all; fail is empty then. */
bool serve_waits_alone(struct server *server, const struct mesh_cluster_event *epoch, struct fail *fail);

struct rows *serve_take_rows(struct server *server); /* that were kept; the caller's. NULL: none */

#endif
