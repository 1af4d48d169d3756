/* Which host sends to which, and what is known of each number: the memory of the analysis.
 *
 * A link is what one sender sends to one receiver in one epoch, in two spaces: to all, and to that receiver alone. The last LINKS_WINDOW
 * numbers of each space are kept, as the receiver itself keeps them. A host is a receiver in an epoch, with the last gathers sent to it. A
 * datagram to a multicast group counts as sent to all known receivers of its sender, whether they have joined the group or not.
 *
 * There are at most LINKS_MAX links and as many hosts. Of the links at most LINKS_SESSIONS_MAX are of clients' sessions, so that the many
 * sessions of a long capture take no place from the mesh. Datagrams of further links are counted and left out. A link takes 98 kB, a host
 * 29 kB: 65 MB in all.
 *
 * With several captures, each taken on a different host, a link is judged by the one at its receiver; where there is none, by the one at
 * its sender; else by the first that shows it. For a link captured at both ends the sender's last LINKS_WINDOW numbers are kept, too: 50 kB
 * more each. */
#ifndef DISSECTOR_LINKS_H
#define DISSECTOR_LINKS_H

#include "mesh/histogram.h"
#include "numbers.h"
#include "packet.h"
#include "sizes.h"

enum {
    LINKS_WINDOW = 512,
    LINKS_MAX = 512,
    LINKS_SESSIONS_MAX = 128,
    LINKS_GATHERS = 128,
    LINKS_SEEN_WORDS = 16,
    LINKS_POINTS_MAX = 16,
    LINKS_REPORTS = 8
};

/* One number of a space. */
struct link_entry {
    uint64_t number;   /* 0: this place is free */
    uint64_t ts_ns;    /* when it was captured; if it is missing, when the gap was noticed */
    uint64_t datagram; /* its number in the capture; 0: it is missing */
    /* Of a TILE that was decoded its step, as of what a NAK asked for in its place; of a PING its origin_ns, of a HELLO its nonce, of a
     * PROBE its bytes. */
    uint64_t step;
    uint64_t nak_ns;    /* when a NAK first asked for it; 0: never */
    uint64_t repair_ns; /* when its data was sent again; 0: never */
    uint64_t repair;    /* the number with which it was; in the space to all if repair_is_all */
    double stall_ns;    /* how much longer than usual it was waited for; below 0: not known */
    uint16_t phase;
    struct mesh_range range;
    uint8_t type;                                                                       /* 0: not known */
    uint16_t bytes;                                                                     /* UDP payload; 0: not known */
    bool repair_is_all : 1, is_missing : 1, has_range : 1, is_resend : 1, is_sized : 1; /* bits, since a byte more would be 8 kB per link */
    bool is_copy, is_lost, is_needed, is_proved, is_resent;
    bool is_of_known;     /* of a resend or copy: the entry that it repeats is known */
    bool is_sent;         /* the sender's capture shows it */
    bool by_group;        /* seen on its way to a multicast group; it may go to this receiver alone, too */
    bool is_passed : 1;   /* asked for by a receiver that had seen this number or later ones: it was not on its way */
    bool is_repeat : 1;   /* of a resend or copy: some of it was brought before, by another one */
    bool is_early : 1;    /* lost because the receiver did not listen yet, or not to this sender */
    bool is_doubtful : 1; /* named as lost once, but then one of those named came late */
    bool is_come : 1;     /* a report names it as the highest that has come; captured or not */
    bool is_inferred : 1; /* of a lost one that was captured: that holds only if none overtakes another behind the capture */
    bool is_asked : 1;    /* has_range is of a NAK, one range of which may cover several datagrams */
};

