/* Model files that cannot be read any more while they are mapped, as somebody has made them shorter or their disk fails: the system says so
 * with SIGBUS, to whichever thread reads. This gives a program the last word. Where nobody asks for it, it dies of the signal. */
#ifndef NODE_GGUF_GUARD_H
#define NODE_GGUF_GUARD_H

#include "gguf.h"

enum { GGUF_GUARDED_MAX = 8 }; /* files that are open at once; further ones are not guarded */

/* Once, before threads start, which must not block SIGBUS. `end` gets the path of the file and ends the process; it may be called by a
 * signal handler, in any thread. */
void gguf_guard(void (*end)(const char *path));

/* Of the reader: a file is mapped, is unmapped, could not be read with a call. The last one returns when nobody has asked. */
void gguf_guard_add(const struct gguf *gguf);
void gguf_guard_remove(const struct gguf *gguf);
void gguf_guard_failed(const struct gguf *gguf);

#endif
