/* Two traces that are made row by row, and compared. */
#ifndef DIFF_CASE_H
#define DIFF_CASE_H

#include "replay/diff.h"

struct diff_case {
    char folder[64], paths[2][96];
    struct mesh_trace *writers[2];
    struct diff diff;
    struct fail failure;
};

extern struct diff_case diff_case;

/* Both traces are begun, and marked as holding all ids and data. */
int diff_case_set_up(void **state);
int diff_case_tear_down(void **state);

void diff_case_add_token(unsigned side, uint64_t request, uint64_t position, uint64_t token, int64_t t_ns);

/* Commits both traces and opens them in diff. */
void diff_case_open(void);

#endif
