/* What became of every number: the analysis of captures.
 *
 * Numbers are gapless in each space of a link, so what is not in the capture was sent all the same. Whether the receiver got it, it says
 * itself when its datagrams can be read: STATUS and PONG count what never came up to the numbers they name, NAKs name data. With these
 * - a number that is not in the capture is lost as long as the receiver's count allows for it, and else not captured;
 * - one that is in the capture is lost when the receiver counts a loss and asked for its data, or when nothing but it can be meant.
 * Without a key every number that is not in the capture counts as lost: nothing says otherwise.
 * Memory: see links.h. */
#ifndef DISSECTOR_ANALYSIS_H
#define DISSECTOR_ANALYSIS_H

#include "links.h"
#include "steps.h"

struct analysis_loss {
    const struct link *link;
    const struct link_entry *entry; /* NULL: the receiver counted it, and which one it was cannot be told */
    bool is_all;                    /* of the space to everybody */
    double repair_ms, stall_ms;     /* below 0: not repaired in the capture, not known */
};

struct analysis_stall {
    const struct link_host *receiver;
    uint64_t step;
    uint16_t phase;
};

struct analysis {
    struct links links;
    struct steps steps; /* its on_step may be set after analysis_init */
    struct analysis_stall last_stall;
    struct link_counts sum;
    uint64_t stalls;
    double stall_ms;
    uint64_t first_ns, last_ns, now_ns; /* the earliest, the latest, and that of the datagram at hand */
    uint64_t backward;                  /* datagrams that are clearly earlier than the one before them */
    uint64_t cut_tiles;                 /* that the capture holds a part of only, so that nothing tells what they bring */
    void (*on_loss)(void *context, const struct analysis_loss *loss);   /* as soon as all is known of it; not in order of time */
    void (*on_spurious)(void *context, const struct link_entry *entry); /* a resend in vain; NULL, as at first: not told */
    /* Each datagram as the capture that judges its link shows it; may be NULL. */
    void (*on_datagram)(void *context, const struct link *link, const struct packet *packet);
    void *context;
};

void analysis_init(struct analysis *analysis, void (*on_loss)(void *, const struct analysis_loss *), void *context);
void analysis_add(struct analysis *analysis, const struct packet *packet);

/* At the end of the capture: judges what is left, and sums up. */
void analysis_end(struct analysis *analysis);
void analysis_release(struct analysis *analysis);

#endif
