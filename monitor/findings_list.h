/* The list that the parts of findings.c add to: each part looks for one kind of thing. */
#ifndef MONITOR_FINDINGS_LIST_H
#define MONITOR_FINDINGS_LIST_H

#include "findings.h"

enum { FINDINGS_ALIKE = 3 /* more of one kind are one sentence, so that they leave room for other things */ };

struct findings_list {
    const struct fleet *fleet;
    uint64_t tick;
    struct finding *findings; /* (FINDINGS_MAX) */
    int count;
    int order[FLEET_NODES_MAX], nodes; /* all nodes as screens list them */
};

/* What there is no room for is left out. */
__attribute__((format(printf, 3, 4))) void findings_add(struct findings_list *list, enum style style, const char *format, ...);

/* Do steps run, and have they for more than one of the last intervals? One alone may be a prompt, or the begin of an epoch. */
bool findings_runs(const struct fleet *fleet, uint64_t tick);

/* Nodes that are gone, not heard, suspected, or not yet there. findings_gone.c. */
void findings_gone(struct findings_list *list);

/* Links that lose datagrams, or nodes that do. findings_losses.c. */
void findings_losses(struct findings_list *list);

/* The state of all nodes, in one sentence. findings_all.c. */
void findings_all(struct findings_list *list);

#endif
