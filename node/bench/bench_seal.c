/* What it costs to seal and to open a datagram, on one thread: processor time, so other programs do not count. */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "bench_memory.h"
#include "mesh/wire.h"
#include "node/engine/security.h"

enum { DATAGRAM_BYTES_MAX = 2500, DATAGRAMS = 32, RUNS = 200, RUNS_QUICK = 5 };

/* Rank 0 sends to rank 1. The datagrams at hand are about a batch of the UDP driver. */
struct seal_bench {
    struct security from, to;
    uint8_t datagram[DATAGRAMS][DATAGRAM_BYTES_MAX];
};

/* Both ends, under keys of their own. */
static int open_sealers(struct seal_bench *b, enum mesh_security mode, bool is_aes, struct fail *fail)
{
    if (security_draw(&b->from, fail) < 0)
        return -1;
    b->from.has_no_aes = !is_aes;
    b->to = b->from;
    if (security_start(&b->from, mode, 1, 0, 2, fail) < 0 || security_start(&b->to, mode, 1, 1, 2, fail) < 0)
        return -1;
    if (is_aes)
        b->from.sealer.aes_ranks = b->to.sealer.aes_ranks = 3; /* as after the handshake */
    return 0;
}

static void write_datagrams(struct seal_bench *b, size_t bytes)
{
    static const uint8_t data[DATAGRAM_BYTES_MAX];
    struct mesh_message message = {
        .header = {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_RECORD, .dst = 1, .epoch = 1},
        .as.record = {.sequence = 1, .next = 1},
        .data = data,
        .data_bytes = bytes - MESH_RECORD_OVERHEAD_BYTES,
    };

    for (size_t i = 0; i < DATAGRAMS; i++) {
        message.header.number = i + 1;
        mesh_wire_encode(&message, b->datagram[i], bytes);
    }
}

static int measure(struct bench *bench, enum mesh_security mode, bool is_aes, size_t bytes, struct fail *fail)
{
    struct seal_bench b = {.from = {.has_no_aes = false}};
    struct bench_series seal_ns = {.count = 0}, open_ns = {.count = 0}, seal_mb = {.count = 0}, open_mb = {.count = 0};
    char name[64];
    struct bench_row row = {.event = "seal", .name = name};

    if (open_sealers(&b, mode, is_aes, fail) < 0)
        return -1;
    write_datagrams(&b, bytes);
    for (int r = 0; r < (bench->quick ? RUNS_QUICK : RUNS); r++) {
        uint64_t begin_ns = bench_memory_thread_ns(), sealed_ns;

        for (size_t i = 0; i < DATAGRAMS; i++)
            mesh_sealer_seal(&b.from.sealer, b.datagram[i], bytes);
        sealed_ns = bench_memory_thread_ns();
        for (size_t i = 0; i < DATAGRAMS; i++)
            mesh_sealer_open(&b.to.sealer, b.datagram[i], bytes);
        bench_add(&open_ns, (double)(bench_memory_thread_ns() - sealed_ns) / DATAGRAMS);
        bench_add(&seal_ns, (double)(sealed_ns - begin_ns) / DATAGRAMS);
        bench_add(&seal_mb, 1e3 * (double)bytes / seal_ns.value[r]);
        bench_add(&open_mb, 1e3 * (double)bytes / open_ns.value[r]);
    }
    if (b.from.sealer.sealed != b.to.sealer.opened)
        return fail_set(fail, EXIT_DIFFERENCE, "bench: what was sealed did not open: its bytes were changed: report this");
    snprintf(name, sizeof name, "%s, %s, %zu bytes", security_words[mode], security_cipher_name(&b.from.sealer), bytes);
    bench_label_text(&row, "security", security_words[mode]);
    bench_label_text(&row, "cipher", security_cipher_name(&b.from.sealer));
    bench_label_number(&row, "bytes", bytes);
    bench_value(&row, "seal_ns", "ns to seal", 0, bench_stat_of(&seal_ns));
    bench_value(&row, "open_ns", "ns to open", 0, bench_stat_of(&open_ns));
    bench_value(&row, "seal_mb_per_s", "MB/s", 0, bench_stat_of(&seal_mb));
    bench_value(&row, "open_mb_per_s", "MB/s", 0, bench_stat_of(&open_mb));
    bench_print(bench, &row);
    security_release(&b.from);
    security_release(&b.to);
    return 0;
}

int bench_seal(struct bench *bench, struct fail *fail)
{
    static const size_t sizes[] = {200, 700, 1400, DATAGRAM_BYTES_MAX}; /* the last is of 2 KiB of blocks in one */

    bench_heading(bench, "sealing and opening datagrams, one thread");
    if (!mesh_seal_is_available()) {
        bench_skip(bench, "seal", "built without libsodium");
        return 0;
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int mode = MESH_SECURITY_AUTH; mode <= MESH_SECURITY_SEAL; mode++)
            for (int cipher = 0; cipher < (mesh_aes_is_fast() ? 2 : 1); cipher++)
                if (measure(bench, (enum mesh_security)mode, cipher == 1, sizes[i], fail) < 0)
                    return -1;
    return 0;
}
