/* Records what a monitor receives of a mesh, for tests: subscribes at a member, without a key, and writes the records.
 *
 * usage: record-telemetry ADDR:PORT INTERVAL_MS FILE      until SIGTERM, or until the member is gone */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "mesh/client.h"
#include "mesh/telemetry.h"
#include "mesh/udp.h"
#include "tests/unit/telemetry_file.h"

enum { LEASE_MS = 6000, AGAIN_NS = 2000000000, WAIT_NS = 50000000 };

static volatile sig_atomic_t is_over;

static void on_end(int number)
{
    is_over = number;
}

static int subscribe(struct mesh_client *client, uint16_t interval_ms, struct mesh_client_error *why)
{
    const struct mesh_telemetry_watch wish = {.interval_ms = interval_ms, .lease_ms = LEASE_MS, .kinds = MESH_TELEMETRY_ALL};
    uint8_t record[MESH_TELEMETRY_WATCH_BYTES];

    mesh_telemetry_write_watch(&wish, record);
    return mesh_client_send(client, record, sizeof record, why);
}

static int keep(struct mesh_client *client, uint16_t interval_ms, struct telemetry_file *out, struct mesh_client_error *why)
{
    const uint64_t begin_ns = mesh_udp_now_ns();
    uint64_t again_ns = begin_ns;

    while (!is_over) {
        const uint64_t now_ns = mesh_udp_now_ns();
        const uint8_t *record;
        size_t bytes;
        int got;

        if (now_ns >= again_ns && subscribe(client, interval_ms, why) < 0)
            return -1;
        again_ns = now_ns >= again_ns ? now_ns + AGAIN_NS : again_ns;
        got = mesh_client_receive(client, &record, &bytes, WAIT_NS, why);
        if (got < 0)
            return -1;
        if (got > 0 && telemetry_file_put(out, mesh_udp_now_ns() - begin_ns, record, bytes) < 0) {
            snprintf(why->text, sizeof why->text, "the file cannot be written");
            return -1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct mesh_client_config config = {.address = argc > 1 ? argv[1] : "", .security = MESH_SECURITY_NONE, .cluster = "mesh"};
    const unsigned long interval_ms = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    static struct telemetry_file out;
    struct mesh_client_error why = {0};
    struct mesh_client *client;
    struct timespec wall;
    FILE *file;
    int result;

    if (argc != 4 || interval_ms < MESH_TELEMETRY_INTERVAL_MS_MIN || interval_ms > MESH_TELEMETRY_INTERVAL_MS_MAX) {
        fputs("usage: record-telemetry ADDR:PORT INTERVAL_MS FILE\n", stderr);
        return 2;
    }
    signal(SIGTERM, on_end);
    signal(SIGINT, on_end);
    clock_gettime(CLOCK_REALTIME, &wall);
    file = fopen(argv[3], "wb");
    if (file == NULL || telemetry_file_create(&out, file, (uint64_t)wall.tv_sec * 1000000000 + (uint64_t)wall.tv_nsec) < 0) {
        perror(argv[3]);
        return 4;
    }
    client = mesh_client_open(&config, &why);
    result = client == NULL ? -1 : keep(client, (uint16_t)interval_ms, &out, &why);
    mesh_client_close(client);
    if (fclose(file) != 0 || result < 0) {
        fprintf(stderr, "record-telemetry: %s\n", why.text[0] != '\0' ? why.text : "the file cannot be written");
        return 4;
    }
    return 0;
}
