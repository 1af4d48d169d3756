#include "speed_test.h"

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/udp.h"
#include "node/common/pool.h"

enum {
    FILL_BYTE = 0x35, /* which is a weight, a normal number and a scale in every type */
    PIECE_BYTES = 64 << 10,
    TURNS = 16,
    TURN_NS = 2000000,
    ALIGNMENT = 64
};

struct speed_test {
    const struct kernel *kernel;
    enum tensor_type type;
    uint16_t threads;
    size_t panel_bytes, piece_panels, pieces; /* of a thread */
    struct pool *pool;
    uint8_t *weights;             /* (threads, pieces, piece_panels), and room for prefetches behind them */
    float *out;                   /* (threads, piece_panels, PANEL_ROWS) */
    _Atomic uint32_t ready, done; /* threads */
    atomic_bool is_given_up;
    _Atomic uint64_t bytes_per_s[TURNS]; /* of all threads together */
};

union input {
    struct act_slice q;
    struct act_slice_f32 f;
};

static void fill_input(union input *input, bool is_float)
{
    memset(input, 0, sizeof *input);
    for (int c = 0; c < SLICE_COLUMNS; c++) {
        if (is_float)
            input->f.v[c] = (float)(c - 128) / 128.0f;
        else
            input->q.q[c] = (int8_t)(c - 128);
    }
    for (int b = 0; !is_float && b < SLICE_BLOCKS; b++)
        input->q.d[b] = 1.0f / 64.0f;
}

static uint8_t *weights_of(const struct speed_test *test, uint16_t thread)
{
    return test->weights + (size_t)thread * test->pieces * test->piece_panels * test->panel_bytes;
}

/* Wait so that all threads begin a turn together. */
static void wait_for_all(struct speed_test *test, uint32_t turn)
{
    atomic_fetch_add(&test->ready, 1);
    while (atomic_load(&test->ready) < (turn + 1) * test->threads && !atomic_load(&test->is_given_up))
        sched_yield();
}

/* Returns bytes per second. *at: the piece to begin with. */
static uint64_t take_turn(const struct speed_test *test, uint16_t thread, const union input *input, size_t *at)
{
    const size_t piece_bytes = test->piece_panels * test->panel_bytes;
    const uint64_t begin_ns = mesh_udp_now_ns();
    float *out = test->out + (size_t)thread * test->piece_panels * PANEL_ROWS;
    uint64_t bytes = 0, spent_ns = 0;

    while (spent_ns < TURN_NS) {
        test->kernel->dot[test->type](weights_of(test, thread) + *at * piece_bytes, test->piece_panels, SLICE_COLUMNS, input, sizeof *input,
                                      1, out, test->piece_panels * PANEL_ROWS, false);
        *at = (*at + 1) % test->pieces;
        bytes += piece_bytes;
        spent_ns = mesh_udp_now_ns() - begin_ns;
    }
    return bytes * 1000000 / (spent_ns / 1000);
}

static void work(void *app, uint16_t thread)
{
    struct speed_test *test = app;
    union input input;
    size_t at = 0;

    kernel_thread_init();
    fill_input(&input, tensor_type_info(test->type)->is_float);
    memset(weights_of(test, thread), FILL_BYTE, test->pieces * test->piece_panels * test->panel_bytes);
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        wait_for_all(test, turn);
        atomic_fetch_add(&test->bytes_per_s[turn], take_turn(test, thread, &input, &at));
    }
    atomic_fetch_add(&test->done, 1);
}

static void free_test(struct speed_test *test)
{
    free(test->weights);
    free(test->out);
    free(test);
}

static int allocate(struct speed_test *test, uint64_t bytes, struct fail *fail)
{
    void *weights = NULL, *out = NULL;
    size_t all;

    test->panel_bytes = kernel_panel_bytes(test->type, SLICE_COLUMNS);
    test->piece_panels = (PIECE_BYTES + test->panel_bytes - 1) / test->panel_bytes;
    bytes = bytes < SPEED_TEST_BYTES_MAX ? bytes : SPEED_TEST_BYTES_MAX;
    test->pieces = (size_t)bytes / test->threads / (test->piece_panels * test->panel_bytes) + 1;
    all = test->threads * test->pieces * test->piece_panels * test->panel_bytes + PANEL_PREFETCH_BYTES;
    if (posix_memalign(&weights, ALIGNMENT, all) == 0)
        test->weights = weights;
    if (posix_memalign(&out, ALIGNMENT, test->threads * test->piece_panels * PANEL_ROWS * sizeof(float)) == 0)
        test->out = out;
    return test->weights != NULL && test->out != NULL ? 0 : fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
}

struct speed_test *speed_test_start(const struct kernel *kernel, enum tensor_type type, uint64_t bytes, uint16_t threads, struct fail *fail)
{
    struct speed_test *test = calloc(1, sizeof *test);

    assert(threads > 0 && kernel->dot[type] != NULL);
    if (test == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        return NULL;
    }
    test->kernel = kernel;
    test->type = type;
    test->threads = threads;
    fail->text[0] = '\0';
    if (allocate(test, bytes, fail) == 0)
        test->pool = pool_start(threads, work, test, fail);
    if (test->pool != NULL && fail->text[0] == '\0')
        return test;
    atomic_store(&test->is_given_up, true); /* started threads do not wait for the others */
    pool_join(test->pool);
    free_test(test);
    return NULL;
}

bool speed_test_is_done(const struct speed_test *test)
{
    return atomic_load(&test->done) == test->threads;
}

uint32_t speed_test_end(struct speed_test *test)
{
    uint64_t best = 0;

    pool_join(test->pool);
    for (int turn = 0; turn < TURNS; turn++) {
        const uint64_t speed = atomic_load(&test->bytes_per_s[turn]) / 1000;

        best = speed > best ? speed : best;
    }
    free_test(test);
    return best == 0 ? 1 : best < UINT32_MAX ? (uint32_t)best : UINT32_MAX;
}
