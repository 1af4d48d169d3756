/* Client sessions over real sockets: a client, and a thread that acts as the node. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mesh/udp.h"
#include "mesh/version.h"
#include "node/client/client_session.h"
#include "session_host.h"

#define SECOND UINT64_C(1000000000)

static const struct mesh_key key = {{1, 2, 3}};
static struct session_host host;
static uint8_t record[MESH_RECORD_BYTES_MAX];

static void start(enum mesh_security security, unsigned capacity, const struct mesh_lab *lab)
{
    if (security != MESH_SECURITY_NONE && !mesh_seal_is_available()) {
        print_message("built without libsodium\n");
        skip();
    }
    for (size_t i = 0; i < sizeof record; i++) {
        record[i] = (uint8_t)(i * 5 + i / 1000);
    }
    assert_true(session_host_start(&host, security, &key, "harbour", capacity, lab));
}

static struct mesh_client *call(enum mesh_security security, struct fail *fail)
{
    const struct mesh_client_config config = {
        .address = host.address, .security = security, .key = &key, .key_file = "mesh.key", .cluster = "harbour"};

    return client_session_open(&config, fail);
}

static void check_echo(struct mesh_client *client, size_t bytes)
{
    const uint8_t *back;
    size_t back_bytes;
    struct fail fail;

    assert_int_equal(client_session_send(client, record, bytes, &fail), 0);
    assert_int_equal(client_session_receive(client, &back, &back_bytes, 20 * SECOND, &fail), 1);
    assert_int_equal(back_bytes, bytes);
    assert_memory_equal(back, record, bytes);
}

static void records_of_any_size_go_there_and_back(void **state)
{
    static const enum mesh_security ways[] = {MESH_SECURITY_NONE, MESH_SECURITY_SEAL, MESH_SECURITY_AUTH};

    (void)state;
    for (int way = 0; way < 3; way++) {
        const uint8_t *back;
        struct mesh_client *client;
        struct fail fail;
        size_t bytes;

        start(ways[way], 4, NULL);
        client = call(ways[way], &fail);
        assert_non_null(client);
        check_echo(client, 1);
        check_echo(client, 1127);
        check_echo(client, 1128);
        check_echo(client, sizeof record);
        assert_int_equal(client_session_receive(client, &back, &bytes, SECOND / 100, &fail), 0);
        assert_int_equal(client_session_send(client, record, 0, &fail), -1);
        assert_int_equal(fail.exit_code, EXIT_USAGE);
        client_session_close(client);
        for (int i = 0; i < 20000 && atomic_load(&host.closed) == 0; i++) {
            usleep(1000);
        }
        assert_int_equal(atomic_load(&host.opened), 1);
        assert_int_equal(atomic_load(&host.closed), 1);
        session_host_stop(&host);
    }
}

static void a_session_works_through_loss_duplicates_and_reordering(void **state)
{
    struct fail fail;
    struct mesh_client *client;

    (void)state;
    start(MESH_SECURITY_NONE, 4, &(struct mesh_lab){.loss_ppm = 200000, .duplicate_ppm = 50000, .reorder_ppm = 50000, .seed = 4});
    client = call(MESH_SECURITY_NONE, &fail);
    assert_non_null(client);
    for (int i = 0; i < 5; i++) {
        check_echo(client, 20000);
    }
    client_session_close(client);
    session_host_stop(&host);
    assert_true(host.lost > 0);
}

static void more_than_fits_waits_its_turn(void **state)
{
    struct fail fail;
    struct mesh_client *client;

    (void)state;
    start(MESH_SECURITY_NONE, 4, NULL);
    client = call(MESH_SECURITY_NONE, &fail);
    assert_non_null(client);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(client_session_send(client, record, 10000, &fail), 0);
    }
    for (int i = 0; i < 20; i++) {
        const uint8_t *back;
        size_t bytes;

        assert_int_equal(client_session_receive(client, &back, &bytes, 20 * SECOND, &fail), 1);
        assert_int_equal(bytes, 10000);
    }
    client_session_close(client);
    session_host_stop(&host);
}

/* ---- another event loop ---- */

enum { TIMEOUT_MS = 20000 };

/* Sleeps on the descriptor, and no longer than mesh_client_timeout says. */
static void sleep_on(struct mesh_client *client)
{
    const uint64_t due_ns = mesh_client_timeout(client), now_ns = mesh_udp_now_ns();
    struct pollfd one = {.fd = mesh_client_fd(client), .events = POLLIN};
    int sleep_ms = TIMEOUT_MS;

    if (due_ns <= now_ns)
        sleep_ms = 0;
    else if (due_ns - now_ns < TIMEOUT_MS * UINT64_C(1000000))
        sleep_ms = (int)((due_ns - now_ns) / 1000000 + 1);
    assert_true(poll(&one, 1, sleep_ms) > 0 || sleep_ms < TIMEOUT_MS);
}

