#include "forbidden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cmocka.h>

enum { SKIPPED = 77 };

/* Makes these calls of this process fail with this reason from now on. False when the system has no such filters. */
static bool forbid(int reason, const int *calls, unsigned count)
{
    struct sock_filter filter[16] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    unsigned short size = 1;

    assert_true(count * 2 + 2 <= sizeof filter / sizeof *filter);
    for (unsigned i = 0; i < count; i++) {
        filter[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], 0, 1);
        filter[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)reason);
    }
    filter[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &(struct sock_fprog){.len = size, .filter = filter}) == 0;
}

void without_calls(int reason, const int *calls, unsigned count, const char *(*does)(void))
{
    const pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        const char *trouble;

        if (!forbid(reason, calls, count)) {
            _exit(SKIPPED);
        }
        trouble = does();
        if (trouble != NULL) {
            fprintf(stderr, "%s\n", trouble);
        }
        _exit(trouble != NULL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
        print_message("this system cannot forbid calls\n");
        skip();
    }
    assert_int_equal(status, 0);
}
