#include "members_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct simmembers members;

void members_case_form(uint16_t count)
{
    struct mesh_sim_link link = simmembers_link();

    simmembers_open(&members, count, 1, &link);
    simmembers_form(&members);
}

int members_case_close(void **state)
{
    (void)state;
    simmembers_close(&members);
    return 0;
}

uint64_t members_case_without(uint64_t places, uint16_t place)
{
    return places & ~(UINT64_C(1) << place);
}

void members_case_expect_agreement(uint64_t places, uint64_t within_ns)
{
    uint64_t took_ns = simmembers_run_agree(&members, places, within_ns);

    if (members.error[0])
        fail_msg("%s", members.error);
    assert_true(took_ns <= within_ns);
}
