/* Any text as what people write for the programs: cluster files, settings of the monitor, addresses, --lab, keys and key logs, token ids,
 * texts to learn from, command lines; and as what goes to terminals and into JSON. It is refused with a message, or read as what it means.
 *
 * The first byte says what the rest is. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dissector/keys.h"
#include "mesh/key.h"
#include "mesh/lab.h"
#include "mesh/program/json.h"
#include "mesh/program/options.h"
#include "mesh/program/text_decode.h"
#include "mesh/udp.h"
#include "monitor/settings.h"
#include "node/serve/cluster_file.h"
#include "node/tokenizer/documents.h"
#include "node/tokenizer/prompt_ids.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/unit/json_check.h"

enum { REASON_BYTES = 300, PATH_BYTES = 40, WORDS_MAX = 12, IDS_BYTES = 400, TEXT_BYTES_MAX = 1 << 14 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No name is looked up: those that begin with "later" would be known at another time, all others never. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
    (void)service, (void)hints, (void)list;
    return strncmp(host, "later", 5) == 0 ? EAI_AGAIN : EAI_NONAME;
}

/* Messages begin with what they are about, and say after colons what is wrong and what to do. */
static void check_fail(const struct fail *fail, const char *begin, bool is_file)
{
    require(strncmp(fail->text, begin, strlen(begin)) == 0 && strchr(fail->text, ':') != NULL);
    require(fail->exit_code == EXIT_USAGE || fail->exit_code == EXIT_BAD_FILE || (is_file && fail->exit_code == EXIT_ENVIRONMENT));
}

static void check_reason(int err, const char *reason)
{
    require(err < 0 && reason[0] != '\0' && strlen(reason) < REASON_BYTES);
}

/* ---- files ---- */

static void take_cluster_file(char *text, size_t size)
{
    static struct cluster_file file;
    FILE *stream = fmemopen(text, size + 1, "r"); /* with its zero at the end where the text is empty, which fmemopen does not take */
    struct fail fail = {0};

    require(stream != NULL);
    if (cluster_file_parse(stream, "fuzz.conf", &file, &fail) < 0) {
        check_fail(&fail, "fuzz.conf:", true);
        fclose(stream);
        return;
    }
    fclose(stream);
    require(file.node_count <= MESH_RANKS_MAX && file.batch >= 1 && file.batch <= 512 && file.slots >= 1 && file.slots <= 64);
    for (uint16_t i = 0; i < file.node_count; i++)
        require(file.node[i].name[0] != '\0' && file.node[i].address_text[0] != '\0');
}

/* What is read is written in such a way that it is read again. */
static void take_settings(char *text, size_t size)
{
    char first[SETTINGS_TEXT_MAX], second[SETTINGS_TEXT_MAX];
    struct settings settings = settings_default, again = settings_default;
    size_t bytes;

    settings_parse(&settings, text, size);
    bytes = settings_print(&settings, first);
    require(bytes < sizeof first);
    settings_parse(&again, first, bytes);
    require(settings_print(&again, second) == bytes && memcmp(first, second, bytes) == 0);
}

/* As a file in memory, in path. */
static int store(const char *text, size_t size, char path[PATH_BYTES])
{
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);

    require(fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, text, size) == (ssize_t)size);
    snprintf(path, PATH_BYTES, "/proc/self/fd/%d", fd);
    return fd;
}

static void take_keys(char *text, size_t size)
{
    struct keys *keys = keys_open("mesh");
    struct fail fail = {0};
    char path[PATH_BYTES];
    const int fd = store(text, size, path);

    require(keys != NULL);
    if (keys_read(keys, path, &fail) < 0)
        check_fail(&fail, mesh_seal_is_available() ? path : "--key", true);
    keys_close(keys);
    close(fd);
}

static void take_ids(char *text, size_t size)
{
    uint8_t ids[IDS_BYTES];
    struct fail fail = {0};
    char path[PATH_BYTES];
    const int fd = store(text, size, path);
    size_t bytes = 0;

    if (prompt_ids_read(path, ids, sizeof ids, &bytes, &fail) < 0)
        check_fail(&fail, path, true);
    else
        require(bytes > 0 && bytes <= sizeof ids && bytes % 4 == 0);
    close(fd);
}

/* Documents follow one another, and nothing but newlines is between them. */
static void take_documents(char *text, size_t size)
{
    struct documents documents;
    struct document document;
    struct fail fail = {0};
    size_t at = 0, end = 0, count = 0;

    if (documents_init(&documents, text, size, &fail) < 0) {
        check_fail(&fail, "text: ", false);
        return;
    }
    for (; documents_next(&documents, &at, &document); count++) {
        const size_t begin = (size_t)(document.text - documents.text);

        require(document.size > 0 && begin >= end && document.text[0] != '\n' && document.text[document.size - 1] != '\n');
        for (; end < begin; end++)
            require(documents.text[end] == '\n');
        end = begin + document.size;
        require(end <= at && at <= documents.size);
    }
    require(count > 0 && at == documents.size);
    documents_release(&documents);
}

/* ---- lines ---- */

