/* Bulk transfers: the form of their records, and whole ones between a client and a node over real sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "node/fetch/bulk.h"
#include "session_host.h"
#include "session_net.h"

#define SECOND UINT64_C(1000000000)

enum { RESOURCE_BYTES = 3000000, WAITS_MAX = 20000 };

/* ---- records ---- */

static size_t written(const struct bulk_record *in, uint8_t record[BULK_DATA_BYTES_MAX + 64])
{
    struct bulk_record back;
    const size_t bytes = bulk_write(in, record);

    assert_true(bulk_is_one(record, bytes));
    assert_int_equal(bulk_read(&back, record, bytes), 0);
    assert_int_equal(back.kind, in->kind);
    assert_int_equal(back.tag, in->tag);
    assert_int_equal(back.offset, in->offset);
    assert_int_equal(back.data_bytes, in->data_bytes);
    if (in->data_bytes > 0) {
        assert_memory_equal(back.data, in->data, in->data_bytes);
    }
    assert_int_equal(back.want.resource, in->want.resource);
    assert_int_equal(back.want.offset, in->want.offset);
    assert_int_equal(back.want.bytes, in->want.bytes);
    assert_int_equal(back.want.args_bytes, in->want.args_bytes);
    assert_memory_equal(back.want.args, in->want.args, in->want.args_bytes);
    for (size_t cut = 0; cut < bytes && in->kind != BULK_DATA && in->kind != BULK_REFUSED; cut++) {
        assert_int_equal(bulk_read(&back, record, cut), -1);
    }
    return bytes;
}

static void records_are_read_as_they_were_written(void **state)
{
    static uint8_t record[BULK_DATA_BYTES_MAX + 64], data[BULK_DATA_BYTES_MAX];
    struct bulk_record get = {.kind = BULK_GET, .tag = 7, .want = {.resource = 4, .args = {9, 8, 7}, .args_bytes = 3, .offset = 5}};
    struct bulk_record back;

    (void)state;
    get.want.bytes = BULK_TO_END;
    written(&get, record);
    get.want.bytes = UINT64_MAX - 5;
    get.want.args_bytes = BULK_ARGS_BYTES_MAX;
    written(&get, record);
    written(&(struct bulk_record){.kind = BULK_STOP, .tag = 1}, record);
    written(&(struct bulk_record){.kind = BULK_END, .tag = 1, .offset = UINT64_MAX}, record);
    written(&(struct bulk_record){.kind = BULK_DATA, .tag = 1, .offset = 77, .data = data, .data_bytes = sizeof data}, record);
    written(&(struct bulk_record){.kind = BULK_REFUSED, .tag = 1, .data = (const uint8_t *)"why", .data_bytes = 3}, record);
    assert_false(bulk_is_one(record, 0));
    assert_false(bulk_is_one((const uint8_t *)"\1", 1));
    assert_int_equal(bulk_read(&back, (const uint8_t *)"\1\0\0\0\0", 5), -1);
}

static void ranges_beyond_all_numbers_are_refused(void **state)
{
    struct bulk_record record = {.kind = BULK_GET, .want = {.resource = 1, .offset = 6, .bytes = UINT64_MAX - 5}}, back;
    uint8_t bytes[BULK_DATA_BYTES_MAX + 64];

    (void)state;
    assert_int_equal(bulk_read(&back, bytes, bulk_write(&record, bytes)), -1);
    record = (struct bulk_record){.kind = BULK_DATA, .offset = UINT64_MAX, .data = bytes + 100, .data_bytes = 1};
    assert_int_equal(bulk_read(&back, bytes, bulk_write(&record, bytes)), -1);
    record.offset = record.data_bytes = 0;
    assert_int_equal(bulk_read(&back, bytes, bulk_write(&record, bytes)), -1);
}

static void a_reason_is_shown_without_what_acts_on_a_terminal(void **state)
{
    const struct bulk_record refused = {.kind = BULK_REFUSED, .data = (const uint8_t *)"no\033[2J\n", .data_bytes = 7};
    char why[BULK_WHY_BYTES];

    (void)state;
    bulk_why(&refused, why);
    assert_string_equal(why, "no?[2J?");
}

