/* A clock of another machine: loaded before a program by LD_PRELOAD, it lets the program's clocks differ from those of this machine.
 *
 * OTHER_CLOCK_S=SECONDS  they are ahead by that, and
 * OTHER_CLOCK_PPM=N      gain that many millionths from the program's start
 *
 * Times that the program passes to the kernel to wait for are translated back. Receive timestamps of the kernel, which only --lab uses,
 * stay those of this machine. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>

static const int64_t second_ns = 1000000000;

static struct {
    int64_t ahead_ns, ppm, begun_ns; /* begun: by this machine's monotonic clock */
} other;

static int64_t to_ns(const struct timespec *time)
{
    return time->tv_sec * second_ns + time->tv_nsec;
}

static struct timespec from_ns(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / second_ns, .tv_nsec = ns % second_ns};
}

static int64_t machine_ns(clockid_t clock)
{
    struct timespec now;

    syscall(SYS_clock_gettime, clock, &now);
    return to_ns(&now);
}

__attribute__((constructor)) static void start(void)
{
    const char *ahead = getenv("OTHER_CLOCK_S"), *ppm = getenv("OTHER_CLOCK_PPM");

    other.begun_ns = machine_ns(CLOCK_MONOTONIC);
    other.ppm = ppm != NULL ? strtoll(ppm, NULL, 10) : 0;
    other.ahead_ns = ahead != NULL ? strtoll(ahead, NULL, 10) * second_ns : 0;
}

static int64_t gained_ns(int64_t monotonic_ns)
{
    return (monotonic_ns - other.begun_ns) / 1000 * other.ppm / 1000;
}

/* The gain is that of the time that was read, not of one read after it: a thread that is stopped between the two would see a clock that
 * loses time go back. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    const int64_t before_ns = clock == CLOCK_REALTIME ? machine_ns(CLOCK_MONOTONIC) : 0;
    const long result = syscall(SYS_clock_gettime, clock, now);

    if (result == 0 && (clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME))
        *now = from_ns(to_ns(now) + other.ahead_ns + gained_ns(clock == CLOCK_MONOTONIC ? to_ns(now) : before_ns));
    return (int)result;
}

/* When this machine's clock will show what the other one is to show then. */
static int64_t machine_time_ns(int64_t monotonic_ns)
{
    return other.begun_ns + (int64_t)((double)(monotonic_ns - other.ahead_ns - other.begun_ns) / (1 + (double)other.ppm / 1e6));
}

long syscall(long number, ...)
{
    static long (*next)(long, ...);
    struct timespec until;
    long words[6];
    va_list list;

    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "syscall");
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        words[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_futex && (words[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && words[3] != 0) {
        until = from_ns(machine_time_ns(to_ns((const struct timespec *)words[3])));
        words[3] = (long)&until;
    }
    return next(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}
