/* Model files that cannot be read any more while they are mapped, as somebody has made them shorter or their disk fails: the system says so
 * with SIGBUS, to whichever thread reads. This gives a program the last word. Where nobody asks for it, it dies of the signal. */
#ifndef NODE_GGUF_GUARD_H
#define NODE_GGUF_GUARD_H

#include "gguf.h"

enum { GGUF_GUARDED_MAX = 8 }; /* files that are open at once; further ones are not guarded */

/* Once, before threads start, which must not block SIGBUS. `end` gets the path of the file, as messages show it, and ends the process; it
 * may be called by a signal handler, in any thread. */
void gguf_guard(void (*end)(const char *path));

/* The same for a program of that name, which is borrowed for good: it says on stderr which file, once, and ends with EXIT_BAD_FILE. */
void gguf_guard_program(const char *name);

/* Of the reader: a file is mapped, is to be unmapped and freed, could not be read with a call. The second one waits for handlers in other
 * threads; the last one returns when nobody has asked. */
void gguf_guard_add(const struct gguf *gguf);
void gguf_guard_remove(const struct gguf *gguf);
void gguf_guard_failed(const struct gguf *gguf);

#endif
