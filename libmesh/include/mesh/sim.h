/* A network of protocol endpoints in one process, on virtual time. Everything follows from one seed.
 *
 * The simulator owns the wires and the clock, not the endpoints' applications: an application attaches a function that is called whenever
 * its endpoint may have events or the node has work; that function uses the endpoint's mesh and returns the virtual nanoseconds it spent.
 * Datagrams it left in the core are taken afterwards and put on the wire. Same seed and same calls: same run, to the bit. */
#ifndef MESH_SIM_H
#define MESH_SIM_H

#include "mesh/mesh.h"
#include "mesh/seal.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mesh_sim;

struct mesh_sim_link {
    uint64_t rate_bits_per_s; /* of each directed link; 0: infinite */
    uint64_t delay_ns;
    uint32_t queue_bytes;                                        /* tail drop beyond; 0: infinite */
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm, bit_flip_ppm; /* at most 1000000 */
    uint64_t reorder_ns;                                         /* extra delay of a reordered datagram */
    uint32_t datagram_bytes_max;                                 /* larger ones vanish (path MTU); 0: no limit */
    bool checksum_off; /* a datagram with a flipped bit arrives; otherwise the checksum of UDP finds it, and it is lost */
};

/* rate_bits_per_s: 0 or at least 1000. Every datagram occupies MESH_SIM_OVERHEAD_BYTES more than its payload (Ethernet, IPv4, UDP). A
 * duplicate follows within half the delay. At most MESH_SIM_EVENTS_MAX datagrams and timers are under way at a time; more, or
 * MESH_SIM_EVENTS_MAX events without time advancing (a livelock), end the process with a message that names the seed. */
enum { MESH_SIM_OVERHEAD_BYTES = 66, MESH_SIM_EVENTS_MAX = 1 << 20 };

/* Called with the time; returns the virtual time the work took (0 = nothing to do: call again after the next input). */
typedef uint64_t mesh_sim_work_fn(void *app, uint64_t now_ns);

/* link: of all pairs. MESH_EINVAL: no ranks, or more than MESH_RANKS_MAX, no link, or one that breaks a rule stated above; MESH_ENOMEM. */
int mesh_sim_open(struct mesh_sim **sim, uint16_t rank_count, uint64_t seed, const struct mesh_sim_link *link);
void mesh_sim_close(struct mesh_sim *sim);
uint64_t mesh_sim_now_ns(const struct mesh_sim *sim);

/* Endpoint and application of a rank, which has none (asserted). The mesh is borrowed. Sets the peers' addresses in it. */
void mesh_sim_attach(struct mesh_sim *sim, uint16_t rank, struct mesh *mesh, mesh_sim_work_fn *work, void *app);

/* A rank's datagrams are sealed and opened, as by mesh_udp_set_sealer; the sealer outlives a crash of the rank. Borrowed; NULL: neither. */
void mesh_sim_set_sealer(struct mesh_sim *sim, uint16_t rank, struct mesh_sealer *sealer);

/* What a node runs, when it is not one mesh endpoint: functions with the meaning of mesh_receive, mesh_tick, mesh_timeout and
 * mesh_next_datagram. Addresses are as in mesh_sim_addr. */
struct mesh_sim_endpoint {
    void *core; /* borrowed */
    int (*receive)(void *core, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t packet_bytes);
    void (*tick)(void *core, uint64_t now_ns);
    uint64_t (*timeout)(const void *core);
    bool (*next_datagram)(void *core, uint64_t now_ns, uint8_t *packet, size_t capacity, struct mesh_output *output);
};

void mesh_sim_attach_endpoint(struct mesh_sim *sim, uint16_t rank, const struct mesh_sim_endpoint *endpoint, mesh_sim_work_fn *work,
                              void *app);

/* The application has given the rank's endpoint something to say from outside its work function. */
void mesh_sim_wake(struct mesh_sim *sim, uint16_t rank);

/* Stop a node's process: no time and no input until it goes on. What arrives waits in its buffer, as far as there is room. */
void mesh_sim_pause(struct mesh_sim *sim, uint16_t rank, bool paused);

/* Change the impairments of one directed link, by the rules for links (asserted). */
void mesh_sim_set_link(struct mesh_sim *sim, uint16_t from, uint16_t to, const struct mesh_sim_link *link);

/* A rank's own link to a switch, with this rate each way, at least 1000 (asserted). All that the rank sends passes it, one datagram after
 * the other, before the links between ranks; all that it receives, after them. A datagram to several ranks by the group leaves it once. 0
 * (at first): there is none. */
void mesh_sim_set_port(struct mesh_sim *sim, uint16_t rank, uint64_t rate_bits_per_s);

/* Drop the datagrams from → to whose ordinal (counted from this call) has its bit set; 64 of them. */
void mesh_sim_drop_mask(struct mesh_sim *sim, uint16_t from, uint16_t to, uint64_t mask);

/* No datagram passes from → to while blocked. */
void mesh_sim_block(struct mesh_sim *sim, uint16_t from, uint16_t to, bool blocked);

/* A rank that is deaf does not hear the multicast group: what is sent by the group (mesh_output.group) does not reach it. */
void mesh_sim_set_deaf(struct mesh_sim *sim, uint16_t rank, bool deaf);

/* Crash: the endpoint gets no input and no time, what is on the way to it is lost. Restart: attach again. */
void mesh_sim_crash(struct mesh_sim *sim, uint16_t rank);

/* What a rank's socket holds while its work takes time, charged as the kernel charges; what does not fit is lost. 0 (at first): no
 * limit. */
void mesh_sim_set_receive_buffer(struct mesh_sim *sim, uint16_t rank, uint64_t bytes);

/* Run until nothing is left to happen up to `deadline_ns`, or done(app) is true (asked after every event; may be NULL). Returns true when
 * done said so; otherwise the time is then the deadline, or, where that is UINT64_MAX, that of the last event. */
bool mesh_sim_run(struct mesh_sim *sim, uint64_t deadline_ns, bool (*done)(void *), void *app);

/* Watch every datagram that is put on a wire (before loss), e.g. to count types or write a capture. */
typedef void mesh_sim_watch_fn(void *app, uint64_t now_ns, uint16_t from, uint16_t to, const uint8_t *packet, size_t bytes, bool dropped);
void mesh_sim_watch(struct mesh_sim *sim, mesh_sim_watch_fn *watch, void *app);

/* The address of a rank in the simulator: the rank in the port. */
struct mesh_addr mesh_sim_addr(uint16_t rank);

struct mesh_sim_stats {
    uint64_t events;
    uint64_t sent, delivered; /* delivered + lost = sent + duplicated, when nothing is under way */
    uint64_t duplicated, reordered, flipped;
    uint64_t refused; /* among the delivered: not opened, so not fed to the core */
    uint64_t lost;    /* all that follow together */
    uint64_t lost_by_mask, lost_blocked, lost_at_random, lost_in_queue, lost_too_large, lost_checksum, lost_in_buffer, lost_to_crashed;
};
void mesh_sim_get_stats(const struct mesh_sim *sim, struct mesh_sim_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
