#include "keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"

enum { KEYS_MAX = 4096, MASTERS_MAX = 16, LINE_MAX_BYTES = 400, PARTS = 8, CALLS = 64, MISSES_MAX = 32 };

enum key_kind { KEY_EPOCH, KEY_PROCESS, KEY_SESSION };

struct known_key {
    enum key_kind kind;
    uint16_t rank;             /* of KEY_EPOCH */
    uint32_t epoch;            /* number in the header of what the key has opened; 0: nothing yet, or outside of epochs */
    uint16_t src;              /* likewise */
    struct frame_address from; /* likewise */
    bool has_opened;
    unsigned misses;      /* failures in a row since, on what could be its own; MISSES_MAX: another process sends it now */
    uint8_t name[16];     /* id of the epoch, or incarnation of the sender */
    uint8_t receiver[16]; /* of KEY_SESSION */
    struct mesh_seal_key key;
    struct mesh_aes *aes; /* of KEY_EPOCH, once it was needed; owned */
};

/* The member list of an epoch, as its COMMITs bring it part by part. */
struct epoch_parts {
    uint32_t number;
    uint16_t total;
    uint64_t present;
    uint8_t id[16];
    uint8_t incarnations[MESH_RANKS_MAX][MESH_INCARNATION_BYTES];
};

struct keys {
    const char *cluster;
    size_t master_count;
    struct mesh_key masters[MASTERS_MAX]; /* of clusters, or of one before and after a change: datagrams show which one fits */
    size_t count, next;                   /* next: the oldest, once all places are taken */
    size_t last_hit;
    struct known_key known[KEYS_MAX];
    struct epoch_parts parts[PARTS];
    unsigned next_part, next_call;
    struct {
        uint8_t incarnation[MESH_INCARNATION_BYTES];
        uint64_t nonce;
    } calls[CALLS]; /* of clients; the newest replaces the oldest */
};

struct keys *keys_open(const char *cluster)
{
    struct keys *keys = calloc(1, sizeof *keys);

    if (keys)
        keys->cluster = cluster;
    return keys;
}

void keys_close(struct keys *keys)
{
    for (size_t i = 0; keys && i < keys->count; i++)
        mesh_aes_free(keys->known[i].aes);
    if (keys)
        mesh_wipe(keys, sizeof *keys);
    free(keys);
}

const char *keys_verdict_name(enum keys_verdict verdict)
{
    static const char *const names[] = {"plain", "locked", "opened", "forged"};

    return names[verdict];
}

/* Keep a key, unless it is there already. */
static void keep(struct keys *keys, const struct known_key *fresh)
{
    for (size_t i = 0; i < keys->count; i++)
        if (keys->known[i].kind == fresh->kind && memcmp(&keys->known[i].key, &fresh->key, sizeof fresh->key) == 0)
            return;
    mesh_aes_free(keys->known[keys->next].aes);
    keys->known[keys->next] = *fresh;
    keys->next = (keys->next + 1) % KEYS_MAX;
    if (keys->count < KEYS_MAX)
        keys->count++;
}

/* ---- files ---- */

/* 2 * count digits, then a blank or the end of the line; NULL when it is something else. */
static const char *read_hex(const char *text, uint8_t *out, size_t count)
{
    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++, text += 2) {
        const int byte = hex_byte(text);

        if (byte < 0)
            return NULL;
        out[i] = (uint8_t)byte;
    }
    if (*text == ' ')
        return text + 1;
    return *text == '\0' || *text == '\n' || *text == '\r' ? text : NULL;
}

static const char *after(const char *line, const char *word)
{
    const size_t length = strlen(word);

    return strncmp(line, word, length) == 0 ? line + length : NULL;
}

/* True when the line is a key; other lines are to be ignored. */
static bool read_line(struct keys *keys, const char *line)
{
    struct known_key key = {0};
    const char *at;
    bool is_key;

    if ((at = after(line, "MESH_EPOCH ")) != NULL) {
        char *end;

        at = read_hex(at, key.name, sizeof key.name);
        if (at == NULL)
            return false;
        key.rank = (uint16_t)strtoul(at, &end, 10);
        at = *end == ' ' ? end + 1 : NULL;
        key.kind = KEY_EPOCH;
    } else if ((at = after(line, "MESH_PROCESS ")) != NULL) {
        at = read_hex(at, key.name, sizeof key.name);
        key.kind = KEY_PROCESS;
    } else if ((at = after(line, "MESH_SESSION ")) != NULL) {
        at = read_hex(read_hex(at, key.name, sizeof key.name), key.receiver, sizeof key.receiver);
        key.kind = KEY_SESSION;
    }
    is_key = read_hex(at, key.key.bytes, sizeof key.key.bytes) != NULL;
    if (is_key)
        keep(keys, &key);
    mesh_wipe(&key, sizeof key);
    return is_key;
}

