/* How much longer than usual a rank waited for lost data: rank 0 sends to rank 1, step after step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "dissector/analysis.h"

enum { STEPS = 12, LOSSES_MAX = 4, US = 1000 };

static struct analysis analysis;
static struct {
    uint64_t step;
    double stall_ms;
} losses[LOSSES_MAX];
static size_t loss_count;
static uint64_t numbers[2];

static void on_loss(void *context, const struct analysis_loss *loss)
{
    (void)context;
    assert_true(loss_count < LOSSES_MAX && loss->entry != NULL);
    losses[loss_count].step = loss->entry->step;
    losses[loss_count++].stall_ms = loss->stall_ms;
}

static int start(void **state)
{
    (void)state;
    analysis_init(&analysis, on_loss, NULL);
    loss_count = numbers[0] = numbers[1] = 0;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    analysis_release(&analysis);
    return 0;
}

/* A datagram from rank 0 to 1, or back. */
static void add(unsigned src, uint64_t at_ns, struct mesh_message message)
{
    static struct frame frames[2];
    struct packet packet = {.ts_ns = at_ns, .state = PACKET_DECODED, .frame = &frames[src], .size = 100, .message = message};
    struct mesh_header *header = &packet.message.header;

    for (unsigned i = 0; i < 2; i++) {
        frames[i].src.port = (uint16_t)(1 + i);
        frames[i].dst.port = (uint16_t)(2 - i);
        frames[i].src.ip[15] = (uint8_t)i;
        frames[i].dst.ip[15] = (uint8_t)(1 - i);
    }
    header->magic = MESH_WIRE_MAGIC;
    header->version = 1;
    header->epoch = 1;
    header->number = ++numbers[src];
    header->src = (uint16_t)src;
    header->dst = (uint16_t)(1 - src);
    if (header->have_step == 0)
        header->have_step = MESH_STEP_NONE;
    analysis_add(&analysis, &packet);
}

static void tile(unsigned src, uint64_t at_ns, uint64_t step, uint16_t block, uint16_t flags)
{
    add(src, at_ns,
        (struct mesh_message){.header = {.type = MESH_TYPE_TILE, .flags = flags},
                              .as.tile = {.step = step, .token_count = 1, .block_first = block, .block_count = 1}});
}

static void nak(uint64_t at_ns, uint64_t step, uint16_t block)
{
    add(1, at_ns,
        (struct mesh_message){.header.type = MESH_TYPE_NAK,
                              .as.nak = {.step = step, .range_count = 1},
                              .ranges[0] = {.token_count = 1, .block_first = block, .block_count = 1}});
}

static void have(uint64_t at_ns, uint64_t step, uint64_t lost)
{
    add(1, at_ns,
        (struct mesh_message){.header = {.type = MESH_TYPE_STATUS, .have_step = step},
                              .as.status = {.seen_peer = numbers[0], .window_bytes = 1, .lost = lost}});
}

/* Usually rank 1 waits for a millisecond after its own tile. In step 4 the first of two tiles is lost and comes again before the second
 * one; in step 7 the second one is lost and comes again after 21 ms. */
static void a_loss_costs_what_is_waited_for_longer_than_usual(void **state)
{
    uint64_t now_ns = 1000000;
    unsigned lost = 0;

    (void)state;
    for (uint64_t step = 1; step <= STEPS; step++) {
        tile(1, now_ns, step, 7, 0);
        if (step == 4) {
            numbers[0]++;
            tile(0, now_ns + 400 * US, step, 2, 0);
            nak(now_ns + 500 * US, step, 0);
            tile(0, now_ns + 600 * US, step, 0, MESH_FLAG_RESEND);
            lost++;
        } else {
            tile(0, now_ns + 300 * US, step, 0, 0);
        }
        if (step == 7) {
            numbers[0]++;
            nak(now_ns + 2000 * US, step, 1);
            now_ns += 20000 * US;
            tile(0, now_ns + 1000 * US, step, 1, MESH_FLAG_RESEND);
            lost++;
        } else {
            tile(0, now_ns + 1000 * US, step, 1, 0);
        }
        have(now_ns + 1200 * US, step, lost);
        now_ns += 2000 * US;
    }
    analysis_end(&analysis);
    assert_int_equal(loss_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(losses[i].step, i == 0 ? 4 : 7);
        assert_int_equal((int)(losses[i].stall_ms * 10 + 0.5), i == 0 ? 0 : 200);
    }
    assert_int_equal(analysis.stalls, 1);
    assert_int_equal((int)(analysis.stall_ms * 10 + 0.5), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_loss_costs_what_is_waited_for_longer_than_usual, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
