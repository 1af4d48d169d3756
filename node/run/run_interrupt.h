/* Ctrl-C and SIGTERM during `mesh-node run`. The first one ends the wait for the other nodes, or the generation, in order; another one ends
 * the process at once. */
#ifndef NODE_RUN_INTERRUPT_H
#define NODE_RUN_INTERRUPT_H

#include <signal.h>

struct member;

/* The signal that came; 0: none yet. */
extern volatile sig_atomic_t run_interrupt_signal;

/* From now on the first signal is only remembered; and once there is a member whose request it can cancel, it does that. A signal that has
 * come already does so now. */
void run_interrupt_watch(void);
void run_interrupt_cancels(struct member *member);

/* From now on every signal ends the process. */
void run_interrupt_end(void);

/* End as the signal that came would have ended the process, so that its sender sees that it worked. */
void run_interrupt_die(void);

#endif
