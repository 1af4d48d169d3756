/* Watching the nodes of a cluster in the session of a question, for its figures (ask_figures.h). One thread. */
#ifndef NODE_ASK_WATCH_H
#define NODE_ASK_WATCH_H

#include "ask_figures.h"
#include "client_session.h"

/* All zeros at first, and as long as nobody is to be watched. */
struct ask_watch {
    struct ask_figures figures;
    bool is_on;
    uint16_t interval_ms; /* of reports, by the last wish */
    uint64_t wished_ns;
};

/* Begin, and wait for a report of each node: half a second at most, in which some may be missing, or 5 s for the first one. A node that
 * refuses to be watched is no error: then there are no figures. -1: the session is over. */
int ask_watch_begin(struct ask_watch *watch, struct mesh_client *client, struct fail *fail);

/* Wish for reports as often as they are needed now. To be called at least once a second while watching. -1: the session is over. */
int ask_watch_run(struct ask_watch *watch, struct mesh_client *client, struct fail *fail);

/* Tokens have come: from now on they are generated. */
void ask_watch_generates(struct ask_watch *watch);

/* The answer has come: wait for the last reports, as in the beginning. */
void ask_watch_end(struct ask_watch *watch, struct mesh_client *client);

#endif
