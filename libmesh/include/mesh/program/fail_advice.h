/* What to do about a failed system call: the last words of a message.
 *
 * Whatever a call was for, it can fail because the process or the machine has no more of something. Then the name of a file, its
 * permissions or an address are not to blame, and advice to look at them would mislead. For libmesh's own messages, too. */
#ifndef MESH_PROGRAM_FAIL_ADVICE_H
#define MESH_PROGRAM_FAIL_ADVICE_H

#include <errno.h>

/* By errno; `otherwise` where what the call was for may be to blame. */
static inline const char *fail_advice(int error, const char *otherwise)
{
    switch (error) {
    case EMFILE:
        return "raise the limit of open files (ulimit -n, LimitNOFILE=)";
    case ENFILE:
        return "raise the system's limit of open files (fs.file-max), or close other programs";
    case ENOMEM:
    case ENOBUFS:
        return "close other programs";
    case ENOSPC:
    case EDQUOT:
        return "make room, or choose another disk";
    case EIO:
        return "see whether its disk fails";
    default:
        return otherwise;
    }
}

#endif
