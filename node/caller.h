/* A client session with a node of a mesh, for programs that are no member: open, send, receive and close, each blocking.
 *
 * One thread at a time. Nothing happens between the calls: a program that does not call for ten seconds may find the session closed. */
#ifndef NODE_CALLER_H
#define NODE_CALLER_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "mesh/seal.h"

struct caller_config {
    const char *address;         /* the node's, HOST:PORT. Borrowed until caller_close */
    enum mesh_security security; /* as the cluster has it */
    const struct mesh_key *key;  /* not read with MESH_SECURITY_NONE */
    const char *key_file;        /* named in messages. Borrowed until caller_close; NULL: no name */
    const char *cluster;         /* the cluster's name */
    uint64_t timeout_ns;         /* until the session is open; 0: 5 s */
    uint16_t version;            /* of the protocol; 0: the real one, tests give others */
};

struct caller;

/* NULL: EXIT_USAGE (the address), or EXIT_ENVIRONMENT (no answer, refused, no socket). */
struct caller *caller_open(const struct caller_config *config, struct fail *fail);

/* Copied; waits while the queue is full. At most MESH_RECORD_BYTES_MAX bytes. It leaves at once, and arrives or the session ends. */
int caller_send(struct caller *caller, const uint8_t *record, size_t bytes, struct fail *fail);

/* 1: a record, valid until the next call; 0: none within the time; -1: the session is over. Records that came before its end come first. */
int caller_receive(struct caller *caller, const uint8_t **record, size_t *bytes, uint64_t timeout_ns, struct fail *fail);

/* Delivers what was sent, for a second at most, and says goodbye. NULL is fine. */
void caller_close(struct caller *caller);

#endif
