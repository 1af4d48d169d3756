/* Sentences about all nodes that are alike: what --lab does to them, and that their recordings are not there. */
#ifndef MONITOR_NODE_NOTE_H
#define MONITOR_NODE_NOTE_H

#include "findings_list.h"

/* The sentence of that index, from 0, at the list's tick; false: there are no more. */
bool node_note(const struct findings_list *list, int index, char out[FINDING_BYTES]);

#endif
