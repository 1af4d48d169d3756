/* The UDP driver's insides: what goes out (udp_send.c), what comes in (udp_receive.c), and the two together (udp.c).
 *
 * Nothing here blocks, and nothing is allocated after mesh_udp_open and mesh_udp_set_group unless --lab impairments are on. */
#ifndef MESH_UDP_PARTS_H
#define MESH_UDP_PARTS_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "mesh/seal.h"
#include "udp_lab.h"

enum {
    UDP_DATAGRAM_BYTES_MAX = 65507, /* an IPv4 packet less its headers */
    UDP_BATCH = 32,                 /* datagrams per system call; bits of mesh_udp_receiver.refused */
    UDP_RECEIVE_BATCHES = 8,        /* per poll: then it is the sender's turn */
    UDP_POLLING_NS = 10000,         /* a caller that comes back so soon after it found nothing is doing nothing but polling */
    UDP_RECEIVE_STRIDE = 67648,     /* past 64 KiB and not a power of two, so that short datagrams do not share cache sets */
    UDP_CONTROL_BYTES = 64,         /* SO_TIMESTAMPNS */
    UDP_MESSAGES = 256,             /* (datagram, destination) pairs waiting for sendmmsg */
    UDP_ARENA_BYTES = 4 * 65536,
    UDP_SEGMENT_BYTES_MAX = 9216, /* larger datagrams are few, and cutting them saves little */
    UDP_JOINED_BYTES_MAX = 12000, /* of a message to be cut: of a larger one a traffic shaper may silently drop what exceeds its burst */
    UDP_SEGMENT_CONTROL_BYTES = CMSG_SPACE(sizeof(uint16_t))
};

/* The socket's error queue: which datagrams came back as undeliverable (ICMP). is_due is set by any thread whose call on the socket has
 * failed; all else belongs to the driver's owner. Relaxed order is enough: the flag guards no data, the queue is the kernel's. */
struct mesh_udp_errors {
    int fd;
    atomic_bool is_due;                           /* there may be something in the queue */
    void (*tell)(void *app, struct mesh_addr to); /* called for each destination that cannot be reached; NULL: nobody wants to know */
    void *app;
    uint64_t unreachable, system_calls;
};

/* Call it with errno after a call on the socket has failed; any thread. True: the error may be about an earlier datagram, so the call is
 * worth another try. */
bool mesh_udp_errors_note(struct mesh_udp_errors *errors, int reason);

/* Empty the error queue, if it is due. The driver's owner only. */
void mesh_udp_errors_run(struct mesh_udp_errors *errors);

/* Datagrams on their way out. messages[next..count) still have to be sent; they point into arena, iovecs, names and control of this struct.
 * Each is one datagram for one receiver, or several that the kernel cuts apart (udp_segment.c). */
struct mesh_udp_sender {
    int fd;
    int family;
    struct mesh_udp_errors *socket_errors;
    struct mesh_sealer *sealer; /* NULL: none */
    struct sockaddr_storage peers[MESH_RANKS_MAX];
    socklen_t peer_bytes[MESH_RANKS_MAX]; /* 0: unknown, or of the other family */
    struct sockaddr_storage group;
    socklen_t group_bytes;  /* 0: there is none */
    unsigned turn;          /* the next datagram for several ranks goes first to this rank, or the next one above that it is for */
    bool is_single;         /* the system has no sendmmsg: message by message */
    bool segments;          /* the kernel can cut messages apart, and is to */
    uint64_t segment_ranks; /* bit r: on the path to rank r that pays */
    bool segment_group;     /* likewise for the group */
    bool segments_refused;  /* the kernel could not cut after all */
    uint32_t pairs;         /* (datagram, receiver) in messages */
    uint16_t last[MESH_RANKS_MAX + 1]; /* 1 + the last message for the rank, after them for the group; 0: none yet */
    uint32_t datagrams, messages_next, messages_count, arena_used;
    struct iovec iovecs[UDP_BATCH];
    struct sockaddr_storage strangers[UDP_BATCH];
    struct mmsghdr messages[UDP_MESSAGES];
    _Alignas(struct cmsghdr) uint8_t control[UDP_BATCH][UDP_SEGMENT_CONTROL_BYTES]; /* of messages that begin with the datagram */
    uint64_t system_calls, sent, errors, to_group;
    uint64_t full;          /* times that the interface's queue had no room */
    uint64_t full_since_ns; /* since when it has had none; 0: it has some */
    uint64_t full_until_ns; /* not tried again before */
    uint8_t arena[UDP_ARENA_BYTES];
};

/* Send what is left over and what the core (NULL: none) has to say, until both are empty, or the socket or the interface is full. Returns
 * the datagrams sent. */
int mesh_udp_sender_run(struct mesh_udp_sender *sender, struct mesh *mesh, uint64_t now_ns);
bool mesh_udp_sender_is_blocked(const struct mesh_udp_sender *sender);
/* When to try again if the interface is full, which no descriptor tells of. 0: nothing waits, or it waits for room in the socket. */
uint64_t mesh_udp_sender_next_ns(const struct mesh_udp_sender *sender);
/* One datagram at once, besides the queue. MESH_AGAIN: no room; MESH_EINVAL: IPv6 on an IPv4 socket; MESH_ESYSTEM: errno. Any thread. */
int mesh_udp_sender_send_to(const struct mesh_udp_sender *sender, const struct mesh_addr *to, const uint8_t *packet, size_t bytes);
void mesh_udp_sender_set_peer(struct mesh_udp_sender *sender, uint16_t rank, const struct mesh_addr *addr);

