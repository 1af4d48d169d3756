/* A client session with a node of a mesh, for programs that are not members: open, send, receive and close, each blocking.
 *
 * A driver like mesh/udp.h: with a socket of its own, and the clock. One thread at a time. Nothing happens between the calls: a program
 * that does not call for ten seconds may find the session closed. A program with an event loop of its own waits on mesh_client_fd; one
 * that may not block at all, not even to open a session, drives the core of mesh/session.h (mesh_call_init) itself. */
#ifndef MESH_CLIENT_H
#define MESH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/seal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* address and cluster may not be NULL, nor may key where it is read. */
struct mesh_client_config {
    const char *address;          /* the node's, HOST:PORT. Borrowed until mesh_client_close */
    enum mesh_security security;  /* as the cluster has it */
    const struct mesh_key *key;   /* borrowed for the call; not read with MESH_SECURITY_NONE: may be NULL then */
    const char *key_file;         /* named in messages. Borrowed until mesh_client_close; NULL: no name */
    const char *cluster;          /* the cluster's name: "mesh" where mesh-node was given none; with MESH_SECURITY_NONE no node compares it.
                                  * Borrowed until mesh_client_close */
    uint64_t timeout_ns;          /* until the session is open; 0: 5 s */
    uint16_t version;             /* of the protocol; 0: the real one, tests give others */
    bool (*is_wanted)(void *app); /* asked every 10 ms while opening or closing blocks; false: nothing more is waited for. NULL: it is */
    void *app;                    /* argument of is_wanted */
};

/* What went wrong, written on failure only: MESH_EINVAL (what the caller gave cannot be right: exit code 2) or MESH_ESYSTEM (no answer,
 * refused, no socket: exit code 4); and "what: why: what to do" in words. */
struct mesh_client_error {
    int err;
    char text[400];
};

struct mesh_client;

/* NULL, and why; why itself may not be NULL, here and below. */
struct mesh_client *mesh_client_open(const struct mesh_client_config *config, struct mesh_client_error *why);

/* 1..MESH_RECORD_BYTES_MAX bytes, copied; waits while the queue is full. It leaves at once, and arrives or the session ends. 0, or
 * an error, the one in why. */
int mesh_client_send(struct mesh_client *client, const uint8_t *record, size_t bytes, struct mesh_client_error *why);

/* 1: a record, valid until the next call; 0: none within the time; else an error, the one in why: the session is over. Records that came
 * before its end come first. */
int mesh_client_receive(struct mesh_client *client, const uint8_t **record, size_t *bytes, uint64_t timeout_ns,
                        struct mesh_client_error *why);

/* For a program with an event loop of its own: a descriptor to wait on (of the kind of mesh_udp_fd), and the time at which the session
 * needs a call even if the descriptor is not readable (as mesh_udp_now_ns; may be in the past). In each turn of the loop call
 * mesh_client_receive with timeout_ns 0 until it returns 0, then mesh_client_timeout, then sleep; mesh_client_send may also have received
 * something. Receiving with timeout_ns 0 does not block. Opening and closing block, and so does sending when the queue is full: an empty
 * queue has room for any record. */
int mesh_client_fd(const struct mesh_client *client);
uint64_t mesh_client_timeout(struct mesh_client *client);

/* How long the node has not been heard; 0: the session is over. A node answers several times a second, also while it computes; after 10 s
 * of silence the session is over. */
uint64_t mesh_client_silent_ns(const struct mesh_client *client);

/* Delivers what was sent, for a second at most and as long as the session is wanted, and says goodbye. NULL is fine. */
void mesh_client_close(struct mesh_client *client);

#ifdef __cplusplus
}
#endif

#endif
