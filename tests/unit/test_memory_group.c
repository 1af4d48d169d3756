/* Limits of control groups, as the files of both versions state them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "node/common/memory_group.h"

static char root[64];

/* Writes a file below the root, with the folders above it. */
static void write_file(const char *name, const char *text)
{
    char path[400];
    FILE *file;

    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/mesh-group.XXXXXX");
    return mkdtemp(root) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    char command[100];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command) == 0 ? 0 : -1;
}

static void version_2(const char *top, const char *group)
{
    char text[200];

    snprintf(text, sizeof text, "22 1 0:5 / /proc rw - proc proc rw\n31 23 0:28 %s /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", top);
    write_file("/proc/self/mountinfo", text);
    snprintf(text, sizeof text, "0::%s\n", group);
    write_file("/proc/self/cgroup", text);
}

static void without_groups_there_is_no_limit(void **state)
{
    (void)state;
    assert_true(memory_group_bytes(root) == UINT64_MAX);
    version_2("/", "/");
    assert_true(memory_group_bytes(root) == UINT64_MAX); /* the topmost group has none */
    version_2("/", "/system.slice/mesh-node.service");
    write_file("/sys/fs/cgroup/system.slice/mesh-node.service/memory.max", "max\n");
    write_file("/sys/fs/cgroup/system.slice/mesh-node.service/memory.current", "1000000\n");
    assert_true(memory_group_bytes(root) == UINT64_MAX);
}

static void what_is_left_is_the_limit_without_what_cannot_be_given_back(void **state)
{
    (void)state;
    version_2("/", "/system.slice/mesh-node.service");
    write_file("/sys/fs/cgroup/system.slice/mesh-node.service/memory.max", "1000000\n");
    write_file("/sys/fs/cgroup/system.slice/mesh-node.service/memory.current", "700000\n");
    assert_int_equal(memory_group_bytes(root), 300000);
    write_file("/sys/fs/cgroup/system.slice/mesh-node.service/memory.stat",
               "anon 100000\nfile 600000\ninactive_file 200000\nactive_file 150000\nworkingset_refault_file 7\n");
    assert_int_equal(memory_group_bytes(root), 650000);
    write_file("/sys/fs/cgroup/system.slice/mesh-node.service/memory.current", "1700000\n");
    assert_int_equal(memory_group_bytes(root), 0);
}

static void the_limit_of_a_group_above_counts(void **state)
{
    (void)state;
    version_2("/", "/a/b/c");
    write_file("/sys/fs/cgroup/a/b/c/memory.max", "900\n");
    write_file("/sys/fs/cgroup/a/b/c/memory.current", "0\n");
    write_file("/sys/fs/cgroup/a/memory.max", "500\n");
    write_file("/sys/fs/cgroup/a/memory.current", "100\n");
    assert_int_equal(memory_group_bytes(root), 400);
}

static void a_container_sees_its_own_group_at_the_top(void **state)
{
    (void)state;
    version_2("/docker/12", "/docker/12");
    write_file("/sys/fs/cgroup/memory.max", "800\n");
    write_file("/sys/fs/cgroup/memory.current", "0\n");
    assert_int_equal(memory_group_bytes(root), 800);
    version_2("/docker/12", "/docker/12/inner");
    write_file("/sys/fs/cgroup/inner/memory.max", "700\n");
    write_file("/sys/fs/cgroup/inner/memory.current", "0\n");
    assert_int_equal(memory_group_bytes(root), 700);
    version_2("/docker/12", "/docker/123/elsewhere");
    assert_int_equal(memory_group_bytes(root), 800);
}

/* As the kernel writes them into mountinfo; in /proc/self/cgroup they are not escaped. */
static void names_with_spaces_and_backslashes_are_found(void **state)
{
    (void)state;
    write_file("/proc/self/mountinfo", "31 23 0:28 /my\\040group\\134a /sys/fs/my\\040groups\\011b rw - cgroup2 cgroup2 rw\n");
    write_file("/proc/self/cgroup", "0::/my group\\a/inner\\x2d one\n");
    write_file("/sys/fs/my groups\tb/inner\\x2d one/memory.max", "700\n");
    write_file("/sys/fs/my groups\tb/inner\\x2d one/memory.current", "100\n");
    assert_int_equal(memory_group_bytes(root), 600);
    write_file("/sys/fs/my groups\tb/memory.max", "500\n");
    write_file("/sys/fs/my groups\tb/memory.current", "100\n");
    assert_int_equal(memory_group_bytes(root), 400);
}

/* A backslash that does not precede a number stays. */
static void what_is_no_escape_is_taken_as_it_is(void **state)
{
    (void)state;
    write_file("/proc/self/mountinfo", "31 23 0:28 / /sys/a\\48\\999\\07 rw - cgroup2 cgroup2 rw\n");
    write_file("/proc/self/cgroup", "0::/\n");
    write_file("/sys/a\\48\\999\\07/memory.max", "700\n");
    write_file("/sys/a\\48\\999\\07/memory.current", "0\n");
    assert_int_equal(memory_group_bytes(root), 700);
}

/* The kernel's pages are of 4, 16 and 64 KiB. */
static void a_group_of_version_1_without_a_limit_says_so_by_a_number(void **state)
{
    static const char *const most[] = {"9223372036854771712\n", "9223372036854759424\n", "9223372036854710272\n"};

    (void)state;
    write_file("/proc/self/mountinfo", "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
    write_file("/proc/self/cgroup", "4:memory:/\n");
    write_file("/sys/fs/cgroup/memory/memory.usage_in_bytes", "5000\n");
    for (size_t i = 0; i < sizeof most / sizeof *most; i++) {
        write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", most[i]);
        assert_true(memory_group_bytes(root) == UINT64_MAX);
    }
    write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1099511627776\n");
    assert_true(memory_group_bytes(root) == UINT64_C(1099511627776) - 5000);
}

static void version_1_has_a_hierarchy_for_memory(void **state)
{
    (void)state;
    write_file("/proc/self/mountinfo", "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,memoryless\n"
                                       "35 31 0:32 / /sys/fs/cgroup/memory rw,nosuid shared:7 - cgroup cgroup rw,memory\n"
                                       "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    write_file("/proc/self/cgroup", "8:pids:/else\n4:cpu,memory:/group\n0::/\n");
    write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    write_file("/sys/fs/cgroup/memory/memory.usage_in_bytes", "5000\n");
    write_file("/sys/fs/cgroup/memory/group/memory.limit_in_bytes", "150000\n");
    write_file("/sys/fs/cgroup/memory/group/memory.usage_in_bytes", "100000\n");
    write_file("/sys/fs/cgroup/memory/group/memory.stat", "inactive_file 1\ntotal_inactive_file 20000\ntotal_active_file 5\n");
    assert_int_equal(memory_group_bytes(root), 70005);
}

static void damaged_files_are_no_limit(void **state)
{
    (void)state;
    write_file("/proc/self/mountinfo", "\n - \nx y z - cgroup2\n31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    write_file("/proc/self/cgroup", "\n::\n0\n0:\n0::/a\n");
    write_file("/sys/fs/cgroup/a/memory.max", "\n");
    write_file("/sys/fs/cgroup/a/memory.current", "-\n");
    assert_true(memory_group_bytes(root) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_groups_there_is_no_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_left_is_the_limit_without_what_cannot_be_given_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_limit_of_a_group_above_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_container_sees_its_own_group_at_the_top, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_with_spaces_and_backslashes_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_escape_is_taken_as_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_group_of_version_1_without_a_limit_says_so_by_a_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(version_1_has_a_hierarchy_for_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_files_are_no_limit, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