static void take_address(char *text, size_t size)
{
    struct mesh_addr addr, again;
    char reason[REASON_BYTES] = "", written[MESH_ADDR_TEXT_BYTES];
    const int err = mesh_addr_parse(text, &addr, reason, sizeof reason);

    (void)size;
    if (err != 0) {
        check_reason(err, reason);
        return;
    }
    mesh_addr_format(addr, written);
    require(mesh_addr_parse(written, &again, reason, sizeof reason) == 0 && memcmp(&addr, &again, sizeof addr) == 0);
}

static void take_lab(char *text, size_t size)
{
    char reason[REASON_BYTES] = "";
    struct mesh_lab lab = {0};
    const int err = mesh_lab_parse(text, &lab, reason, sizeof reason);

    (void)size;
    if (err != 0)
        check_reason(err, reason);
    else
        require(lab.loss_ppm <= 1000000 && lab.duplicate_ppm <= 1000000 && lab.reorder_ppm <= 1000000);
}

static void take_key(char *text, size_t size)
{
    struct mesh_key key, again;
    char reason[REASON_BYTES] = "", line[MESH_KEY_LINE_BYTES];
    const int err = mesh_key_parse(text, size, &key, reason, sizeof reason);

    if (err != 0) {
        check_reason(err, reason);
        return;
    }
    mesh_key_format(&key, line);
    require(mesh_key_parse(line, strlen(line), &again, reason, sizeof reason) == 0 && memcmp(&key, &again, sizeof key) == 0);
}

/* Zeros are between the words of the command line. */
static void take_command_line(char *text, size_t size)
{
    static const char *const words[] = {"seal", "auth", "none", NULL};
    char *argv[WORDS_MAX];
    const char *operand[2];
    struct option_list list = {.count = 0};
    bool is_set = false, is_stopped = false;
    unsigned count = 0;
    uint32_t small = 1;
    uint64_t large = 0;
    float number = 0;
    const char *path = NULL, *prose = NULL;
    int word = 0, argc = 0;
    const struct option_spec specs[] = {
        {.name = "flag", .short_name = 'f', .kind = OPTION_FLAG, .target = &is_set},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &is_stopped},
        {.name = "verbose", .short_name = 'v', .kind = OPTION_COUNT, .target = &count},
        {.name = "batch", .short_name = 'b', .kind = OPTION_U32, .target = &small, .min = 1, .max = 512},
        {.name = "seed", .kind = OPTION_U64, .target = &large},
        {.name = "top-p", .kind = OPTION_FLOAT, .target = &number, .float_min = 0, .float_max = 1},
        {.name = "model", .short_name = 'm', .kind = OPTION_TEXT, .target = &path},
        {.name = "prompt", .short_name = 'p', .kind = OPTION_PROSE, .target = &prose},
        {.name = "join", .kind = OPTION_LIST, .target = &list},
        {.name = "security", .kind = OPTION_WORD, .target = &word, .words = words},
    };
    struct options_operands operands = {.metavar = "MODEL.gguf", .max = 2, .values = operand};
    struct fail fail = {0};

    for (size_t at = 0; at <= size && argc < WORDS_MAX; at += strlen(text + at) + 1)
        argv[argc++] = text + at;
    if (options_parse(specs, sizeof specs / sizeof *specs, argc, argv, &operands, &fail) < 0) {
        check_fail(&fail, "", false);
        return;
    }
    require(small >= 1 && small <= 512 && number >= 0 && number <= 1 && word >= 0 && word < 3 && operands.count <= 2);
    require((path == NULL || path[0] != '\0') && list.count <= OPTION_LIST_MAX);
}

/* Nothing that moves a cursor is left, and JSON stays JSON. */
static void take_output(char *text, size_t size)
{
    static char out[8 * TEXT_BYTES_MAX + 400];
    FILE *stream = fmemopen(out, sizeof out, "w");
    struct json json;

    require(stream != NULL);
    json_init(&json, stream);
    json_event_begin(&json, "fuzz");
    json_string(&json, "text", text, size);
    json_text(&json, text, text);
    json_hex(&json, "hex", text, size < 64 ? size : 64);
    json_event_end(&json);
    require(fflush(stream) == 0 && json_check(out, strlen(out)));
    rewind(stream);
    text_decode_print(stream, text, size);
    fputc('\0', stream);
    require(fflush(stream) == 0);
    for (const char *at = out; *at != '\0'; at++)
        require((unsigned char)*at >= 0x20 && *at != 0x7f);
    fclose(stream);
    text_decode_disarm(text);
    for (; *text != '\0'; text++)
        require((unsigned char)*text >= 0x20 || *text == '\n');
}

static void (*const readers[])(char *text, size_t size) = {take_cluster_file, take_settings, take_keys, take_ids,          take_documents,
                                                           take_address,      take_lab,      take_key,  take_command_line, take_output};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size == 0 || size > TEXT_BYTES_MAX)
        return 0;
    text = malloc(size); /* not larger, so that reads beyond the end are detected */
    require(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    size--;
    readers[data[0] % (sizeof readers / sizeof *readers)](text, size);
    free(text);
    return 0;
}
