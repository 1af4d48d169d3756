/* Signals that mesh-dissect heeds: some end a capture, SIGUSR1 asks for counts, SIGUSR2 for what -w has to be in its file. */
#ifndef DISSECTOR_CAPTURE_SIGNALS_H
#define DISSECTOR_CAPTURE_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

#include "capture.h"

extern volatile sig_atomic_t capture_signals_end, capture_signals_wants_counts,
    capture_signals_wants_flush; /* set by signals; the last two are for others to clear */

/* A signal that ends a capture has its usual effect when it comes again. is_opening: it also interrupts what is under way, as the opening
 * of a pipe that has no writer yet; otherwise that goes on. */
void capture_signals_catch(bool is_opening);

/* The capture that is being read, for a signal to interrupt; NULL: none. */
void capture_signals_wake(struct capture *capture);

#endif