/* ---- transfers ---- */

static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)(offset * 7 + offset / 1000);
}

/* The resource is not ready the first three times, as if it were still being made. */
static enum bulk_read_result read_resource(void *app, const struct bulk_want *want, uint64_t offset, uint8_t *out, size_t *bytes,
                                           const char **why)
{
    int *late = app;

    if (*late > 0) {
        --*late;
        *why = "it is still being made"; /* not a refusal */
        return BULK_READ_LATER;
    }
    if (want->args_bytes == 1 && want->args[0] == 99) {
        *why = "nobody has 99: ask for another";
        return BULK_READ_REFUSED;
    }
    if (offset > RESOURCE_BYTES) {
        offset = RESOURCE_BYTES;
    }
    *bytes = *bytes < RESOURCE_BYTES - offset ? *bytes : (size_t)(RESOURCE_BYTES - offset);
    for (size_t i = 0; i < *bytes; i++) {
        out[i] = byte_at(offset + i);
    }
    return BULK_READ_DATA;
}

static const struct mesh_key key = {{1, 2, 3}};
static struct session_host host;
static struct bulk_host sources;
static uint8_t got[RESOURCE_BYTES + 1];
static int late;

static struct mesh_client *start(enum mesh_security security, const struct mesh_lab *lab, struct bulk *bulk)
{
    struct mesh_client_config config = {.security = security, .key = &key, .cluster = "harbour"};
    struct mesh_client *client;
    struct fail fail;

    if (security != MESH_SECURITY_NONE && !mesh_seal_is_available()) {
        print_message("built without libsodium\n");
        skip();
    }
    late = 3;
    memset(&sources, 0, sizeof sources);
    bulk_provide(&sources, BULK_KV, read_resource, &late);
    assert_true(session_host_start_bulk(&host, security, &key, "harbour", 4, lab, &sources));
    config.address = host.address;
    client = client_session_open(&config, &fail);
    assert_non_null(client);
    bulk_init(bulk, client);
    return client;
}

static void stop(struct mesh_client *client)
{
    client_session_close(client);
    session_host_stop(&host);
}

/* All of one range, as far as it exists: its size; -1: it is refused. No other GET is open. */
static int64_t get_all(struct bulk *bulk, const struct bulk_want *want, uint8_t *out, struct fail *fail)
{
    struct bulk_record record;
    char why[BULK_WHY_BYTES];
    uint32_t tag;
    int result;

    assert_int_equal(bulk_ask(bulk, want, &tag, fail), 0);
    while ((result = bulk_next(bulk, &record, 20 * SECOND, fail)) > 0) {
        if (record.kind == BULK_END)
            return (int64_t)(record.offset - want->offset);
        if (record.kind == BULK_REFUSED) {
            bulk_why(&record, why);
            return fail_set(fail, EXIT_ENVIRONMENT, "%s", why);
        }
        if (record.data_bytes > 0)
            memcpy(out + (record.offset - want->offset), record.data, record.data_bytes);
    }
    fail_msg("%s", result == 0 ? "nothing comes" : fail->text);
    return -1;
}

static void check_range(struct bulk *bulk, uint64_t offset, uint64_t bytes, uint64_t expected)
{
    const struct bulk_want want = {.resource = BULK_KV, .offset = offset, .bytes = bytes};
    struct fail fail;
    const int64_t size = get_all(bulk, &want, got, &fail);

    assert_int_equal(size, expected);
    for (uint64_t i = 0; i < expected; i++) {
        if (got[i] != byte_at(offset + i)) {
            fail_msg("byte %llu differs", (unsigned long long)(offset + i));
        }
    }
}

