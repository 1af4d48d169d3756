/* Several captures of one run, one per host, analysed together.
 *
 * They are read twice: once to compare their clocks and to find out at which host each was taken, then all at once, in the order of the
 * first one's clock; and once more where a ladder's filter asks what became of datagrams. Memory: see samples.h and links.h. */
#ifndef DISSECTOR_MERGE_H
#define DISSECTOR_MERGE_H

#include <signal.h>

#include "clocks.h"
#include "keys.h"
#include "report.h"
#include "settings.h"

/* Analyse all files of the settings into report, which has begun, and end it. keys: borrowed, may be NULL. *stop: end early when it is set.
 * -1 with EXIT_USAGE, EXIT_BAD_FILE or EXIT_ENVIRONMENT. */
int merge_analyze(const struct settings *settings, struct keys *keys, struct report *report, const volatile sig_atomic_t *stop,
                  struct fail *fail);

#endif
