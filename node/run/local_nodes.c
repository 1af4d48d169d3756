#include "local_nodes.h"
#include "node/common/socket_hint.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { JOIN_MS = 10000 /* longer than any wait of member_serve once rank 0 has finished */ };

static int cannot_open(struct fail *fail)
{
    return fail_set(fail, EXIT_ENVIRONMENT, "127.0.0.1: cannot open a UDP socket: %s: %s", strerror(errno),
                    socket_hint(errno, "is the loopback interface up?"));
}

/* A node would only notice that the others are silent. From a socket of its own to itself, so that no node receives it. */
static int check_loopback(struct mesh_addr any, struct fail *fail)
{
    static const uint8_t nothing[1];
    struct mesh_udp *udp;
    int result = 0;

    if (mesh_udp_open(&udp, any, NULL) != MESH_OK)
        return cannot_open(fail);
    if (mesh_udp_send_to(udp, mesh_udp_local(udp), nothing, sizeof nothing) == MESH_ESYSTEM)
        result = fail_set(fail, EXIT_ENVIRONMENT,
                          "127.0.0.1: nothing can be sent there: %s: see whether the loopback interface is up, and this machine's firewall",
                          strerror(errno));
    mesh_udp_close(udp);
    return result;
}

int local_nodes_bind(struct local_nodes *nodes, uint16_t count, const struct mesh_lab *lab, struct fail *fail)
{
    char reason[200];
    struct mesh_addr any;

    *nodes = (struct local_nodes){.count = count};
    if (mesh_addr_parse("127.0.0.1:0", &any, reason, sizeof reason) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "127.0.0.1: %s: loopback is needed", reason);
    if (check_loopback(any, fail) < 0)
        return -1;
    for (uint16_t r = 0; r < count; r++) {
        if (mesh_udp_open(&nodes->udp[r], any, lab) != MESH_OK) {
            cannot_open(fail);
            local_nodes_close(nodes);
            return -1;
        }
        nodes->addr[r] = mesh_udp_local(nodes->udp[r]);
    }
    return 0;
}

static int become_child(struct local_nodes *nodes, uint16_t rank, pid_t parent, const struct mesh_lab *lab, struct fail *fail)
{
    nodes->rank = rank;
    memset(nodes->child, 0, sizeof nodes->child);
    nodes->child[0] = parent;
    signal(SIGINT, SIG_IGN); /* both go to all processes of a terminal or a group: the parent ends them in order */
    signal(SIGTERM, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        return fail_set(fail, EXIT_ENVIRONMENT, "node %u: its parent has ended: start again", rank);
    for (uint16_t r = 0; r < nodes->count; r++) {
        if (r == rank)
            continue;
        mesh_udp_close(nodes->udp[r]);
        nodes->udp[r] = NULL;
    }
    if (mesh_udp_reseed(nodes->udp[rank], lab->seed + rank) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "node %u: cannot set up its socket: %s: raise the limit of open files", rank,
                        strerror(errno));
    return 0;
}

int local_nodes_fork(struct local_nodes *nodes, const struct mesh_lab *lab, struct fail *fail)
{
    pid_t parent = getpid();

    fflush(NULL);
    for (uint16_t r = 1; r < nodes->count; r++) {
        pid_t pid = fork();

        if (pid == 0)
            return become_child(nodes, r, parent, lab, fail);
        if (pid < 0) {
            fail_set(fail, EXIT_ENVIRONMENT,
                     "--local %u: cannot start node %u: %s: use fewer nodes, or raise the limit of processes (ulimit -u, TasksMax=)",
                     nodes->count, r, strerror(errno));
            local_nodes_kill(nodes);
            return -1;
        }
        nodes->child[r] = pid;
    }
    for (uint16_t r = 1; r < nodes->count; r++) {
        mesh_udp_close(nodes->udp[r]);
        nodes->udp[r] = NULL;
    }
    return 0;
}

/* Describe a child's waitpid status in words. */
static int blame(uint16_t rank, pid_t pid, int status, struct fail *fail)
{
    if (WIFSIGNALED(status))
        return fail_set(fail, EXIT_ENVIRONMENT, "node %u (process %d): killed by signal %d (%s): start again", rank, (int)pid,
                        WTERMSIG(status), strsignal(WTERMSIG(status)));
    return fail_set(fail, WEXITSTATUS(status) == 0 ? EXIT_ENVIRONMENT : (enum exit_code)WEXITSTATUS(status),
                    "node %u (process %d): ended with code %d: see its message above", rank, (int)pid, WEXITSTATUS(status));
}

int local_nodes_watch(void *app, struct fail *fail)
{
    struct local_nodes *nodes = app;

    for (uint16_t r = 1; r < nodes->count; r++) {
        int status;
        pid_t pid = nodes->child[r];

        if (pid == 0 || waitpid(pid, &status, WNOHANG) != pid)
            continue;
        nodes->child[r] = 0;
        return blame(r, pid, status, fail);
    }
    return 0;
}

int local_nodes_join(struct local_nodes *nodes, struct fail *fail)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    int err = 0;

    for (int ms = 0; ms < JOIN_MS; ms += 2) {
        int left = 0;

        for (uint16_t r = 1; r < nodes->count; r++) {
            int status;
            pid_t pid = nodes->child[r];

            if (pid > 0 && waitpid(pid, &status, WNOHANG) == pid) {
                nodes->child[r] = 0;
                if (err == 0 && status != 0)
                    err = blame(r, pid, status, fail);
            }
            left += nodes->child[r] > 0;
        }
        if (left == 0)
            return err;
        nanosleep(&pause, NULL);
    }
    for (uint16_t r = 1; r < nodes->count && err == 0; r++)
        if (nodes->child[r] > 0)
            err = fail_set(fail, EXIT_ENVIRONMENT, "node %u (process %d): has not ended after %d s: killed: report this", r,
                           (int)nodes->child[r], JOIN_MS / 1000);
    local_nodes_kill(nodes);
    return err;
}

void local_nodes_kill(struct local_nodes *nodes)
{
    for (uint16_t r = 1; r < nodes->count; r++)
        if (nodes->child[r] > 0)
            kill(nodes->child[r], SIGKILL);
    for (uint16_t r = 1; r < nodes->count; r++) {
        if (nodes->child[r] > 0)
            waitpid(nodes->child[r], NULL, 0);
        nodes->child[r] = 0;
    }
}

void local_nodes_close(struct local_nodes *nodes)
{
    for (uint16_t r = 0; r < nodes->count; r++) {
        mesh_udp_close(nodes->udp[r]);
        nodes->udp[r] = NULL;
    }
}
