#include "bench_switch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COMMANDS_BYTES = 2048 };

uint32_t bench_switch_address(uint16_t host)
{
    return (10u << 24 | 77u << 16) + host + 1u;
}

/* Run `ip -batch -` in the calling thread's namespace with these lines. */
static bool run_ip(const char *commands)
{
    int ends[2], status = -1;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    const pid_t child = fork();
    if (child == 0) {
        if (dup2(ends[0], STDIN_FILENO) >= 0 && freopen("/dev/null", "w", stderr) != NULL)
            execlp("ip", "ip", "-batch", "-", (char *)NULL);
        _exit(127);
    }
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    const bool is_told = child > 0 && write(ends[1], commands, strlen(commands)) == (ssize_t)strlen(commands);
    close(ends[1]);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 && is_told;
}

static int here(void)
{
    return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

static void enter(int namespace)
{
    const int err = setns(namespace, CLONE_NEWNET);

    assert(err == 0); /* creating it succeeded */
    (void)err;
}

/* Move the calling thread into a new namespace; -1: not allowed. */
static int make(void)
{
    return unshare(CLONE_NEWNET) == 0 ? here() : -1;
}

static bool lay_cable(const struct bench_switch *s, uint16_t host)
{
    char commands[COMMANDS_BYTES];

    snprintf(commands, sizeof commands, "link add port%u type veth peer name eth0 netns /proc/%d/fd/%d\nlink set port%u master br0 up\n",
             (unsigned)host, (int)getpid(), s->host[host], (unsigned)host);
    return run_ip(commands);
}

static bool plug_in(uint16_t host)
{
    char commands[COMMANDS_BYTES];

    snprintf(commands, sizeof commands, "link set lo up\naddr add 10.77.0.%u/24 dev eth0\nlink set eth0 up\n", host + 1u);
    return run_ip(commands);
}

/* An ifb passes on what was redirected to it, and drops the rest. */
static bool make_sink(struct bench_switch *s)
{
    return (s->host[0] = make()) >= 0 && run_ip("link add eth0 type ifb\nlink set eth0 multicast on\n") && plug_in(0);
}

static bool make_all(struct bench_switch *s)
{
    for (uint16_t host = 0; host < s->hosts; host++)
        if ((s->host[host] = make()) < 0)
            return false;
    if ((s->bridge = make()) < 0 || !run_ip("link set lo up\nlink add br0 type bridge\nlink set br0 up\n"))
        return false;
    for (uint16_t host = 0; host < s->hosts; host++)
        if (!lay_cable(s, host))
            return false;
    for (uint16_t host = 0; host < s->hosts; host++) {
        enter(s->host[host]);
        if (!plug_in(host))
            return false;
    }
    return true;
}

bool bench_switch_open(struct bench_switch *s, uint16_t hosts, bool is_sink, char *why, size_t why_bytes)
{
    assert(hosts >= 1 && hosts <= BENCH_HOSTS_MAX);
    *s = (struct bench_switch){.hosts = hosts, .home = here(), .bridge = -1};
    memset(s->host, -1, sizeof s->host);
    const bool is_open = s->home >= 0 && (is_sink ? make_sink(s) : make_all(s));
    snprintf(why, why_bytes, "no hosts on a bridge can be made here: %s: run it as root, with `ip` (iproute2)", strerror(errno));
    if (!is_open)
        bench_switch_close(s);
    else
        bench_switch_leave(s);
    return is_open;
}

void bench_switch_close(struct bench_switch *s)
{
    if (s->home >= 0) {
        (void)setns(s->home, CLONE_NEWNET); /* who may not has not left it, either */
        close(s->home);
    }
    if (s->bridge >= 0)
        close(s->bridge);
    for (uint16_t host = 0; host < s->hosts; host++)
        if (s->host[host] >= 0)
            close(s->host[host]);
}

void bench_switch_enter(const struct bench_switch *s, uint16_t host)
{
    assert(host < s->hosts);
    enter(s->host[host]);
}

void bench_switch_leave(const struct bench_switch *s)
{
    enter(s->home);
}
