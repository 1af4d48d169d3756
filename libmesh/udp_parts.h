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
    UDP_RECEIVE_BATCHES = 8,        /* per poll: then it is the senders' turn */
    UDP_POLLING_NS = 10000,         /* a caller that looks again so soon after looking in vain does nothing else */
    UDP_RECEIVE_STRIDE = 67648,     /* past 64 KiB and not a power of two, so that short datagrams do not share cache sets */
    UDP_CONTROL_BYTES = 64,         /* SO_RXQ_OVFL and SO_TIMESTAMPNS */
    UDP_MESSAGES = 256,             /* (datagram, destination) pairs waiting for sendmmsg */
    UDP_ARENA_BYTES = 4 * 65536,
    UDP_SEGMENT_BYTES_MAX = 9216, /* larger datagrams are few, and cutting them saves little */
    UDP_JOINED_BYTES_MAX = 12000, /* of a message that is cut: a shaper drops parts of one larger than its burst, and does not say so */
    UDP_SEGMENT_CONTROL_BYTES = CMSG_SPACE(sizeof(uint16_t))
};

/* What the kernel has been told of datagrams that could not be delivered (ICMP). */
struct mesh_udp_errors {
    int fd;
    atomic_bool is_due; /* there may be something in the socket's error queue */
    void (*tell)(void *app, struct mesh_addr to);
    void *app;
    uint64_t unreachable, system_calls;
};

/* After a call on the socket has failed, any thread. True: it was about an earlier datagram, or may have been: try once more. */
bool mesh_udp_errors_note(struct mesh_udp_errors *errors, int reason);

/* The driver's owner: empty the error queue, if there is something in it. */
void mesh_udp_errors_run(struct mesh_udp_errors *errors);

/* Datagrams on their way out. messages[next..count) still have to be sent; they point into arena, ways, names and control of this struct.
 * Each is one datagram for one receiver, or several that the kernel cuts apart (udp_segment.c). */
struct mesh_udp_sender {
    int fd;
    int family;
    struct mesh_udp_errors *told;
    struct mesh_sealer *sealer; /* NULL: none */
    struct sockaddr_storage peers[MESH_RANKS_MAX];
    socklen_t peer_bytes[MESH_RANKS_MAX]; /* 0: unknown, or of the other family */
    struct sockaddr_storage group;
    socklen_t group_bytes;  /* 0: there is none */
    unsigned turn;          /* rank, or the next one above, with which the next datagram for several begins */
    bool is_single;         /* no sendmmsg here */
    bool segments;          /* the kernel can split messages, and is to */
    uint64_t segment_ranks; /* bit r: on the path to rank r it pays */
    bool segment_group;
    bool segments_refused;             /* the kernel could not cut after all */
    uint32_t pairs;                    /* (datagram, receiver) in messages */
    uint16_t last[MESH_RANKS_MAX + 1]; /* 1 + the last message for the rank, after them for the group; 0: none yet */
    uint32_t datagrams, messages_next, messages_count, arena_used;
    struct iovec ways[UDP_BATCH];
    struct sockaddr_storage strangers[UDP_BATCH];
    struct mmsghdr messages[UDP_MESSAGES];
    _Alignas(struct cmsghdr) uint8_t control[UDP_BATCH][UDP_SEGMENT_CONTROL_BYTES]; /* of messages that begin with the datagram */
    uint64_t system_calls, sent, errors, to_group;
    uint64_t full;                         /* times that the interface's queue had no room */
    uint64_t full_since_ns, full_until_ns; /* since when it has none, 0: it has; not tried again before */
    uint8_t arena[UDP_ARENA_BYTES];
};

/* Send what is left over and what the core (NULL: none) has to say, until both are empty, or the socket or the interface is full. Returns
 * the datagrams sent. */
int mesh_udp_sender_run(struct mesh_udp_sender *sender, struct mesh *mesh, uint64_t now_ns);
bool mesh_udp_sender_is_blocked(const struct mesh_udp_sender *sender);
uint64_t mesh_udp_sender_next_ns(const struct mesh_udp_sender *sender); /* when to try again, if not when there is room; 0: no such time */
int mesh_udp_sender_send_to(const struct mesh_udp_sender *sender, const struct mesh_addr *to, const uint8_t *packet, size_t bytes);
void mesh_udp_sender_set_peer(struct mesh_udp_sender *sender, uint16_t rank, const struct mesh_addr *addr);

