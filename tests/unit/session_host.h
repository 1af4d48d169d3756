/* A node for clients on the loopback: a thread that has sessions, and sends every record back, but for those of bulk transfers. */
#ifndef SESSION_HOST_H
#define SESSION_HOST_H

#include <stdatomic.h>

#include "mesh/session.h"
#include "mesh/udp.h"
#include "node/bulk_host.h"
#include "node/pool.h"

struct session_host {
    struct mesh_udp *udp;
    struct mesh_sessions *sessions;
    void *memory;
    struct mesh_session_seal seal;
    struct pool *pool;
    bool is_running;        /* between session_host_start and session_host_stop */
    atomic_bool stops;      /* end all sessions, then the thread */
    atomic_bool closes;     /* close a session after the next record, which is sent back */
    struct bulk_host *bulk; /* what is provided; NULL: nothing */
    atomic_bool is_busy;
    atomic_uint opened, closed;
    uint64_t lost;                       /* by lab impairments, after session_host_stop */
    uint8_t held[MESH_RECORD_BYTES_MAX]; /* the record that is to be sent back before the next event is taken */
    size_t held_bytes;                   /* 0: none */
    uint32_t held_session;
    char address[MESH_ADDR_TEXT_BYTES];
};

/* False: no socket, or nothing can be sealed here. */
bool session_host_start(struct session_host *host, enum mesh_security security, const struct mesh_key *key, const char *cluster,
                        unsigned capacity, const struct mesh_lab *lab);

/* The same, with sources; borrowed until session_host_stop. */
bool session_host_start_bulk(struct session_host *host, enum mesh_security security, const struct mesh_key *key, const char *cluster,
                             unsigned capacity, const struct mesh_lab *lab, struct bulk_host *bulk);

/* Nothing where it does not run: the teardown of a test that may have failed before it stopped its host, which would go on beside the next
 * one and with its memory. */
void session_host_stop(struct session_host *host);

#endif
