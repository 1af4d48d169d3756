#include "cluster_file.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/program/options.h"
#include "mesh/udp.h"

enum kind { KIND_TEXT, KIND_NUMBER, KIND_WORD, KIND_SHARE, KIND_ADDRESS };

static const char *const security_words[] = {"seal", "auth", "none", NULL};
static const char *const kv_words[] = {"f16", "f32", "q8_0", NULL};

/* One row per key. */
static const struct key {
    const char *section, *name;
    enum kind kind;
    size_t offset, room; /* in struct cluster_file or cluster_node; room of a text */
    uint32_t min, max;
    const char *const *words;
    const char *standard, *meaning;
} keys[] = {
#define IN_CLUSTER(field) offsetof(struct cluster_file, field)
#define IN_NODE(field)    offsetof(struct cluster_node, field)
    {"cluster", "name", KIND_TEXT, IN_CLUSTER(name), MESH_CLUSTER_NAME_BYTES_MAX + 1, 0, 0, NULL, "mesh",
     "part of every key: two clusters with one key file stay apart"},
    {"cluster", "key", KIND_TEXT, IN_CLUSTER(key), CLUSTER_PATH_MAX, 0, 0, NULL, "",
     "file of the pre-shared key; without one nodes serve the loopback only"},
    {"cluster", "security", KIND_WORD, IN_CLUSTER(security), 0, 0, 0, security_words, "seal",
     "seal: sealed and authenticated; auth: readable; none: for labs"},
    {"cluster", "model", KIND_TEXT, IN_CLUSTER(model), CLUSTER_PATH_MAX, 0, 0, NULL, "", "GGUF file, unless -m names one"},
    {"cluster", "discover", KIND_TEXT, IN_CLUSTER(discover), CLUSTER_NAME_MAX, 0, 0, NULL, "",
     "GROUP[:PORT], a multicast group by which nodes find one another, beside the addresses here"},
    {"cluster", "multicast", KIND_TEXT, IN_CLUSTER(multicast), CLUSTER_NAME_MAX, 0, 0, NULL, "",
     "GROUP[:PORT], a multicast group by which each tile is sent once to all who hear it"},
    {"cluster", "ctx", KIND_NUMBER, IN_CLUSTER(ctx), 0, 0, 1 << 24, NULL, "0", "context in tokens; 0: the model's, at most 4096"},
    {"cluster", "kv-type", KIND_WORD, IN_CLUSTER(kv_type), 0, 0, 0, kv_words, "f16", "how keys and values are kept"},
    {"cluster", "batch", KIND_NUMBER, IN_CLUSTER(batch), 0, 1, 512, NULL, "128", "tokens of a step"},
    {"cluster", "slots", KIND_NUMBER, IN_CLUSTER(slots), 0, 1, 64, NULL, "4",
     "requests that run at once; each has a KV cache of ctx tokens"},
    {"node", "address", KIND_ADDRESS, IN_NODE(address), 0, 0, 0, NULL, NULL, "ADDR:PORT that the others reach it by (UDP)"},
    {"node", "model", KIND_TEXT, IN_NODE(model), CLUSTER_PATH_MAX, 0, 0, NULL, "", "another path of the same model on this machine"},
    {"node", "metrics", KIND_TEXT, IN_NODE(metrics), CLUSTER_NAME_MAX, 0, 0, NULL, "",
     "ADDR:PORT of /metrics and /health by HTTP, for Prometheus; none without it"},
    {"node", "threads", KIND_NUMBER, IN_NODE(threads), 0, 0, 256, NULL, "0", "0: as many as there are cores"},
    {"node", "share", KIND_SHARE, IN_NODE(share), 0, 0, 1000000, NULL, "auto",
     "share of the rows; auto: by measured speed, updated when it drifts; a number is fixed: 1 is an average auto node's; 0: none"},
};

enum { KEYS = sizeof keys / sizeof *keys };

