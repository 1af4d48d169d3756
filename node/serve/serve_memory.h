/* Memory of a serving node: what it reports to other members, and the state in which all members together have too little for the model.
 *
 * In that state no member holds a part of the model: the members are in an epoch, loading nothing, until another member brings enough
 * memory. */
#ifndef NODE_SERVE_MEMORY_H
#define NODE_SERVE_MEMORY_H

#include <stdbool.h>

#include "memory_monitor.h"
#include "mesh/cluster.h"
#include "node/common/memory_text.h"
#include "node/model/rows.h"

struct server;

struct serve_memory {
    struct memory_monitor *monitor; /* NULL: not open yet */
    uint64_t base_bytes;            /* of this process without any part of the model */
    uint64_t buffer_bytes;          /* at most needed by an engine beside rows, keys and values */
    uint64_t reported_bytes;        /* reported memory for these; 0: unknown */
    uint64_t missing_bytes;         /* 0: the epoch's members have enough, as far as they know, or there is no epoch */
    bool is_refused; /* this node is alone, and the system refused memory that the plan counted on. Retried, as when bytes are missing */
    bool has_reported_refusal; /* reported since the last epoch that it could begin */
    uint64_t look_at_ns, again_at_ns;
    struct mesh_cluster_member member[MESH_RANKS_MAX]; /* of the epoch; valid, like the next ones, while bytes are missing or is_refused */
    uint16_t count, rank;
    uint32_t number;
    char said[MEMORY_TEXT_BYTES]; /* text of the missing bytes that was last reported */
    struct rows *rows;            /* kept from the last epoch that had rows, for the next one; NULL: none */
};

/* Measures this process before it has any part of the model, then reports memory to the cluster, which is open. -1 with fail set. */
int serve_open_memory(struct server *server, struct fail *fail);
void serve_close_memory(struct server *server);

/* Measure memory from time to time, and report it; if memory is missing, check whether it still is. */
void serve_watch_memory(struct server *server);

/* Is this much memory for this node worth reporting? Small differences would move rows whenever members change; but while the cluster waits
 * for memory there are no rows to move, and a little may be all that is missing. */
bool serve_memory_is_news(const struct serve_memory *memory, uint64_t bytes);

/* While bytes are missing: would this much on this node be enough for all members? A smaller gain is only used by the next retry, every
 * half minute, since the memory that other programs take changes all the time. */
bool serve_memory_suffices(const struct serve_memory *memory, uint64_t bytes);

/* The members of an EPOCH or PREPARE event together have too little memory, and this node expects other members. */
bool serve_lacks_memory(const struct server *server, const struct mesh_cluster_event *event, uint64_t *missing_bytes);

/* At the beginning of an epoch: true when it lacks memory. The previous epoch is then over, and the lack reported. */
bool serve_waits_for_memory(struct server *server, const struct mesh_cluster_event *epoch);
void serve_forget_lack(struct server *server); /* it has left that epoch */

/* An epoch could not begin, because of `fail`. True: this node is alone in it and has seeds to join, so it waits for other members, or
 * until it can load after all; fail is then empty. */
bool serve_waits_alone(struct server *server, const struct mesh_cluster_event *epoch, struct fail *fail);

struct rows *serve_take_rows(struct server *server); /* kept rows, now the caller's. NULL: none */

#endif
