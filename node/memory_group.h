/* How much memory the control group that this process is in lets it have, as systemd's MemoryMax= and containers set it.
 *
 * Both versions of control groups; limits of groups above count, too. Without such groups, or where they cannot be read, there is none. */
#ifndef NODE_MEMORY_GROUP_H
#define NODE_MEMORY_GROUP_H

#include <stdint.h>

/* Bytes until the limit, beside what all in the group have by now but for the cached pages of files, which can be given back; UINT64_MAX:
 * no limit. root: before /proc and all other names, "" but in tests. */
uint64_t memory_group_bytes(const char *root);

#endif
