/* A thread that mostly sleeps and must run promptly when woken, beside threads that compute all the time. */
#ifndef NODE_PROMPT_H
#define NODE_PROMPT_H

/* The calling thread gets short time slices, so that the scheduler runs it first when it wakes; threads that it starts do not. Its share of
 * the processor stays the same. Needs no privileges; kernels before 6.12 ignore it. */
void prompt_thread(void);

#endif
