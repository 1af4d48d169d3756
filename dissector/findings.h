/* What stands out in a report, in sentences, each with what to look at next. */
#ifndef DISSECTOR_FINDINGS_H
#define DISSECTOR_FINDINGS_H

#include "analysis.h"
#include "timeline.h"
#include "vantage.h"

/* Where a datagram vanished. */
enum findings_place {
    FINDINGS_UNKNOWN,
    FINDINGS_SENDER,          /* in the sender's host */
    FINDINGS_WIRE,            /* between the hosts */
    FINDINGS_RECEIVER,        /* in the receiver's host */
    FINDINGS_BEFORE_RECEIVER, /* in the sender's host or on the wire: a capture at the receiver tells no more */
    FINDINGS_AFTER_SENDER,    /* on the wire or in the receiver's host: a capture at the sender tells no more */
    FINDINGS_PLACES
};

extern const char *const findings_place_names[FINDINGS_PLACES];

enum { FINDINGS_BYTES = 520 };

/* Counts of datagrams of the whole capture, and what it was read with. */
struct findings_seen {
    uint64_t foreign;    /* not of the mesh */
    uint64_t cut;        /* of these, captured too short for a header to be recognised */
    uint64_t opened;     /* whole datagrams of epochs that were unsealed */
    uint64_t closed;     /* whole datagrams of epochs that no key has unsealed */
    uint64_t closed_aes; /* of these, sealed with AES */
    bool has_key;
    bool has_expression; /* of BPF, which may have excluded everything */
};

struct findings {
    const struct analysis *analysis;
    const struct timeline *timeline;
    const struct vantage *vantage; /* of a single capture; NULL: none */
    struct findings_seen seen;
    /* Losses of each link. Those of early and probes are no fault, and not counted in places. */
    uint32_t places[LINKS_MAX][FINDINGS_PLACES]; /* by where they vanished */
    uint32_t passed[LINKS_MAX];                  /* of those at an unknown place: are in the capture, so they vanished behind it */
    uint32_t unknown[LINKS_MAX];                 /* of those in places: neither in a capture nor asked for, so what they held is unknown */
    uint32_t early[LINKS_MAX];                   /* the receiver did not listen yet */
    uint32_t probes[LINKS_MAX][2];               /* probes of the path's size, and of the group */
    uint64_t probe_bytes[LINKS_MAX];             /* the smallest lost probe of the path's size; 0: none */
    /* severity: "error", "warning" or "note". text: a sentence, borrowed for the call. */
    void (*on_finding)(void *context, const char *severity, const char *text);
    void *context;
};

/* Count a datagram; count a loss that the analysis reports, and where it happened. */
void findings_note(struct findings *findings, const struct packet *packet);
void findings_note_loss(struct findings *findings, const struct analysis_loss *loss, enum findings_place place);

/* Call on_finding for each; at least once. */
void findings_tell(const struct findings *findings);

#endif
