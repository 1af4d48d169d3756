/* The node's door to the mesh: many workers, one endpoint, one owner at a time.
 *
 * A worker that has something to send tries to become the owner (one atomic exchange) and sends it; a waiting worker also tries, and looks
 * what has arrived. A worker that fails leaves its words on a bounded ring, which the owner drains before it lets go. Nobody sleeps here
 * except in port_park. With one node there is no endpoint (mesh NULL); the port then only hands words back to the engine. */
#ifndef NODE_PORT_H
#define NODE_PORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "mesh/mesh.h"

enum port_owner { PORT_FREE, PORT_WORKER, PORT_LOCKER };

enum port_word_type { PORT_PUBLISH, PORT_CONSUME };

struct port_word {
    enum port_word_type type;
    uint16_t phase;
    uint64_t step;
    uint16_t token_first, token_count, block_first, block_count;
};

enum { PORT_RING_WORDS = 1024 };

struct port_cell {
    _Atomic uint32_t turn;
    struct port_word word;
};

/* Moves datagrams; the functions are NULL in the simulator, which does it itself. */
struct port_driver {
    int (*poll)(void *driver, struct mesh *mesh);                         /* receive, tick, send; number of datagrams */
    int (*flush)(void *driver, struct mesh *mesh);                        /* send */
    void (*wait)(void *driver, const struct mesh *mesh, uint64_t max_ns); /* sleep until something arrives or is due */
    void (*wake)(void *driver);                                           /* end a wait, or else the next one; any thread */
    void *driver;
};

struct port {
    atomic_uint owner;     /* an enum port_owner */
    atomic_uint wanted;    /* threads in port_lock: no other thread becomes owner meanwhile */
    atomic_bool is_parked; /* the owner sleeps */
    struct mesh *mesh;
    struct port_driver driver;
    uint64_t (*now_ns)(void *clock);
    void *clock;
    int (*on_owned)(void *app); /* first thing an owner does: open gathers, send records; returns how many */
    void (*on_event)(void *app, const struct mesh_event *event);
    bool (*on_consume)(void *app, const struct port_word *word); /* false: the endpoint is not to be told yet */
    void *app;
    bool answers_events;    /* on_event may say something that other nodes wait for */
    struct port_word stuck; /* owner only: a word the endpoint could not take yet */
    bool is_stuck;
    _Atomic uint32_t ring_head, ring_tail;
    struct port_cell ring[PORT_RING_WORDS];
};

void port_init(struct port *port); /* after the fields up to app are set */

/* Any thread. Never loses a word; while the ring is full it spins and polls. */
void port_post(struct port *port, const struct port_word *word);

/* Any thread. Become owner if nobody is, and do all there is to do; returns the number of things done (0: nothing, or another thread is the
 * owner). */
int port_poll(struct port *port);

enum port_park_result {
    PORT_SLEPT,
    PORT_ATTENDED, /* at once: another worker owns it, or without an endpoint no owner is needed; sleep elsewhere */
    PORT_LOCKED    /* at once: another thread has it or wants it for a moment, and will not serve it; try again */
};

/* Sleep as the owner until a datagram, a word, a deadline of the endpoint, or max_ns. */
enum port_park_result port_park(struct port *port, uint64_t max_ns);

/* End a port_park, if there is one. Any thread. */
void port_wake(struct port *port);

/* End a port_park, or else the next one that would sleep: for events that are not words, which a thread about to park may have missed. Any
 * thread, also a signal handler. */
void port_rouse(struct port *port);

/* Own the endpoint for a few calls of one's own (figures, goodbye). Takes precedence over port_poll and port_park of other threads, which
 * could otherwise retake it again and again before a thread waiting here on the same core finds it free. */
void port_lock(struct port *port);
void port_unlock(struct port *port);

/* Let the driver move datagrams, on behalf of an owner that may not have been scheduled; the next owner handles what follows from them.
 * Returns when it is done. Not while the caller owns or locks the port. */
void port_read(struct port *port);

#endif
