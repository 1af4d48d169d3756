/* Large clusters on slow networks: lists of several datagrams to each member fill queues for longer than an answer takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "simmembers.h"

enum { MANY = 64, DEAD = 3, ACCUSER = 5 };

static struct simmembers members; /* too large for the stack */

/* Each with a port of that rate; they are one cluster within form_ns, and without a dead member within death_ns. */
static void expect(uint16_t count, uint64_t bits_per_s, uint32_t loss_ppm, uint64_t form_ns, uint64_t death_ns)
{
    struct mesh_sim_link link = simmembers_link();
    uint64_t all;

    link.loss_ppm = loss_ppm;
    simmembers_open(&members, count, 1, &link);
    all = simmembers_all(&members);
    for (uint16_t place = 0; place < count; place++) {
        mesh_sim_set_port(members.sim, place, bits_per_s);
        if (place > 0)
            simmembers_add_seed(&members, place, 0);
        simmembers_start(&members, place);
    }
    assert_true(simmembers_run_agree(&members, all, form_ns) <= form_ns);
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
    simmembers_crash(&members, DEAD);
    simmembers_suspect(&members, ACCUSER, DEAD);
    assert_true(simmembers_run_agree(&members, all & ~(UINT64_C(1) << DEAD), death_ns) <= death_ns);
    assert_string_equal(members.error, "");
    simmembers_close(&members);
}

/* They began anew again and again, since not all had answered in time, and what they were sent meanwhile made it take longer. */
static void after_a_death_many_agree_on_a_slow_network(void **state)
{
    (void)state;
    expect(40, 100000000, 0, 100 * SIMMEMBERS_MS, 100 * SIMMEMBERS_MS);
    expect(MANY, 100000000, 0, 200 * SIMMEMBERS_MS, 500 * SIMMEMBERS_MS);
}

static void on_a_fast_network_losses_are_repaired_at_once(void **state)
{
    (void)state;
    expect(MANY, 1000000000, 0, 30 * SIMMEMBERS_MS, 20 * SIMMEMBERS_MS);
    expect(MANY, 1000000000, 10000, 80 * SIMMEMBERS_MS, 20 * SIMMEMBERS_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_death_many_agree_on_a_slow_network),
        cmocka_unit_test(on_a_fast_network_losses_are_repaired_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
