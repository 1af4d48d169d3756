/* The UDP driver: sockets and clock for one protocol core.
 *
 * Non-blocking socket, epoll for sleeping, recvmmsg and sendmmsg for batches, DF set, IPv4 and IPv6. Applies the --lab impairments to what
 * is received. One owner at a time, like the core: the caller sees to that. */
#ifndef MESH_UDP_H
#define MESH_UDP_H

#include "mesh/lab.h"
#include "mesh/mesh.h"
#include "mesh/seal.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mesh_udp;

/* "127.0.0.1:7411", "[::1]:7411", ":7411" (any address), "localhost:7411" (numeric or resolved). 0, or, with a phrase in reason,
 * MESH_EINVAL, or MESH_ESYSTEM: the name, or the interface of a scoped address, is not known now, which may change; errno ENOENT: it does
 * not exist, EAGAIN: no name server could be asked. */
int mesh_addr_parse(const char *text, struct mesh_addr *addr, char *reason, size_t reason_bytes);
enum { MESH_ADDR_TEXT_BYTES = 64 };
void mesh_addr_format(struct mesh_addr addr, char out[MESH_ADDR_TEXT_BYTES]);
bool mesh_addr_is_loopback(struct mesh_addr addr);

/* Why the address cannot lead to one machine, and what to give instead, as "why: what"; NULL: it may be right. */
const char *mesh_addr_fault(struct mesh_addr addr);

/* Bind. port 0: any free one. The receive and send buffers are made as large as the system allows. MESH_ESYSTEM: errno. lab may be NULL. */
int mesh_udp_open(struct mesh_udp **udp, struct mesh_addr local, const struct mesh_lab *lab);
void mesh_udp_close(struct mesh_udp *udp); /* NULL is fine */
struct mesh_addr mesh_udp_local(const struct mesh_udp *udp);
uint64_t mesh_udp_receive_buffer_bytes(const struct mesh_udp *udp); /* by the kernel's accounting, for mesh_config */
uint32_t mesh_udp_datagram_bytes_max(const struct mesh_udp *udp);
uint32_t mesh_udp_path_bytes(
    struct mesh_addr to);                      /* the largest datagram that the interface to it carries, for mesh_set_path; 0: unknown */
bool mesh_udp_is_local(struct mesh_addr addr); /* false: no interface of this machine has it (any more); true also when unknown */
bool mesh_udp_is_cut_off(struct mesh_addr from, struct mesh_addr to); /* from the loopback to another machine, where nothing arrives */
void mesh_udp_set_peer(struct mesh_udp *udp, uint16_t rank, struct mesh_addr addr); /* where output.ranks go */

/* Call at most once (asserted), before mesh_udp_set_peer: also receive from this multicast group, and send to it, once, what the core says
 * may go there. An IPv4 group uses the interface of the own address; an IPv6 group, which is link-local, that of its scope. MESH_ESYSTEM:
 * errno; EAFNOSUPPORT: the own address is of the other family; EADDRINUSE: a socket that does not share its port has this one, maybe this
 * driver's own. */
int mesh_udp_set_group(struct mesh_udp *udp, struct mesh_addr group);

/* Receiving lets the kernel poll the network card's queue for so many microseconds (SO_BUSY_POLL and, where there is one,
 * SO_PREFER_BUSY_POLL) instead of waiting for the card's interrupt. No effect on cards without NAPI, such as the loopback. MESH_ESYSTEM:
 * errno; EPERM: more than net.core.busy_read allows, without CAP_NET_ADMIN. */
int mesh_udp_set_busy_poll(struct mesh_udp *udp, uint32_t us);

/* Call before mesh_udp_set_peer: whether datagrams in a row to one receiver may be handed to the kernel as one message that the kernel or
 * the network card splits (UDP_SEGMENT). At first they may, where the kernel supports it and the path carries no large datagrams; once
 * splitting fails, no longer. */
void mesh_udp_set_segmentation(struct mesh_udp *udp, bool wanted);

/* The largest datagram that the group's interface carries, for mesh_set_group; 0: there is no group, or it carries less than the protocol
 * needs. */
uint32_t mesh_udp_group_bytes(const struct mesh_udp *udp);

/* From now on what goes out is sealed, once for all its receivers, and what comes in is opened, or refused and counted in it, before the
 * core sees it. Borrowed until the driver is closed; NULL: neither. */
void mesh_udp_set_sealer(struct mesh_udp *udp, struct mesh_sealer *sealer);

/* From now on datagrams of this protocol that are not for the epoch's endpoint (header.epoch 0, or its top bit set: a client session's) go
 * to take, as they came, and neither to the sealer nor to the core. Called in mesh_udp_poll; packet is borrowed for the call. take may call
 * mesh_udp_send_to and nothing else of this driver. NULL: none. */