/* Where the parser is. */
struct place {
    const char *file;
    unsigned line;
    struct cluster_file *cluster;
    struct cluster_node *node; /* of the section; NULL: [cluster] */
    bool in_section, has_cluster;
    uint32_t seen; /* keys of the section, a bit each */
};

_Static_assert(KEYS <= 32, "a bit each");

__attribute__((format(printf, 3, 4))) static int refuse(const struct place *place, struct fail *fail, const char *format, ...)
{
    char text[400];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return fail_set(fail, EXIT_BAD_FILE, "%.150s:%u: %s", place->file, place->line, text);
}

static char *trim(char *text)
{
    char *end = text + strlen(text);

    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

/* ---- values ---- */

static int set_number(const struct place *place, const struct key *key, const char *value, uint32_t *out, struct fail *fail)
{
    char *end;
    unsigned long long number;

    errno = 0;
    number = strtoull(value, &end, 10);
    if (!isdigit((unsigned char)*value) || *end != '\0' || errno != 0 || number < key->min || number > key->max)
        return refuse(place, fail, "%s = %.60s: not a number from %u to %u: correct it", key->name, value, key->min, key->max);
    *out = (uint32_t)number;
    return 0;
}

static int set_word(const struct place *place, const struct key *key, const char *value, int *out, struct fail *fail)
{
    const char *nearest;

    for (int i = 0; key->words[i] != NULL; i++)
        if (strcmp(value, key->words[i]) == 0)
            return *out = i, 0;
    nearest = options_nearest(value, key->words);
    return refuse(place, fail, "%s = %.60s: not known: give %s%s", key->name, value, nearest != NULL ? "perhaps " : "for example ",
                  nearest != NULL ? nearest : key->words[0]);
}

/* For a host name that does not resolve, the caller decides whether that node has to be known: a node that is gone for good should not keep
 * the others from starting. A name server that does not answer is an error, since then no name resolves, and that passes. */
static int set_address(const struct place *place, const char *value, struct cluster_node *node, struct fail *fail)
{
    char reason[sizeof node->unknown];
    const int err = strlen(value) < sizeof node->address_text ? mesh_addr_parse(value, &node->address, reason, sizeof reason) : MESH_EINVAL;

    if (err == MESH_ESYSTEM && errno == ENOENT) {
        snprintf(node->unknown, sizeof node->unknown, "%s", reason);
        snprintf(node->address_text, sizeof node->address_text, "%s", value);
        return 0;
    }
    if (err == MESH_ESYSTEM)
        return fail_set(fail, EXIT_ENVIRONMENT, "%.150s:%u: address = %s", place->file, place->line, reason);
    if (err != MESH_OK)
        return refuse(place, fail, "address = %.60s: not an address: give ADDR:PORT such as 10.0.0.1:7411 or [fd00::1]:7411", value);
    if (mesh_addr_fault(node->address) != NULL)
        return refuse(place, fail, "address = %.60s: %s", value, mesh_addr_fault(node->address));
    snprintf(node->address_text, sizeof node->address_text, "%s", value);
    return 0;
}

/* Not allowed in a value, except in file names. */
static bool has_comment(const char *value)
{
    for (; *value != '\0'; value++)
        if (isspace((unsigned char)value[0]) && (value[1] == '#' || value[1] == ';'))
            return true;
    return false;
}

static int set(const struct place *place, const struct key *key, const char *value, struct fail *fail)
{
    uint8_t *base = place->node != NULL ? (uint8_t *)place->node : (uint8_t *)place->cluster;
    void *target = base + key->offset;

    if (key->kind != KIND_TEXT && has_comment(value))
        return refuse(place, fail, "%s = %.60s: a comment needs a line of its own: move it there", key->name, value);
    switch (key->kind) {
    case KIND_TEXT:
        if (strlen(value) >= key->room)
            return refuse(place, fail, "%s: %zu bytes: at most %zu are taken", key->name, strlen(value), key->room - 1);
        memcpy(target, value, strlen(value) + 1);
        return 0;
    case KIND_NUMBER:
        return set_number(place, key, value, target, fail);
    case KIND_WORD:
        return set_word(place, key, value, target, fail);
    case KIND_SHARE:
        if (strcmp(value, "auto") == 0)
            return *(uint32_t *)target = CLUSTER_SHARE_AUTO, 0;
        return set_number(place, key, value, target, fail);
    case KIND_ADDRESS:
        assert(place->node != NULL); /* the only such key is a node's */
        return set_address(place, value, place->node, fail);
    }
    assert(!"every kind is handled");
    return -1;
}

static void set_standards(struct place *place, const char *section)
{
    struct fail fail;

    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(keys[i].section, section) == 0 && keys[i].standard != NULL) {
            int failed = set(place, &keys[i], keys[i].standard, &fail);

            assert(failed == 0);
            (void)failed;
        }
}