static void a_program_may_sleep_on_the_descriptor_instead(void **state)
{
    struct fail fail;
    struct mesh_client *client;
    const uint8_t *back;
    size_t bytes;

    (void)state;
    start(MESH_SECURITY_NONE, 4, &(struct mesh_lab){.loss_ppm = 100000, .seed = 6});
    client = call(MESH_SECURITY_NONE, &fail);
    assert_non_null(client);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(client_session_send(client, record, 20000, &fail), 0);
        while (client_session_receive(client, &back, &bytes, 0, &fail) == 0)
            sleep_on(client);
        assert_int_equal(bytes, 20000);
        assert_memory_equal(back, record, bytes);
    }
    client_session_close(client);
    session_host_stop(&host);
    assert_true(host.lost > 0);
}

/* ---- failures ---- */

static void check_refused(const struct mesh_client_config *config, enum exit_code exit_code, const char *text)
{
    struct fail fail = {0};

    assert_null(client_session_open(config, &fail));
    assert_int_equal(fail.exit_code, exit_code);
    if (strstr(fail.text, text) == NULL) {
        fail_msg("'%s' does not say '%s'", fail.text, text);
    }
}

static void no_answer_names_address_and_key(void **state)
{
    static const struct mesh_key other = {{7}};
    struct mesh_client_config config = {.security = MESH_SECURITY_SEAL, .key = &other, .key_file = "other.key", .cluster = "harbour"};

    (void)state;
    start(MESH_SECURITY_SEAL, 4, NULL);
    config.address = host.address;
    config.timeout_ns = 3 * SECOND / 10;
    check_refused(&config, EXIT_ENVIRONMENT,
                  ": no answer within 0.3 s: is a node there, does it have the key other.key, and are its --name harbour and its "
                  "--security seal, as here?");
    config.key_file = NULL;
    check_refused(&config, EXIT_ENVIRONMENT, "does it have the key, and are its --name harbour and its --security seal");
    config.security = MESH_SECURITY_AUTH;
    check_refused(&config, EXIT_ENVIRONMENT, "and its --security auth, as here?");
    config.security = MESH_SECURITY_SEAL;
    config.key = &key;
    config.cluster = "bay";
    check_refused(&config, EXIT_ENVIRONMENT, "are its --name bay and its");
    config.security = MESH_SECURITY_NONE;
    check_refused(&config, EXIT_ENVIRONMENT, "does it run without a key (--security none)? if it has one, give --key FILE");
    session_host_stop(&host);
    assert_int_equal(atomic_load(&host.opened), 0);
    check_refused(&config, EXIT_ENVIRONMENT, host.address); /* no node is there any more */
}

static void addresses_that_are_none_are_refused(void **state)
{
    struct mesh_client_config config = {.address = "nonsense", .cluster = ""};

    (void)state;
    check_refused(&config, EXIT_USAGE, "'nonsense'");
    config.address = "127.0.0.1:0";
    check_refused(&config, EXIT_USAGE, "port");
}

static void what_may_not_be_missing_is_refused(void **state)
{
    const struct mesh_client_config good = {.address = "127.0.0.1:1", .cluster = "harbour", .timeout_ns = 1};
    struct mesh_client_config config = good;

    (void)state;
    config.address = NULL;
    check_refused(&config, EXIT_USAGE, "address: there is none");
    config = good;
    config.cluster = NULL;
    check_refused(&config, EXIT_USAGE, "cluster: it has no name");
    config = good;
    config.security = MESH_SECURITY_SEAL;
    check_refused(&config, EXIT_USAGE, "key: there is none");
    config.security = MESH_SECURITY_AUTH;
    check_refused(&config, EXIT_USAGE, "key: there is none");
    config.key = &key;
    config.security = (enum mesh_security)(MESH_SECURITY_SEAL + 1);
    check_refused(&config, EXIT_USAGE, "security: 3 is none");
    check_refused(&good, EXIT_ENVIRONMENT, "no answer within"); /* without a key where none is needed */
}

static void a_cluster_without_a_name_leaves_no_gap_in_the_message(void **state)
{
    struct mesh_client_config config = {
        .address = "127.0.0.1:1", .security = MESH_SECURITY_SEAL, .key = &key, .cluster = "", .timeout_ns = 1};

    (void)state;
    if (!mesh_seal_is_available())
        skip();
    check_refused(&config, EXIT_ENVIRONMENT, "are its --name and its --security seal");
}

static bool is_wanted_once_more(void *app)
{
    return --*(int *)app > 0;
}