void mesh_udp_set_outside(struct mesh_udp *udp,
                          void (*take)(void *app, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes), void *app);

/* From now on tell is called with the receiver's address of each datagram that came back (ICMP), since nobody has that port or no route
 * leads to that host; often many times. Anybody on the path can forge such a message, so it is only a hint. Called in mesh_udp_poll, after
 * receiving; tell may not call this driver. NULL: none. */
void mesh_udp_set_unreachable(struct mesh_udp *udp, void (*tell)(void *app, struct mesh_addr to), void *app);

/* Send one datagram at once, as it is, from any thread, not only the driver's owner. MESH_AGAIN: the socket or the interface's queue has
 * no room at the moment; MESH_EINVAL: not for this kind of socket; MESH_ESYSTEM: errno. In all three cases it has not been sent. Not part
 * of mesh_udp_stats. */
int mesh_udp_send_to(struct mesh_udp *udp, struct mesh_addr to, const uint8_t *packet, size_t bytes);

/* Call in the child after fork, for the driver it goes on to use: each process gets its own impairments and its own means of sleeping and
 * waking (shared ones would wake the parent). The child closes the other drivers that it inherited. MESH_ESYSTEM: errno; then only
 * mesh_udp_close is left. */
int mesh_udp_reseed(struct mesh_udp *udp, uint64_t seed);

uint64_t mesh_udp_now_ns(void); /* CLOCK_MONOTONIC */

/* For all that follow, mesh NULL is a node without an endpoint: what arrives goes to mesh_udp_set_outside, or nowhere. */

/* Receive what is there, tick, send what is due. Never blocks. Returns the number of datagrams received and sent together (0: nothing
 * happened), or MESH_ESYSTEM. More may be there than was received: who polls without a pause gets the first datagram after a look in vain
 * at once, alone, and no poll receives more than some 250. Events stay in the core for the caller to drain; when its event queue fills up,
 * receiving stops early. */
int mesh_udp_poll(struct mesh_udp *udp, struct mesh *mesh);

/* Only send what the core has to say (after publishing). Never blocks. Returns the number of datagrams sent. */
int mesh_udp_flush(struct mesh_udp *udp, struct mesh *mesh);

/* Sleep until a datagram is there, the core's timeout, mesh_udp_wake, or max_ns; at most a second. */
void mesh_udp_wait(struct mesh_udp *udp, const struct mesh *mesh, uint64_t max_ns);

/* End the mesh_udp_wait in progress, or else the next one that would sleep; several calls before it count as one. From any thread or signal
 * handler. */
void mesh_udp_wake(struct mesh_udp *udp);

/* For a program with an event loop of its own, instead of mesh_udp_wait: a descriptor to wait on, e.g. with poll(2) and POLLIN or in an
 * epoll set. It becomes readable when a datagram may have arrived, when one may have come back (ICMP), when a socket that
 * mesh_udp_timeout has found full has room again, and after mesh_udp_wake; then call mesh_udp_poll. The descriptor is an epoll set of the
 * driver, not its socket: only wait on it. Valid until mesh_udp_close or mesh_udp_reseed.
 *
 * It does not become readable when something falls due: a timer of the core, a datagram that a delay of mesh_lab holds back, or one for
 * which the core had no room. So the loop must not sleep past mesh_udp_timeout. */
int mesh_udp_fd(const struct mesh_udp *udp);

/* When to call mesh_udp_poll even if the descriptor is not readable (as mesh_udp_now_ns; may be in the past; UINT64_MAX never). Call before
 * each sleep, after the last mesh_udp_poll or mesh_udp_flush: the call also makes the descriptor tell of room in a full socket, and ends
 * the effect of mesh_udp_wake on it, for which it returns 0. At most three system calls. */
uint64_t mesh_udp_timeout(struct mesh_udp *udp, const struct mesh *mesh);

struct mesh_udp_stats {
    uint64_t system_calls; /* that send or receive, the next two together; one call takes several datagrams */
    uint64_t send_calls, receive_calls;
    uint64_t wait_calls; /* of mesh_udp_wait and mesh_udp_timeout, and those that end a wait; not part of system_calls */
    uint64_t datagrams_sent, datagrams_received, send_errors;
    uint64_t sent_to_group;  /* of the datagrams sent: once, to all ranks that hear the group */
    uint64_t interface_full; /* times that sending waited for room in an interface's queue */
    uint64_t kernel_drops;   /* mostly because a socket's buffer was full; 0 before Linux 4.12 */
    uint64_t unreachable;    /* datagrams that came back (ICMP) */
    bool segments_refused;   /* the kernel could not split messages into datagrams, which have been sent one by one since then */
    uint64_t lab_lost, lab_duplicated, lab_reordered;
};
/* A system call for each socket (kernel_drops). */
void mesh_udp_get_stats(const struct mesh_udp *udp, struct mesh_udp_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
