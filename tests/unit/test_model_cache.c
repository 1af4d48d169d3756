/* A model's parts and the cache that keeps them: torn, truncated, damaged and refused files. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "mesh/seal.h"
#include "node/fetch/model_cache.h"

enum { COUNT = 4, LAST_BYTES = 1000, FILE_BYTES = 3 * MODEL_CHUNK_BYTES + LAST_BYTES };

static uint8_t content[FILE_BYTES], hashes[COUNT * MODEL_HASH_BYTES];
static struct model_info info;
static char root[64];
static struct fail fail;

/* Replaces the C library's function, for the objects under test, too: returns the error of a file system without locks. */
static int flock_error;

int flock(int file, int operation)
{
    if (flock_error != 0) {
        errno = flock_error;
        return -1;
    }
    return (int)syscall(SYS_flock, file, operation);
}

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof content; i++) {
        content[i] = (uint8_t)(i * 31 + i / 4099);
    }
    info = (struct model_info){.bytes = FILE_BYTES, .head_bytes = 5000, .is_strong = true, .fingerprint = {1, 2, 3}, .name = "tales.gguf"};
    for (uint32_t c = 0; c < COUNT; c++) {
        mesh_hash32(content + (size_t)c * MODEL_CHUNK_BYTES, model_chunk_bytes(FILE_BYTES, c), hashes + c * MODEL_HASH_BYTES);
    }
    if (model_id(info.bytes, info.fingerprint, hashes, info.id) < 0) {
        return -1;
    }
    snprintf(root, sizeof root, "/tmp/mesh-cache-test.XXXXXX");
    return mkdtemp(root) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    char command[100];

    (void)state;
    snprintf(command, sizeof command, "rm -r '%s'", root);
    return system(command);
}

static void open_cache(struct model_cache *cache)
{
    assert_int_equal(model_cache_open(cache, root, &info, 0, &fail), 0);
}

static void put_all(struct model_cache *cache)
{
    assert_int_equal(model_cache_set_hashes(cache, hashes, &fail), 1);
    for (uint32_t c = 0; c < COUNT; c++) {
        assert_int_equal(model_cache_put(cache, c, content + (size_t)c * MODEL_CHUNK_BYTES, &fail), 1);
    }
}

/* Which chunks are there after another start, and how many were found damaged. */
static void check_again(uint32_t there, uint32_t bad)
{
    struct model_cache cache;

    open_cache(&cache);
    assert_true(cache.has_hashes);
    assert_int_equal(model_cache_check(&cache, NULL, NULL, NULL, &fail), 0);
    assert_int_equal(cache.have_count, there);
    assert_int_equal(cache.bad_count, bad);
    model_cache_close(&cache);
}

/* Change a file in the folder at offset, or truncate it there (byte < 0). */
static void change(const char *name, long offset, int byte)
{
    struct model_cache cache;
    char path[400];
    FILE *file;

    open_cache(&cache);
    snprintf(path, sizeof path, "%s/%s", cache.folder, name);
    model_cache_close(&cache);
    if (byte < 0) {
        assert_int_equal(truncate(path, offset), 0);
        return;
    }
    file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fputc(byte, file), byte);
    assert_int_equal(fclose(file), 0);
}

/* ---- parts ---- */

static void what_a_model_is_is_read_as_it_was_written(void **state)
{
    uint8_t bytes[MODEL_INFO_BYTES_MAX];
    const size_t size = model_info_write(&info, bytes);
    struct model_info back;

    (void)state;
    assert_int_equal(model_info_read(&back, bytes, size), 0);
    assert_memory_equal(&back, &info, sizeof info);
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(model_info_read(&back, bytes, cut), -1);
    }
    bytes[size - 1] = '\033';
    assert_int_equal(model_info_read(&back, bytes, size), 0);
    assert_string_equal(back.name, "tales.ggu?");
    memset(bytes, 0, 8);
    assert_int_equal(model_info_read(&back, bytes, size), -1);
    memset(bytes, 255, 8);
    assert_int_equal(model_info_read(&back, bytes, size), -1);
}

static void the_last_chunk_is_what_is_left(void **state)
{
    (void)state;
    assert_int_equal(model_chunk_count(FILE_BYTES), COUNT);
    assert_int_equal(model_chunk_bytes(FILE_BYTES, COUNT - 1), LAST_BYTES);
    assert_int_equal(model_chunk_count(MODEL_CHUNK_BYTES), 1);
    assert_int_equal(model_chunk_bytes(MODEL_CHUNK_BYTES, 0), MODEL_CHUNK_BYTES);
    assert_int_equal(model_chunk_count(1), 1);
}

