/* What findings say of lost datagrams, by where they vanished.
 *
 * For findings_tell. Each function calls on_finding for what it finds, and returns whether it found anything. index: of the link. */
#ifndef DISSECTOR_FINDINGS_LOSSES_H
#define DISSECTOR_FINDINGS_LOSSES_H

#include "findings.h"

/* A link's losses, if there are at least three: the place where nearly all of them vanished, else each place. */
bool findings_tell_losses(const struct findings *findings, size_t index);

/* Whether only large datagrams of a link are lost. */
bool findings_tell_sizes(const struct findings *findings, size_t index);

/* A link's lost probes, which are no fault. */
bool findings_tell_probes(const struct findings *findings, size_t index);

/* With a single capture and any losses: how it is known at which host it was taken; or that --at names none of its hosts. */
bool findings_tell_vantage(const struct findings *findings);

#endif