struct link_space {
    uint64_t first, highest;             /* numbers; first 0: nothing yet */
    uint64_t sized;                      /* the highest number that sizes.h has taken */
    uint64_t last_missed;                /* the highest number skipped; 0: the content of all missing numbers is known */
    uint64_t seen;                       /* highest that the receiver says it has seen, by its last report */
    uint64_t seen_before[LINKS_REPORTS]; /* and by those before */
    uint64_t marks[3];                   /* the same at link.mark_ns, and at the two marks before; up to the second all is judged */
    uint64_t settled[4];                 /* the same at link.settle_ns and before; what was lost up to the last is counted */
    uint64_t counted[LINKS_REPORTS];     /* the last of settled when each report of link.fresh came: it counts no number up to that anew */
    struct link_entry entries[LINKS_WINDOW];
};

/* The same number as it left the sender's host. */
struct link_sent {
    uint64_t number, ts_ns, step, nak_ns;
    struct mesh_range range;
    uint16_t phase;
    uint16_t bytes;
    uint8_t type;
    bool has_range, is_resend, is_copy;
};

struct link_departures {
    uint64_t first, highest; /* numbers; first 0: nothing yet */
    struct link_sent sent[LINKS_WINDOW];
};

struct link_gather {
    uint64_t step, have_ns;             /* have_ns: first sign that the host holds it */
    uint64_t own_first_ns, own_last_ns; /* when the host's own tiles left; 0: none */
    uint64_t last_ns, wait_ns;          /* when the last tile with new data came; the wait for it after the host's own tiles */
    uint64_t seen[LINKS_SEEN_WORDS];    /* hashes of the tiles that came */
    unsigned tokens;
    uint16_t phase, last_src; /* whose tile the last one was */
    bool is_used, is_done;    /* is_done: the times are judged */
};

struct link_host {
    uint32_t epoch;
    uint64_t begun_ns;         /* when it was seen first */
    uint64_t sent_ns, tile_ns; /* when it sent anything, and a tile, for the last time before the next epoch began; 0: never */
    uint64_t next_ns;          /* when that began; 0: never */
    uint32_t next_epoch;
    struct frame_address address;
    unsigned mesh;  /* the same for all hosts that exchange datagrams in this epoch */
    unsigned point; /* capture point that its own reports are taken from */
    uint64_t have_step;
    uint16_t have_phase, rank;
    bool has_any;
    bool is_overtaken; /* what it sends is overtaken on the way, behind the capture */
    size_t next_gather;
    struct link_gather gathers[LINKS_GATHERS];
    uint64_t done_ns, done_step; /* of the last gather that was whole */
    uint64_t srcs;               /* ranks whose tiles were seen on their way to it, by bit */
    struct mesh_histogram waits; /* for the others' tiles of a gather, after the host's own had left */
    /* From when the host says that it sent to when that passed: by two clocks, so less the least of them. Where the capture was taken on
     * this host both are its own, and what is left is how long datagrams waited there before they left. */
    uint64_t least_ns;
    struct mesh_histogram queued;
};

struct link_counts {
    uint64_t datagrams, bytes, tiles, lost, not_captured, resent, spurious_resend, duplicate, reordered, late, naks;
    uint64_t lost_unseen;  /* of those lost, not in the capture */
    uint64_t lost_counted; /* of these, named by the receiver's count: it asked for none of them after seeing later numbers */
    uint64_t lost_probes;  /* of those lost, probes that need not arrive, see analysis_is_lost_probe */
};

