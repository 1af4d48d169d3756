/* The rows of an epoch on a node whose model file is not whole: fetched from members that have them, before they are loaded.
 *
 * When an epoch is prepared, its loaders fetch first. After a death the epoch begins at once, and its workers load when a separate thread
 * has fetched. Chunks that nobody has are waited for. */
#ifndef NODE_EPOCH_RUN_ROWS_H
#define NODE_EPOCH_RUN_ROWS_H

#include "epoch_run.h"

/* Whom to ask: all members but this one. Several epochs' may be added. */
void epoch_run_rows_add_peers(struct epoch_run *run, const struct mesh_cluster_member *member, uint16_t count);

/* All that is missing; returns when it is there. False: stopped; or there is no room for it here and the node is no member yet, which why
 * says. Any thread, one at a time. */
bool epoch_run_rows_fetch(struct epoch_run *run, const atomic_bool *stops);

/* The same by a thread of its own, which lets the workers load then. Nothing to do: nothing happens. Before the workers start. */
int epoch_run_rows_start(struct epoch_run *run, struct fail *fail);
void epoch_run_rows_stop(struct epoch_run *run); /* more than once is fine */

#endif