/* ---- lines ---- */

static int begin_node(struct place *place, const char *name, struct fail *fail)
{
    struct cluster_file *cluster = place->cluster;

    if (*name == '\0' || strlen(name) >= CLUSTER_NAME_MAX)
        return refuse(place, fail, "[node %.60s]: needs a name of 1 to %d bytes: write [node NAME]", name, CLUSTER_NAME_MAX - 1);
    for (uint16_t i = 0; i < cluster->node_count; i++)
        if (strcmp(cluster->node[i].name, name) == 0)
            return refuse(place, fail, "[node %s]: there is one already: give each its own name", name);
    if (cluster->node_count == MESH_RANKS_MAX)
        return refuse(place, fail, "[node %s]: more than %d nodes: leave some out", name, MESH_RANKS_MAX);
    place->node = &cluster->node[cluster->node_count++];
    snprintf(place->node->name, sizeof place->node->name, "%s", name);
    set_standards(place, "node");
    return 0;
}

/* A link-local address is another one behind another interface. Member by member: the struct has padding, which is not always zero. */
static bool has_address_of(const struct cluster_node *node, const struct cluster_node *other)
{
    return mesh_addr_equal(&node->address, &other->address) && node->address.scope == other->address.scope;
}

/* The node's section is over. */
static int check_node(const struct place *place, struct fail *fail)
{
    const struct cluster_file *cluster = place->cluster;

    if (place->node == NULL)
        return 0;
    if (place->node->address_text[0] == '\0')
        return refuse(place, fail, "[node %s]: no address: write address = ADDR:PORT", place->node->name);
    for (uint16_t i = 0; i + 1 < cluster->node_count; i++)
        if (place->node->unknown[0] == '\0' && has_address_of(place->node, &cluster->node[i]))
            return refuse(place, fail, "[node %s]: has the address of [node %s]: give each its own", place->node->name,
                          cluster->node[i].name);
    return 0;
}

static int begin_section(struct place *place, char *text, struct fail *fail)
{
    char *end = strchr(text, ']');

    if (end == NULL || *trim(end + 1) != '\0')
        return refuse(place, fail, "%.60s: not a section: write [cluster] or [node NAME]", text);
    if (check_node(place, fail) < 0)
        return -1;
    *end = '\0';
    text = trim(text + 1);
    place->in_section = true;
    place->node = NULL;
    place->seen = 0;
    if (strcmp(text, "cluster") == 0) {
        if (place->has_cluster)
            return refuse(place, fail, "[cluster]: there is one already: put all its keys together");
        place->has_cluster = true;
        return 0;
    }
    if (strncmp(text, "node", 4) == 0 && (text[4] == '\0' || isspace((unsigned char)text[4])))
        return begin_node(place, trim(text + 4), fail);
    return refuse(place, fail, "[%.60s]: no such section: write [cluster] or [node NAME]", text);
}

