/* The three signals, and which handler has them. */
#include "mesh/program/endings.h"

#include <signal.h>
#include <stddef.h>

static const int endings[] = {SIGINT, SIGTERM, SIGHUP};

void endings_watch(void (*handler)(int number))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = (int)SA_RESETHAND}, before;

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (sigaction(endings[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(endings[i], &action, NULL);
}

void endings_leave(void (*handler)(int number))
{
    struct sigaction present;

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (sigaction(endings[i], NULL, &present) == 0 && present.sa_handler == handler)
            signal(endings[i], SIG_DFL);
}
