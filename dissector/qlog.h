/* A capture as qlog: what each node sent, received and lost, as JSON text sequences (RFC 7464), one file per node.
 *
 * The envelope is that of qlog 0.3 (draft-ietf-quic-qlog-main-schema), with events of our own: mesh:datagram_sent, mesh:datagram_received,
 * mesh:datagram_lost, whose data has the shape of QUIC's packet events (header, raw, frames) with the fields of the wire schema. A node is
 * an address in an epoch. Times are the capture's; a loss has the time at which its data was asked for, or its number seen to be
 * missing. */
#ifndef DISSECTOR_QLOG_H
#define DISSECTOR_QLOG_H

#include "analysis.h"
#include "mesh/program/fail.h"
#include "packet.h"

enum { QLOG_NODES_MAX = 64, QLOG_LOSSES_MAX = 1 << 16 };

struct qlog;

/* path: of the first node; the others' have ".1", ".2" and so on before its last dot. source: the capture's name; both borrowed. NULL with
 * EXIT_ENVIRONMENT. */
struct qlog *qlog_open(const char *path, const char *source, struct fail *fail);

/* A loss, from a first reading of the capture, in any order; context is the qlog. Of more than QLOG_LOSSES_MAX (13 MB) the rest is counted
 * and left out. */
void qlog_note_loss(void *context, const struct analysis_loss *loss);

/* One datagram, from the second reading. verdicts: bits of enum filter_verdict; a lost datagram was not received. Errors are kept for
 * qlog_end. */
void qlog_add(struct qlog *qlog, const struct packet *packet, unsigned verdicts);

/* Ends the files. -1: something was not written, with EXIT_ENVIRONMENT, or there was nothing to write, with EXIT_BAD_FILE. */
int qlog_end(struct qlog *qlog, struct fail *fail);
void qlog_close(struct qlog *qlog); /* NULL is fine */

#endif
