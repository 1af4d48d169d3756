/* A node for clients on the loopback: a thread that has sessions and sends back every record, except those of bulk transfers. */
#ifndef SESSION_HOST_H
#define SESSION_HOST_H

#include <stdatomic.h>

#include "mesh/session.h"
#include "mesh/udp.h"
#include "node/common/pool.h"
#include "node/fetch/bulk_host.h"

struct session_host {
    struct mesh_udp *udp;
    struct mesh_sessions *sessions;
    void *memory;
    struct mesh_session_seal seal;
    struct pool *pool;
    bool is_running;        /* between session_host_start and session_host_stop */
    atomic_bool stops;      /* end all sessions, then the thread */
    atomic_bool closes;     /* close a session after the next record, which is sent back */
    struct bulk_host *bulk; /* resources provided; NULL: none */
    atomic_bool is_busy;
    atomic_bool is_paused; /* the thread does nothing, as a process that is stopped */
    atomic_uint opened, closed, goodbyes /* of those closed */;
    uint64_t lost;                       /* datagrams lost by lab impairments; valid after session_host_stop */
    uint8_t held[MESH_RECORD_BYTES_MAX]; /* a record to be sent back before the next event is taken */
    size_t held_bytes;                   /* 0: none */
    uint32_t held_session;
    char address[MESH_ADDR_TEXT_BYTES];
};

/* Version of the records of hosts that start from now on; 0: this build's. */
extern uint8_t session_host_records;

/* False when there is no socket, or this build cannot seal. */
bool session_host_start(struct session_host *host, enum mesh_security security, const struct mesh_key *key, const char *cluster,
                        unsigned capacity, const struct mesh_lab *lab);

/* The same, with sources; borrowed until session_host_stop. */
bool session_host_start_bulk(struct session_host *host, enum mesh_security security, const struct mesh_key *key, const char *cluster,
                             unsigned capacity, const struct mesh_lab *lab, struct bulk_host *bulk);

/* Does nothing when no host is running: it is also the teardown of a test that may fail before it stops its host, which would otherwise
 * keep running beside the next test and use its memory. */
void session_host_stop(struct session_host *host);

#endif
