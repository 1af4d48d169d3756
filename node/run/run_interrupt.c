#include "run_interrupt.h"

#include <stddef.h>

#include "member.h"

volatile sig_atomic_t run_interrupt_signal;

/* A signal handler cannot get it otherwise. */
static struct member *volatile cancelled_member;

static void on_interrupt(int number)
{
    run_interrupt_signal = number;
    if (cancelled_member != NULL)
        member_cancel(cancelled_member);
    run_interrupt_end();
}

void run_interrupt_watch(void)
{
    signal(SIGINT, on_interrupt); /* which a shell makes its background jobs ignore */
    signal(SIGTERM, on_interrupt);
}

void run_interrupt_cancels(struct member *member)
{
    cancelled_member = member;
    if (member != NULL && run_interrupt_signal != 0)
        member_cancel(member);
}

void run_interrupt_end(void)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

void run_interrupt_die(void)
{
    run_interrupt_end();
    raise(run_interrupt_signal);
}