static void the_id_binds_size_fingerprint_and_every_hash(void **state)
{
    uint8_t other[MODEL_HASH_BYTES], changed[sizeof hashes], fingerprint[MODEL_HASH_BYTES] = {1, 2, 4};

    (void)state;
    assert_int_equal(model_id(info.bytes - 1, info.fingerprint, hashes, other), 0);
    assert_memory_not_equal(other, info.id, sizeof other);
    assert_int_equal(model_id(info.bytes, fingerprint, hashes, other), 0);
    assert_memory_not_equal(other, info.id, sizeof other);
    memcpy(changed, hashes, sizeof changed);
    changed[sizeof changed - 1] ^= 1;
    assert_int_equal(model_id(info.bytes, info.fingerprint, changed, other), 0);
    assert_memory_not_equal(other, info.id, sizeof other);
}

/* ---- the cache ---- */

static void what_was_put_is_there_at_the_next_start(void **state)
{
    struct model_cache cache;
    struct stat status;
    FILE *file;
    uint8_t *back = malloc(FILE_BYTES);

    (void)state;
    open_cache(&cache);
    assert_false(cache.has_hashes);
    put_all(&cache);
    assert_int_equal(cache.have_count, COUNT);
    assert_int_equal(stat(cache.path, &status), 0);
    assert_int_equal(status.st_size, FILE_BYTES);
    file = fopen(cache.path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(back, 1, FILE_BYTES, file), FILE_BYTES);
    assert_memory_equal(back, content, FILE_BYTES);
    fclose(file);
    free(back);
    model_cache_close(&cache);
    check_again(COUNT, 0);
}

static void hashes_that_do_not_fit_are_refused(void **state)
{
    struct model_cache cache;
    uint8_t wrong[sizeof hashes];

    (void)state;
    memcpy(wrong, hashes, sizeof wrong);
    wrong[40] ^= 1;
    open_cache(&cache);
    assert_int_equal(model_cache_set_hashes(&cache, wrong, &fail), 0);
    assert_false(cache.has_hashes);
    assert_int_equal(model_cache_set_hashes(&cache, hashes, &fail), 1);
    assert_int_equal(model_cache_put(&cache, 1, content, &fail), 0); /* the bytes of another chunk */
    assert_int_equal(cache.have_count, 0);
    model_cache_close(&cache);
    check_again(0, 0);
}

static void a_damaged_chunk_is_found_and_can_be_put_again(void **state)
{
    struct model_cache cache;

    (void)state;
    open_cache(&cache);
    put_all(&cache);
    model_cache_close(&cache);
    change("model.gguf", MODEL_CHUNK_BYTES + 17, 'x');
    check_again(COUNT - 1, 1);
    check_again(COUNT - 1, 0); /* the map records it */
    open_cache(&cache);
    assert_int_equal(model_cache_check(&cache, NULL, NULL, NULL, &fail), 0);
    assert_int_equal(cache.have[1], 0);
    assert_int_equal(model_cache_put(&cache, 1, content + MODEL_CHUNK_BYTES, &fail), 1);
    model_cache_close(&cache);
    check_again(COUNT, 0);
}

static void a_file_that_was_cut_off_keeps_what_is_left(void **state)
{
    struct model_cache cache;

    (void)state;
    open_cache(&cache);
    put_all(&cache);
    model_cache_close(&cache);
    change("model.gguf", 2 * MODEL_CHUNK_BYTES + 5, -1);
    check_again(2, 2);
}

static void a_map_that_is_torn_or_lies_costs_only_its_chunks(void **state)
{
    struct model_cache cache;

    (void)state;
    open_cache(&cache);
    put_all(&cache);
    model_cache_close(&cache);
    change("have", 2, -1);
    check_again(2, 0);
    change("have", 3, 200); /* claims more than there ever is: the chunk is good */
    check_again(3, 0);
    change("have", 100000, 1); /* longer than it should be */
    check_again(3, 0);
    change("model.gguf", 0, 'x');
    change("have", 0, 1);
    check_again(2, 1);
}

static void a_list_that_is_torn_is_asked_for_again(void **state)
{
    struct model_cache cache;

    (void)state;
    open_cache(&cache);
    put_all(&cache);
    model_cache_close(&cache);
    change("hashes", 70, -1);
    open_cache(&cache);
    assert_false(cache.has_hashes);
    model_cache_close(&cache);
    assert_int_equal(model_cache_reopen(&cache, root, info.id, 0, &fail), -1);
    model_cache_close(&cache);
    open_cache(&cache);
    assert_int_equal(model_cache_set_hashes(&cache, hashes, &fail), 1);
    model_cache_close(&cache);
    check_again(COUNT, 0);
}