/* ---- udp_calls.c ---- */

/* Whether the system has recvmmsg and sendmmsg for this socket. If not, the two below take their place, with the same result: how many
 * messages were received or sent, or -1 and the errno of the first. */
bool mesh_udp_batches_are_known(int fd);
int mesh_udp_receive_singly(int fd, struct mmsghdr *messages, unsigned count, struct mesh_udp_errors *socket_errors);
int mesh_udp_send_singly(int fd, const struct mmsghdr *messages, unsigned count, int flags);

/* ---- udp_sleep.c ---- */

/* epoll_wait with nanoseconds. Returns the number of events; -1: the system lacks such a call, so it has slept without learning of any. */
int mesh_udp_epoll_wait(int epoll_fd, struct epoll_event *events, int count, uint64_t sleep_ns);

/* ---- udp_segment.c ---- */

/* Whether the kernel knows UDP_SEGMENT. */
bool mesh_udp_segment_is_known(int fd);

/* Whether the path's datagrams are so small that there are many of them, and cutting pays. */
bool mesh_udp_segment_pays(uint32_t path_bytes);

/* Append the datagram that is being queued to the message. False: it does not fit there, and needs a message of its own. */
bool mesh_udp_segment_join(struct mesh_udp_sender *sender, struct msghdr *header);

/* Call it with errno when the kernel has refused the next message. True: it was one to be cut, and that may be why; all messages that wait
 * now hold a single datagram each, and where the kernel cannot cut at all, so do all later ones. */
bool mesh_udp_segment_split(struct mesh_udp_sender *sender, int reason);

/* Datagrams on their way in. messages[next..count) have been received, but the core has not taken them yet, as its event queue was full.
 * They are unsealed when they are received, in place and so only once. */
struct mesh_udp_receiver {
    int fd;
    struct mesh_udp_errors *socket_errors;
    struct mesh_sealer *sealer; /* NULL: none */
    /* Takes datagrams that are not for the epoch's endpoint; NULL: nobody does, and the endpoint drops them. */
    void (*take_outside)(void *app, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes);
    void *outside_app;
    bool is_single;         /* the system has no recvmmsg: message by message */
    uint64_t empty_poll_ns; /* when the last poll began, if it found nothing; else, and always with a lab, 0 */
    uint32_t next, count;
    uint32_t refused;     /* bit i: messages[i] could not be unsealed, or is this node's own, and does not go to the core */
    struct mesh_addr own; /* of a group's socket: this node's address, whose datagrams come back to it; else port 0 */
    uint64_t system_calls, received;
    struct mesh_udp_lab lab;
    struct iovec iovecs[UDP_BATCH];
    struct sockaddr_storage names[UDP_BATCH];
    _Alignas(struct cmsghdr) uint8_t control[UDP_BATCH][UDP_CONTROL_BYTES];
    struct mmsghdr messages[UDP_BATCH];
    uint8_t packets[UDP_BATCH][UDP_RECEIVE_STRIDE];
};

void mesh_udp_receiver_init(struct mesh_udp_receiver *receiver, int fd, const struct mesh_lab *lab);

/* How many datagrams the kernel has dropped since the socket was opened, mostly because its buffer was full: 32 bits that wrap; 0 before
 * Linux 4.12. */
uint32_t mesh_udp_receiver_drops(const struct mesh_udp_receiver *receiver);

/* Feed what has arrived to the core (NULL: none) and to take_outside. now_ns: when the poll began. Returns how many datagrams were taken,
 * or MESH_ESYSTEM. */
int mesh_udp_receiver_run(struct mesh_udp_receiver *receiver, struct mesh *mesh, uint64_t now_ns);

/* When to call again though the socket shows nothing: at once (0) for datagrams that wait for the core, later for those that a lab delays;
 * UINT64_MAX: never. */
uint64_t mesh_udp_receiver_next_ns(const struct mesh_udp_receiver *receiver);

/* ---- udp_route.c ---- */

/* The largest packet, headers included, that may leave for an address or a group; 0: unknown. from (NULL: any) has the family of to, and
 * decides the interface by which a group is reached. */
uint32_t mesh_udp_route_mtu(const struct mesh_addr *to, const struct mesh_addr *from);

/* ---- udp_group.c ---- */

/* A socket that hears the group on the interface of the local address, or -1: errno. */
int mesh_udp_group_open(const struct mesh_addr *group, const struct mesh_addr *local);

/* Let a socket that is bound to the local address send to the group by its interface. False: errno. Other programs of this machine hear
 * what it sends only after mesh_udp_group_loop. */
bool mesh_udp_group_aim(int fd, const struct mesh_addr *group, const struct mesh_addr *local);
void mesh_udp_group_loop(int fd, const struct mesh_addr *group);

/* The largest datagram that this interface carries; 0: unknown, or too little for this protocol. */
uint32_t mesh_udp_group_path_bytes(const struct mesh_addr *group, const struct mesh_addr *local);

#endif
