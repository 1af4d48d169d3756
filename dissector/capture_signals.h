/* Signals that mesh-dissect heeds: some end a capture, SIGUSR1 asks for counts, SIGUSR2 for what -w has to be in its file. */
#ifndef DISSECTOR_CAPTURE_SIGNALS_H
#define DISSECTOR_CAPTURE_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

#include "capture.h"

extern volatile sig_atomic_t capture_signals_end, capture_signals_wants_counts,
    capture_signals_wants_flush; /* set by signals; the last two are for others to clear */

/* is_pipe: the input is one. A signal that ends a capture has its usual effect when it comes again. */
void capture_signals_catch(bool is_pipe);

/* The capture that waits for frames, which a signal has to interrupt; NULL: none. */
void capture_signals_wake(struct capture *capture);

#endif