static int take_line(struct place *place, char *line, struct fail *fail)
{
    char *text = trim(line), *value = strchr(text, '=');
    const char *section = place->node != NULL ? "node" : "cluster", *names[KEYS + 1], *nearest;
    size_t count = 0;

    if (*text == '\0' || *text == '#' || *text == ';')
        return 0;
    if (*text == '[')
        return begin_section(place, text, fail);
    if (value == NULL)
        return refuse(place, fail, "%.60s: neither a section nor key = value: correct it", text);
    if (!place->in_section)
        return refuse(place, fail, "%.60s: stands before any section: begin with [cluster] or [node NAME]", text);
    *value = '\0';
    text = trim(text);
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(keys[i].section, section) != 0)
            continue;
        if (strcmp(keys[i].name, text) == 0) {
            if ((place->seen & 1u << i) != 0)
                return refuse(place, fail, "%s: stands in this section already: leave one of them", text);
            place->seen |= 1u << i;
            return set(place, &keys[i], trim(value + 1), fail);
        }
        names[count++] = keys[i].name;
    }
    names[count] = NULL;
    nearest = options_nearest(text, names);
    return refuse(place, fail, "%.60s: not a key of [%s]: %s%s", text, section, nearest != NULL ? "did you mean " : "take the line out",
                  nearest != NULL ? nearest : "");
}

/* Some editors put it before the first line. */
static const char byte_order_mark[] = "\xef\xbb\xbf";

/* The next line. 1; 0: there is none; -1 after refuse. */
static int read_line(struct place *place, FILE *stream, char line[CLUSTER_LINE_MAX], struct fail *fail)
{
    size_t size = 0;
    int c;

    place->line++;
    while ((c = getc(stream)) != EOF) {
        if (c == 0)
            return refuse(place, fail, "has a byte 0, so it is not a cluster file: give another"), -1;
        line[size++] = (char)c;
        if (c == '\n')
            break;
        if (size == CLUSTER_LINE_MAX - 1)
            return refuse(place, fail, "longer than %d bytes, so it is not a cluster file: give another", CLUSTER_LINE_MAX - 2), -1;
    }
    line[size] = '\0';
    if (place->line == 1 && strncmp(line, byte_order_mark, sizeof byte_order_mark - 1) == 0)
        memset(line, ' ', sizeof byte_order_mark - 1);
    place->line -= size == 0;
    return size > 0;
}

int cluster_file_parse(FILE *stream, const char *name, struct cluster_file *file, struct fail *fail)
{
    struct place place = {.file = name, .cluster = file};
    char line[CLUSTER_LINE_MAX];
    int got;

    memset(file, 0, sizeof *file);
    set_standards(&place, "cluster");
    while ((got = read_line(&place, stream, line, fail)) > 0)
        if (take_line(&place, line, fail) < 0)
            return -1;
    if (got < 0)
        return -1;
    if (ferror(stream))
        return fail_set(fail, EXIT_ENVIRONMENT, "%.200s: cannot read: %s: %s", name, strerror(errno),
                        fail_advice(errno, "give a cluster file"));
    return check_node(&place, fail);
}

int cluster_file_read(const char *path, struct cluster_file *file, struct fail *fail)
{
    FILE *stream = fopen(path, "re");
    int result;

    if (stream == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "%.200s: cannot open: %s: %s", path, strerror(errno),
                        fail_advice(errno, "give a cluster file"));
    result = cluster_file_parse(stream, path, file, fail);
    fclose(stream);
    return result;
}

void cluster_file_print_keys(FILE *out)
{
    fputs("| section | key | default | meaning |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < KEYS; i++) {
        const char *standard = keys[i].standard == NULL ? "(required)" : keys[i].standard[0] == '\0' ? "(none)" : keys[i].standard;

        fprintf(out, "| `[%s]` | `%s` | %s | %s |\n", keys[i].section, keys[i].name, standard, keys[i].meaning);
    }
}
