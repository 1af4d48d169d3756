/* Whole exchanges between endpoints on the simulator: whatever the network does, every byte arrives, in bounded time and traffic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <malloc.h>

#include "libmesh/core/core.h"
#include "libmesh/core/mix.h"
#include "simbench.h"

enum { MASKS = 4096, MASK_BITS = 12 };

static struct simbench bench; /* too large for the stack */

/* The maximum of each figure over all runs of a sweep. */
struct worst {
    uint64_t time_ns, naks, resent, datagrams, lost;
};

static void worst_add(struct worst *worst, uint64_t time_ns)
{
    const uint64_t naks = simbench_sent(&bench, MESH_TYPE_NAK), resent = simbench_resent(&bench), all = simbench_sent_all(&bench);

    struct mesh_sim_stats stats;

    mesh_sim_get_stats(bench.sim, &stats);
    worst->lost = stats.lost > worst->lost ? stats.lost : worst->lost;
    worst->time_ns = time_ns > worst->time_ns ? time_ns : worst->time_ns;
    worst->naks = naks > worst->naks ? naks : worst->naks;
    worst->resent = resent > worst->resent ? resent : worst->resent;
    worst->datagrams = all > worst->datagrams ? all : worst->datagrams;
}

static void worst_print(const char *what, const struct worst *worst)
{
    print_message("%s: at most %llu us, %llu NAKs, %llu resent tiles, %llu datagrams, %llu lost\n", what,
                  (unsigned long long)worst->time_ns / 1000, (unsigned long long)worst->naks, (unsigned long long)worst->resent,
                  (unsigned long long)worst->datagrams, (unsigned long long)worst->lost);
}

/* Two ranks, twelve gathers, a tile or two each: more than a dozen datagrams in each direction. */
static void open_pair(void)
{
    const struct mesh_sim_link link = simbench_ethernet();
    struct simshape shape;

    simshape_even(&shape, 2, 4, 4, 36);
    shape.step_count = 4;
    simbench_init(&bench, &shape, 1, &link);
    simbench_start(&bench);
}

static void run_mask(uint16_t from, uint64_t mask, bool with_handshake, struct worst *worst)
{
    uint64_t start_ns;

    open_pair();
    if (with_handshake) {
        mesh_sim_drop_mask(bench.sim, from, !from, mask);
    }
    if (!simbench_join(&bench, SIM_S(20))) {
        fail_msg("mask %#llx from %u: %s", (unsigned long long)mask, from, bench.error);
    }
    if (!with_handshake) {
        mesh_sim_drop_mask(bench.sim, from, !from, mask);
    }
    start_ns = mesh_sim_now_ns(bench.sim);
    if (!simbench_exchange(&bench, SIM_S(2))) {
        fail_msg("mask %#llx from %u: %s", (unsigned long long)mask, from, bench.error);
    }
    assert_true(bench.sent[from][MESH_TYPE_TILE] >= MASK_BITS);
    worst_add(worst, mesh_sim_now_ns(bench.sim) - (with_handshake ? 0 : start_ns));
    simbench_close(&bench);
}

static void sweep_masks(bool with_handshake, const char *what)
{
    struct worst worst = {0};

    for (uint16_t from = 0; from < 2; from++) {
        for (uint64_t mask = 0; mask < MASKS; mask += SIMBENCH_STRIDE) {
            run_mask(from, mask, with_handshake, &worst);
        }
    }
    worst_print(what, &worst);
    assert_true(worst.naks <= 6 * MASK_BITS);
    assert_true(worst.resent <= 4 * MASK_BITS);
}

static void every_loss_mask_after_the_handshake_completes(void **state)
{
    (void)state;
    sweep_masks(false, "masks after the handshake");
}

static void every_loss_mask_from_the_first_datagram_completes(void **state)
{
    (void)state;
    sweep_masks(true, "masks from the first datagram");
}

static void a_lost_tile_costs_one_nak(void **state)
{
    unsigned seen = 0;

    (void)state;
    for (unsigned bit = 0; bit < MASK_BITS; bit++) {
        open_pair();
        simbench_keep_pace(&bench);
        assert_true(simbench_join(&bench, SIM_S(1)));
        mesh_sim_run(bench.sim, mesh_sim_now_ns(bench.sim) + SIM_MS(50), NULL, NULL); /* let path probes end */
        mesh_sim_drop_mask(bench.sim, 0, 1, UINT64_C(1) << bit);
        assert_true(simbench_exchange(&bench, SIM_S(1)));
        if (bench.lost[MESH_TYPE_TILE] == 1) {
            seen++;
            assert_in_range(bench.sent[1][MESH_TYPE_NAK], 1, 2);
            assert_in_range(bench.resent[0], 1, 2);
        }
        simbench_close(&bench);
    }
    assert_true(seen > MASK_BITS / 2);
}

