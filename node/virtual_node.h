/* A node on virtual time: the engine and the endpoint that programs run, with the simulator in place of clock, socket and memory.
 *
 * What takes time is what a kernel reads of the weights (its dot products compute nothing), the system calls that move datagrams, and the
 * wire. All else takes none. The engine runs as a coroutine, which gives way wherever time has to pass, so that a datagram is seen by the
 * poll that would have found it, and leaves when the engine sends it: nothing of the schedule is a model. One thread. */
#ifndef NODE_VIRTUAL_NODE_H
#define NODE_VIRTUAL_NODE_H

#include <ucontext.h>

#include "engine.h"
#include "mesh/sim.h"

/* What datagrams take of the processor. A call of sendmmsg takes send_call_ns and send_each_ns for each datagram in it; one of recvmmsg
 * receive_call_ns, also when there is nothing, and receive_each_ns and deliver_ns for each: the latter is what the system does until a
 * datagram is in the socket. */
struct virtual_costs {
    uint64_t send_call_ns, send_each_ns, deliver_ns, receive_call_ns, receive_each_ns;
};

struct virtual_node_config {
    uint64_t bytes_per_s; /* of weights */
    struct virtual_costs costs;
    bool has_group; /* what goes to everybody leaves once, and reaches all */
};

/* What the next phase waits for: outputs of attention, Wo, gate and up, down; and the candidates of a token. */
enum { VIRTUAL_WAITS = 5 };

/* Of the processor's time. */
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
    ucontext_t inside, outside; /* the coroutine, and who has resumed it */
    uint8_t *stack;
    uint64_t worked_ns; /* that has not been let pass */
    uint64_t passing_ns;
    bool is_resting;
    struct virtual_packet *first, *last; /* in the socket */
    unsigned turn;                       /* the rank that a datagram for several goes to first, as in the UDP driver */
    bool has_output;
    struct mesh_output output; /* on its way to the wire */
    uint8_t packet[65536];
};

/* A kernel whose dot products only let time pass, on the node that calls it. Of quantised types. */
const struct kernel *virtual_kernel(void);

/* The engine is one of that kernel, allocated and with nothing loaded; it is taken. EXIT_ENVIRONMENT: out of memory. */
int virtual_node_open(struct virtual_node *node, const struct virtual_node_config *config, struct mesh_sim *sim, struct engine *engine,
                      struct fail *fail);
void virtual_node_close(struct virtual_node *node); /* after the simulator is closed; also of one that is not open */

#endif
