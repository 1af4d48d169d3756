/* What a display filter lets through of a capture, and what is known of each datagram by the time it is seen.
 *
 * For each frame call selection_frame, then selection_take for each datagram in it, or once with none. */
#ifndef DISSECTOR_SELECTION_H
#define DISSECTOR_SELECTION_H

#include "filter.h"
#include "verdicts.h"

struct selection {
    const struct filter *filter;            /* borrowed; NULL: everything */
    struct numbers *numbers;                /* owned; NULL: not asked for */
    const struct verdicts *verdicts;        /* borrowed; of the file at hand. NULL: not asked for */
    uint64_t before;                        /* datagrams in earlier files */
    uint64_t first_ns, previous_ns, now_ns; /* capture times of the first frame, the previous one, and the one at hand */
    bool is_wanted;                         /* the filter has let something of the frame at hand through */
    uint64_t frames, datagrams;             /* let through so far; datagrams: those of the mesh only */
    struct numbers_verdict what;            /* what numbers say of the datagram at hand; all zeros without them */
    unsigned verdict;                       /* what verdicts say of it: bits of enum filter_verdict */
};

/* filter: NULL lets everything through. -1 with EXIT_ENVIRONMENT. */
int selection_open(struct selection *selection, const struct filter *filter, bool with_numbers, struct fail *fail);
void selection_close(struct selection *selection);

/* A frame begins; what is in it follows. */
void selection_frame(struct selection *selection, uint64_t ts_ns);

/* Is this datagram let through, or a frame that holds none (packet->bytes NULL)? */
bool selection_take(struct selection *selection, const struct packet *packet);

/* The note at the end of the datagram's line: what was found out about it, and how many are missing before it. "": nothing. */
void selection_note(const struct selection *selection, char *out, size_t size);

#endif
