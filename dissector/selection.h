/* What is selected of a capture: the frames and datagrams that a display filter lets through, and what is known of each as it is seen. */
#ifndef DISSECTOR_SELECTION_H
#define DISSECTOR_SELECTION_H

#include "filter.h"
#include "verdicts.h"

struct selection {
    const struct filter *filter;     /* borrowed; NULL: everything */
    struct numbers *numbers;         /* owned; NULL: not asked for */
    const struct verdicts *verdicts; /* borrowed; of the file at hand. NULL: not asked for */
    uint64_t before;                 /* datagrams in earlier files */
    uint64_t first_ns, previous_ns;  /* of the first frame, and of the previous one */
    uint64_t now_ns;
    bool is_wanted;             /* the filter lets something of the frame at hand through */
    uint64_t frames, datagrams; /* selected so far; datagrams of the mesh */
    /* Of the datagram at hand; bits of enum filter_verdict. */
    struct numbers_verdict what;
    unsigned verdict;
};

/* filter: NULL lets everything through. -1 with EXIT_ENVIRONMENT. */
int selection_open(struct selection *selection, const struct filter *filter, bool with_numbers, struct fail *fail);
void selection_close(struct selection *selection);

/* A frame begins; what is in it follows. */
void selection_frame(struct selection *selection, uint64_t ts_ns);

/* Is this datagram, or a frame that holds none, let through? */
bool selection_take(struct selection *selection, const struct packet *packet);

/* What stands at the end of its line: what was found out about it, and how many are missing before it. "": nothing. */
void selection_note(const struct selection *selection, char *out, size_t size);

#endif
