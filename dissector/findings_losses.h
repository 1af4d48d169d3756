/* What findings say of lost datagrams, by where they vanished. */
#ifndef DISSECTOR_FINDINGS_LOSSES_H
#define DISSECTOR_FINDINGS_LOSSES_H

#include "findings.h"

/* The losses of a link, if they are enough: the place of most of them, or, where they vanish at several, each. */
bool findings_tell_losses(const struct findings *findings, size_t index);

/* The losses of a link are of large datagrams alone. */
bool findings_tell_sizes(const struct findings *findings, size_t index);

/* The losses of a link that are no fault: probes. */
bool findings_tell_probes(const struct findings *findings, size_t index);

/* What the places of losses rest on, where only one capture tells them; or that --at names none of its hosts. */
bool findings_tell_vantage(const struct findings *findings);

#endif