/* ---- udp_calls.c ---- */

/* Whether the system has recvmmsg and sendmmsg for this socket. Where not, the others do it message by message, with the same result: how
 * many there were, or -1 and errno of the first. */
bool mesh_udp_batches_are_known(int fd);
int mesh_udp_receive_singly(int fd, struct mmsghdr *messages, unsigned count, struct mesh_udp_errors *told);
int mesh_udp_send_singly(int fd, const struct mmsghdr *messages, unsigned count, int flags);

/* ---- udp_sleep.c ---- */

/* epoll_wait with nanoseconds. Returns how many events there are; -1: the system lacks it, and has slept without telling of any. */
int mesh_udp_epoll_wait(int epoll_fd, struct epoll_event *events, int count, uint64_t sleep_ns);

/* ---- udp_segment.c ---- */

/* Whether the kernel knows UDP_SEGMENT. */
bool mesh_udp_segment_is_known(int fd);

/* Whether the datagrams that the path carries are so small that there are many. */
bool mesh_udp_segment_pays(uint32_t path_bytes);

/* Let the message hold the datagram that is being queued, too, if it can. */
bool mesh_udp_segment_join(struct mesh_udp_sender *sender, struct msghdr *header);

/* The kernel refuses the next message. True: because it would have to cut it; then all that wait are single ones now, and later ones,
 * too. */
bool mesh_udp_segment_split(struct mesh_udp_sender *sender, int reason);

/* Datagrams on their way in. messages[next..count) were received and not yet taken by the core, whose event queue was full. They were
 * opened when they were received, once: a second time would find them changed. */
struct mesh_udp_receiver {
    int fd;
    struct mesh_udp_errors *told;
    struct mesh_sealer *sealer; /* NULL: none */
    /* Takes what is not for the epoch's endpoint; NULL: nobody. */
    void (*take_outside)(void *app, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes);
    void *outside_app;
    bool is_single;   /* no recvmmsg here */
    uint64_t vain_ns; /* when the last look began, if it found nothing, else 0; 0 with a lab */
    uint32_t next, count;
    uint32_t refused;       /* bit i: messages[i] could not be opened, and is not for the core */
    uint32_t overflow_seen; /* the kernel's wrapping count */
    struct mesh_addr own;   /* a group brings back what is sent from here; port 0: no group */
    uint64_t system_calls, received, kernel_drops;
    struct mesh_udp_lab lab;
    struct iovec ways[UDP_BATCH];
    struct sockaddr_storage names[UDP_BATCH];
    _Alignas(struct cmsghdr) uint8_t control[UDP_BATCH][UDP_CONTROL_BYTES];
    struct mmsghdr messages[UDP_BATCH];
    uint8_t packets[UDP_BATCH][UDP_RECEIVE_STRIDE];
};

void mesh_udp_receiver_init(struct mesh_udp_receiver *receiver, int fd, const struct mesh_lab *lab);

/* Feed what is there to the core (NULL: none) and to take_outside. Returns the datagrams it took, or MESH_ESYSTEM. now_ns: of the call. */
int mesh_udp_receiver_run(struct mesh_udp_receiver *receiver, struct mesh *mesh, uint64_t now_ns);

/* When a datagram will be ready that the socket does not show: 0 at once, UINT64_MAX never. */
uint64_t mesh_udp_receiver_next_ns(const struct mesh_udp_receiver *receiver);

/* ---- udp_route.c ---- */

/* The largest packet, headers included, that may leave for an address or a group; 0: unknown. from (NULL: any) has the family of to, and
 * decides the interface by which a group is reached. */
uint32_t mesh_udp_route_mtu(const struct mesh_addr *to, const struct mesh_addr *from);

/* ---- udp_group.c ---- */

/* A socket that hears the group on the interface of the local address, or -1: errno. */
int mesh_udp_group_open(const struct mesh_addr *group, const struct mesh_addr *local);

/* Let a socket that is bound to the local address send to the group by its interface. Other programs of this machine do not hear it, and do
 * from mesh_udp_group_loop on. */
bool mesh_udp_group_aim(int fd, const struct mesh_addr *group, const struct mesh_addr *local);
void mesh_udp_group_loop(int fd, const struct mesh_addr *group);

/* The largest datagram that this interface carries; 0: unknown, or too little for this protocol. */
uint32_t mesh_udp_group_path_bytes(const struct mesh_addr *group, const struct mesh_addr *local);

#endif