static void nothing_lost_needs_no_nak_and_no_resend(void **state)
{
    (void)state;
    open_pair();
    simbench_keep_pace(&bench);
    assert_true(simbench_join(&bench, SIM_S(1)));
    assert_true(simbench_exchange(&bench, SIM_S(1)));
    assert_int_equal(simbench_sent(&bench, MESH_TYPE_NAK), 0);
    assert_int_equal(simbench_resent(&bench), 0);
    simbench_close(&bench);
}

/* ---- random networks ---- */

struct network {
    const char *name;
    uint16_t ranks_max;
    uint16_t prompt_tokens, blocks_max;
    uint64_t seeds;
    uint64_t limit_ns;
    struct mesh_sim_link link;
};

#define ETHERNET .rate_bits_per_s = 1000000000, .delay_ns = 50000, .datagram_bytes_max = 1472

static const struct network networks[] = {
    {"clean", 8, 8, 60, 40, SIM_S(5), {ETHERNET}},
    {"loss 5 %", 8, 8, 60, 60, SIM_S(10), {ETHERNET, .loss_ppm = 50000}},
    {"duplicates 2 %", 8, 8, 60, 40, SIM_S(5), {ETHERNET, .duplicate_ppm = 20000}},
    {"reordering 5 % by 200 us", 8, 8, 60, 40, SIM_S(5), {ETHERNET, .reorder_ppm = 50000, .reorder_ns = 200000}},
    {"flipped bits 1 %, found by the checksum", 8, 8, 60, 40, SIM_S(5), {ETHERNET, .bit_flip_ppm = 10000}},
    {"all of these",
     8,
     8,
     60,
     80,
     SIM_S(10),
     {ETHERNET, .loss_ppm = 50000, .duplicate_ppm = 20000, .reorder_ppm = 50000, .reorder_ns = 200000, .bit_flip_ppm = 10000}},
    {"loss 30 %", 4, 4, 30, 30, SIM_S(60), {ETHERNET, .loss_ppm = 300000}},
    {"queues that overflow", 8, 40, 60, 40, SIM_S(20), {.rate_bits_per_s = 100000000, .delay_ns = 50000, .queue_bytes = 15000}},
    {"path of 1300 bytes", 8, 20, 60, 40, SIM_S(10), {.rate_bits_per_s = 1000000000, .delay_ns = 50000, .datagram_bytes_max = 1300}},
    {"path of 1300 bytes, loss 5 %",
     8,
     20,
     60,
     40,
     SIM_S(20),
     {.rate_bits_per_s = 1000000000, .delay_ns = 50000, .datagram_bytes_max = 1300, .loss_ppm = 50000}},
    {"another town", 4, 8, 60, 20, SIM_S(60), {.rate_bits_per_s = 20000000, .delay_ns = 4000000, .loss_ppm = 10000}},
    {"no delay at all", 8, 8, 60, 20, SIM_S(5), {.loss_ppm = 10000}},
};

static void run_network(const struct network *network, uint64_t seed, struct worst *worst)
{
    struct simshape shape;
    struct mesh_sim_stats stats;
    uint64_t naks, bound;

    simshape_random(&shape, seed, (uint16_t)(1 + mesh_draw_below(mesh_draw(seed, 0, 0), network->ranks_max)), (uint16_t)(1 + seed % 6),
                    network->blocks_max);
    shape.step_count = 1 + seed % 5;
    shape.prompt_tokens = network->prompt_tokens;
    shape.records = (uint16_t)(seed % 3);
    shape.leaves_out_phases = seed % 4 == 0;
    simbench_init(&bench, &shape, seed, &network->link);
    simbench_start(&bench);
    if (!simbench_join(&bench, network->limit_ns) || !simbench_exchange(&bench, network->limit_ns)) {
        fail_msg("%s, seed %llu: %s", network->name, (unsigned long long)seed, bench.error);
    }
    worst_add(worst, mesh_sim_now_ns(bench.sim));
    mesh_sim_get_stats(bench.sim, &stats);
    naks = simbench_sent(&bench, MESH_TYPE_NAK);
    bound = 4 * (stats.lost + stats.reordered) + 2 * shape.step_count * shape.phase_count * shape.rank_count * shape.rank_count + 20;
    if (naks > bound) {
        fail_msg("%s, seed %llu: %llu NAKs, more than %llu, for %llu lost datagrams", network->name, (unsigned long long)seed,
                 (unsigned long long)naks, (unsigned long long)bound, (unsigned long long)stats.lost);
    }
    simbench_close(&bench);
}

