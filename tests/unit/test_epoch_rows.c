/* A node that fetches its rows from others, and has no memory for the list of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/resource.h>

#include "node/epoch_run_rows.h"
#include "simquestion.h"

static struct model_part part = {.count = UINT32_MAX};
static struct epoch_run_config config = {.part = &part};
static struct epoch_run run = {.config = &config, .count = 1}; /* too large for the stack */

/* It would otherwise end without a word, since no member may wait for it. */
static void a_node_that_joins_says_that_it_has_no_memory(void **state)
{
    const struct rlimit limit = {.rlim_cur = 1 << 30, .rlim_max = RLIM_INFINITY};
    const atomic_bool stops = false;

    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* it needs more for itself */
#endif
    config.model = simquestion_model(0)->model;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    run.is_joining = true;
    assert_false(epoch_run_rows_fetch(&run, &stops));
    assert_int_equal(run.why.exit_code, EXIT_ENVIRONMENT);
    assert_string_equal(run.why.text, "memory: out of memory: close other programs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_that_joins_says_that_it_has_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
