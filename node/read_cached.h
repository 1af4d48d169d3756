/* Reading what is in memory of a file, and nothing that its disk would be asked for. */
#ifndef NODE_READ_CACHED_H
#define NODE_READ_CACHED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* As pread, without waiting. -1: errno is EAGAIN, it is not there; EOPNOTSUPP, whether it is cannot be known here, where the file system,
 * the kernel or a sandbox has no such call; or what pread may say. Any thread. */
ssize_t read_cached(int file, void *into, size_t bytes, uint64_t offset);

#endif