static void a_model_is_found_again_by_its_cluster(void **state)
{
    struct model_cache cache;
    uint8_t id[MODEL_HASH_BYTES];

    (void)state;
    assert_int_equal(model_cache_recall(root, "harbour", id), -1);
    open_cache(&cache);
    put_all(&cache);
    model_cache_close(&cache);
    model_cache_remember(root, "harbour", info.id);
    assert_int_equal(model_cache_recall(root, "other", id), -1);
    assert_int_equal(model_cache_recall(root, "harbour", id), 0);
    assert_int_equal(model_cache_reopen(&cache, root, id, 0, &fail), 0);
    assert_int_equal(cache.info.bytes, FILE_BYTES);
    assert_int_equal(model_cache_check(&cache, NULL, NULL, NULL, &fail), 0);
    assert_int_equal(cache.have_count, COUNT);
    model_cache_close(&cache);
}

static void one_process_at_a_time_has_a_folder(void **state)
{
    struct model_cache cache, second;

    (void)state;
    open_cache(&cache);
    assert_int_equal(model_cache_open(&second, root, &info, 0, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_non_null(strstr(fail.text, "another process"));
    model_cache_close(&second);
    model_cache_close(&cache);
    open_cache(&cache);
    model_cache_close(&cache);
}

static void the_folder_is_where_the_environment_says(void **state)
{
    char *path;

    (void)state;
    setenv("XDG_CACHE_HOME", "/somewhere", 1);
    path = model_cache_root(&fail);
    assert_string_equal(path, "/somewhere/diolkos-mesh");
    free(path);
    setenv("XDG_CACHE_HOME", "relative", 1); /* to be ignored, according to the standard */
    setenv("HOME", "/", 1);
    path = model_cache_root(&fail);
    assert_string_equal(path, "//.cache/diolkos-mesh");
    free(path);
    setenv("HOME", "/nonexistent", 1); /* which is the home of Debian's system users; not to be made */
    assert_null(model_cache_root(&fail));
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_string_equal(fail.text, "cache: HOME is /nonexistent, which is no folder: set XDG_CACHE_HOME to one, or give -m MODEL.gguf");
    unsetenv("HOME");
    assert_null(model_cache_root(&fail));
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
}

static void a_disk_that_is_full_in_the_middle_of_a_chunk_harms_nothing(void **state)
{
    const struct rlimit limit = {.rlim_cur = MODEL_CHUNK_BYTES + 5000, .rlim_max = RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
    struct model_cache cache;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    open_cache(&cache);
    assert_int_equal(model_cache_set_hashes(&cache, hashes, &fail), 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(model_cache_put(&cache, 0, content, &fail), 1);
    assert_int_equal(model_cache_put(&cache, 1, content + MODEL_CHUNK_BYTES, &fail), -1);
    assert_non_null(strstr(fail.text, "no room for the model"));
    model_cache_close(&cache);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    check_again(1, 0);
    open_cache(&cache);
    put_all(&cache);
    model_cache_close(&cache);
    check_again(COUNT, 0);
}

static void a_file_system_without_locks_is_named_at_once(void **state)
{
    struct model_cache cache;

    (void)state;
    flock_error = ENOLCK;
    assert_int_equal(model_cache_open(&cache, root, &info, UINT64_MAX, &fail), -1);
    flock_error = 0;
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_non_null(strstr(fail.text, "cannot be locked: No locks available"));
    model_cache_close(&cache);
}

static void only_chunks_that_are_wanted_are_checked(void **state)
{
    struct model_cache cache;
    uint8_t wanted[COUNT] = {0, 1};

    (void)state;
    open_cache(&cache);
    put_all(&cache);
    model_cache_close(&cache);
    open_cache(&cache);
    assert_int_equal(model_cache_check(&cache, wanted, NULL, NULL, &fail), 0);
    assert_int_equal(cache.have_count, 1);
    assert_int_equal(cache.have[1], 1);
    assert_int_equal(model_cache_check(&cache, NULL, NULL, NULL, &fail), 0);
    assert_int_equal(cache.have_count, COUNT);
    assert_int_equal(model_cache_has_room(&cache, wanted, &fail), 0);
    model_cache_close(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_model_is_is_read_as_it_was_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_last_chunk_is_what_is_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_id_binds_size_fingerprint_and_every_hash, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_put_is_there_at_the_next_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hashes_that_do_not_fit_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_chunk_is_found_and_can_be_put_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_was_cut_off_keeps_what_is_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_map_that_is_torn_or_lies_costs_only_its_chunks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_list_that_is_torn_is_asked_for_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_model_is_found_again_by_its_cluster, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_process_at_a_time_has_a_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_system_without_locks_is_named_at_once, set_up, tear_down),
        cmocka_unit_test(the_folder_is_where_the_environment_says),
        cmocka_unit_test_setup_teardown(only_chunks_that_are_wanted_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_disk_that_is_full_in_the_middle_of_a_chunk_harms_nothing, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
