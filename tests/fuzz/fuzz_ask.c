/* A node that answers `ask` and `status` with any records, at any time: the commands end in order whatever it says, what they print with
 * --json is JSON, and figures of telemetry are possible ones.
 *
 * The first byte chooses the command line. The rest is a list of steps, each a byte and its arguments (see client_session_receive), and
 * then the session is over. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/udp.h"
#include "node/client/ask_figures.h"
#include "node/client/client_message.h"
#include "node/client/client_session.h"
#include "node/commands.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/unit/json_check.h"

enum { WORDS_MAX = 5, SIGNALS = 3, PIECE_BYTES = MESH_TELEMETRY_PIECE_BYTES_MAX, LINKS_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct input input;
static uint64_t now_ns, heard_ns;
static bool is_open;
static struct ask_figures figures; /* of the same telemetry, whatever the command does with it */
static uint8_t record[MESH_RECORD_BYTES_MAX];
static uint8_t *given; /* the last record: in memory that is not larger, so that reads beyond the end are detected */

/* ---- records ---- */

static size_t put_any(void)
{
    const size_t wanted = take(&input, 2) % 2000, left = (size_t)(input.end - input.at), bytes = wanted < left ? wanted : left;

    memcpy(record, input.at, bytes);
    input.at += bytes;
    return bytes;
}

static size_t put_message(void)
{
    static const enum client_message_kind kinds[] = {CLIENT_MESSAGE_TOKENS, CLIENT_MESSAGE_DONE,    CLIENT_MESSAGE_STATE,
                                                     CLIENT_MESSAGE_UNFIT,  CLIENT_MESSAGE_REFUSED, CLIENT_MESSAGE_TOKENS};
    struct client_message message = {.kind = kinds[take(&input, 1) % (sizeof kinds / sizeof *kinds)]};
    const size_t wanted = take(&input, 1), left = (size_t)(input.end - input.at);
    uint32_t rest;

    message.text = (const char *)input.at;
    message.text_size = wanted < left ? wanted : left;
    input.at += message.text_size;
    rest = (uint32_t)message.text_size;
    message.token_count = (uint32_t)take(&input, 1) % 5;
    for (uint32_t i = 0; i < message.token_count; i++) {
        const uint32_t bytes = i + 1 < message.token_count ? (uint32_t)take(&input, 1) % (rest + 1) : rest;

        message.token[i].text_size = bytes;
        rest -= bytes;
    }
    message.done = (struct client_message_done){.reason = (enum engine_done)take(&input, 1),
                                                .prompt_tokens = (uint32_t)take(&input, 1),
                                                .tokens = (uint32_t)take(&input, 4),
                                                .first_ns = take(&input, 8),
                                                .all_ns = take(&input, 8),
                                                .nodes = (uint16_t)take(&input, 2)};
    return client_message_write(&message, record);
}

/* A report whose fields are in range, of a few nodes. */
static size_t put_report(void)
{
    uint8_t piece[PIECE_BYTES];
    struct mesh_telemetry_writer writer;
    struct mesh_telemetry_head head = {.version = MESH_TELEMETRY_VERSION};
    struct mesh_telemetry_item item = {.kind = MESH_TELEMETRY_NODE};
    unsigned links;

    memset(head.incarnation, (int)take(&input, 1) % 4, sizeof head.incarnation);
    head.rank = (uint16_t)take(&input, 2);
    head.epoch = (uint32_t)take(&input, 1);
    head.serial = 1 + (uint32_t)take(&input, 1);
    mesh_telemetry_begin(&writer, piece, sizeof piece, &head);
    item.node.members = (uint16_t)take(&input, 1) % (MESH_RANKS_MAX + 1);
    item.node.threads = (uint16_t)take(&input, 1);
    item.node.stepping_ns = take(&input, 8);
    item.node.compute_ns = take(&input, 8);
    item.node.positions = item.node.tokens = take(&input, 1);
    links = (unsigned)take(&input, 1);
    if (links < 128)
        mesh_telemetry_put(&writer, &item);
    for (unsigned i = 0; i < links % LINKS_MAX; i++) {
        item = (struct mesh_telemetry_item){.kind = MESH_TELEMETRY_LINK};
        item.link.peer = (uint16_t)take(&input, 1) % MESH_RANKS_MAX;
        item.link.bytes_sent = item.link.datagrams_sent = take(&input, 4);
        mesh_telemetry_put(&writer, &item);
    }
    return mesh_telemetry_write_report(&(struct mesh_telemetry_report){.piece = piece, .piece_bytes = writer.used}, record);
}

static void change(size_t bytes)
{
    for (unsigned changes = (unsigned)take(&input, 1) % 8; changes > 0 && bytes > 0; changes--) {
        const size_t at = take(&input, 2);

        record[at % bytes] = (uint8_t)take(&input, 1);
    }
}

/* ---- the session ---- */

uint64_t mesh_udp_now_ns(void)
{
    return now_ns;
}

struct mesh_client *client_session_open(const struct mesh_client_config *config, struct fail *fail)
{
    require(!is_open && config->address != NULL && config->cluster != NULL);
    if (take(&input, 1) == 255) {
        fail_set(fail, EXIT_ENVIRONMENT, "it does not answer: it is not there: start it");
        return NULL;
    }
    is_open = true;
    return (struct mesh_client *)&input;
}

