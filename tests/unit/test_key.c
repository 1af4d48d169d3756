/* Key files: what is written can be read, and everything that is not exactly a key is refused with a reason that states the remedy. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "mesh/key.h"

static char folder[64], path[128], reason[200];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/mesh-key.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/key", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static const char good[] = "mesh-key-1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

static int parse(const char *text)
{
    struct mesh_key key;

    reason[0] = '\0';
    return mesh_key_parse(text, strlen(text), &key, reason, sizeof reason);
}

static void write_file(const char *text, mode_t mode)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void a_line_is_what_it_was_made_of(void **state)
{
    struct mesh_key key, again;
    char line[MESH_KEY_LINE_BYTES];

    (void)state;
    for (uint8_t i = 0; i < MESH_KEY_BYTES; i++)
        key.bytes[i] = (uint8_t)(i * 37 + 200);
    mesh_key_format(&key, line);
    assert_int_equal(strlen(line), MESH_KEY_LINE_BYTES - 1);
    assert_int_equal(mesh_key_parse(line, strlen(line), &again, reason, sizeof reason), 0);
    assert_memory_equal(&key, &again, sizeof key);
    assert_int_equal(mesh_key_parse(line, strlen(line) - 1, &again, reason, sizeof reason), 0); /* without the newline */
    assert_memory_equal(&key, &again, sizeof key);
}

static void digits_may_be_capitals(void **state)
{
    struct mesh_key key;
    char text[sizeof good];

    (void)state;
    strcpy(text, good);
    for (size_t i = 11; text[i] != '\0'; i++)
        text[i] = (char)(text[i] >= 'a' ? text[i] - 'a' + 'A' : text[i]);
    assert_int_equal(mesh_key_parse(text, strlen(text), &key, reason, sizeof reason), 0);
    assert_int_equal(key.bytes[31], 0x1f);
}

static void what_is_no_key_is_refused_with_a_reason(void **state)
{
    char text[200];

    (void)state;
    assert_int_equal(parse(good), 0);
    assert_int_equal(parse(""), MESH_EINVAL);
    assert_string_equal(reason, "no key: it does not begin with 'mesh-key-1 ': make a key with mesh-node keygen");
    assert_int_equal(parse("mesh-key-2 00"), MESH_EINVAL);
    assert_int_equal(parse(good + 1), MESH_EINVAL);
    assert_int_equal(parse(" mesh-key-1 00"), MESH_EINVAL);
    snprintf(text, sizeof text, "%.*s", (int)strlen(good) - 1, good);
    assert_int_equal(parse(text), MESH_EINVAL);
    assert_string_equal(reason, "a key that is too short: 64 hexadecimal digits are needed: make a key with mesh-node keygen");
    snprintf(text, sizeof text, "%s0", good);
    assert_int_equal(parse(text), MESH_EINVAL);
    assert_string_equal(reason, "more than a key: something follows its 64 digits: make a key with mesh-node keygen");
    snprintf(text, sizeof text, "%s\n\n", good);
    assert_int_equal(parse(text), MESH_EINVAL);
    snprintf(text, sizeof text, "%s \n", good);
    assert_int_equal(parse(text), MESH_EINVAL);
    snprintf(text, sizeof text, "%s\r\n", good);
    assert_int_equal(parse(text), MESH_EINVAL);
    for (size_t i = 0; i < strlen(good); i++) {
        strcpy(text, good);
        text[i] = 'g';
        assert_int_equal(parse(text), MESH_EINVAL);
    }
    assert_string_equal(reason, "no key: 64 hexadecimal digits are needed: make a key with mesh-node keygen");
}

