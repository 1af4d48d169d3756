/* Keys and values that another node fetches: the same bytes as in the cache, in pieces of any size, and only existing ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "node/fetch/kv_source.h"
#include "tests/unit/simcluster.h"
#include "tests/unit/simmodel.h"
#include "tests/unit/simrequest.h"

enum { CTX = 96, US = 1000, REQUESTS = 3 };

static const struct synth_options small = {
    .dim = 96, .hidden = 288, .layers = 3, .heads = 6, .kv_heads = 3, .vocab = 300, .context = 128, .type = TYPE_Q4_0, .seed = 1};

static struct simmodel synth;
static struct simcluster cluster;
static struct simrequest requests[REQUESTS];
static struct saved_kv saved_kv, none;

/* One node, part of the way through its requests. */
static void open_cluster(enum kv_type type)
{
    const struct simcluster_config config = {.model = synth.model,
                                             .rank_count = 1,
                                             .batch = 16,
                                             .slots = REQUESTS,
                                             .ctx = CTX,
                                             .kv_type = type,
                                             .seed = 1,
                                             .unit_ns = US,
                                             .saved_kv = &none};

    if (simcluster_open(&cluster, &config) < 0)
        fail_msg("%s", cluster.reason);
    for (uint64_t i = 0; i < REQUESTS; i++) {
        simrequest_draw(&requests[i], 30 + i, i + 1, small.vocab, 20, 30);
        requests[i].request.predict = CTX;
        simcluster_submit(&cluster, &requests[i].request);
    }
    simcluster_run(&cluster, 4000 * US);
}

static int open_model(void **state)
{
    (void)state;
    simmodel_open(&synth, &small);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    simmodel_close(&synth);
    return 0;
}

/* Reads a range, `piece` bytes at a time; returns its size, or -1 when it is refused. */
static int64_t read_all(const struct kv_source_range *range, size_t piece, uint8_t *out)
{
    struct bulk_want want = {.resource = BULK_KV};
    const char *why = NULL;
    int64_t size = 0;
    size_t bytes;

    want.args_bytes = range == NULL ? 0 : kv_source_range_write(range, want.args);
    do {
        bytes = piece;
        if (kv_source_read(&cluster.node[0].engine, &want, (uint64_t)size, out + size, &bytes, &why) != BULK_READ_DATA)
            return why == NULL ? -2 : -1;
        assert_true(bytes <= piece && why == NULL);
        size += (int64_t)bytes;
    } while (bytes > 0);
    return size;
}

static void check_head(struct saved_kv *copy, uint64_t request, uint32_t head, uint32_t positions, size_t piece)
{
    const struct saved_kv_head *whole = saved_kv_find(&saved_kv, request, head);
    uint8_t *bytes = malloc(saved_kv_bytes(&saved_kv.shape, positions) + piece);

    assert_non_null(bytes);
    assert_non_null(whole);
    for (uint32_t first = 0, to; first < positions; first = to) {
        to = first + 32 < positions ? first + 32 : positions;
        const struct kv_source_range range = {request, head, first, to};

        assert_int_equal(read_all(&range, piece, bytes), saved_kv_bytes(&saved_kv.shape, to - first));
        assert_true(saved_kv_extend(copy, request, head, first, to, bytes));
    }
    const struct saved_kv_head *got = saved_kv_find(copy, request, head);
    assert_int_equal(got->positions, positions);
    for (uint32_t layer = 0; layer < saved_kv.shape.layers; layer++) {
        const size_t k = saved_kv_k_bytes(&saved_kv.shape, positions), v = saved_kv_v_bytes(&saved_kv.shape, positions);
        const size_t all_k = saved_kv_k_bytes(&saved_kv.shape, whole->positions),
                     all_v = saved_kv_v_bytes(&saved_kv.shape, whole->positions);

        assert_memory_equal(got->bytes + layer * (k + v), whole->bytes + layer * (all_k + all_v), k);
        assert_memory_equal(got->bytes + layer * (k + v) + k, whole->bytes + layer * (all_k + all_v) + all_k, v);
    }
    free(bytes);
}

static void what_is_read_is_what_is_in_the_cache(void **state)
{
    static const size_t pieces[] = {37, 1000, 18000};
    uint8_t bytes[KV_SOURCE_LIST_BYTES_MAX + 18000];

    (void)state;
    for (int type = 0; type < KV_TYPE_COUNT; type++) {
        struct kv_source_list list;
        int64_t size;

        open_cluster((enum kv_type)type);
        engine_save_kv(cluster.node[0].engine, &saved_kv);
        size = read_all(NULL, 18000, bytes);
        assert_true(size > 0);
        assert_int_equal(kv_source_list_read(&list, bytes, (size_t)size), 0);
        assert_int_equal(list.count, REQUESTS);
        assert_int_equal(list.heads, 3);
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
            struct saved_kv copy = {.shape = saved_kv.shape};

            for (uint32_t i = 0; i < list.count; i++) {
                assert_true(list.of[i].positions >= 16 && list.of[i].positions % 16 == 0);
                for (uint32_t h = 0; h < list.heads; h++)
                    check_head(&copy, list.of[i].request, list.first + h, list.of[i].positions, pieces[p]);
            }
            saved_kv_release(&copy);
        }
        saved_kv_release(&saved_kv);
        simcluster_close(&cluster);
    }
}

static void what_is_not_there_is_refused(void **state)
{
    static const struct kv_source_range bad[] = {
        {9, 0, 0, 16},  /* no such request */
        {1, 3, 0, 16},  /* no such head */
        {1, 0, 0, 96},  /* not computed yet */
        {1, 0, 8, 16},  /* no whole tile */
        {1, 0, 0, 17},  /* nor this one */
        {1, 0, 32, 16}, /* reversed */
        {1, 0, 0, UINT32_MAX / 16 * 16},
    };
    static uint8_t bytes[200000];
    struct kv_source_list list;

    (void)state;
    open_cluster(KV_F16);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(read_all(&bad[i], 1000, bytes), -1);
    struct engine *engine = cluster.node[0].engine;
    cluster.node[0].engine = NULL;
    assert_int_equal(read_all(NULL, 1000, bytes), -1);
    cluster.node[0].engine = engine;
    simcluster_close(&cluster);
    memset(bytes, 0xff, 12);
    assert_int_equal(kv_source_list_read(&list, bytes, 12), -1);
    memset(bytes + 8, 0, 4);
    assert_int_equal(kv_source_list_read(&list, bytes, 11), -1);
    assert_int_equal(kv_source_list_read(&list, bytes, 13), -1);
    assert_int_equal(kv_source_list_read(&list, bytes, 12), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_is_what_is_in_the_cache),
        cmocka_unit_test(what_is_not_there_is_refused),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
