/* A thread that sleeps most of the time and has to be quick when it is woken, beside threads that compute all the time. */
#ifndef NODE_PROMPT_H
#define NODE_PROMPT_H

/* This thread runs in short slices, so that the scheduler lets it go first when it wakes; threads that it starts do not. Its share of the
 * processor stays the same. Needs no rights; kernels before 6.12 take no notice. */
void prompt_thread(void);

#endif
