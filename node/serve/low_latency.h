/* A thread that mostly sleeps and must run promptly when woken, beside threads that compute all the time. */
#ifndef NODE_LOW_LATENCY_H
#define NODE_LOW_LATENCY_H

/* The calling thread gets short time slices, so that the scheduler runs it first when it wakes; threads that it starts do not. Its share of
 * the processor stays the same. Needs no privileges; kernels before 6.12 ignore it. */
void low_latency_thread(void);

#endif
