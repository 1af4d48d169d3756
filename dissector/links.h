/* Who sends to whom, and what is known of each number: the memory of the analysis.
 *
 * A link is one sender's datagrams to one receiver in one epoch, in two spaces: to everybody, and to that receiver. Of each space the last
 * LINKS_WINDOW numbers are kept, as the receiver itself does. A host is a receiver in an epoch, with the last gathers that were sent to it.
 * At most LINKS_MAX links and as many hosts; what comes beyond is counted and left out. A link takes 85 kB; 47 MB in all. */
#ifndef DISSECTOR_LINKS_H
#define DISSECTOR_LINKS_H

#include "mesh/histogram.h"
#include "packet.h"

enum { LINKS_WINDOW = 512, LINKS_MAX = 512, LINKS_GATHERS = 128 };

/* One number of a space. */
struct link_entry {
    uint64_t number;    /* 0: nothing */
    uint64_t ts_ns;     /* when it was captured; of a missing one, when that was seen */
    uint64_t datagram;  /* its number in the capture; 0: missing */
    uint64_t step;      /* of a TILE that was decoded, or of what a NAK asked for in its place; of a PING its origin_ns */
    uint64_t asked_ns;  /* by the first NAK; 0: never */
    uint64_t repair_ns; /* when its data was sent again; 0: never */
    uint64_t repair;    /* number of that, and in which space */
    uint16_t phase;
    struct mesh_range range;
    uint8_t type; /* 0: not known */
    bool repair_is_all, is_missing, has_range, is_resend, is_copy, is_lost, is_needed, is_proved, is_resent;
};

struct link_space {
    uint64_t first, highest;       /* numbers; first 0: nothing yet */
    uint64_t seen, seen_before[3]; /* highest that the receiver says it has seen: by its last report and the three before */
    struct link_entry entries[LINKS_WINDOW];
};

struct link_gather {
    uint64_t step, last_tile_ns, have_ns; /* have_ns: first sign that the receiver holds it */
    uint16_t phase;
    bool is_used, is_hurt; /* hurt: something of it was lost */
};

struct link_host {
    uint32_t epoch;
    struct frame_address address;
    uint64_t have_step;
    uint16_t have_phase;
    bool has_any;
    size_t next_gather;
    struct link_gather gathers[LINKS_GATHERS];
    struct mesh_histogram usual; /* from the last tile of a gather to the first sign that it is held */
};

struct link_counts {
    uint64_t datagrams, bytes, tiles, lost, not_captured, resent, spurious_resend, duplicate, reordered, late, naks;
};

struct link {
    uint32_t epoch;
    uint16_t src, dst; /* ranks; dst 65535 until something to it alone was seen */
    bool is_v6;
    struct frame_address from, to;
    struct link_host *sender, *receiver; /* NULL: no place */
    struct link_space spaces[2];         /* to this receiver, to everybody */
    bool has_report;
    uint64_t report_base, reported, assigned; /* lost, as the receiver counts, and how many of them are named */
    uint64_t fresh[3];                        /* counted by its last three reports, and not named */
    uint64_t turn_ns; /* least time from a captured ping to its captured pong, less what the receiver took; 0: none */
    uint64_t first_ns, last_ns, last_tile_ns;
    struct link_counts counts;
    struct mesh_histogram tile_gaps;
};

struct links {
    size_t count, host_count;
    struct link *links[LINKS_MAX];
    struct link_host *hosts[LINKS_MAX];
    struct link *last;
    uint64_t left_out; /* datagrams of links that had no place */
};

void links_release(struct links *links);

/* The link of a datagram; NULL: no place or no memory (counted). */
struct link *links_of(struct links *links, const struct packet *packet);

/* The link in the other direction; NULL: none so far. */
struct link *links_back(struct links *links, const struct packet *packet);

/* The same of a link. */
const struct link *links_reverse(struct links *links, const struct link *link);

/* The gather as it goes to a host; with `make`, put in when it is not there, the oldest making room. */
struct link_gather *links_gather(struct link_host *host, uint64_t step, uint16_t phase, bool make);

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
