/* Traces in the formats of other programs, each in a file of its own. */
#ifndef REPLAY_EXPORT_H
#define REPLAY_EXPORT_H

#include <stdio.h>

#include "command.h"

enum { EXPORT_TRACES_MAX = 64 };

struct export_traces {
    size_t count;
    const char *paths[EXPORT_TRACES_MAX];
    struct mesh_trace *traces[EXPORT_TRACES_MAX];
};

/* Have write fill a file, which gets its name when it is complete. - is stdout. */
int export_to_file(const char *path, int (*write)(void *context, FILE *out, struct fail *fail), void *context, struct fail *fail);

/* Chrome's trace events as JSON, for Perfetto: a process for each node, with tracks of steps, phases, stalls, tokens, events, and of tiles
 * with an arrow from sender to receiver. All times are converted to the first trace's clock (clocks.h). */
int export_perfetto(const struct export_traces *traces, FILE *out, struct fail *fail);

/* A pcap file (raw IP, nanoseconds) of all datagrams, unsealed as in the trace. Unknown addresses are 192.0.2.(rank + 1); zeros stand for
 * data that was not stored, and *without_data counts such datagrams. One trace. */
int export_pcap(const struct export_traces *traces, FILE *out, uint64_t *without_data, struct fail *fail);

/* A file for each table and view that has rows, in a folder, which is created if needed; a file that an earlier trace has left for a table
 * without rows is removed. One trace. */
int export_csv(const struct export_traces *traces, const char *folder, struct fail *fail);

#endif
