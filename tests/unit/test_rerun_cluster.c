/* A cluster core that is run again from its tape: the times of calls that take none, and of datagrams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/cluster.h"
#include "tapes.h"

enum { BEGIN_NS = 1000, TICK_NS = 2000, SENT_NS = 2180 };

static void hash(const void *data, size_t bytes, uint8_t out[16])
{
    (void)data;
    memset(out, 0, 16);
    out[0] = (uint8_t)bytes;
}

/* A datagram leaves a little later than time last passed for the core, and calls without a time have the latter. */
static void what_follows_a_datagram_may_be_of_the_time_before_it(void **state)
{
    void *memory = aligned_alloc(64, (mesh_cluster_memory_bytes() + 63) / 64 * 64);
    const struct mesh_addr seed = {.ip = {[10] = 255, 255, 127, 0, 0, 1}, .port = 7411};
    struct mesh_cluster_config config = {.hash = hash, .version = MESH_WIRE_VERSION, .seeds = &seed, .seed_count = 1};
    struct mesh_tape_entry entry = {0};
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    struct mesh_cluster *cluster;
    struct mesh_rerun *rerun;
    struct mesh_output output;
    struct tape tape;

    (void)state;
    tape_init(&tape);
    tape.hash = hash;
    config.tap = &tape.tap;
    memset(config.incarnation, 1, sizeof config.incarnation);
    assert_int_equal(mesh_cluster_init(&cluster, &config, memory, mesh_cluster_memory_bytes(), BEGIN_NS), 0);
    mesh_cluster_tick(cluster, TICK_NS);
    assert_true(mesh_cluster_next_datagram(cluster, SENT_NS, packet, sizeof packet, &output));
    mesh_cluster_spend_number(cluster);
    mesh_cluster_set_speed(cluster, 5);
    for (size_t at = 0; tape_next(&tape, &at, &entry);)
        ;
    assert_int_equal(entry.call.kind, MESH_TAPE_CLUSTER_SPEED);
    assert_true(entry.call.at_ns < SENT_NS);
    assert_int_equal(tape_rerun(&tape, &rerun), 0);
    assert_int_equal(mesh_rerun_state_hash(rerun), mesh_cluster_state_hash(cluster));
    mesh_rerun_close(rerun);
    tape_release(&tape);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_follows_a_datagram_may_be_of_the_time_before_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
