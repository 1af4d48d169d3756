#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mesh/program/replace_file.h"

static char folder[] = "/tmp/test_replace_file.XXXXXX";
static char path[64];
static char link_path[64];
static mode_t mode_at_first; /* of the temporary file, when it has just been created */

/* In place of the C library's: it notes the mode that the file had before. */
int fchmod(int descriptor, mode_t mode)
{
    struct stat status;

    assert_int_equal(fstat(descriptor, &status), 0);
    mode_at_first = status.st_mode & 0777;
    return (int)syscall(SYS_fchmod, descriptor, mode);
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(link_path, sizeof link_path, "%s/link", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    unlink(link_path);
    return rmdir(folder); /* fails when a temporary file was left behind */
}

static void write_text(struct replace_file *file, const char *to, const char *text)
{
    struct fail fail;

    assert_int_equal(replace_file_open(file, to, &fail), 0);
    assert_int_equal(replace_file_write(file, text, strlen(text), &fail), 0);
}

static void check_text(const char *expected)
{
    char text[64] = {0};
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) < sizeof text);
    fclose(file);
    assert_string_equal(text, expected);
}

/* A file that is closed to other users is still so after it was rewritten. */
static void who_may_read_a_file_stays_as_it_was(void **state)
{
    struct replace_file file;
    struct stat status;
    struct fail fail;

    (void)state;
    write_text(&file, path, "first");
    assert_int_equal(replace_file_commit(&file, &fail), 0);
    assert_int_equal(chmod(path, 0600), 0);
    write_text(&file, path, "second");
    assert_int_equal(replace_file_commit(&file, &fail), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    check_text("second");
    assert_int_equal(unlink(path), 0);
}

/* Who opened it before its mode was set could read it for ever. */
static void a_closed_file_is_never_open_to_others_while_it_is_rewritten(void **state)
{
    const mode_t before = umask(0);
    struct replace_file file;
    struct fail fail;

    (void)state;
    write_text(&file, path, "first");
    assert_int_equal(replace_file_commit(&file, &fail), 0);
    assert_int_equal(chmod(path, 0600), 0);
    mode_at_first = 07777;
    write_text(&file, path, "second");
    assert_int_equal(mode_at_first, 0600);
    replace_file_abandon(&file);
    umask(before);
    assert_int_equal(unlink(path), 0);
}

static void two_names_of_one_file_are_known(void **state)
{
    char roundabout[96], other[96];
    struct replace_file file;
    struct fail fail;

    (void)state;
    snprintf(roundabout, sizeof roundabout, "%s/../%s/file", folder, strrchr(folder, '/') + 1);
    snprintf(other, sizeof other, "%s/other", folder);
    assert_true(replace_file_is_same(path, roundabout)); /* neither exists yet */
    assert_false(replace_file_is_same(path, other));
    write_text(&file, path, "text");
    assert_int_equal(replace_file_commit(&file, &fail), 0);
    assert_int_equal(symlink(path, link_path), 0);
    assert_true(replace_file_is_same(path, roundabout));
    assert_true(replace_file_is_same(link_path, path));
    assert_false(replace_file_is_same(path, other));
    assert_false(replace_file_is_same("/dev/null", "/dev/null")); /* nothing is lost there */
    assert_int_equal(unlink(link_path), 0);
    assert_int_equal(unlink(path), 0);
}

static void a_file_appears_when_it_is_complete(void **state)
{
    struct replace_file file;
    struct fail fail;

    (void)state;
    write_text(&file, path, "first");
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(replace_file_commit(&file, &fail), 0);
    check_text("first");
}

static void what_exists_stays_until_then(void **state)
{
    struct replace_file file;
    struct fail fail;

    (void)state;
    write_text(&file, path, "abandoned");
    check_text("first");
    replace_file_abandon(&file);
    check_text("first");
    write_text(&file, path, "second");
    assert_int_equal(replace_file_commit(&file, &fail), 0);
    check_text("second");
}

static void what_a_killed_process_of_the_same_number_left_is_not_in_the_way(void **state)
{
    struct replace_file left, file;
    struct fail fail;

    (void)state;
    write_text(&left, path, "half of");
    write_text(&file, path, "again");
    assert_int_equal(replace_file_commit(&file, &fail), 0);
    check_text("again");
    replace_file_abandon(&left);
    check_text("again");
}

static void a_symbolic_link_stays_one(void **state)
{
    struct replace_file file;
    struct stat status;
    struct fail fail;

    (void)state;
    assert_int_equal(symlink(path, link_path), 0);
    write_text(&file, link_path, "third");
    assert_int_equal(replace_file_commit(&file, &fail), 0);
    assert_int_equal(lstat(link_path, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    check_text("third");
}

static void a_link_to_a_file_that_is_not_there_is_followed(void **state)
{
    char second[96], other[96];
    struct replace_file file;
    struct stat status;
    struct fail fail;

    (void)state;
    snprintf(second, sizeof second, "%s/second", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(link_path), 0);
    assert_int_equal(symlink("file", link_path), 0);
    assert_int_equal(symlink(link_path, second), 0); /* a relative link */
    assert_true(replace_file_is_same(second, path));
    assert_true(replace_file_is_same(second, link_path));
    assert_false(replace_file_is_same(second, other));
    write_text(&file, second, "third");
    assert_int_equal(replace_file_commit(&file, &fail), 0);
    assert_int_equal(lstat(second, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(lstat(path, &status), 0);
    assert_true(S_ISREG(status.st_mode));
    check_text("third");
    assert_int_equal(unlink(second), 0);
}

static void a_link_that_leads_nowhere_stays_and_is_named(void **state)
{
    char broken[96];
    struct replace_file file;
    struct stat status;
    struct fail fail;

    (void)state;
    snprintf(broken, sizeof broken, "%s/broken", folder);
    for (int is_loop = 0; is_loop < 2; is_loop++) {
        assert_int_equal(symlink(is_loop ? "broken" : "no/folder", broken), 0);
        assert_int_equal(replace_file_open(&file, broken, &fail), -1);
        assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
        assert_non_null(strstr(fail.text, broken));
        assert_non_null(strstr(fail.text, is_loop ? "symbolic links" : "No such file"));
        assert_int_equal(lstat(broken, &status), 0);
        assert_int_equal(unlink(broken), 0);
    }
}

static void what_is_on_the_disk_is_not_at_the_path_yet(void **state)
{
    struct replace_file file;
    struct fail fail;

    (void)state;
    write_text(&file, path, "fourth");
    assert_int_equal(replace_file_sync(&file, &fail), 0);
    check_text("third");
    assert_int_equal(replace_file_commit(&file, &fail), 0);
    check_text("fourth");
}

static void a_device_is_written_and_not_replaced(void **state)
{
    struct replace_file file;
    struct stat status;
    struct fail fail;

    (void)state;
    write_text(&file, "/dev/null", "gone");
    assert_int_equal(replace_file_sync(&file, &fail), 0);
    assert_int_equal(replace_file_commit(&file, &fail), 0);
    assert_int_equal(stat("/dev/null", &status), 0);
    assert_true(S_ISCHR(status.st_mode));
}

/* As /dev/stdout in a pipeline, whose link leads to a name that does not exist. */
static void a_pipe_is_written_by_the_name_of_its_descriptor(void **state)
{
    struct replace_file file;
    struct fail fail;
    int ends[2];
    char name[40], read_back[8] = "";

    (void)state;
    assert_int_equal(pipe(ends), 0);
    snprintf(name, sizeof name, "/proc/self/fd/%d", ends[1]);
    write_text(&file, name, "piped");
    assert_int_equal(replace_file_commit(&file, &fail), 0);
    assert_int_equal(read(ends[0], read_back, sizeof read_back), 5);
    assert_string_equal(read_back, "piped");
    close(ends[0]);
    close(ends[1]);
}

static void what_cannot_be_written_is_reported_with_exit_code_4(void **state)
{
    struct replace_file file;
    struct fail fail;

    (void)state;
    assert_int_equal(replace_file_open(&file, folder, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_non_null(strstr(fail.text, "cannot be written: Is a directory"));
    assert_int_equal(replace_file_open(&file, "/no/such/folder/file", &fail), -1);
    assert_non_null(strstr(fail.text, "/no/such/folder/file: cannot be written: No such file or directory"));
    assert_int_equal(replace_file_open(&file, "/dev/full", &fail), 0);
    assert_int_equal(replace_file_write(&file, "x", 1, &fail), -1);
    assert_string_equal(fail.text, "/dev/full: writing failed: No space left on device: make room, or write to another disk");
    replace_file_abandon(&file);
}

static unsigned files_in_folder(void)
{
    DIR *listing = opendir(folder);
    unsigned count = 0;

    assert_non_null(listing);
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(listing);
    return count;
}

static void a_signal_that_ends_the_process_leaves_nothing_behind(void **state)
{
    const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    const unsigned before = files_in_folder();

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const pid_t child = fork();
        int status;

        assert_true(child >= 0);
        if (child == 0) {
            struct replace_file file;
            struct fail fail;

            if (replace_file_open(&file, path, &fail) == 0 && files_in_folder() == before + 1)
                raise(numbers[i]);
            _exit(1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == numbers[i]);
        assert_int_equal(files_in_folder(), before);
    }
}

static void signals_are_as_before_when_a_file_is_written(void **state)
{
    struct replace_file file;
    struct sigaction action;
    struct fail fail;

    (void)state;
    write_text(&file, path, "text");
    assert_int_equal(replace_file_commit(&file, &fail), 0);
    assert_int_equal(sigaction(SIGTERM, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_read_a_file_stays_as_it_was),
        cmocka_unit_test(a_closed_file_is_never_open_to_others_while_it_is_rewritten),
        cmocka_unit_test(two_names_of_one_file_are_known),
        cmocka_unit_test(a_file_appears_when_it_is_complete),
        cmocka_unit_test(what_exists_stays_until_then),
        cmocka_unit_test(what_a_killed_process_of_the_same_number_left_is_not_in_the_way),
        cmocka_unit_test(a_symbolic_link_stays_one),
        cmocka_unit_test(a_link_to_a_file_that_is_not_there_is_followed),
        cmocka_unit_test(a_link_that_leads_nowhere_stays_and_is_named),
        cmocka_unit_test(what_is_on_the_disk_is_not_at_the_path_yet),
        cmocka_unit_test(a_device_is_written_and_not_replaced),
        cmocka_unit_test(a_pipe_is_written_by_the_name_of_its_descriptor),
        cmocka_unit_test(a_signal_that_ends_the_process_leaves_nothing_behind),
        cmocka_unit_test(signals_are_as_before_when_a_file_is_written),
        cmocka_unit_test(what_cannot_be_written_is_reported_with_exit_code_4),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
