/* What --lab does to nodes, in sentences: one for all nodes of which it does the same. */
#ifndef MONITOR_LAB_NOTE_H
#define MONITOR_LAB_NOTE_H

#include "findings.h"

/* The sentence of that index, from 0; false: there are no more. */
bool lab_note(const struct fleet *fleet, int index, char out[FINDING_BYTES]);

#endif
