/* Runs a function in a process that has forbidden itself some system calls, as sandboxes do; old kernels lack the same calls. */
#ifndef FORBIDDEN_H
#define FORBIDDEN_H

/* Calls does() in a child process, in which these system calls fail with this reason. does() returns NULL on success, otherwise what went
 * wrong, which fails the test. The test is skipped where a process cannot forbid itself system calls. */
void without_calls(int reason, const int *calls, unsigned count, const char *(*does)(void));

#endif
