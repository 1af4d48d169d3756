/* Verdicts on datagrams that depend on what follows them in a capture: so the file is read and analysed before any of it is printed.
 *
 * Only datagrams that were lost or resent without need are remembered: 8 bytes each, 32 MiB at most. */
#ifndef DISSECTOR_VERDICTS_H
#define DISSECTOR_VERDICTS_H

#include "analysis.h"
#include "capture.h"
#include "filter.h"
#include "keys.h"

enum { VERDICTS_MAX = 4 << 20 };

struct verdicts;

/* For datagrams that the caller passes to analysis_add with unique numbers; after verdicts_end their verdicts can be asked for. NULL, or
 * -1, with EXIT_ENVIRONMENT. */
struct verdicts *verdicts_open(struct fail *fail);
struct analysis *verdicts_analysis(struct verdicts *verdicts);
int verdicts_end(struct verdicts *verdicts, struct fail *fail);

/* Read a whole file, or until a signal comes, and end. keys: borrowed, may be NULL. on_loss: called for each loss, too; may be NULL. NULL
 * with EXIT_USAGE, EXIT_BAD_FILE or EXIT_ENVIRONMENT. */
struct verdicts *verdicts_read(const struct capture_options *options, struct keys *keys,
                               void (*on_loss)(void *context, const struct analysis_loss *loss), void *context, struct fail *fail);
void verdicts_free(struct verdicts *verdicts); /* NULL is fine */

/* Bits of enum filter_verdict for a datagram, by its number. */
unsigned verdicts_of(const struct verdicts *verdicts, uint64_t datagram);

/* How many verdicts were left out for lack of room; and how many datagrams were not judged, as their links had no place (see links.h). */
uint64_t verdicts_left_out(const struct verdicts *verdicts);
uint64_t verdicts_not_judged(const struct verdicts *verdicts);

#endif