static void a_session_that_is_no_longer_wanted_is_not_waited_for(void **state)
{
    int times = 3;
    struct mesh_client_config config = {
        .address = "127.0.0.1:1", .cluster = "harbour", .timeout_ns = 3600 * SECOND, .is_wanted = is_wanted_once_more, .app = &times};
    struct mesh_client_error why = {0};
    struct mesh_client *client;

    (void)state;
    check_refused(&config, EXIT_ENVIRONMENT, "no longer wanted");
    assert_int_equal(times, 0);

    start(MESH_SECURITY_NONE, 4, NULL);
    config.address = host.address;
    times = 1000000;
    client = mesh_client_open(&config, &why);
    assert_non_null(client);
    atomic_store(&host.is_paused, true);
    assert_int_equal(mesh_client_send(client, record, sizeof record, &why), 0);
    times = 1;
    mesh_client_close(client); /* its goodbye is on its way at once, though nothing was acknowledged */
    assert_int_equal(times, 0);
    atomic_store(&host.is_paused, false);
    for (int i = 0; i < 20000 && atomic_load(&host.closed) == 0; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&host.goodbyes), 1);
    session_host_stop(&host);
}

static void a_failure_returns_its_code(void **state)
{
    const struct mesh_client_config config = {.address = host.address, .cluster = "harbour"};
    struct mesh_client_error why = {0};
    struct mesh_client *client;
    const uint8_t *back;
    size_t bytes;

    (void)state;
    start(MESH_SECURITY_NONE, 4, NULL);
    client = mesh_client_open(&config, &why);
    assert_non_null(client);
    assert_int_equal(mesh_client_send(client, record, 0, &why), MESH_EINVAL);
    assert_int_equal(why.err, MESH_EINVAL);
    atomic_store(&host.closes, true);
    assert_int_equal(mesh_client_send(client, record, 10, &why), 0);
    assert_int_equal(mesh_client_receive(client, &back, &bytes, 20 * SECOND, &why), 1);
    assert_int_equal(mesh_client_receive(client, &back, &bytes, 20 * SECOND, &why), MESH_ESYSTEM);
    assert_int_equal(mesh_client_send(client, record, 10, &why), MESH_ESYSTEM);
    assert_int_equal(why.err, MESH_ESYSTEM);
    mesh_client_close(client);
    session_host_stop(&host);
}

static void a_full_node_is_told_from_one_that_is_not_there(void **state)
{
    struct fail fail;
    struct mesh_client *client;
    struct mesh_client_config config = {.address = host.address, .cluster = "harbour"};

    (void)state;
    start(MESH_SECURITY_NONE, 1, NULL);
    client = call(MESH_SECURITY_NONE, &fail);
    assert_non_null(client);
    check_refused(&config, EXIT_ENVIRONMENT, "as many clients as it takes");
    client_session_close(client);
    session_host_stop(&host);
}

static void a_node_whose_records_are_others_is_told_with_both_versions(void **state)
{
    struct mesh_client_config config = {.address = host.address, .cluster = "harbour"};
    char text[200];

    (void)state;
    session_host_records = MESH_SESSION_RECORDS + 1;
    start(MESH_SECURITY_NONE, 1, NULL);
    session_host_records = 0;
    snprintf(
        text, sizeof text,
        "%s: the node's questions and answers have version %d, those of this program (%s) version %d: use the program of the node's build",
        host.address, MESH_SESSION_RECORDS + 1, MESH_VERSION, MESH_SESSION_RECORDS);
    check_refused(&config, EXIT_ENVIRONMENT, text);
    session_host_stop(&host);
}

static void what_the_node_said_before_it_closed_is_received_first(void **state)
{
    struct fail fail = {0};
    struct mesh_client *client;
    const uint8_t *back;
    size_t bytes;

    (void)state;
    start(MESH_SECURITY_NONE, 4, NULL);
    client = call(MESH_SECURITY_NONE, &fail);
    assert_non_null(client);
    atomic_store(&host.closes, true);
    check_echo(client, 30000);
    assert_int_equal(client_session_receive(client, &back, &bytes, 20 * SECOND, &fail), -1);
    assert_non_null(strstr(fail.text, "has closed the session"));
    assert_int_equal(client_session_send(client, record, 10, &fail), -1);
    client_session_close(client);
    session_host_stop(&host);
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
        cmocka_unit_test_teardown(records_of_any_size_go_there_and_back, stop_host),
        cmocka_unit_test_teardown(a_session_works_through_loss_duplicates_and_reordering, stop_host),
        cmocka_unit_test_teardown(more_than_fits_waits_its_turn, stop_host),
        cmocka_unit_test_teardown(a_program_may_sleep_on_the_descriptor_instead, stop_host),
        cmocka_unit_test_teardown(no_answer_names_address_and_key, stop_host),
        cmocka_unit_test(addresses_that_are_none_are_refused),
        cmocka_unit_test(what_may_not_be_missing_is_refused),
        cmocka_unit_test(a_cluster_without_a_name_leaves_no_gap_in_the_message),
        cmocka_unit_test_teardown(a_session_that_is_no_longer_wanted_is_not_waited_for, stop_host),
        cmocka_unit_test_teardown(a_failure_returns_its_code, stop_host),
        cmocka_unit_test_teardown(a_full_node_is_told_from_one_that_is_not_there, stop_host),
        cmocka_unit_test_teardown(a_node_whose_records_are_others_is_told_with_both_versions, stop_host),
        cmocka_unit_test_teardown(what_the_node_said_before_it_closed_is_received_first, stop_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
