/* A client that asks a node of a mesh for its state and prints it, as `mesh-node status` does.
 *
 * usage: status HOST:PORT [KEY-FILE [CLUSTER]]
 * A question is one record, answered by one or more. PROTOCOL.md has the layout of all records: "Questions", "Bulk transfers" and, for
 * telemetry, "Telemetry". C11 or C++17; `pkg-config --cflags --libs libmesh` prints the flags. */
#include <mesh/client.h>
#include <stdio.h>
#include <string.h>

enum { ASK_STATUS_TEXT = 4, ANSWER_STATE = 18, ANSWER_REFUSED = 19 }; /* the first byte of a record */
#define TIMEOUT_NS UINT64_C(5000000000)

/* Integers are little-endian. */
static uint32_t u32_of(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Print the text of a record: a kind, a u32 of the text's length, the text. False: the record has another form. */
static bool print_text(FILE *file, const uint8_t *record, size_t bytes)
{
    if (bytes < 5 || u32_of(record + 1) != bytes - 5)
        return false;
    return fwrite(record + 5, 1, bytes - 5, file) == bytes - 5;
}

static int ask(struct mesh_client *client)
{
    const uint8_t question = ASK_STATUS_TEXT;
    const uint8_t *record; /* valid until the next call */
    struct mesh_client_error why;
    size_t bytes;
    int got;

    if (mesh_client_send(client, &question, sizeof question, &why) != 0) {
        fprintf(stderr, "%s\n", why.text);
        return 1;
    }
    got = mesh_client_receive(client, &record, &bytes, TIMEOUT_NS, &why);
    if (got < 0)
        fprintf(stderr, "%s\n", why.text);
    else if (got == 0)
        fprintf(stderr, "no answer\n");
    else if (record[0] == ANSWER_STATE && print_text(stdout, record, bytes))
        return 0;
    else if (record[0] != ANSWER_REFUSED || !print_text(stderr, record, bytes))
        fprintf(stderr, "an answer of kind %u\n", record[0]);
    return 1;
}

int main(int argc, char **argv)
{
    struct mesh_client_config config;
    struct mesh_client_error why;
    struct mesh_client *client;
    struct mesh_key key;
    char reason[200];
    int code;

    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: status HOST:PORT [KEY-FILE [CLUSTER]]\n");
        return 2;
    }
    memset(&config, 0, sizeof config); /* MESH_SECURITY_NONE, and the default timeout */
    config.address = argv[1];
    config.cluster = argc > 3 ? argv[3] : "mesh";
    if (argc > 2) {
        if (mesh_key_read(argv[2], &key, reason, sizeof reason) != MESH_OK) {
            fprintf(stderr, "%s: %s\n", argv[2], reason);
            return 1;
        }
        config.security = MESH_SECURITY_SEAL;
        config.key = &key;
        config.key_file = argv[2]; /* for messages */
    }
    client = mesh_client_open(&config, &why);
    if (argc > 2)
        mesh_wipe(&key, sizeof key);
    if (client == NULL) {
        fprintf(stderr, "%s\n", why.text);
        return 1;
    }
    code = ask(client);
    mesh_client_close(client);
    return code;
}
