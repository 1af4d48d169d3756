/* The memory limit of this process's control group, as systemd's MemoryMax= and containers set it.
 *
 * Both versions of control groups; limits of parent groups count, too. Without such groups, or where they cannot be read, there is no
 * limit. */
#ifndef NODE_MEMORY_GROUP_H
#define NODE_MEMORY_GROUP_H

#include <stdint.h>

/* Bytes left until the limit: what the group holds now counts, except for cached file pages, which can be reclaimed. UINT64_MAX: no limit.
 * root: prefix of /proc and all other paths, "" except in tests. */
uint64_t memory_group_bytes(const char *root);

#endif
