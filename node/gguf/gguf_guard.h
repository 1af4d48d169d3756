/* Mapped model files that become unreadable, because they were truncated or their disk fails: the system raises SIGBUS in the thread that
 * reads. This lets a program print a message before it ends. Without gguf_guard the signal kills it. */
#ifndef NODE_GGUF_GUARD_H
#define NODE_GGUF_GUARD_H

#include "gguf.h"

enum { GGUF_GUARDED_MAX = 8 }; /* open at once; further files are not guarded */

/* Once, before threads start; threads must not block SIGBUS. `end` gets the path of the file, as messages show it, and ends the process; it
 * may run in a signal handler, in any thread. */
void gguf_guard(void (*end)(const char *path));

/* The same for a program of that name, borrowed until exit: it names the file on stderr, once, and ends with EXIT_BAD_FILE. */
void gguf_guard_program(const char *name);

/* Called by the reader: a file has been mapped; is about to be unmapped and freed; could not be read with a system call. gguf_guard_remove
 * waits for handlers in other threads; gguf_guard_failed returns only if gguf_guard was not called. */
void gguf_guard_add(const struct gguf *gguf);
void gguf_guard_remove(const struct gguf *gguf);
void gguf_guard_failed(const struct gguf *gguf);

#endif