static void any_range_comes_as_it_is(void **state)
{
    struct bulk bulk;
    struct mesh_client *client = start(MESH_SECURITY_SEAL, NULL, &bulk);

    (void)state;
    check_range(&bulk, 0, BULK_TO_END, RESOURCE_BYTES);
    check_range(&bulk, 0, RESOURCE_BYTES, RESOURCE_BYTES);
    check_range(&bulk, 12345, 1, 1);
    check_range(&bulk, 5, BULK_DATA_BYTES_MAX, BULK_DATA_BYTES_MAX);
    check_range(&bulk, 5, BULK_DATA_BYTES_MAX + 1, BULK_DATA_BYTES_MAX + 1);
    check_range(&bulk, RESOURCE_BYTES - 10, 20, 10);
    check_range(&bulk, RESOURCE_BYTES, BULK_TO_END, 0);
    check_range(&bulk, 3, 0, 0);
    stop(client);
}

static void it_comes_through_loss_duplicates_and_reordering(void **state)
{
    const struct mesh_lab lab = {.loss_ppm = 50000, .duplicate_ppm = 20000, .reorder_ppm = 20000, .seed = 4};
    struct bulk bulk;
    struct mesh_client *client = start(MESH_SECURITY_NONE, &lab, &bulk);

    (void)state;
    check_range(&bulk, 100, 400000, 400000);
    stop(client);
}

/* While tokens are computed the transfer is slower, but completes. */
static void it_comes_while_tokens_are_made(void **state)
{
    struct bulk bulk;
    struct mesh_client *client = start(MESH_SECURITY_NONE, NULL, &bulk);

    (void)state;
    atomic_store(&host.is_busy, true);
    check_range(&bulk, 0, BULK_TO_END, RESOURCE_BYTES);
    stop(client);
}

static void several_are_open_at_once(void **state)
{
    enum { COUNT = BULK_OPEN_MAX, EACH = 100000 };
    struct bulk bulk;
    struct mesh_client *client = start(MESH_SECURITY_NONE, NULL, &bulk);
    uint64_t next[COUNT];
    struct bulk_record record;
    uint32_t tag, first = 0;
    struct fail fail;
    int over = 0;

    (void)state;
    for (uint32_t i = 0; i < COUNT; i++) {
        const struct bulk_want want = {.resource = BULK_KV, .offset = i * 1000u, .bytes = EACH};

        assert_int_equal(bulk_ask(&bulk, &want, &tag, &fail), 0);
        first = i == 0 ? tag : first;
        assert_int_equal(tag, first + i);
        next[i] = want.offset;
    }
    while (over < COUNT) {
        assert_int_equal(bulk_next(&bulk, &record, 20 * SECOND, &fail), 1);
        assert_true(record.tag - first < COUNT);
        assert_int_equal(record.offset, next[record.tag - first]);
        next[record.tag - first] += record.data_bytes;
        assert_true(record.kind != BULK_DATA || record.data[0] == byte_at(record.offset));
        over += record.kind == BULK_END;
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(next[i], i * 1000u + EACH);
    }
    stop(client);
}

static void what_is_not_there_is_refused_in_words(void **state)
{
    const struct bulk_want other = {.resource = BULK_MODEL_INFO, .bytes = 1}, beyond = {.resource = 200, .bytes = 1};
    const struct bulk_want refused = {.resource = BULK_KV, .args = {99}, .args_bytes = 1, .bytes = 1};
    struct bulk bulk;
    struct mesh_client *client = start(MESH_SECURITY_NONE, NULL, &bulk);
    struct fail fail;

    (void)state;
    assert_int_equal(get_all(&bulk, &other, got, &fail), -1);
    assert_non_null(strstr(fail.text, "does not have it"));
    assert_int_equal(get_all(&bulk, &beyond, got, &fail), -1);
    assert_non_null(strstr(fail.text, "does not have it"));
    assert_int_equal(get_all(&bulk, &refused, got, &fail), -1);
    assert_string_equal(fail.text, "nobody has 99: ask for another");
    check_range(&bulk, 0, 100, 100);
    stop(client);
}

