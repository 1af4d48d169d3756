/* Where the time of gathers went, of two ranks that send each other tiles: who computes, and who waits for whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dissector/analysis.h"

enum { STEPS_MAX = 64, PHASES = 3 };
#define MS UINT64_C(1000000)

static struct analysis analysis;
static uint64_t now_ns, numbers[2]; /* numbers: the last one of each rank */
static uint32_t epoch;
static struct steps_step told[STEPS_MAX];
static unsigned told_count;

static void on_loss(void *context, const struct analysis_loss *loss)
{
    (void)context;
    (void)loss;
}

static void on_step(void *context, const struct steps_step *step)
{
    (void)context;
    assert_true(told_count < STEPS_MAX);
    told[told_count++] = *step;
}

static int start(void **state)
{
    (void)state;
    analysis_init(&analysis, on_loss, NULL);
    analysis.steps.on_step = on_step;
    now_ns = MS;
    numbers[0] = numbers[1] = 0;
    epoch = 1;
    told_count = 0;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    analysis_release(&analysis);
    return 0;
}

/* A rank's next datagram to the other. */
static struct packet datagram(unsigned src, uint8_t type)
{
    static struct frame frames[2];
    struct packet packet = {.ts_ns = now_ns, .state = PACKET_DECODED, .frame = &frames[src], .size = 100};

    frames[src].src.port = (uint16_t)(1 + src);
    frames[src].dst.port = (uint16_t)(2 - src);
    packet.message.header = (struct mesh_header){.magic = MESH_WIRE_MAGIC, .version = 1, .type = type, .epoch = epoch};
    packet.message.header.number = ++numbers[src];
    packet.message.header.src = (uint16_t)src;
    packet.message.header.dst = (uint16_t)(1 - src);
    packet.message.header.have_step = MESH_STEP_NONE;
    return packet;
}

static void tile(unsigned src, uint64_t step, uint16_t phase, uint16_t block)
{
    struct packet packet = datagram(src, MESH_TYPE_TILE);

    packet.message.as.tile = (struct mesh_tile){.step = step, .phase = phase, .token_count = 1, .block_count = 1};
    packet.message.as.tile.block_first = (uint16_t)(10 * src + block);
    analysis_add(&analysis, &packet);
}

/* A rank says that it holds what it reads of a gather. */
static void hold(unsigned src, uint64_t step, uint16_t phase)
{
    struct packet packet = datagram(src, MESH_TYPE_STATUS);

    packet.message.header.have_step = step;
    packet.message.header.have_phase = phase;
    analysis_add(&analysis, &packet);
}

/* Rank 1 takes 10 ms for its two blocks of a gather; rank 0 has sent its own after 1 ms. Rank 1 acknowledges those before it has computed
 * its own, as a receiver does. */
static void gather(uint64_t step, uint16_t phase)
{
    now_ns += MS;
    tile(0, step, phase, 0);
    now_ns += MS;
    hold(1, step, phase);
    now_ns += 3 * MS;
    tile(1, step, phase, 0);
    now_ns += 5 * MS;
    tile(1, step, phase, 1);
    hold(0, step, phase);
}

static void run(uint64_t first, uint64_t count)
{
    for (uint64_t step = first; step < first + count; step++)
        for (uint16_t phase = 0; phase < PHASES; phase++)
            gather(step, phase);
}

static void the_rank_that_computes_until_last_waits_for_nobody(void **state)
{
    (void)state;
    run(1, 2);
    analysis_end(&analysis);
    assert_int_equal(told_count, 2);
    for (unsigned i = 0; i < told_count; i++) {
        const struct steps_rank *slow = &told[i].ranks[1], *fast = &told[i].ranks[0];

        assert_int_equal(slow->wait_ns, 0);
        assert_int_equal(slow->compute_ns, 5 * MS + (PHASES - 1) * 10 * MS); /* of the first gather, what is between its two tiles */
        assert_int_equal(fast->wait_ns, PHASES * 9 * MS);
        assert_int_equal(fast->wait_for_ns[1], PHASES * 9 * MS);
    }
}

/* Also of an epoch's last gather, after which nothing of the epoch comes; the steps of the next one are others. */
static void each_step_is_reported_once(void **state)
{
    (void)state;
    for (epoch = 1; epoch <= 3; epoch++) {
        numbers[0] = numbers[1] = 0;
        run(1, 20);
        now_ns += 1000 * MS;
    }
    analysis_end(&analysis);
    assert_int_equal(told_count, 3 * 20);
    for (unsigned i = 0; i < told_count; i++) {
        assert_int_equal(told[i].epoch, 1 + i / 20);
        assert_int_equal(told[i].step, 1 + i % 20);
        assert_int_equal(told[i].ranks[0].wait_ns, PHASES * 9 * MS);
        assert_int_equal(told[i].ranks[1].compute_ns, 5 * MS + (PHASES - 1) * 10 * MS);
    }
}

/* The two clocks differ by more than either shows, and the first datagram is not the fastest. */
static void what_waits_in_its_host_is_measured_by_what_waits_least(void **state)
{
    static const uint64_t waits_ns[] = {70000, 10000, 10000, 1010000, 10000};
    const struct link_host *host;

    (void)state;
    now_ns = 1000 * MS;
    for (unsigned i = 0; i < sizeof waits_ns / sizeof *waits_ns; i++) {
        struct packet packet = datagram(0, MESH_TYPE_STATUS);

        packet.message.header.sent_ns = now_ns + 5000 * MS - waits_ns[i];
        analysis_add(&analysis, &packet);
        now_ns += MS;
    }
    host = analysis.links.links[0]->sender;
    assert_int_equal(host->queued.count, 5);
    assert_int_equal(host->queued.max_ns, 1000000);
    assert_true(mesh_histogram_quantile(&host->queued, 500) < 1000);
    analysis_end(&analysis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_rank_that_computes_until_last_waits_for_nobody, start, stop),
        cmocka_unit_test_setup_teardown(each_step_is_reported_once, start, stop),
        cmocka_unit_test_setup_teardown(what_waits_in_its_host_is_measured_by_what_waits_least, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
