/* Doing something in a process that has forbidden itself some system calls, as sandboxes do and old kernels lack them. */
#ifndef FORBIDDEN_H
#define FORBIDDEN_H

/* Does it in a child, in which those calls fail with that reason; it returns NULL when all went well, else what did not, which fails the
 * test. Where processes cannot forbid themselves anything, the test is skipped. */
void without_calls(int reason, const int *calls, unsigned count, const char *(*does)(void));

#endif
