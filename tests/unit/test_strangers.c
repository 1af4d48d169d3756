/* Real nodes and strangers: other versions in both directions, other models, other keys, no key, replays. Each is refused, with a message
 * where there is a key, and counted by the reason in `status --json`. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mesh/udp.h"
#include "mesh/wire.h"
#include "node/client/client_message.h"
#include "node/client/client_session.h"
#include "node/serve/serve.h"
#include "node/synth/synth.h"

enum { NEWER = MESH_WIRE_VERSION + 1, TRIES = 400, TRY_US = 50000, TEXT_BYTES = 32768 };

#define SECOND_NS UINT64_C(1000000000)

static const struct mesh_key good_key = {.bytes = {1}}, other_key = {.bytes = {2}};
static char folder[] = "/tmp/mesh-strangers.XXXXXX", model_path[64], said_path[64];

/* A node of the cluster of one whose protocol version that is, and a newcomer to it. */
struct process {
    uint16_t version;
    enum mesh_security security;
    const struct mesh_key *key;
    uint32_t ctx;
};

static const struct process real = {0, MESH_SECURITY_SEAL, &good_key, 64}, newer = {NEWER, MESH_SECURITY_SEAL, &good_key, 64};

static int make_model(void **state)
{
    const struct synth_options shape = {
        .dim = 64, .hidden = 64, .layers = 1, .heads = 2, .kv_heads = 1, .vocab = 300, .context = 128, .type = TYPE_F32, .seed = 1};
    struct fail fail = {0};

    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(model_path, sizeof model_path, "%s/m.gguf", folder);
    snprintf(said_path, sizeof said_path, "%s/said", folder);
    return synth_write(&shape, model_path, &fail);
}

static int remove_model(void **state)
{
    (void)state;
    unlink(model_path);
    unlink(said_path);
    rmdir(folder);
    return 0;
}

/* ---- processes ---- */

static void become_node(const struct process *process, struct mesh_addr listen, const struct mesh_addr *join)
{
    static struct serve_config config;
    struct fail fail = {0};
    struct gguf *gguf = gguf_open(model_path, &fail);

    config.run.model = gguf == NULL ? NULL : model_open(gguf, &fail);
    config.run.tokenizer = gguf == NULL ? NULL : tokenizer_open(gguf, &fail);
    config.run.kernel = kernel_choose(NULL);
    config.run.cluster = "mesh";
    config.run.security = process->security;
    config.run.threads = 1;
    config.run.batch = 8;
    config.run.slots = 1;
    config.run.ctx = process->ctx;
    config.listen = listen;
    config.share = 1;
    config.cluster_key = *process->key;
    config.version = process->version;
    if (join != NULL) {
        config.seed[0] = *join;
        config.seed_count = 1;
    }
    kernel_thread_init();
    _exit(config.run.model != NULL && config.run.tokenizer != NULL && serve(&config, &fail) == 0 ? 0 : 1);
}

static struct mesh_addr free_port(void)
{
    struct mesh_addr addr;
    struct mesh_udp *udp;
    char reason[100];

    assert_int_equal(mesh_addr_parse("127.0.0.1:0", &addr, reason, sizeof reason), 0);
    assert_int_equal(mesh_udp_open(&udp, addr, NULL), 0);
    addr = mesh_udp_local(udp);
    mesh_udp_close(udp);
    return addr;
}

static pid_t start(const struct process *process, struct mesh_addr listen, const struct mesh_addr *join)
{
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (freopen(join != NULL ? said_path : "/dev/null", "w", stderr) == NULL)
            _exit(1);
        setvbuf(stderr, NULL, _IONBF, 0);
        become_node(process, listen, join);
    }
    assert_true(child > 0);
    return child;
}

static void stop(pid_t child)
{
    int status;

    kill(child, SIGKILL);
    waitpid(child, &status, 0);
}

/* ---- messages ---- */

static struct mesh_client *call(const struct process *as, struct mesh_addr at, uint64_t timeout_ns, struct fail *fail)
{
    static char address[MESH_ADDR_TEXT_BYTES];
    const struct mesh_client_config config = {
        .address = address, .security = as->security, .key = as->key, .cluster = "mesh", .timeout_ns = timeout_ns, .version = as->version};

    mesh_addr_format(at, address);
    return client_session_open(&config, fail);
}

static bool read_status(const struct process *as, struct mesh_addr at, char text[TEXT_BYTES])
{
    static uint8_t record[MESH_RECORD_BYTES_MAX];
    static struct client_message message;
    const struct client_message question = {.kind = CLIENT_MESSAGE_STATUS};
    struct fail fail = {0};
    struct mesh_client *client = call(as, at, SECOND_NS, &fail);
    const uint8_t *answer;
    size_t bytes;
    bool is_good = client != NULL && client_session_send(client, record, client_message_write(&question, record), &fail) == 0 &&
                   client_session_receive(client, &answer, &bytes, SECOND_NS, &fail) == 1 &&
                   client_message_read(&message, answer, bytes) == 0 && message.kind == CLIENT_MESSAGE_STATE &&
                   message.text_size < TEXT_BYTES;

    if (is_good) {
        memcpy(text, message.text, message.text_size);
        text[message.text_size] = '\0';
    }
    client_session_close(client);
    return is_good;
}

/* The count of a reason in "refused". */
static long count_of(const struct process *as, struct mesh_addr at, const char *reason)
{
    static char text[TEXT_BYTES];
    char quoted[40];
    const char *found;

    for (int i = 0; i < TRIES && !read_status(as, at, text); i++)
        usleep(TRY_US);
    found = strstr(text, "\"refused\":{");
    snprintf(quoted, sizeof quoted, "\"%s\":", reason);
    found = found == NULL ? NULL : strstr(found, quoted);
    assert_non_null(found);
    return strtol(found + strlen(quoted), NULL, 10);
}

