/* What stands out in a report, in sentences, each with what to look at next. */
#ifndef DISSECTOR_FINDINGS_H
#define DISSECTOR_FINDINGS_H

#include "analysis.h"
#include "timeline.h"
#include "vantage.h"

enum findings_place {
    FINDINGS_UNKNOWN,
    FINDINGS_SENDER,
    FINDINGS_WIRE,
    FINDINGS_RECEIVER,
    FINDINGS_BEFORE_RECEIVER, /* one of the first two; a capture at the receiver tells no more */
    FINDINGS_AFTER_SENDER,    /* one of the last two, as a capture at the sender tells */
    FINDINGS_PLACES
};

extern const char *const findings_place_names[FINDINGS_PLACES];

enum { FINDINGS_BYTES = 520 };

/* Counted over all datagrams, of epochs or not. */
struct findings_seen {
    uint64_t foreign, cut;        /* not of the mesh; cut: of these, captured too short for a header to be recognised */
    uint64_t closed, opened;      /* whole datagrams of epochs: sealed and not opened; opened */
    uint64_t closed_aes;          /* of those not opened: sealed with AES */
    bool has_key, has_expression; /* expression: BPF, which may exclude everything */
};

struct findings {
    const struct analysis *analysis;
    const struct timeline *timeline;
    const struct vantage *vantage; /* of a single capture; NULL: none */
    struct findings_seen seen;
    uint32_t places[LINKS_MAX][FINDINGS_PLACES]; /* losses of each link, by where they vanished */
    uint32_t passed[LINKS_MAX];                  /* of those at an unknown place: they passed where the capture was taken */
    uint32_t early[LINKS_MAX];                   /* lost because the receiver did not listen yet: in no place, and no fault */
    uint32_t probes[LINKS_MAX][2];               /* lost, and need not arrive: of the path's size; of the group. In no place, either */
    uint64_t probe_bytes[LINKS_MAX];             /* the smallest of the former; 0: none */
    uint32_t unknown[LINKS_MAX];                 /* of those in places: neither in a capture nor asked for */
    void (*on_finding)(void *context, const char *severity, const char *text);
    void *context;
};

void findings_note(struct findings *findings, const struct packet *packet);
void findings_note_loss(struct findings *findings, const struct analysis_loss *loss, enum findings_place place);

/* Call on_finding for each; at least once. */
void findings_tell(const struct findings *findings);

#endif
