/* Sentences about all nodes that are alike: what --lab does to them, and that their recordings are not there. */
#ifndef MONITOR_NODE_NOTE_H
#define MONITOR_NODE_NOTE_H

#include "findings.h"

/* The sentence of that index, from 0; false: there are no more. */
bool node_note(const struct fleet *fleet, int index, char out[FINDING_BYTES]);

#endif