int client_session_send(struct mesh_client *client, const uint8_t *sent, size_t bytes, struct fail *fail)
{
    struct mesh_telemetry_watch watch;
    struct client_message message;

    (void)client, (void)fail;
    require(is_open && bytes > 0 && bytes <= MESH_RECORD_BYTES_MAX);
    require(mesh_telemetry_read_watch(&watch, sent, bytes) == MESH_OK || client_message_read(&message, sent, bytes) == 0);
    return 0;
}

int client_session_receive(struct mesh_client *client, const uint8_t **out, size_t *bytes, uint64_t timeout_ns, struct fail *fail)
{
    const unsigned what = (unsigned)take(&input, 1);

    (void)client;
    require(is_open);
    if (input.at == input.end)
        return fail_set(fail, EXIT_ENVIRONMENT, "the session is over: the node ended it: ask another one");
    if (what % 8 == 0) {
        now_ns += timeout_ns;
        return 0;
    }
    *bytes = what % 8 == 1 ? put_any() : what % 8 < 5 ? put_message() : put_report();
    if ((what & 8) != 0)
        change(*bytes);
    if ((what & 16) != 0 && *bytes > 0)
        --*bytes;
    free(given);
    given = malloc(*bytes + (*bytes == 0));
    require(given != NULL);
    memcpy(given, record, *bytes);
    figures.part = (enum ask_part)(what >> 5 & 3) % 3;
    ask_figures_take(&figures, given, *bytes);
    *out = given;
    heard_ns = now_ns;
    return 1;
}

uint64_t mesh_client_silent_ns(const struct mesh_client *client)
{
    require(is_open && client != NULL);
    return now_ns - heard_ns;
}

void client_session_close(struct mesh_client *client)
{
    require((client != NULL) == is_open);
    is_open = false;
}

/* ---- a command ---- */

static void check_figures(void)
{
    struct ask_summary summary;

    require(figures.count <= ASK_NODES_MAX);
    ask_figures_sum(&figures, &summary);
    require(isnan(summary.threads) || (summary.threads >= 0 && summary.threads <= UINT16_MAX));
    for (unsigned rank = 0; rank < MESH_RANKS_MAX; rank++)
        require(isnan(summary.utilisation[rank]) || (summary.utilisation[rank] >= 0 && summary.utilisation[rank] <= 1));
    require(isnan(summary.bytes_per_token) == isnan(summary.packets_per_token));
    require(isnan(summary.bytes_per_token) || (summary.bytes_per_token >= 0 && isfinite(summary.bytes_per_token)));
    (void)ask_figures_are_there(&figures);
}

static void check_lines(char *text)
{
    char *end;

    for (; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        *end = '\0';
        require(json_check(text, strlen(text)));
    }
    require(*text == '\0');
}

static const struct line {
    int (*run)(int argc, char *const *argv, struct fail *fail);
    bool is_json; /* what it prints; the JSON of status is the node's */
    int count;
    char *words[WORDS_MAX];
} lines[] = {
    {ask_command, true, 5, {"-p", "a", "--json", "--temp", "0"}},
    {ask_command, true, 5, {"-p", "a", "--json", "--seed", "1"}},
    {ask_command, false, 5, {"-p", "a", "--temp", "0", "--digest"}},
    {ask_command, false, 5, {"-p", "a", "--temp", "0", "--ids"}},
    {status_command, true, 2, {"--telemetry", "1"}},
    {status_command, false, 1, {"--json"}},
    {status_command, false, 0, {NULL}},
};

/* The commands watch for signals, which are the fuzzer's. */
static int run(const struct line *line, struct fail *fail)
{
    static const int numbers[SIGNALS] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction before[SIGNALS];
    int result;

    for (unsigned i = 0; i < SIGNALS; i++)
        sigaction(numbers[i], NULL, &before[i]);
    result = line->run(line->count, line->words, fail);
    for (unsigned i = 0; i < SIGNALS; i++)
        sigaction(numbers[i], &before[i], NULL);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere, *real_out;
    FILE *real_err = stderr;
    struct fail fail = {0};
    char *printed = NULL;
    size_t printed_bytes = 0;
    const struct line *line;
    int result;

    if (nowhere == NULL) {
        nowhere = fopen("/dev/null", "w");
        real_out = stdout;
    }
    require(nowhere != NULL);
    input = (struct input){data, data + size};
    now_ns = heard_ns = 1000000000;
    memset(&figures, 0, sizeof figures);
    line = &lines[take(&input, 1) % (sizeof lines / sizeof *lines)];
    stdout = open_memstream(&printed, &printed_bytes);
    require(stdout != NULL);
    stderr = nowhere;
    result = run(line, &fail);
    stderr = real_err;
    require(fclose(stdout) == 0 && !is_open);
    stdout = real_out;
    require(result == 0 || fail.exit_code != EXIT_OK);
    if (line->is_json)
        check_lines(printed);
    check_figures();
    free(printed);
    free(given);
    given = NULL;
    return 0;
}
