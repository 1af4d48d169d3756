#include "socket_hint.h"

#include "mesh/program/fail_advice.h"

const char *socket_hint(int reason, const char *otherwise)
{
    switch (reason) {
    case EADDRINUSE:
        return "another process has this UDP port, maybe a node that still leaves: end it, or give another port";
    case EPERM:
    case ENOSYS:
        return "a sandbox forbids what it needs: allow UDP sockets, epoll and eventfd";
    default:
        return fail_advice(reason, otherwise);
    }
}
