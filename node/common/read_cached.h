/* Reading the parts of a file that are in memory, without disk access. */
#ifndef NODE_READ_CACHED_H
#define NODE_READ_CACHED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* As pread, without waiting for the disk. -1 with errno EAGAIN: not in memory; EOPNOTSUPP: cannot be known here, since the file system, the
 * kernel or a sandbox has no such call; or an error of pread. Any thread. */
ssize_t read_cached(int file, void *into, size_t bytes, uint64_t offset);

#endif
