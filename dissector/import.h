/* A capture becomes a trace: its datagrams, their senders, and what the analysis finds. */
#ifndef DISSECTOR_IMPORT_H
#define DISSECTOR_IMPORT_H

#include "mesh/program/fail.h"
#include "packet.h"

struct import;

/* A new trace at path, of the capture named source. NULL after fail_set: EXIT_ENVIRONMENT when the file exists. */
struct import *import_open(const char *path, const char *source, struct fail *fail);

/* Add one datagram; foreign ones are left out. An error is kept for import_close, and import_has_failed tells of it. */
void import_add(struct import *import, const struct packet *packet);
bool import_has_failed(const struct import *import);

/* Ends the analysis and the trace. -1: something was not written. Then, or if not everything that could be read was added (!is_whole), the
 * trace is removed. NULL is fine. */
int import_close(struct import *import, bool is_whole, struct fail *fail);

#endif
