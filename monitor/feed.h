/* Where telemetry comes from: a client session with any member, reopened whenever it ends, with another member if need be.
 *
 * One thread. Opening blocks for a moment (FEED_OPEN_MS at most, when no node answers); other calls wait no longer than their caller
 * allows. */
#ifndef MONITOR_FEED_H
#define MONITOR_FEED_H

#include "fleet.h"
#include "mesh/client.h"
#include "mesh/program/fail.h"

enum { FEED_OPEN_MS = 300, FEED_RETRY_MS = 700, FEED_LEASE_MS = 6000 };

struct feed {
    struct mesh_client_config config; /* address: the one that was asked for */
    struct mesh_key key;
    char at[MESH_ADDR_TEXT_BYTES]; /* the member that is tried now */
    int tries;                     /* failed ones in a row */
    struct mesh_client *client;    /* NULL: none is open */
    uint64_t next_try_ns, next_watch_ns;
    uint64_t asked_ns; /* since when reports are due at the present interval */
    uint32_t interval_ms;
    uint32_t open_timeout_ms; /* timeout of the first try; 0: FEED_OPEN_MS */
};

/* config and what it points to are borrowed until feed_close, except the key, which is copied. */
void feed_init(struct feed *feed, const struct mesh_client_config *config);
void feed_close(struct feed *feed);

/* Take what has arrived into the fleet, waiting wait_ns at most if there is nothing; open, subscribe and renew as needed. 0; or -1: the
 * address cannot be right. */
int feed_poll(struct feed *feed, struct fleet *fleet, uint32_t interval_ms, uint64_t wait_ns, struct fail *fail);

int64_t feed_wall_ns(void); /* CLOCK_REALTIME */

#endif
