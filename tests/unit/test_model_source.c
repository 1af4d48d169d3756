/* A node's model as resources: what is provided, when, and to which peers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mesh/seal.h"
#include "node/fetch/model_source.h"
#include "node/gguf/gguf.h"

static const char model_path[] = "node/models/stories-q8_0.gguf";

static struct gguf *gguf;
static struct model_source source;
static struct bulk_host host;
static struct fail fail;
static const char *why;

static void open_part(const uint8_t *hashes, const _Atomic uint8_t *have)
{
    gguf = gguf_open(model_path, &fail);
    assert_non_null(gguf);
    assert_int_equal(model_source_open(&source, gguf, hashes, have, &fail), 0);
    memset(&host, 0, sizeof host);
    model_source_provide(&source, &host);
}

static void open_source(const uint8_t *hashes)
{
    open_part(hashes, NULL);
}

static void close_source(void)
{
    model_source_close(&source);
    gguf_close(gguf);
}

static enum bulk_read_result read_once(const struct bulk_want *want, uint64_t offset, uint8_t *out, size_t *bytes)
{
    const struct bulk_source *from = &host.source[want->resource];

    return from->read(from->app, want, offset, out, bytes, &why);
}

/* Reads until the result is not LATER, for 20 s at most. */
static enum bulk_read_result read_part(const struct bulk_want *want, uint64_t offset, uint8_t *out, size_t *bytes)
{
    const size_t room = *bytes;
    enum bulk_read_result result;

    for (int i = 0; i < 20000; i++) {
        *bytes = room;
        result = read_once(want, offset, out, bytes);
        if (result != BULK_READ_LATER) {
            return result;
        }
        usleep(1000);
    }
    fail_msg("it comes never");
    return BULK_READ_LATER;
}

static struct bulk_want want_of(enum bulk_resource resource, const struct model_info *info)
{
    struct bulk_want want = {.resource = (uint8_t)resource, .args_bytes = MODEL_HASH_BYTES};

    memcpy(want.args, info->id, MODEL_HASH_BYTES);
    return want;
}

static void read_info(struct model_info *info)
{
    const struct bulk_want want = {.resource = BULK_MODEL_INFO};
    uint8_t bytes[MODEL_INFO_BYTES_MAX];
    size_t size = sizeof bytes;

    assert_int_equal(read_part(&want, 0, bytes, &size), BULK_READ_DATA);
    assert_int_equal(model_info_read(info, bytes, size), 0);
}

static void hashes_are_made_when_somebody_asks_and_fit_file_and_id(void **state)
{
    uint8_t hashes[64 * MODEL_HASH_BYTES], hash[MODEL_HASH_BYTES], *chunk = malloc(MODEL_CHUNK_BYTES);
    struct model_info info;
    struct bulk_want want;
    size_t size;

    (void)state;
    open_source(NULL);
    assert_int_equal(source.state, MODEL_SOURCE_IDLE);
    read_info(&info);
    assert_int_equal(info.bytes, gguf_file_bytes(gguf));
    assert_int_equal(info.head_bytes, gguf_data_start(gguf));
    assert_string_equal(info.name, "stories-q8_0.gguf");
    want = want_of(BULK_MODEL_HASHES, &info);
    size = sizeof hashes;
    assert_int_equal(read_part(&want, 0, hashes, &size), BULK_READ_DATA);
    assert_int_equal(size, model_chunk_count(info.bytes) * (size_t)MODEL_HASH_BYTES);
    assert_int_equal(model_id(info.bytes, info.fingerprint, hashes, hash), 0);
    assert_memory_equal(hash, info.id, sizeof hash);
    want = want_of(BULK_MODEL_BYTES, &info);
    for (uint32_t c = 0; c < model_chunk_count(info.bytes); c++) {
        const uint64_t offset = (uint64_t)c * MODEL_CHUNK_BYTES;

        size = MODEL_CHUNK_BYTES;
        assert_int_equal(read_part(&want, offset, chunk, &size), BULK_READ_DATA);
        assert_int_equal(size, model_chunk_bytes(info.bytes, c));
        mesh_hash32(chunk, size, hash);
        assert_memory_equal(hash, hashes + (size_t)c * MODEL_HASH_BYTES, sizeof hash);
    }
    size = 10;
    assert_int_equal(read_part(&want, info.bytes, chunk, &size), BULK_READ_DATA);
    assert_int_equal(size, 0);
    size = 10;
    assert_int_equal(read_part(&want, UINT64_MAX, chunk, &size), BULK_READ_DATA);
    assert_int_equal(size, 0);
    close_source();
    free(chunk);
}

/* A copy of the model under this name; with `flip` its last byte is another one. */
static void copy_model(const char *path, uint8_t flip)
{
    FILE *in = fopen(model_path, "rb"), *out = fopen(path, "wb");
    uint8_t *bytes = malloc(MODEL_CHUNK_BYTES);
    size_t size, last = 0;

    assert_true(in != NULL && out != NULL && bytes != NULL);
    while ((size = fread(bytes, 1, MODEL_CHUNK_BYTES, in)) > 0) {
        assert_int_equal(fwrite(bytes, 1, size, out), size);
        last = size - 1;
    }
    assert_int_equal(fseek(out, -1, SEEK_END), 0);
    assert_int_equal(fputc(bytes[last] ^ flip, out), bytes[last] ^ flip);
    fclose(in);
    assert_int_equal(fclose(out), 0);
    free(bytes);
}

