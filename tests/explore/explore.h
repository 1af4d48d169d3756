/* The explorer runs many random scenarios on the simulator, each decided by a seed, until the time is up or one fails. */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct explore_report {
    uint64_t events, datagrams, virtual_ns;
    uint64_t tokens;                  /* told to clients or received by nodes; all of them checked */
    uint64_t epochs, faults, heal_ns; /* members, serve: heal_ns from the last fault to one epoch */
    char scenario[800];               /* its description */
    char error[1300];                 /* what went wrong; empty: nothing */
};

/* A kind of scenario. run: everything follows from the seed; fills *report, which is zero before. */
struct explore_kind {
    const char *name;
    const char *meaning;
    unsigned weight; /* its part of the time when several kinds run */
    void (*run)(uint64_t seed, struct explore_report *report);
};

extern const struct explore_kind explore_exchange; /* explore_exchange.c */
extern const struct explore_kind explore_cluster;  /* explore_cluster.c */
extern const struct explore_kind explore_members;  /* explore_members.c */
extern const struct explore_kind explore_serve;    /* explore_serve.c */

#endif
