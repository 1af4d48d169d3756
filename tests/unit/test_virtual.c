/* Clusters in virtual time: properties that hold whatever the schedule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/wire.h"
#include "node/bench/bench_datagram.h"
#include "node/bench/virtual_cluster.h"

enum { DIM = 1024, HIDDEN = 2048, LAYERS = 2, HEADS = 16, KV_HEADS = 4, VOCAB = 2048, TOKENS = 3 };

/* A phase of four nodes takes some 60 us, about as long as the transit of a tile. */
static const struct bench_shape shape = {
    "test", {.dim = DIM, .hidden = HIDDEN, .layers = LAYERS, .heads = HEADS, .kv_heads = KV_HEADS, .vocab = VOCAB, .context = 512}};
static const struct virtual_costs costs = {
    .send_call_ns = 2500, .send_each_ns = 650, .deliver_ns = 300, .receive_call_ns = 900, .receive_each_ns = 400};

static struct virtual_model model;

static int open_model(void **state)
{
    struct fail fail = {0};

    (void)state;
    return virtual_model_open(&model, &shape, TYPE_Q8_0, &fail);
}

static int close_model(void **state)
{
    (void)state;
    virtual_model_close(&model);
    return 0;
}

static struct virtual_cluster_config config_of(uint16_t nodes)
{
    return (struct virtual_cluster_config){
        .model = model.model,
        .nodes = nodes,
        .node = {.bytes_per_s = 10000000000, .costs = costs},
        .rate_bits_per_s = 1000000000,
        .delay_ns = 50000,
        .warm_tokens = 2,
        .tokens = TOKENS,
    };
}

static struct virtual_figures figures_of(const struct virtual_cluster_config *config)
{
    struct virtual_figures figures;
    struct fail fail = {0};

    if (virtual_cluster_run(config, &figures, &fail) < 0)
        fail_msg("%s", fail.text);
    assert_int_equal(figures.resent, 0);
    return figures;
}

/* Q8_0: 34 bytes for 32 weights. */
static double bytes_of(uint64_t weights)
{
    const uint64_t bytes = weights / 32 * 34;

    return (double)bytes;
}

static bool is_near(double a, double b, double tolerance)
{
    return a - b <= tolerance && b - a <= tolerance;
}

static void without_a_network_between_them_nodes_multiply_all_the_time(void **state)
{
    const uint64_t layer = 2 * (uint64_t)DIM * DIM + 2 * (uint64_t)DIM / HEADS * KV_HEADS * DIM + 3 * (uint64_t)DIM * HIDDEN;

    (void)state;
    for (uint16_t nodes = 2; nodes <= 4; nodes = (uint16_t)(nodes * 2)) {
        struct virtual_cluster_config config = config_of(nodes);

        config.node.costs = (struct virtual_costs){0};
        config.rate_bits_per_s = config.delay_ns = 0;
        const struct virtual_figures figures = figures_of(&config);
        const double bytes = bytes_of(LAYERS * layer + (uint64_t)VOCAB * DIM);

        assert_true(figures.least_utilisation > 0.995 && figures.utilisation <= 1.0005);
        assert_true(figures.weight_bytes == bytes); /* each weight once */
        assert_true(is_near(figures.tokens_per_s, nodes * 1e10 / bytes, 0.01 * figures.tokens_per_s));
    }
}

static void figures_are_the_same_in_every_run(void **state)
{
    const struct virtual_cluster_config config = config_of(4);
    const struct virtual_figures first = figures_of(&config), second = figures_of(&config);

    (void)state;
    assert_true(first.utilisation == second.utilisation && first.tokens_per_s == second.tokens_per_s && first.messages == second.messages);
}

static void longer_ways_never_make_it_faster(void **state)
{
    static const uint64_t delays_ns[] = {0, 50000, 200000};

    (void)state;
    for (int way = 0; way < 3; way++) {
        struct virtual_cluster_config config = config_of(4);
        double before = 0;

        config.is_whole = way > 0;
        config.is_star = way == 2;
        for (size_t i = 0; i < sizeof delays_ns / sizeof *delays_ns; i++) {
            config.delay_ns = delays_ns[i];
            const double speed = figures_of(&config).tokens_per_s;

            assert_true(i == 0 || speed < before);
            before = speed;
        }
    }
}

static void the_star_is_behind_whole_matrices_and_these_behind_the_mesh(void **state)
{
    (void)state;
    for (uint16_t nodes = 4; nodes <= 8; nodes = (uint16_t)(nodes * 2)) {
        struct virtual_cluster_config config = config_of(nodes);
        const double mesh = figures_of(&config).utilisation;

        config.is_whole = true;
        const double whole = figures_of(&config).utilisation;
        config.is_star = true;
        const double star = figures_of(&config).utilisation;
        assert_true(star < whole && whole < mesh);
    }
}

