/* Analysis of captures: what became of every number.
 *
 * Numbers are gapless in each space of a link, so a number that is not in the capture was sent all the same. Whether it arrived follows
 * from the receiver's own datagrams, when they can be read: STATUS and PONG count losses up to the numbers they name, NAKs name data. With
 * these
 * - a number that is not in the capture is lost as long as the receiver's count allows for it, otherwise not captured;
 * - a number in the capture is lost when the receiver counts a loss and asked for its data, or when no other number can be meant.
 * Without a key every number that is not in the capture counts as lost. Memory: see links.h. */
#ifndef DISSECTOR_ANALYSIS_H
#define DISSECTOR_ANALYSIS_H

#include "links.h"
#include "steps.h"

struct analysis_loss {
    const struct link *link;
    const struct link_entry *entry; /* NULL: the receiver counted the loss, but which number it was is not known */
    bool is_all;                    /* of the space to all */
    double repair_ms, stall_ms;     /* below 0: not repaired in the capture; not known */
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
    uint64_t first_ns, last_ns, now_ns;                                 /* the earliest, the latest, and that of the datagram at hand */
    uint64_t backward;                                                  /* datagrams that are clearly earlier than the one before them */
    uint64_t cut_tiles;                                                 /* captured only in part, so that what they bring is not known */
    void (*on_loss)(void *context, const struct analysis_loss *loss);   /* once all is known of the loss; not in order of time */
    void (*on_spurious)(void *context, const struct link_entry *entry); /* an unneeded resend; NULL, as at first: not reported */
    /* Called for each datagram in the capture that judges its link; may be NULL. */
    void (*on_datagram)(void *context, const struct link *link, const struct packet *packet);
    void *context;
};

/* Was it a probe of a size that no answered probe had, so that the path need not carry it, or one for a multicast group that the receiver
 * need not hear? (docs/PROTOCOL.md, Path MTU, Multicast) */
bool analysis_is_lost_probe(const struct analysis_loss *loss);

void analysis_init(struct analysis *analysis, void (*on_loss)(void *, const struct analysis_loss *), void *context);
void analysis_add(struct analysis *analysis, const struct packet *packet);

/* At the end of the capture: judges what is left, and sums up. */
void analysis_end(struct analysis *analysis);

/* -1 with EXIT_ENVIRONMENT: memory for its links was lacking, so something was not analysed. */
int analysis_check(const struct analysis *analysis, struct fail *fail);
void analysis_release(struct analysis *analysis);

#endif