static void random_exchanges_complete_on_every_kind_of_network(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        struct worst worst = {0};

        for (uint64_t seed = 1; seed <= networks[i].seeds; seed += SIMBENCH_STRIDE) {
            run_network(&networks[i], seed, &worst);
        }
        worst_print(networks[i].name, &worst);
    }
}

/* 64 tokens at 2 ranks are about 200 kB, more than a small socket buffer's credit. */
static void a_prompt_batch_larger_than_the_credit_never_overflows_the_receive_buffer(void **state)
{
    const struct mesh_sim_link link = {.rate_bits_per_s = 10000000000, .delay_ns = SIM_US(20), .datagram_bytes_max = 8972};
    struct mesh_sim_stats stats;
    struct mesh_peer_stats peer;
    struct simshape shape;

    (void)state;
    for (uint16_t ranks = 2; ranks <= 8; ranks += 3) {
        simshape_even(&shape, ranks, 3, (uint16_t)(176 / ranks), 36);
        shape.step_count = 2;
        shape.prompt_tokens = 64;
        simbench_init(&bench, &shape, 3, &link);
        for (uint16_t rank = 0; rank < ranks; rank++) {
            bench.configs[rank].receive_buffer_bytes = 212992;
            mesh_sim_set_receive_buffer(bench.sim, rank, 212992);
        }
        simbench_start(&bench);
        for (uint16_t rank = 0; rank < ranks; rank++) {
            bench.apps[rank].tile_ns_max = rank % 2 == 0 ? 1 : 150000; /* a fast sender, and datagrams that queue up */
        }
        assert_true(simbench_join(&bench, SIM_S(1)));
        if (!simbench_exchange(&bench, SIM_S(10))) {
            fail_msg("%u ranks: %s", ranks, bench.error);
        }
        mesh_sim_get_stats(bench.sim, &stats);
        assert_int_equal(stats.lost_in_buffer, 0);
        mesh_get_peer_stats(bench.apps[0].mesh, 1, &peer);
        assert_true(peer.credit_waits > 0);
        simbench_close(&bench);
    }
}

/* Without keys a flipped bit that the checksum misses may do anything except stop the process. */
/* A prompt over slow links, whose queues have less room than the credit. Returns the resent tiles. */
static uint64_t exchange_slowly(uint32_t queue_bytes, uint32_t loss_ppm, uint64_t pause_ns)
{
    struct mesh_sim_link link = simbench_ethernet();
    struct simshape shape;
    uint64_t resent;

    simshape_even(&shape, 4, 8, 16, 40);
    shape.step_count = 1;
    shape.prompt_tokens = 128;
    simbench_init(&bench, &shape, 1, &link);
    simbench_start(&bench);
    simbench_keep_pace(&bench);
    assert_true(simbench_join(&bench, SIM_S(1)));
    mesh_sim_run(bench.sim, mesh_sim_now_ns(bench.sim) + pause_ns, NULL, NULL);
    link.rate_bits_per_s = queue_bytes != 0 ? 3333000 : link.rate_bits_per_s;
    link.queue_bytes = queue_bytes;
    link.loss_ppm = loss_ppm;
    for (uint16_t from = 0; from < 4; from++) {
        for (uint16_t to = 0; to < 4; to++) {
            if (from != to) {
                mesh_sim_set_link(bench.sim, from, to, &link);
            }
        }
    }
    assert_true(simbench_exchange(&bench, SIM_S(20)));
    resent = simbench_resent(&bench);
    for (uint16_t rank = 0; rank < 4; rank++) {
        for (uint16_t peer = 0; peer < 4; peer++) {
            if (loss_ppm != 0 && peer != rank) {
                assert_int_equal(bench.apps[rank].mesh->peers[peer].queue_bytes, 0);
            }
        }
    }
    simbench_close(&bench);
    return resent;
}

