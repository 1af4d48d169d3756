#include "gguf_guard.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "gguf_internal.h"

static _Atomic(const struct gguf *) guarded[GGUF_GUARDED_MAX];
static atomic_uint looking; /* threads that search the table in the handler: files they may have found stay until they are done */
static void (*end_program)(const char *path);
static const char *program_name;

static bool is_within(const struct gguf *gguf, uintptr_t at)
{
    return gguf != NULL && at - (uintptr_t)gguf->data < gguf->size;
}

/* A SIGBUS that no guarded file caused has its default effect: on return the access faults again, or, if another process sent the signal,
 * it is raised again. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    (void)context;
    atomic_fetch_add(&looking, 1);
    for (size_t i = 0; info->si_code > 0 && i < GGUF_GUARDED_MAX; i++) {
        const struct gguf *gguf = atomic_load(&guarded[i]);

        if (is_within(gguf, (uintptr_t)info->si_addr))
            end_program(gguf_shown_path(gguf));
    }
    atomic_fetch_sub(&looking, 1);
    signal(number, SIG_DFL);
    if (info->si_code <= 0)
        raise(number);
}

void gguf_guard(void (*end)(const char *path))
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};

    end_program = end;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

/* In any thread, perhaps in a signal handler, so only with system calls. */
static void end_as_unreadable(const char *path)
{
    static const char between[] = ": ", after[] = ": cannot be read: it has become shorter, or its disk fails: copy it again\n";
    const struct iovec part[] = {
        {(void *)(uintptr_t)program_name, strlen(program_name)},
        {(void *)(uintptr_t)between, sizeof between - 1},
        {(void *)(uintptr_t)path, strlen(path)},
        {(void *)(uintptr_t)after, sizeof after - 1},
    };

    static atomic_flag has_reported = ATOMIC_FLAG_INIT;

    while (atomic_flag_test_and_set(&has_reported))
        pause(); /* workers that read at the same time fail together: one prints, and ends the process */
    (void)!writev(STDERR_FILENO, part, sizeof part / sizeof *part);
    _exit(EXIT_BAD_FILE);
}

void gguf_guard_program(const char *name)
{
    program_name = name;
    gguf_guard(end_as_unreadable);
}

void gguf_guard_add(const struct gguf *gguf)
{
    for (size_t i = 0; i < GGUF_GUARDED_MAX; i++) {
        const struct gguf *nobody = NULL;

        if (atomic_compare_exchange_strong(&guarded[i], &nobody, gguf))
            return;
    }
}

void gguf_guard_remove(const struct gguf *gguf)
{
    for (size_t i = 0; i < GGUF_GUARDED_MAX; i++) {
        const struct gguf *same = gguf;

        if (atomic_compare_exchange_strong(&guarded[i], &same, NULL))
            break;
    }
    while (atomic_load(&looking) > 0)
        sched_yield();
}

void gguf_guard_failed(const struct gguf *gguf)
{
    if (end_program != NULL)
        end_program(gguf_shown_path(gguf));
}
