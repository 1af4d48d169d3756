/* What is found by reading a capture before it is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dissector/capture_signals.h"
#include "dissector/verdicts.h"

static unsigned losses;

static void on_loss(void *context, const struct analysis_loss *loss)
{
    (void)context, (void)loss;
    losses++;
}

static unsigned count_losses(void)
{
    const struct capture_options options = {.file = "docs/captures/port-host0.pcap"};
    struct fail fail;
    struct verdicts *verdicts = verdicts_read(&options, NULL, on_loss, NULL, &fail);
    const unsigned found = losses;

    assert_non_null(verdicts);
    verdicts_free(verdicts);
    losses = 0;
    return found;
}

/* As it ends the reading that prints, which finds that the rest was not read. */
static void a_signal_ends_the_first_reading(void **state)
{
    (void)state;
    assert_true(count_losses() > 0);
    capture_signals_end = 1;
    assert_int_equal(count_losses(), 0);
    capture_signals_end = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_ends_the_first_reading),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