/* Of some 7000 tiles. Without a limit it would be 895 and 5424. */
static void queues_that_are_shorter_than_the_credit_are_not_filled_again_and_again(void **state)
{
    (void)state;
    assert_in_range(exchange_slowly(60000, 0, 0), 0, 100);
    assert_in_range(exchange_slowly(30000, 0, 0), 0, 2500);
}

/* The RTT was measured on empty queues. By that alone, nearly all tiles would be taken for lost: 7439 were. */
static void after_a_pause_little_of_what_waits_in_queues_is_sent_again(void **state)
{
    (void)state;
    assert_in_range(exchange_slowly(60000, 0, SIM_MS(500)), 0, 1000);
}

/* Round trips are short then, so nothing waits in a queue. */
static void what_is_lost_at_random_limits_nobody(void **state)
{
    (void)state;
    assert_in_range(exchange_slowly(0, 10000, 0), 50, 500);
}

static void bits_flipped_behind_the_checksum_never_stop_an_endpoint(void **state)
{
    struct mesh_sim_link link = simbench_ethernet();
    struct simshape shape;

    (void)state;
    link.bit_flip_ppm = 200000;
    link.checksum_off = true;
    for (uint64_t seed = 1; seed <= 200; seed += SIMBENCH_STRIDE) {
        simshape_random(&shape, seed, (uint16_t)(2 + seed % 3), 4, 20);
        shape.step_count = 4;
        shape.records = 3;
        simbench_init(&bench, &shape, seed, &link);
        simbench_start(&bench);
        for (uint16_t rank = 0; rank < shape.rank_count; rank++) {
            bench.apps[rank].is_started = true;
        }
        mesh_sim_run(bench.sim, SIM_MS(100), NULL, NULL);
        simbench_close(&bench);
    }
}

static void need_libsodium(void)
{
    if (!mesh_seal_is_available()) {
        print_message("built without libsodium\n");
        skip();
    }
}

/* With keys it may do nothing at all: changed datagrams are refused, each once, and everything arrives as it was sent. */
static void bits_flipped_behind_the_checksum_are_all_refused_when_sealed(void **state)
{
    struct mesh_sim_link link = simbench_ethernet();
    uint64_t refused = 0;

    (void)state;
    need_libsodium();
    link.bit_flip_ppm = 200000;
    link.duplicate_ppm = 20000;
    link.checksum_off = true;
    for (uint64_t seed = 1; seed <= 200; seed += SIMBENCH_STRIDE) {
        struct simshape shape;
        struct mesh_sim_stats stats;

        simshape_random(&shape, seed, (uint16_t)(2 + seed % 3), 4, 20);
        shape.step_count = 4;
        shape.records = 3;
        simbench_init(&bench, &shape, seed, &link);
        simbench_start(&bench);
        assert_true(simbench_seal(&bench, seed % 2 == 0 ? MESH_SECURITY_SEAL : MESH_SECURITY_AUTH));
        if (!simbench_join(&bench, SIM_S(20)) || !simbench_exchange(&bench, SIM_S(20))) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, bench.error);
        }
        for (uint16_t from = 0; from < shape.rank_count; from++) {
            for (uint16_t to = 0; to < shape.rank_count; to++) {
                if (from != to) {
                    mesh_sim_set_link(bench.sim, from, to, &(struct mesh_sim_link){.rate_bits_per_s = 0});
                }
            }
        }
        mesh_sim_run(bench.sim, mesh_sim_now_ns(bench.sim) + SIM_MS(10), NULL, NULL); /* datagrams in flight arrive */
        mesh_sim_get_stats(bench.sim, &stats);
        assert_int_equal(stats.refused, stats.flipped);
        assert_int_equal(simbench_refused(&bench), stats.flipped);
        refused += stats.refused;
        simbench_close(&bench);
    }
    print_message("%llu datagrams with a flipped bit, all refused\n", (unsigned long long)refused);
    assert_true(refused > 100);
}

