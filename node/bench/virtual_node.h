/* A node in virtual time: the engine and the endpoint of the real programs, with the simulator in place of clock, socket and memory.
 *
 * Time passes for a kernel's reading of weights (its dot products compute nothing), for the system calls that move datagrams, and on the
 * network; nothing else takes time. The engine runs as a coroutine, which yields wherever time has to pass, so that a datagram is seen by
 * the poll that would have found it, and leaves when the engine sends it: the schedule is real, not modelled. One thread. */
#ifndef NODE_VIRTUAL_NODE_H
#define NODE_VIRTUAL_NODE_H

#include <ucontext.h>

#include "mesh/sim.h"
#include "node/engine/engine.h"

/* Processor time of datagrams. A call of sendmmsg takes send_call_ns, and send_each_ns for each datagram in it; one of recvmmsg takes
 * receive_call_ns, also when there is nothing, and receive_each_ns and deliver_ns for each: the latter is the system's work until a
 * datagram is in the socket. */
struct virtual_costs {
    uint64_t send_call_ns, send_each_ns, deliver_ns, receive_call_ns, receive_each_ns;
};

struct virtual_node_config {
    uint64_t bytes_per_s; /* of weights */
    struct virtual_costs costs;
    bool has_group; /* a datagram to all peers leaves once, and reaches all */
};

/* What the next phase waits for: outputs of attention, Wo, gate and up, down; and the candidates of a token. */
enum { VIRTUAL_WAITS = 5 };

/* Where the processor's time goes. */
struct virtual_spent {
    uint64_t sending_ns, receiving_ns, waiting_ns[VIRTUAL_WAITS];
    uint64_t messages, send_calls, receive_calls; /* datagrams handed to the system */
};

struct virtual_packet {
    struct virtual_packet *next;
    struct mesh_addr from;
    size_t bytes;
    uint8_t data[];
};

struct virtual_node {
    struct virtual_node_config config;
    struct mesh_sim *sim;
    uint16_t rank;
    struct engine *engine; /* owned; NULL: not open */
    struct mesh *mesh;
    void *mesh_memory;
    struct virtual_spent spent;
    ucontext_t inside, outside; /* the coroutine, and its resumer */
    uint8_t *stack;
    uint64_t worked_ns; /* work whose time has not passed yet */
    uint64_t passing_ns;
    bool is_resting;
    struct virtual_packet *first, *last; /* in the socket */
    unsigned turn;                       /* rank to which a datagram for several goes first, as in the UDP driver */
    bool has_output;
    struct mesh_output output; /* on its way to the wire */
    uint8_t packet[65536];
};

/* A kernel whose dot products only let time pass on the calling node. For quantised types. */
const struct kernel *virtual_kernel(void);

/* engine: of that kernel, allocated, nothing loaded; taken. EXIT_ENVIRONMENT: out of memory. */
int virtual_node_open(struct virtual_node *node, const struct virtual_node_config *config, struct mesh_sim *sim, struct engine *engine,
                      struct fail *fail);
void virtual_node_close(struct virtual_node *node); /* after the simulator is closed; also of one that is not open */

#endif