static void the_processor_pays_for_every_datagram_and_call(void **state)
{
    struct virtual_cluster_config config = config_of(4);
    const struct virtual_figures figures = figures_of(&config);
    const double token_ns = 1e9 / figures.tokens_per_s * config.nodes;

    (void)state;
    assert_true(is_near(figures.sending * token_ns,
                        figures.messages * (double)costs.send_each_ns + figures.send_calls * (double)costs.send_call_ns, 0.01 * token_ns));
    assert_true(figures.receiving * token_ns >= figures.receive_calls * (double)costs.receive_call_ns * 0.99);
    config.node.costs = (struct virtual_costs){0};
    const struct virtual_figures freed = figures_of(&config);
    assert_true(freed.sending == 0 && freed.receiving == 0 && freed.utilisation > figures.utilisation);
}

static void a_group_saves_all_but_one_datagram_of_each_tile(void **state)
{
    struct virtual_cluster_config config = config_of(4);

    config.warm_tokens = 20; /* until it is known which ranks hear the group */
    const struct virtual_figures alone = figures_of(&config);

    (void)state;
    config.node.has_group = true;
    const struct virtual_figures together = figures_of(&config);
    assert_true(together.messages < 0.4 * alone.messages);
    assert_true(together.sending < alone.sending && together.utilisation >= alone.utilisation);
}

static void more_runs_make_more_datagrams(void **state)
{
    struct virtual_cluster_config config = config_of(2);
    double before = 0;

    (void)state;
    for (uint16_t runs = 1; runs <= 4; runs = (uint16_t)(runs * 2)) {
        config.send_runs = runs;
        for (int kind = 0; kind < PHASE_KINDS; kind++)
            config.tile_rows[kind] = 32;
        const double messages = figures_of(&config).messages;

        assert_true(messages > before);
        before = messages;
    }
}

/* Bytes of blocks in the tiles of one step, by the phase of the layer; the last are candidates. */
struct tally {
    uint64_t bytes[5];
};

static void count_tile(void *app, uint64_t now_ns, uint16_t from, uint16_t to, const uint8_t *packet, size_t bytes, bool dropped)
{
    enum { STEP = 3 };
    struct tally *tally = app;
    struct mesh_message message;

    (void)now_ns;
    (void)from;
    (void)to;
    assert_false(dropped);
    assert_int_equal(mesh_wire_decode(packet, bytes, &message), 0);
    if (message.header.type != MESH_TYPE_TILE || message.as.tile.step != STEP)
        return;
    const unsigned phase = message.as.tile.phase;
    tally->bytes[phase == 4 * LAYERS ? 4 : phase % 4] += message.data_bytes;
}

static void every_block_of_the_layout_is_sent_to_every_other_node_once(void **state)
{
    enum { NODES = 4, OTHERS = NODES - 1 };
    struct tally tally = {{0}};
    struct virtual_cluster_config config = config_of(NODES);

    (void)state;
    config.watch = count_tile;
    config.watch_app = &tally;
    figures_of(&config);
    assert_int_equal(tally.bytes[0], (uint64_t)LAYERS * DIM / BLOCK_COLUMNS * BLOCK_WIRE_BYTES * OTHERS);
    assert_int_equal(tally.bytes[1], (uint64_t)LAYERS * DIM / BLOCK_COLUMNS * BLOCK_WIRE_BYTES_NORM * OTHERS);
    assert_int_equal(tally.bytes[2], (uint64_t)LAYERS * HIDDEN / BLOCK_COLUMNS * BLOCK_WIRE_BYTES * OTHERS);
    assert_int_equal(tally.bytes[3], (uint64_t)LAYERS * DIM / BLOCK_COLUMNS * BLOCK_WIRE_BYTES_NORM * OTHERS);
    assert_true(tally.bytes[4] > 0);
}

static void costs_are_read_as_five_numbers(void **state)
{
    static const char *const wrong[] = {"",         "1",          "1,2,3,4",    "1,2,3,4,5,6",       "1,2,3,4,",
                                        "1,2,,4,5", "1,2,3,4,-5", "1,2,3,4,5 ", "1,2,3,4,2000000000"};
    struct virtual_costs read = {0};
    struct fail fail = {0};

    (void)state;
    assert_int_equal(bench_datagram_parse("2400,650,0,500,1000000000", &read, &fail), 0);
    assert_int_equal(read.send_call_ns, 2400);
    assert_int_equal(read.send_each_ns, 650);
    assert_int_equal(read.deliver_ns, 0);
    assert_int_equal(read.receive_call_ns, 500);
    assert_int_equal(read.receive_each_ns, 1000000000);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(bench_datagram_parse(wrong[i], &read, &fail), -1);
        assert_int_equal(fail.exit_code, EXIT_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_network_between_them_nodes_multiply_all_the_time),
        cmocka_unit_test(figures_are_the_same_in_every_run),
        cmocka_unit_test(longer_ways_never_make_it_faster),
        cmocka_unit_test(the_star_is_behind_whole_matrices_and_these_behind_the_mesh),
        cmocka_unit_test(the_processor_pays_for_every_datagram_and_call),
        cmocka_unit_test(a_group_saves_all_but_one_datagram_of_each_tile),
        cmocka_unit_test(more_runs_make_more_datagrams),
        cmocka_unit_test(every_block_of_the_layout_is_sent_to_every_other_node_once),
        cmocka_unit_test(costs_are_read_as_five_numbers),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