static int read_log(struct keys *keys, FILE *file, const char *path, struct fail *fail)
{
    char line[LINE_MAX_BYTES];
    size_t found = 0;

    while (fgets(line, sizeof line, file))
        found += read_line(keys, line);
    mesh_wipe(line, sizeof line);
    if (ferror(file))
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be read: %s: check the file", path, strerror(errno));
    if (found == 0)
        return fail_set(fail, EXIT_BAD_FILE, "%s: no key in it: give a cluster's key file, or what mesh-node --key-log has written", path);
    return 0;
}

int keys_read(struct keys *keys, const char *path, struct fail *fail)
{
    char start[11] = "", reason[300];
    FILE *file = fopen(path, "r");
    int err;

    if (file == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be opened: %s: %s", path, strerror(errno),
                        fail_advice(errno, "check the name"));
    if (!mesh_seal_is_available()) {
        fclose(file);
        return fail_set(fail, EXIT_ENVIRONMENT, "--key: this program was built without libsodium: install it and build again");
    }
    if (fread(start, 1, sizeof start, file) == sizeof start && memcmp(start, "mesh-key-1 ", sizeof start) == 0) {
        fclose(file);
        if (keys->master_count == MASTERS_MAX)
            return fail_set(fail, EXIT_USAGE, "--key %s: more than %d keys of clusters: give a key log instead", path, MASTERS_MAX);
        err = mesh_key_read(path, &keys->masters[keys->master_count], reason, sizeof reason);
        if (err != 0)
            return fail_set(fail, err == MESH_EINVAL ? EXIT_BAD_FILE : EXIT_ENVIRONMENT, "%s: %s", path, reason);
        keys->master_count++;
        return 0;
    }
    rewind(file);
    err = read_log(keys, file, path, fail);
    fclose(file);
    return err;
}

/* ---- opening ---- */

static bool may_open(const struct known_key *key, const struct mesh_header *header, const uint8_t *packet, size_t bytes)
{
    const bool is_session = header->epoch > MESH_EPOCH_MAX;

    switch (key->kind) {
    case KEY_EPOCH:
        return header->epoch != 0 && !is_session && header->src == key->rank && (key->epoch == 0 || key->epoch == header->epoch);
    case KEY_PROCESS:
        return header->epoch == 0 && bytes >= MESH_HEADER_BYTES + sizeof key->name &&
               memcmp(packet + MESH_HEADER_BYTES, key->name, sizeof key->name) == 0;
    default:
        return is_session && (key->epoch == 0 || (key->epoch == header->epoch && key->src == header->src));
    }
}

static bool unseal(struct known_key *key, const struct mesh_header *header, uint8_t *packet, size_t bytes)
{
    const enum mesh_security security = header->flags & MESH_FLAG_SEALED ? MESH_SECURITY_SEAL : MESH_SECURITY_AUTH;

    if (!(header->flags & MESH_FLAG_AES))
        return mesh_open_packet(&key->key, security, packet, bytes) == 0;
    if (key->kind != KEY_EPOCH)
        return false;
    key->aes = key->aes ? key->aes : mesh_aes_new(&key->key);
    return key->aes && mesh_open_packet_aes(key->aes, security, packet, bytes) == 0;
}

/* Open with one key; the header's flags and tag are restored. */
static bool open_with(struct known_key *key, const struct frame_address *from, const struct mesh_header *header, uint8_t *packet,
                      size_t bytes)
{
    if (!unseal(key, header, packet, bytes))
        return false;
    packet[offsetof(struct mesh_header_bytes, flags)] = (uint8_t)header->flags;
    memcpy(packet + offsetof(struct mesh_header_bytes, tag), header->tag, sizeof header->tag);
    if (key->kind != KEY_PROCESS) {
        key->epoch = header->epoch;
        key->src = header->src;
    }
    key->from = *from;
    key->has_opened = true;
    key->misses = 0;
    return true;
}

/* Was this changed in transit, given that this key opened all before it from there? Not when another mesh, whose key is not known, has come
 * to an epoch of the same number: at another address, or at this one by a restarted process. Such a process begins with a HELLO, if that
 * was captured. */
static bool is_forged(struct known_key *key, const struct frame_address *from, const struct mesh_header *header)
{
    const bool is_hello = header->type == MESH_TYPE_HELLO || header->type == MESH_TYPE_HELLO_ACK;

    if (!key->has_opened || !frame_address_equals(&key->from, from))
        return false;
    if (key->kind == KEY_PROCESS)
        return true;
    key->misses = is_hello || key->misses >= MISSES_MAX ? MISSES_MAX : key->misses + 1;
    return key->misses < MISSES_MAX;
}

/* With a pre-shared key, the key of any process follows from the incarnation that its datagrams begin with. */
static void derive_process(struct keys *keys, const uint8_t incarnation[MESH_INCARNATION_BYTES])
{
    struct known_key key = {.kind = KEY_PROCESS};

    memcpy(key.name, incarnation, sizeof key.name);
    for (size_t i = 0; i < keys->master_count; i++)
        if (mesh_seal_key_of_process(&key.key, &keys->masters[i], keys->cluster, incarnation) == 0)
            keep(keys, &key);
    mesh_wipe(&key, sizeof key);
}