struct link {
    uint32_t epoch;
    uint16_t src, dst; /* ranks; dst 65535 until something to it alone was seen */
    bool is_v6;
    struct frame_address from, to;
    struct link_host *sender, *receiver;        /* NULL: no place */
    struct link_space spaces[2];                /* to this receiver, to all */
    struct numbers_incarnation incarnations[2]; /* of the spaces; a restarted process has links of its own */
    bool has_report, has_tiles;
    bool is_overtaken; /* the receiver counted fewer losses again, and the capture does not show which datagram came late */
    uint64_t answer;   /* number of the first datagram that answers a HELLO: the receiver takes none before it; 0: none */
    uint64_t report_base, reported, assigned; /* lost, as the receiver counts, and how many of them are named */
    uint64_t doubted;                         /* how many more of them are among those that were named and may have come late */
    unsigned settles;                         /* how many times link_space.settled was noted */
    uint64_t turned_up;                       /* came out of order in the capture, so that the receiver may count as many less again */
    uint64_t fresh[LINKS_REPORTS];            /* counted by its last reports, and not named */
    uint64_t mark_ns;
    uint64_t report_ns, settle_ns; /* when the last report was sent, and that of link_space.settled, by the receiver's clock */
    uint64_t proved_bytes[2];      /* the largest probe that the receiver has answered, in each space; 0: none */
    uint64_t turn_ns;              /* least time from a captured ping to its captured pong, less what the receiver took; 0: none */
    uint64_t first_ns, last_ns, first_tile_ns, last_tile_ns;
    int at_sender, at_receiver;         /* points; -1: no capture there, or not known */
    unsigned point;                     /* by which it is judged */
    struct link_departures *departures; /* (2) as the spaces; NULL: not captured at both ends */
    uint64_t missed_at_sender;          /* seen at the receiver's host only */
    struct link_counts counts;
    struct sizes sizes;
    struct mesh_histogram tile_gaps, latency; /* latency: from host to host, of all that both captures show */
};

/* A host where captures were taken. */
struct links_point {
    bool is_known;
    bool is_proved; /* it was taken there, not on the way to that host */
    uint8_t ip[16];
    uint64_t first_ns, last_ns; /* of the datagrams there */
};

struct links {
    size_t count, host_count, session_count;
    struct link *links[LINKS_MAX];
    struct link_host *hosts[LINKS_MAX];
    struct link *last;
    size_t point_count; /* 0: one capture, and where it was taken is not known */
    struct links_point points[LINKS_POINTS_MAX];
    uint64_t renewed;                     /* links begun anew because their processes were */
    uint64_t left_out, sessions_left_out; /* datagrams of links that had no place: of the mesh, of sessions */
    bool lacks_memory;                    /* some of their state has no memory, so not everything is counted */
};

void links_release(struct links *links);

/* Note a datagram captured at a point. */
static inline void links_pass(struct links *links, const struct packet *packet)
{
    struct links_point *point = &links->points[packet->point];

    if (point->first_ns == 0 || packet->ts_ns < point->first_ns)
        point->first_ns = packet->ts_ns;
    if (packet->ts_ns > point->last_ns)
        point->last_ns = packet->ts_ns;
}

/* The link of a datagram; NULL: no place (counted) or no memory. */
struct link *links_of(struct links *links, const struct packet *packet);

/* The link in the other direction; NULL: none so far. */
struct link *links_back(struct links *links, const struct packet *packet);

/* Is this the address of a host that is or was of the same mesh, and in the same epoch, as this one? */
bool links_is_of_mesh(const struct links *links, const struct link_host *host, const struct frame_address *address);

/* How many meshes the capture holds at once, with no link from one to another. 0: never more than one. */
unsigned links_meshes(const struct links *links);

/* The gather at a host; with `make`, added if it is absent, in place of the oldest. */
struct link_gather *links_gather(struct link_host *host, uint64_t step, uint16_t phase, bool make);

/* Is it of a client's session, not of the mesh? Their epochs are drawn from the upper half. */
static inline bool links_is_session(const struct link *link)
{
    return link->epoch >> 31 != 0;
}

/* The lowest number that is kept of a space, by its highest. */
static inline uint64_t links_oldest(uint64_t highest)
{
    return highest >= LINKS_WINDOW ? highest - LINKS_WINDOW + 1 : 1;
}

static inline struct link_entry *links_entry(struct link_space *space, uint64_t number)
{
    struct link_entry *entry = &space->entries[number % LINKS_WINDOW];

    return entry->number == number && number != 0 ? entry : NULL;
}

/* Has the host shown that it holds this gather? */
static inline bool links_has(const struct link_host *host, uint64_t step, uint16_t phase)
{
    return host != NULL && host->has_any && (host->have_step > step || (host->have_step == step && host->have_phase >= phase));
}

#endif
