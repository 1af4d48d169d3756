/* A model file that is truncated while it is open: the function that guards it is called last, however and in whatever thread the file is
 * read. */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/common/pool.h"
#include "node/gguf/gguf.h"
#include "node/gguf/gguf_guard.h"
#include "tests/unit/gguf_case.h"

enum { READERS = 4, TIMES = 20 };

static char path[64];
static int file;
static uint8_t *valid;
static size_t valid_size;

/* A valid file, as long as several pages. */
static int write_file(void **state)
{
    (void)state;
    valid = gguf_case_make(&valid_size);
    snprintf(path, sizeof path, "/tmp/test_gguf_guard.XXXXXX");
    file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, valid, valid_size), (ssize_t)valid_size);
    assert_int_equal(ftruncate(file, (off_t)valid_size + (1 << 20)), 0);
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    free(valid);
    close(file);
    return unlink(path);
}

static void end(const char *of)
{
    _exit(strcmp(of, path) == 0 ? EXIT_BAD_FILE : EXIT_FAILURE);
}

static void shorten(void)
{
    if (ftruncate(file, 0) != 0)
        _exit(EXIT_FAILURE);
}

/* ---- accesses to the file, in a child ---- */

static void touch(const struct gguf *gguf)
{
    volatile const uint8_t *byte = gguf_tensor_bytes(gguf_tensor_at(gguf, 0), 0, 1, NULL);

    (void)*byte;
}

static void touch_as_thread(void *app, uint16_t index)
{
    (void)index;
    touch(app);
}

static void touch_in_thread(struct gguf *gguf)
{
    struct fail fail;

    pool_join(pool_start(1, touch_as_thread, gguf, &fail));
}

static void read_rows(struct gguf *gguf)
{
    uint8_t buffer[16];

    gguf_tensor_bytes(gguf_tensor_at(gguf, 0), 0, sizeof buffer, buffer);
}

static void take_fingerprint(struct gguf *gguf)
{
    uint8_t fingerprint[32];

    gguf_fingerprint(gguf, fingerprint);
}

static void look_at_values(struct gguf *gguf)
{
    uint64_t value;
    struct fail fail;

    (void)gguf_get_uint(gguf, "general.alignment", UINT64_MAX, &value, &fail);
}

static void touch_plainly(struct gguf *gguf)
{
    touch(gguf);
}

/* A mapping from elsewhere is unknown to the guard. */
static void touch_another_mapping(struct gguf *gguf)
{
    volatile uint8_t *other = mmap(NULL, 1, PROT_READ, MAP_SHARED, file, 0);

    (void)gguf;
    (void)*other;
}

static void have_it_sent(struct gguf *gguf)
{
    (void)gguf;
    kill(getpid(), SIGBUS);
}

/* ---- closing another file at the same time, which the handler may be looking at ---- */

enum { YIELDS = 10000 }; /* far more than closing takes */

static atomic_bool is_ending, is_closed;

static void end_after_the_others(const char *of)
{
    atomic_store(&is_ending, true);
    for (int i = 0; i < YIELDS && !atomic_load(&is_closed); i++)
        sched_yield();
    if (atomic_load(&is_closed))
        _exit(EXIT_FAILURE);
    end(of);
}

static void close_another_meanwhile(struct gguf *gguf)
{
    struct fail fail;
    struct gguf *other = gguf_open("node/models/stories-q8_0.gguf", &fail);

    gguf_guard(end_after_the_others);
    if (other == NULL || pool_start(1, touch_as_thread, gguf, &fail) == NULL)
        _exit(EXIT_FAILURE);
    while (!atomic_load(&is_ending))
        sched_yield();
    gguf_close(other);
    atomic_store(&is_closed, true);
    pause();
}

/* The exit status of a child that opens the file, which is then truncated, and reads it. */
static int status_of(bool is_guarded, void (*read_it)(struct gguf *gguf))
{
    const pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct fail fail;
        struct gguf *gguf = gguf_open(path, &fail);

        signal(SIGBUS, SIG_DFL);
        if (is_guarded)
            gguf_guard(end);
        if (gguf == NULL)
            _exit(EXIT_FAILURE);
        shorten();
        read_it(gguf);
        _exit(EXIT_SUCCESS);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* ---- tests ---- */

static void whoever_reads_a_file_that_has_become_shorter_ends_with_the_last_word(void **state)
{
    static void (*const ways[])(struct gguf *) = {touch_plainly, touch_in_thread, read_rows, take_fingerprint, look_at_values};

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const int status = status_of(true, ways[i]);

        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), EXIT_BAD_FILE);
        remove_file(state);
        write_file(state);
    }
}

static void no_file_is_closed_while_a_handler_looks_at_them(void **state)
{
    const int status = status_of(true, close_another_meanwhile);

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_BAD_FILE);
}

static atomic_uint ready;

static void touch_with_the_others(void *app, uint16_t index)
{
    (void)index;
    for (atomic_fetch_add(&ready, 1); atomic_load(&ready) < READERS;)
        sched_yield();
    touch(app);
}

/* The output of a program of that name whose threads all read the file after it was truncated. */
static void hear_program(char *said, size_t size)
{
    int status, ends[2];
    size_t count = 0;
    ssize_t got;

    assert_int_equal(pipe(ends), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        struct fail fail;
        struct gguf *gguf = gguf_open(path, &fail);

        if (gguf == NULL || dup2(ends[1], STDERR_FILENO) < 0)
            _exit(EXIT_FAILURE);
        gguf_guard_program("mesh-test");
        shorten();
        pool_join(pool_start(READERS, touch_with_the_others, gguf, &fail));
        _exit(EXIT_SUCCESS);
    }
    assert_true(pid > 0);
    close(ends[1]);
    while ((got = read(ends[0], said + count, size - 1 - count)) > 0)
        count += (size_t)got;
    said[count] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_BAD_FILE);
}

static void a_program_says_its_name_and_the_file_once(void **state)
{
    char said[1000], expected[1000];

    (void)state;
    snprintf(expected, sizeof expected, "mesh-test: %s: cannot be read: it has become shorter, or its disk fails: copy it again\n", path);
    for (int i = 0; i < TIMES; i++) {
        assert_int_equal(ftruncate(file, (off_t)valid_size + (1 << 20)), 0);
        assert_int_equal(pwrite(file, valid, valid_size, 0), (ssize_t)valid_size);
        hear_program(said, sizeof said);
        assert_string_equal(said, expected);
    }
}

static void without_a_guard_and_elsewhere_it_is_the_signal(void **state)
{
    int status = status_of(false, touch_plainly);

    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    remove_file(state);
    write_file(state);
    status = status_of(true, touch_another_mapping);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    remove_file(state);
    write_file(state);
    status = status_of(true, have_it_sent);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whoever_reads_a_file_that_has_become_shorter_ends_with_the_last_word, write_file, remove_file),
        cmocka_unit_test_setup_teardown(no_file_is_closed_while_a_handler_looks_at_them, write_file, remove_file),
        cmocka_unit_test_setup_teardown(a_program_says_its_name_and_the_file_once, write_file, remove_file),
        cmocka_unit_test_setup_teardown(without_a_guard_and_elsewhere_it_is_the_signal, write_file, remove_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