/* The node computes with the file that it has mapped. */
static void others_get_the_open_file_though_its_name_is_another_ones_by_now(void **state)
{
    char folder[] = "/tmp/model-source.XXXXXX", name[64], other[64];
    uint8_t right[MODEL_HASH_BYTES];
    struct model_info info;

    (void)state;
    open_source(NULL);
    read_info(&info);
    memcpy(right, info.id, sizeof right);
    close_source();
    assert_non_null(mkdtemp(folder));
    snprintf(name, sizeof name, "%s/model.gguf", folder);
    snprintf(other, sizeof other, "%s/other.gguf", folder);
    copy_model(name, 0);
    copy_model(other, 1);
    gguf = gguf_open(name, &fail);
    assert_non_null(gguf);
    assert_int_equal(rename(other, name), 0);
    assert_int_equal(model_source_open(&source, gguf, NULL, NULL, &fail), 0);
    memset(&host, 0, sizeof host);
    model_source_provide(&source, &host);
    read_info(&info);
    assert_memory_equal(info.id, right, sizeof right);
    close_source();
    unlink(name);
    rmdir(folder);
}

static void hashes_that_are_known_are_given_at_once(void **state)
{
    static uint8_t hashes[64 * MODEL_HASH_BYTES];
    uint8_t bytes[MODEL_INFO_BYTES_MAX];
    const struct bulk_want want = {.resource = BULK_MODEL_INFO};
    struct model_info info, again;
    struct bulk_want list;
    size_t size = sizeof hashes;

    (void)state;
    open_source(NULL);
    read_info(&info);
    list = want_of(BULK_MODEL_HASHES, &info);
    assert_int_equal(read_part(&list, 0, hashes, &size), BULK_READ_DATA);
    close_source();
    open_source(hashes);
    size = sizeof bytes;
    assert_int_equal(read_once(&want, 0, bytes, &size), BULK_READ_DATA);
    assert_int_equal(model_info_read(&again, bytes, size), 0);
    assert_memory_equal(&again, &info, sizeof info);
    close_source();
}

static void another_model_is_refused_in_words(void **state)
{
    struct model_info info;
    struct bulk_want want;
    uint8_t byte;
    size_t size = 1;

    (void)state;
    open_source(NULL);
    read_info(&info);
    info.id[5] ^= 1;
    want = want_of(BULK_MODEL_BYTES, &info);
    assert_int_equal(read_part(&want, 0, &byte, &size), BULK_READ_REFUSED);
    assert_non_null(strstr(why, "another model"));
    want.args_bytes = 3;
    assert_int_equal(read_part(&want, 0, &byte, &size), BULK_READ_REFUSED);
    want.resource = BULK_MODEL_HASHES;
    assert_int_equal(read_part(&want, 0, &byte, &size), BULK_READ_REFUSED);
    close_source();
}

static void chunks_that_are_not_there_are_refused_and_not_listed(void **state)
{
    static uint8_t hashes[64 * MODEL_HASH_BYTES], bytes[BULK_DATA_BYTES_MAX];
    _Atomic uint8_t have[64] = {1, 0, 1};
    struct model_info info;
    struct bulk_want want, list;
    size_t size = sizeof hashes;
    uint8_t bits[8];

    (void)state;
    open_source(NULL);
    read_info(&info);
    want = want_of(BULK_MODEL_HASHES, &info);
    assert_int_equal(read_part(&want, 0, hashes, &size), BULK_READ_DATA);
    assert_true(source.count > 2);
    list = want_of(BULK_MODEL_HAVE, &info);
    size = sizeof bits;
    assert_int_equal(read_part(&list, 0, bits, &size), BULK_READ_DATA);
    assert_int_equal(size, (source.count + 7) / 8);
    assert_int_equal(bits[0], (1 << source.count) - 1);
    close_source();

    open_part(hashes, have);
    size = sizeof bits;
    assert_int_equal(read_once(&list, 0, bits, &size), BULK_READ_DATA);
    assert_int_equal(bits[0], 5);
    size = sizeof bits;
    assert_int_equal(read_once(&list, (source.count + 7) / 8, bits, &size), BULK_READ_DATA);
    assert_int_equal(size, 0);
    want = want_of(BULK_MODEL_BYTES, &info);
    size = sizeof bytes;
    assert_int_equal(read_part(&want, MODEL_CHUNK_BYTES - 100, bytes, &size), BULK_READ_DATA);
    assert_int_equal(size, 100); /* and does not continue into the next one */
    size = sizeof bytes;
    assert_int_equal(read_part(&want, MODEL_CHUNK_BYTES, bytes, &size), BULK_READ_REFUSED);
    assert_non_null(strstr(why, "does not have that part"));
    atomic_store(&have[1], 1);
    size = sizeof bytes;
    assert_int_equal(read_part(&want, MODEL_CHUNK_BYTES, bytes, &size), BULK_READ_DATA);
    assert_int_equal(size, sizeof bytes);
    close_source();
}

static void it_can_end_while_hashes_are_made(void **state)
{
    const struct bulk_want want = {.resource = BULK_MODEL_INFO};
    uint8_t byte;
    size_t size = 1;

    (void)state;
    open_source(NULL);
    read_once(&want, 0, &byte, &size);
    close_source();
    open_source(NULL);
    close_source();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_made_when_somebody_asks_and_fit_file_and_id),
        cmocka_unit_test(others_get_the_open_file_though_its_name_is_another_ones_by_now),
        cmocka_unit_test(hashes_that_are_known_are_given_at_once),
        cmocka_unit_test(another_model_is_refused_in_words),
        cmocka_unit_test(chunks_that_are_not_there_are_refused_and_not_listed),
        cmocka_unit_test(it_can_end_while_hashes_are_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