static bool is_counted(const struct process *as, struct mesh_addr at, const char *reason, long before)
{
    for (int i = 0; i < TRIES; i++, usleep(TRY_US))
        if (count_of(as, at, reason) > before)
            return true;
    return false;
}

static bool has_said(const char *words)
{
    char text[4096] = "";

    for (int i = 0; i < TRIES; i++, usleep(TRY_US)) {
        FILE *file = fopen(said_path, "r");

        if (file != NULL) {
            text[fread(text, 1, sizeof text - 1, file)] = '\0';
            fclose(file);
        }
        if (strstr(text, words) != NULL)
            return true;
    }
    print_message("not said: %s\nbut: %s\n", words, text);
    return false;
}

static void need_keys(void)
{
    if (!mesh_seal_is_available()) {
        print_message("built without libsodium\n");
        skip();
    }
}

/* ---- nodes ---- */

static void nodes_that_do_not_belong_are_refused_and_counted(void **state)
{
    const struct {
        const char *who;
        const struct process *cluster, node;
        const char *reason, *words; /* words: of the newcomer; NULL: no node answers it */
    } cases[] = {
        {"a newer one", &real, {NEWER, MESH_SECURITY_SEAL, &good_key, 64}, "join_version", "protocol version is 2, there 1"},
        {"an older one", &newer, {0, MESH_SECURITY_SEAL, &good_key, 64}, "join_version", "protocol version is 1, there 2"},
        {"one of other sizes", &real, {0, MESH_SECURITY_SEAL, &good_key, 32}, "join_fingerprint", "model fingerprint is"},
        {"one with another key", &real, {0, MESH_SECURITY_SEAL, &other_key, 64}, "tag", NULL},
        {"one that does not seal", &real, {0, MESH_SECURITY_AUTH, &good_key, 64}, "mode", NULL},
        {"one without a key", &real, {0, MESH_SECURITY_NONE, &good_key, 64}, "plain", NULL},
    };

    (void)state;
    need_keys();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct mesh_addr at = free_port();
        const pid_t cluster = start(cases[i].cluster, at, NULL);
        const long before = count_of(cases[i].cluster, at, cases[i].reason);
        const pid_t node = start(&cases[i].node, free_port(), &at);
        const bool counted = is_counted(cases[i].cluster, at, cases[i].reason, before);
        const bool said = cases[i].words == NULL || has_said(cases[i].words);

        stop(node);
        stop(cluster);
        if (!counted || !said)
            fail_msg("%s: %s", cases[i].who, counted ? "not said" : "not counted");
    }
}

/* ---- clients ---- */

static void clients_that_do_not_belong_are_refused_and_counted(void **state)
{
    const struct {
        const char *who;
        const struct process *node, client;
        const char *reason, *words;
    } cases[] = {
        {"a newer one", &real, {NEWER, MESH_SECURITY_SEAL, &good_key, 0}, "client_version", "protocol version 1, this program 2"},
        {"an older one", &newer, {0, MESH_SECURITY_SEAL, &good_key, 0}, "client_version", "protocol version 2, this program 1"},
        {"one with another key", &real, {0, MESH_SECURITY_SEAL, &other_key, 0}, "client_tag", "no answer within"},
        {"one that does not seal", &real, {0, MESH_SECURITY_AUTH, &good_key, 0}, "client_mode", "--security auth, as here?"},
        {"one without a key", &real, {0, MESH_SECURITY_NONE, &good_key, 0}, "client_plain", "no answer within"},
    };

    (void)state;
    need_keys();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct mesh_addr at = free_port();
        const pid_t node = start(cases[i].node, at, NULL);
        const long before = count_of(cases[i].node, at, cases[i].reason);
        struct fail fail = {0};
        struct mesh_client *client = call(&cases[i].client, at, SECOND_NS, &fail);
        const bool counted = is_counted(cases[i].node, at, cases[i].reason, before);

        stop(node);
        if (client != NULL || !counted || strstr(fail.text, cases[i].words) == NULL)
            fail_msg("%s: %s; said: %s", cases[i].who, counted ? "counted" : "not counted", fail.text);
    }
}

/* ---- replays ---- */

static void what_is_played_back_is_counted(void **state)
{
    struct mesh_message message = {.header = {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_ALIVE, .number = 7},
                                   .as.alive = {.incarnation = {9}, .state = MESH_ALIVE_ASKS}};
    const struct mesh_addr at = free_port();
    struct mesh_udp *udp;
    struct mesh_seal_key key;
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    size_t bytes = mesh_wire_encode(&message, packet, sizeof packet);
    long before;
    pid_t node;

    (void)state;
    need_keys();
    node = start(&real, at, NULL);
    before = count_of(&real, at, "replay");
    assert_int_equal(mesh_seal_key_of_process(&key, &good_key, "mesh", message.as.alive.incarnation), 0);
    assert_int_equal(mesh_seal_packet(&key, MESH_SECURITY_SEAL, packet, bytes), 0);
    assert_int_equal(mesh_udp_open(&udp, free_port(), NULL), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(mesh_udp_send_to(udp, at, packet, bytes), 0);
    assert_true(is_counted(&real, at, "replay", before + 98));
    mesh_udp_close(udp);
    stop(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_that_do_not_belong_are_refused_and_counted),
        cmocka_unit_test(clients_that_do_not_belong_are_refused_and_counted),
        cmocka_unit_test(what_is_played_back_is_counted),
    };

    return cmocka_run_group_tests(tests, make_model, remove_model);
}
