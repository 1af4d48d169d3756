#include "capture_signals.h"

volatile sig_atomic_t capture_signals_end, capture_signals_wants_counts, capture_signals_wants_flush;

static struct capture *volatile waiting;

static void on_signal(int number)
{
    if (number == SIGUSR1)
        capture_signals_wants_counts = 1;
    else if (number == SIGUSR2)
        capture_signals_wants_flush = 1;
    else
        capture_signals_end = 1;
    if (waiting != NULL)
        capture_break(waiting, number != SIGUSR1 && number != SIGUSR2);
}

static void catch_one(int number, int flags)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};

    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* A system call goes on after a signal, as a write to a pipe that nobody reads just now would end otherwise, in the middle of a line; a
 * live capture waits in a call that returns on any signal, and capture_break sees to the read of a pipe. Only opening a pipe has to end. */
void capture_signals_catch(bool is_opening)
{
    const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction before;

    if (capture_signals_end)
        return;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends[i] != SIGHUP || (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)) /* nohup: it stays ignored */
            catch_one(ends[i], (int)SA_RESETHAND | (is_opening ? 0 : SA_RESTART));
    catch_one(SIGUSR1, SA_RESTART);
    catch_one(SIGUSR2, SA_RESTART);
}

void capture_signals_wake(struct capture *capture)
{
    waiting = capture;
}