static void sealed_meshes_exchange_on_bad_networks(void **state)
{
    struct mesh_sim_link link = simbench_ethernet();

    (void)state;
    need_libsodium();
    link.loss_ppm = 50000;
    link.duplicate_ppm = 20000;
    link.reorder_ppm = 50000;
    link.reorder_ns = SIM_US(200);
    for (uint64_t seed = 1; seed <= 40; seed += SIMBENCH_STRIDE) {
        struct simshape shape;
        struct mesh_sim_stats stats;

        simshape_random(&shape, seed, 3, 4, 60);
        shape.step_count = 4;
        shape.prompt_tokens = 20;
        shape.records = 2;
        simbench_init(&bench, &shape, seed, &link);
        simbench_start(&bench);
        assert_true(simbench_seal(&bench, seed % 2 == 0 ? MESH_SECURITY_SEAL : MESH_SECURITY_AUTH));
        if (!simbench_join(&bench, SIM_S(5)) || !simbench_exchange(&bench, SIM_S(10))) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, bench.error);
        }
        mesh_sim_get_stats(bench.sim, &stats);
        assert_true(stats.lost > 0);
        assert_int_equal(stats.refused, 0);
        simbench_close(&bench);
    }
}

/* The core receives the same datagrams at the same times, whatever they look like on the wire. */
static void sealing_changes_nothing_that_the_core_does(void **state)
{
    uint64_t states[3], times[3];

    (void)state;
    need_libsodium();
    for (int security = MESH_SECURITY_NONE; security <= MESH_SECURITY_SEAL; security++) {
        struct mesh_sim_link link = simbench_ethernet();
        struct simshape shape;

        link.loss_ppm = 50000;
        simshape_random(&shape, 5, 4, 4, 30);
        simbench_init(&bench, &shape, 5, &link);
        simbench_start(&bench);
        assert_true(simbench_seal(&bench, (enum mesh_security)security));
        assert_true(simbench_join(&bench, SIM_S(5)) && simbench_exchange(&bench, SIM_S(5)));
        states[security] = simbench_state(&bench);
        times[security] = mesh_sim_now_ns(bench.sim);
        simbench_close(&bench);
    }
    assert_true(states[0] == states[1] && states[0] == states[2]);
    assert_true(times[0] == times[1] && times[0] == times[2]);
}

static void ranks_that_compute_slowly_are_waited_for_without_a_storm(void **state)
{
    const struct mesh_sim_link link = simbench_ethernet();
    struct simshape shape;

    (void)state;
    simshape_even(&shape, 4, 4, 4, 36);
    shape.step_count = 4;
    simbench_init(&bench, &shape, 9, &link);
    simbench_start(&bench);
    bench.apps[2].tile_ns_max = 30000000;
    assert_true(simbench_join(&bench, SIM_S(1)));
    if (!simbench_exchange(&bench, SIM_S(30))) {
        fail_msg("%s", bench.error);
    }
    print_message("slow rank: %llu us, %llu NAKs, %llu not-yet answers, %llu datagrams\n",
                  (unsigned long long)mesh_sim_now_ns(bench.sim) / 1000, (unsigned long long)simbench_sent(&bench, MESH_TYPE_NAK),
                  (unsigned long long)simbench_sent(&bench, MESH_TYPE_NOT_YET), (unsigned long long)simbench_sent_all(&bench));
    assert_in_range(simbench_sent(&bench, MESH_TYPE_NAK), 0, 100);
    assert_in_range(simbench_sent_all(&bench), 0, 2000);
    simbench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_lost_needs_no_nak_and_no_resend),
        cmocka_unit_test(a_lost_tile_costs_one_nak),
        cmocka_unit_test(every_loss_mask_after_the_handshake_completes),
        cmocka_unit_test(every_loss_mask_from_the_first_datagram_completes),
        cmocka_unit_test(random_exchanges_complete_on_every_kind_of_network),
        cmocka_unit_test(a_prompt_batch_larger_than_the_credit_never_overflows_the_receive_buffer),
        cmocka_unit_test(queues_that_are_shorter_than_the_credit_are_not_filled_again_and_again),
        cmocka_unit_test(after_a_pause_little_of_what_waits_in_queues_is_sent_again),
        cmocka_unit_test(what_is_lost_at_random_limits_nobody),
        cmocka_unit_test(bits_flipped_behind_the_checksum_never_stop_an_endpoint),
        cmocka_unit_test(bits_flipped_behind_the_checksum_are_all_refused_when_sealed),
        cmocka_unit_test(sealed_meshes_exchange_on_bad_networks),
        cmocka_unit_test(sealing_changes_nothing_that_the_core_does),
        cmocka_unit_test(ranks_that_compute_slowly_are_waited_for_without_a_storm),
    };

    /* Tens of thousands of meshes are opened and closed; obtaining their memory page by page each time would take as long as the rest. */
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