static enum keys_verdict try_keys(struct keys *keys, const struct frame_address *from, const struct mesh_header *header, uint8_t *packet,
                                  size_t bytes)
{
    enum keys_verdict verdict = KEYS_LOCKED;

    for (size_t n = 0; n < keys->count; n++) {
        const size_t i = (keys->last_hit + n) % keys->count;
        struct known_key *key = &keys->known[i];

        if (!may_open(key, header, packet, bytes))
            continue;
        if (open_with(key, from, header, packet, bytes)) {
            keys->last_hit = i;
            return KEYS_OPENED;
        }
        if (is_forged(key, from, header))
            verdict = KEYS_FORGED;
    }
    return verdict;
}

enum keys_verdict keys_unseal(struct keys *keys, const struct frame_address *from, const struct mesh_header *header, uint8_t *packet,
                              size_t bytes)
{
    enum keys_verdict verdict;

    if ((header->flags & (MESH_FLAG_AUTHENTICATED | MESH_FLAG_SEALED)) == 0)
        return KEYS_PLAIN;
    verdict = try_keys(keys, from, header, packet, bytes);
    if (verdict != KEYS_LOCKED || keys->master_count == 0 || header->epoch != 0 || bytes < MESH_HEADER_BYTES + MESH_INCARNATION_BYTES)
        return verdict;
    derive_process(keys, packet + MESH_HEADER_BYTES);
    return try_keys(keys, from, header, packet, bytes);
}

void keys_rewind(struct keys *keys)
{
    for (size_t i = 0; keys != NULL && i < keys->count; i++) {
        keys->known[i].has_opened = false;
        keys->known[i].misses = 0;
    }
}

/* ---- learning ---- */

static struct epoch_parts *parts_of(struct keys *keys, const struct mesh_commit *commit)
{
    struct epoch_parts *parts;

    for (unsigned i = 0; i < PARTS; i++)
        if (keys->parts[i].number == commit->number && memcmp(keys->parts[i].id, commit->id, sizeof commit->id) == 0)
            return &keys->parts[i];
    parts = &keys->parts[keys->next_part++ % PARTS];
    *parts = (struct epoch_parts){.number = commit->number, .total = commit->total};
    memcpy(parts->id, commit->id, sizeof commit->id);
    return parts;
}

static void learn_epoch(struct keys *keys, const struct mesh_message *message)
{
    const struct mesh_commit *commit = &message->as.commit;
    struct epoch_parts *parts = parts_of(keys, commit);

    for (uint16_t i = 0; i < commit->member_count && commit->first + i < MESH_RANKS_MAX; i++) {
        memcpy(parts->incarnations[commit->first + i], message->members[i].incarnation, MESH_INCARNATION_BYTES);
        parts->present |= UINT64_C(1) << (commit->first + i);
    }
    if (parts->total == 0 || (unsigned)__builtin_popcountll(parts->present) < parts->total)
        return;
    for (size_t i = 0; i < keys->master_count * parts->total; i++) {
        const uint16_t rank = (uint16_t)(i % parts->total);
        struct known_key key = {.kind = KEY_EPOCH, .rank = rank};

        memcpy(key.name, parts->id, sizeof key.name);
        if (mesh_seal_key_of_epoch(&key.key, &keys->masters[i / parts->total], keys->cluster, parts->number, parts->id,
                                   parts->incarnations[rank]) == 0)
            keep(keys, &key);
        mesh_wipe(&key, sizeof key);
    }
    parts->total = 0; /* done; later copies of the COMMIT add nothing */
}

static void keep_session(struct keys *keys, const struct mesh_key *master, const uint8_t *sender, const uint8_t *receiver)
{
    struct known_key key = {.kind = KEY_SESSION};

    if (mesh_seal_key_of_session(&key.key, master, keys->cluster, sender, receiver) == 0)
        keep(keys, &key);
    mesh_wipe(&key, sizeof key);
}

/* A client's session: its keys follow from the client's incarnation and the identity that the node has drawn for it. */
static void learn_session(struct keys *keys, const struct mesh_call_answer *answer)
{
    for (size_t i = 0; answer->session != 0 && i < CALLS * keys->master_count; i++) {
        const struct mesh_key *master = &keys->masters[i / CALLS];
        const uint8_t *client = keys->calls[i % CALLS].incarnation;

        if (keys->calls[i % CALLS].nonce != answer->nonce)
            continue;
        keep_session(keys, master, client, answer->identity);
        keep_session(keys, master, answer->identity, client);
    }
}

void keys_learn(struct keys *keys, const struct mesh_message *message)
{
    if (keys->master_count == 0)
        return;
    if (message->header.type == MESH_TYPE_COMMIT) {
        learn_epoch(keys, message);
    } else if (message->header.type == MESH_TYPE_CALL) {
        const unsigned at = keys->next_call++ % CALLS;

        memcpy(keys->calls[at].incarnation, message->as.calling.incarnation, MESH_INCARNATION_BYTES);
        keys->calls[at].nonce = message->as.calling.nonce;
    } else if (message->header.type == MESH_TYPE_CALL_ANSWER) {
        learn_session(keys, &message->as.call_answer);
    }
}
