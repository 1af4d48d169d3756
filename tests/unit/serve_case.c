#include "serve_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TOLD = 8 };

static int asked;

unsigned serve_case_question(unsigned model)
{
    unsigned longest = 0;

    for (unsigned q = 1; q < SIMQUESTIONS; q++)
        if (simquestion(model, q)->alone.token_count > simquestion(model, longest)->alone.token_count)
            longest = q;
    return longest;
}

void serve_case_expect(const struct simserve *serve, bool holds)
{
    if (serve->members.error[0] != '\0')
        fail_msg("%s", serve->members.error);
    assert_true(holds);
}

static bool is_under_way(const struct simserve *serve)
{
    return serve->ask[asked].told >= TOLD;
}

int serve_case_ask(struct simserve *serve, uint16_t place, unsigned question)
{
    asked = simserve_ask(serve, place, question);
    assert_true(asked >= 0);
    serve_case_expect(serve, simserve_run_until(serve, is_under_way, 5 * SIMMEMBERS_S));
    assert_false(serve->ask[asked].is_done);
    return asked;
}