static void a_new_file_is_read_again_and_only_its_owner_may_use_it(void **state)
{
    struct mesh_key key, again;
    struct stat status;

    (void)state;
    assert_int_equal(mesh_random(&key, sizeof key), 0);
    assert_int_equal(mesh_key_write_new(path, &key, reason, sizeof reason), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(status.st_size, MESH_KEY_LINE_BYTES - 1);
    assert_int_equal(mesh_key_read(path, &again, reason, sizeof reason), 0);
    assert_memory_equal(&key, &again, sizeof key);
}

static void a_file_that_exists_is_left_alone(void **state)
{
    struct mesh_key key = {{0}}, again;

    (void)state;
    write_file(good, 0600);
    assert_int_equal(mesh_key_write_new(path, &key, reason, sizeof reason), MESH_ESYSTEM);
    assert_int_equal(errno, EEXIST);
    assert_string_equal(reason, "cannot be made: File exists: a key is not replaced: give another name, or remove it first");
    assert_int_equal(mesh_key_read(path, &again, reason, sizeof reason), 0);
    assert_int_equal(again.bytes[1], 1);
    unlink(path);
    assert_int_equal(symlink("nowhere", path), 0); /* the target of a link is not created either */
    assert_int_equal(mesh_key_write_new(path, &key, reason, sizeof reason), MESH_ESYSTEM);
}

static void a_file_that_others_may_use_is_refused(void **state)
{
    struct mesh_key key;

    (void)state;
    for (mode_t bit = 1; bit <= 040; bit <<= 1) {
        write_file(good, 0600 | bit);
        assert_int_equal(mesh_key_read(path, &key, reason, sizeof reason), MESH_EINVAL);
        assert_non_null(strstr(reason, "chmod 600"));
    }
    write_file(good, 0400);
    assert_int_equal(mesh_key_read(path, &key, reason, sizeof reason), 0);
}

/* systemd gives a service's user a file owned by root with mode 0440 and an access list, in a folder that is closed to all other users. */
static void a_credential_may_have_the_mode_that_systemd_gives_it(void **state)
{
    struct mesh_key key;

    (void)state;
    write_file(good, 0440);
    assert_int_equal(mesh_key_read(path, &key, reason, sizeof reason), MESH_EINVAL);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
    for (mode_t mode = 0500; mode <= 0550; mode += 050) {
        assert_int_equal(chmod(folder, mode), 0);
        assert_int_equal(mesh_key_read(path, &key, reason, sizeof reason), 0);
    }
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/nowhere", 1), 0);
    assert_int_equal(mesh_key_read(path, &key, reason, sizeof reason), MESH_EINVAL);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/tmp", 1), 0); /* the file is deeper than that */
    assert_int_equal(mesh_key_read(path, &key, reason, sizeof reason), MESH_EINVAL);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "", 1), 0);
    assert_int_equal(mesh_key_read(path, &key, reason, sizeof reason), MESH_EINVAL);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    assert_int_equal(chmod(folder, 0700), 0);
}

static void a_credential_that_others_may_use_is_refused(void **state)
{
    static const mode_t file_modes[] = {0444, 0640, 0460, 0441}, folder_modes[] = {0755, 0720, 0701};
    struct mesh_key key;

    (void)state;
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
    for (size_t i = 0; i < sizeof file_modes / sizeof *file_modes; i++) {
        write_file(good, file_modes[i]);
        assert_int_equal(mesh_key_read(path, &key, reason, sizeof reason), MESH_EINVAL);
        assert_non_null(strstr(reason, "chmod 600"));
        unlink(path);
    }
    write_file(good, 0440);
    for (size_t i = 0; i < sizeof folder_modes / sizeof *folder_modes; i++) {
        assert_int_equal(chmod(folder, folder_modes[i]), 0);
        assert_int_equal(mesh_key_read(path, &key, reason, sizeof reason), MESH_EINVAL);
    }
    if (geteuid() == 0) {
        assert_int_equal(chmod(folder, 0700), 0);
        assert_int_equal(chown(path, 1, 0), 0);
        assert_int_equal(mesh_key_read(path, &key, reason, sizeof reason), MESH_EINVAL);
    }
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    assert_int_equal(chmod(folder, 0700), 0);
}

static void what_is_no_file_of_a_key_is_refused(void **state)
{
    char text[4096];
    struct mesh_key key;

    (void)state;
    assert_int_equal(mesh_key_read(path, &key, reason, sizeof reason), MESH_ESYSTEM);
    assert_non_null(strstr(reason, "No such file"));
    assert_non_null(strstr(reason, "keygen"));
    assert_int_equal(mesh_key_read(folder, &key, reason, sizeof reason), MESH_EINVAL);
    assert_string_equal(reason, "no regular file: give a key file");
    assert_int_equal(mkfifo(path, 0600), 0); /* and opening does not wait for a writer */
    assert_int_equal(mesh_key_read(path, &key, reason, sizeof reason), MESH_EINVAL);
    unlink(path);
    write_file("", 0600);
    assert_int_equal(mesh_key_read(path, &key, reason, sizeof reason), MESH_EINVAL);
    memset(text, '0', sizeof text);
    memcpy(text, good, sizeof good - 1);
    text[sizeof text - 1] = '\0';
    write_file(text, 0600);
    assert_int_equal(mesh_key_read(path, &key, reason, sizeof reason), MESH_EINVAL);
    assert_non_null(strstr(reason, "more than a key"));
}

static void a_secret_is_wiped(void **state)
{
    char secret[] = "secret";

    (void)state;
    mesh_wipe(secret, sizeof secret);
    for (size_t i = 0; i < sizeof secret; i++)
        assert_int_equal(secret[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_what_it_was_made_of),
        cmocka_unit_test(digits_may_be_capitals),
        cmocka_unit_test(what_is_no_key_is_refused_with_a_reason),
        cmocka_unit_test_setup_teardown(a_new_file_is_read_again_and_only_its_owner_may_use_it, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_file_that_exists_is_left_alone, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_file_that_others_may_use_is_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_credential_may_have_the_mode_that_systemd_gives_it, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_credential_that_others_may_use_is_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_is_no_file_of_a_key_is_refused, make_folder, remove_folder),
        cmocka_unit_test(a_secret_is_wiped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
