/* The key log: its lines open what was sealed, runs are appended, and other users cannot read it. */
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

#include "mesh/wire.h"
#include "seal_case.h"
#include "session_net.h"

static char folder[64], path[128], reason[200];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/mesh-log.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

/* Reads a line as a dissector does. */
static void read_line(FILE *log, char id[33], unsigned *rank, struct mesh_seal_key *key)
{
    char hex[65];

    assert_int_equal(fscanf(log, "MESH_EPOCH %32s %u %64s\n", id, rank, hex), 3);
    assert_int_equal(strlen(hex), 64);
    for (size_t i = 0; i < MESH_KEY_BYTES; i++) {
        const char pair[] = {hex[2 * i], hex[2 * i + 1], '\0'};

        key->bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
}

static void a_logged_key_opens_what_its_rank_sealed(void **state)
{
    uint8_t packet[2100], plain[2100];
    const size_t bytes = seal_case_record(plain, MESH_DST_ALL, 3, 100);
    struct mesh_sealer sealer;
    struct stat status;
    FILE *log;

    (void)state;
    seal_case_init(&sealer, 1, MESH_SECURITY_SEAL);
    memcpy(packet, plain, bytes);
    assert_int_equal(mesh_sealer_seal(&sealer, packet, bytes), 0);
    assert_int_equal(mesh_key_log_append(path, &sealer, reason, sizeof reason), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    log = fopen(path, "r");
    assert_non_null(log);
    for (unsigned i = 0; i < SEAL_CASE_RANKS; i++) {
        struct mesh_seal_key key;
        uint8_t copy[2100];
        char id[33];
        unsigned rank;

        read_line(log, id, &rank, &key);
        assert_string_equal(id, "404142434445464748494a4b4c4d4e4f");
        assert_int_equal(rank, i);
        memcpy(copy, packet, bytes);
        assert_int_equal(mesh_open_packet(&key, MESH_SECURITY_SEAL, copy, bytes), rank == 1 ? 0 : MESH_EAUTH);
        if (rank == 1)
            assert_memory_equal(copy, plain, bytes);
    }
    assert_int_equal(fgetc(log), EOF);
    fclose(log);
}

static void a_log_is_appended_to(void **state)
{
    struct mesh_sealer sealer;
    struct stat once, twice;

    (void)state;
    seal_case_init(&sealer, 1, MESH_SECURITY_AUTH);
    assert_int_equal(mesh_key_log_append(path, &sealer, reason, sizeof reason), 0);
    assert_int_equal(stat(path, &once), 0);
    assert_int_equal(mesh_key_log_append(path, &sealer, reason, sizeof reason), 0);
    assert_int_equal(stat(path, &twice), 0);
    assert_int_equal(twice.st_size, 2 * once.st_size);
}

/* What is said of a gap names a reason, not "Success". */
static void a_log_that_cannot_be_closed_has_a_reason(void **state)
{
    struct mesh_key_log log;

    (void)state;
    assert_int_equal(mesh_key_log_open(&log, path, reason, sizeof reason), 0);
    assert_int_equal(close(log.fd), 0);
    mesh_key_log_close(&log);
    assert_true(log.has_failed);
    assert_int_equal(log.error, EBADF);
}

static void a_log_that_others_may_use_is_refused(void **state)
{
    struct mesh_sealer sealer;
    struct stat status;

    (void)state;
    seal_case_init(&sealer, 1, MESH_SECURITY_SEAL);
    fclose(fopen(path, "w"));
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(mesh_key_log_append(path, &sealer, reason, sizeof reason), MESH_EINVAL);
    assert_non_null(strstr(reason, "chmod 600"));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 0);
}

static void a_log_or_pipe_of_another_user_is_refused(void **state)
{
    struct mesh_sealer sealer;
    struct stat status;
    int reader;

    (void)state;
    if (geteuid() != 0)
        skip(); /* only root can give files away */
    seal_case_init(&sealer, 1, MESH_SECURITY_SEAL);
    assert_int_equal(mesh_key_log_append(path, &sealer, reason, sizeof reason), 0);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(chown(path, 65534, 65534), 0);
    assert_int_equal(mesh_key_log_append(path, &sealer, reason, sizeof reason), MESH_EINVAL);
    assert_non_null(strstr(reason, "belongs to another user (65534)"));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_int_equal(mesh_key_log_append(path, &sealer, reason, sizeof reason), 0);
    assert_int_equal(chown(path, 65534, 65534), 0);
    assert_int_equal(mesh_key_log_append(path, &sealer, reason, sizeof reason), MESH_EINVAL);
    close(reader);
}

static void a_folder_is_no_log(void **state)
{
    struct mesh_sealer sealer;

    (void)state;
    seal_case_init(&sealer, 1, MESH_SECURITY_SEAL);
    assert_int_equal(mesh_key_log_append(folder, &sealer, reason, sizeof reason), MESH_ESYSTEM);
    assert_non_null(strstr(reason, "cannot be opened"));
}

static void without_security_there_is_nothing_to_log(void **state)
{
    const struct mesh_sealer sealer = {.security = MESH_SECURITY_NONE, .rank_count = 2};

    (void)state;
    assert_int_equal(mesh_key_log_append(path, &sealer, reason, sizeof reason), 0);
    assert_int_equal(access(path, F_OK), -1);
}

/* ---- a client's session, captured ---- */

enum { CAPTURE_MAX = 400 };

struct capture {
    unsigned count;
    size_t bytes[CAPTURE_MAX];
    uint8_t packet[CAPTURE_MAX][MESH_SESSION_DATAGRAM_BYTES];
};

static void capture(void *app, int to, const uint8_t *packet, size_t bytes)
{
    struct capture *all = app;

    (void)to;
    assert_true(all->count < CAPTURE_MAX);
    memcpy(all->packet[all->count], packet, bytes);
    all->bytes[all->count++] = bytes;
}

/* The last word of each line is a key: counts the datagrams that one of them opens. */
static unsigned opened_by_log(const struct capture *all, enum mesh_security security)
{
    char line[300];
    unsigned opened = 0;

    for (unsigned i = 0; i < all->count; i++) {
        FILE *log = fopen(path, "r");
        bool is_open = false;

        assert_non_null(log);
        while (!is_open && fgets(line, sizeof line, log) != NULL) {
            const char *hex = strrchr(line, ' ') + 1;
            uint8_t copy[MESH_SESSION_DATAGRAM_BYTES];
            struct mesh_seal_key key;

            for (size_t b = 0; b < MESH_KEY_BYTES; b++)
                key.bytes[b] = (uint8_t)strtoul((char[]){hex[2 * b], hex[2 * b + 1], '\0'}, NULL, 16);
            memcpy(copy, all->packet[i], all->bytes[i]);
            is_open = mesh_open_packet(&key, security, copy, all->bytes[i]) == 0;
        }
        fclose(log);
        opened += is_open;
    }
    return opened;
}

static bool has_three_echoes(const struct session_net *net)
{
    return net->client[0].records >= 3;
}

static void a_captured_session_is_opened_by_the_nodes_log(void **state)
{
    static struct session_net net;
    static struct capture all;
    struct mesh_key_log log;

    (void)state;
    if (!session_net_init(&net, 4, MESH_SECURITY_SEAL, 5))
        skip();
    all.count = 0;
    net.seen = capture;
    net.app = &all;
    assert_int_equal(mesh_key_log_open(&log, path, reason, sizeof reason), 0);
    assert_int_equal(mesh_key_log_process(&log, (const uint8_t[MESH_INCARNATION_BYTES]){77}, &net.node_seal.process), 0);
    net.node_seal.log = &log;
    session_net_call(&net, NULL, 0, UINT64_C(5000000000));
    for (unsigned i = 0; i < 3; i++) {
        session_net_run(&net, UINT64_C(1000000000), NULL);
        assert_int_equal(mesh_call_send(net.client[0].call, net.now_ns, (const uint8_t *)"a record", 8), 0);
    }
    session_net_run(&net, UINT64_C(1000000000), has_three_echoes);
    assert_int_equal(net.client[0].records, 3);
    assert_true(all.count > 10);
    assert_false(log.has_failed);
    mesh_key_log_close(&log);
    assert_int_equal(opened_by_log(&all, MESH_SECURITY_SEAL), all.count);
    session_net_release(&net);
}

static void a_log_without_room_says_so(void **state)
{
    struct mesh_key_log log;
    struct mesh_sealer sealer;

    (void)state;
    if (access("/dev/full", W_OK) != 0)
        skip();
    seal_case_init(&sealer, 1, MESH_SECURITY_SEAL);
    assert_int_equal(mesh_key_log_open(&log, "/dev/full", reason, sizeof reason), 0);
    assert_int_equal(mesh_key_log_epoch(&log, &sealer), MESH_ESYSTEM);
    assert_true(log.has_failed);
    assert_int_equal(log.error, ENOSPC);
    mesh_key_log_close(&log);
    assert_int_equal(mesh_key_log_append("/dev/full", &sealer, reason, sizeof reason), MESH_ESYSTEM);
    assert_non_null(strstr(reason, "writing failed: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_logged_key_opens_what_its_rank_sealed, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_log_is_appended_to, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_log_that_cannot_be_closed_has_a_reason, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_log_that_others_may_use_is_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_log_or_pipe_of_another_user_is_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_folder_is_no_log, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_captured_session_is_opened_by_the_nodes_log, make_folder, remove_folder),
        cmocka_unit_test(a_log_without_room_says_so),
        cmocka_unit_test_setup_teardown(without_security_there_is_nothing_to_log, make_folder, remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