static void who_goes_away_leaves_nothing_behind(void **state)
{
    const struct bulk_want want = {.resource = BULK_KV, .bytes = BULK_TO_END};
    struct bulk bulk;
    struct mesh_client *client = start(MESH_SECURITY_NONE, NULL, &bulk);
    const struct timespec pause = {.tv_nsec = 1000000};
    struct bulk_record record;
    struct fail fail;
    uint32_t tag;

    (void)state;
    assert_int_equal(bulk_ask(&bulk, &want, &tag, &fail), 0);
    assert_int_equal(bulk_next(&bulk, &record, 20 * SECOND, &fail), 1);
    client_session_close(client);
    /* After its stop the node closes open transfers itself, and is told of no other ends. */
    for (int i = 0; i < WAITS_MAX && atomic_load(&host.closed) == 0; i++)
        nanosleep(&pause, NULL);
    assert_int_equal(atomic_load(&host.closed), 1);
    session_host_stop(&host);
    assert_int_equal(sources.count, 0);
}

/* Data fills a session's queue as far as it may, whatever else is in it. */
static void there_is_room_to_refuse_as_many_as_a_client_may_open(void **state)
{
    const struct bulk_record get = {.kind = BULK_GET, .want = {.resource = BULK_KV, .bytes = BULK_TO_END}};
    const uint8_t other[] = "of another kind";
    uint8_t record[BULK_DATA_BYTES_MAX + 64];
    const size_t bytes = bulk_write(&get, record);

    (void)state;
    for (unsigned others = 0; others < 2 * BULK_DATA_BYTES_MAX / MESH_DATAGRAM_BYTES_MIN; others++) {
        static struct session_net net;
        uint64_t pieces;

        assert_true(session_net_init(&net, 1, MESH_SECURITY_NONE, 1));
        session_net_call(&net, NULL, 0, SECOND);
        session_net_run(&net, SECOND, NULL);
        assert_int_equal(net.opened, 1);
        late = 0;
        memset(&sources, 0, sizeof sources);
        bulk_provide(&sources, BULK_KV, read_resource, &late);
        for (unsigned i = 0; i < others; i++) {
            assert_int_equal(mesh_sessions_send(net.node, net.now_ns, net.session[0], other, sizeof other), MESH_OK);
        }
        assert_int_equal(bulk_host_take(&sources, net.node, net.now_ns, net.session[0], true, record, bytes), 0);
        bulk_host_run(&sources, net.node, net.now_ns, false);
        pieces = sources.sent_bytes / BULK_DATA_BYTES_MAX;
        assert_true(pieces > 0 && sources.sent_bytes % BULK_DATA_BYTES_MAX == 0);
        for (unsigned i = 1; i < BULK_OPEN_MAX; i++) {
            assert_int_equal(bulk_host_take(&sources, net.node, net.now_ns, net.session[0], false, record, bytes), 0);
        }
        session_net_run(&net, SECOND, NULL);
        assert_int_equal(net.client[0].records, others + pieces + BULK_OPEN_MAX - 1);
        assert_int_equal(net.client[0].last[0], BULK_REFUSED);
        session_net_release(&net);
    }
}

static int stop_host(void **state)
{
    (void)state;
    session_host_stop(&host);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_read_as_they_were_written),
        cmocka_unit_test(ranges_beyond_all_numbers_are_refused),
        cmocka_unit_test(a_reason_is_shown_without_what_acts_on_a_terminal),
        cmocka_unit_test_teardown(any_range_comes_as_it_is, stop_host),
        cmocka_unit_test_teardown(it_comes_through_loss_duplicates_and_reordering, stop_host),
        cmocka_unit_test_teardown(it_comes_while_tokens_are_made, stop_host),
        cmocka_unit_test_teardown(several_are_open_at_once, stop_host),
        cmocka_unit_test_teardown(what_is_not_there_is_refused_in_words, stop_host),
        cmocka_unit_test_teardown(who_goes_away_leaves_nothing_behind, stop_host),
        cmocka_unit_test(there_is_room_to_refuse_as_many_as_a_client_may_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
