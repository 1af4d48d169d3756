#include "gguf_guard.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "gguf_internal.h"

static _Atomic(const struct gguf *) guarded[GGUF_GUARDED_MAX];
static void (*end_program)(const char *path);

static bool is_within(const struct gguf *gguf, uintptr_t at)
{
    return gguf != NULL && at - (uintptr_t)gguf->data < gguf->size;
}

/* What is not of a file is what it would have been: on return it happens again, or waits to be delivered where somebody has sent it. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    (void)context;
    for (size_t i = 0; info->si_code > 0 && i < GGUF_GUARDED_MAX; i++) {
        const struct gguf *gguf = atomic_load(&guarded[i]);

        if (is_within(gguf, (uintptr_t)info->si_addr))
            end_program(gguf->path);
    }
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
            return;
    }
}

void gguf_guard_failed(const struct gguf *gguf)
{
    if (end_program != NULL)
        end_program(gguf->path);
}
