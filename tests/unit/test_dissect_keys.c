/* What a key log or the cluster's key opens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture_case.h"
#include "dissector/packet.h"

enum { EPOCH = 1 };

static const struct mesh_key master = {{1, 2, 3}};
static const uint8_t incarnations[2][MESH_INCARNATION_BYTES] = {{7}, {8}}, epoch_id[MESH_EPOCH_ID_BYTES] = {9};
static struct decoder decoder;
static uint8_t bytes[2000];
static size_t size;

static void start_sealer(struct mesh_sealer *sealer, bool has_aes)
{
    const struct mesh_sealer_config config = {.security = MESH_SECURITY_SEAL,
                                              .key = &master,
                                              .cluster = "mesh",
                                              .epoch = EPOCH,
                                              .epoch_id = epoch_id,
                                              .incarnation = incarnations,
                                              .rank_count = 2,
                                              .has_no_aes = !has_aes};

    assert_int_equal(mesh_sealer_init(sealer, &config), 0);
}

/* A sealed STATUS of rank 0. */
static void seal_status(struct mesh_sealer *sealer, uint64_t number)
{
    size = message_case(MESH_TYPE_STATUS, number, bytes, sizeof bytes);
    assert_int_equal(mesh_sealer_seal(sealer, bytes, size), 0);
}

static struct packet decode(void)
{
    struct packet packet = {0};

    packet_decode(&decoder, &packet, bytes, size, size);
    return packet;
}

static void make_path(char *path)
{
    const int fd = mkstemp(memcpy(path, "/tmp/mesh-keys-XXXXXX", sizeof "/tmp/mesh-keys-XXXXXX"));

    assert_true(fd >= 0);
    close(fd);
}

static int skip_without_library(void **state)
{
    (void)state;
    if (!mesh_seal_is_available())
        skip();
    return 0;
}

static void a_key_log_opens_what_is_sealed(void **state)
{
    struct mesh_sealer sealer;
    struct fail fail = {0};
    struct packet packet;
    char path[40], reason[200];

    (void)state;
    start_sealer(&sealer, false);
    make_path(path);
    assert_int_equal(mesh_key_log_append(path, &sealer, reason, sizeof reason), 0);
    decoder.keys = keys_open("mesh");
    assert_int_equal(keys_read(decoder.keys, path, &fail), 0);
    seal_status(&sealer, 5);
    packet = decode();
    assert_int_equal(packet.state, PACKET_DECODED);
    assert_int_equal(packet.seal, KEYS_OPENED);
    assert_int_equal(packet.message.as.status.seen_all, 3);
    assert_int_equal(packet.message.header.flags, MESH_FLAG_AUTHENTICATED | MESH_FLAG_SEALED);
    seal_status(&sealer, 6);
    bytes[size - 1] ^= 1;
    packet = decode();
    assert_int_equal(packet.state, PACKET_HEADER);
    assert_int_equal(packet.seal, KEYS_FORGED);
    keys_close(decoder.keys);
    decoder.keys = NULL;
    unlink(path);
}

/* Both ranks' datagrams of an epoch begin with ChaCha20-Poly1305. */
static void a_key_log_opens_both_ciphers_of_an_epoch(void **state)
{
    struct mesh_sealer sealer;
    struct fail fail = {0};
    struct packet packet;
    char path[40], reason[200];

    (void)state;
    if (!mesh_aes_is_fast())
        skip();
    start_sealer(&sealer, true);
    make_path(path);
    assert_int_equal(mesh_key_log_append(path, &sealer, reason, sizeof reason), 0);
    decoder.keys = keys_open("mesh");
    assert_int_equal(keys_read(decoder.keys, path, &fail), 0);
    for (uint64_t number = 5; number <= 7; number++) {
        seal_status(&sealer, number);
        packet = decode();
        assert_int_equal(packet.seal, KEYS_OPENED);
        assert_int_equal(packet.message.as.status.seen_all, 3);
        assert_int_equal(packet.message.header.flags & (MESH_FLAG_AES | MESH_FLAG_AES_READY),
                         number == 5 ? MESH_FLAG_AES_READY : MESH_FLAG_AES);
        sealer.aes_ranks = 3; /* as after the handshake */
    }
    seal_status(&sealer, 8);
    bytes[size - 1] ^= 1;
    assert_int_equal(decode().seal, KEYS_FORGED);
    keys_close(decoder.keys);
    decoder.keys = NULL;
    mesh_sealer_release(&sealer);
    unlink(path);
}

static void without_a_key_the_header_is_read(void **state)
{
    struct mesh_sealer sealer;
    struct packet packet;

    (void)state;
    start_sealer(&sealer, false);
    seal_status(&sealer, 5);
    packet = decode();
    assert_int_equal(packet.state, PACKET_HEADER);
    assert_int_equal(packet.seal, KEYS_LOCKED);
    assert_int_equal(packet.message.header.number, 5);
}

/* Sealed by the process of rank 0, outside of epochs: the list of the epoch. */
static void seal_commit(void)
{
    static struct mesh_message message;
    struct mesh_seal_key key;

    message.header = (struct mesh_header){.magic = MESH_WIRE_MAGIC, .version = 1, .type = MESH_TYPE_COMMIT, .number = 1};
    message.as.commit =
        (struct mesh_commit){.stage = MESH_STAGE_COMMIT, .number = EPOCH, .round = 1, .total = 2, .first = 0, .member_count = 2};
    memcpy(message.as.commit.incarnation, incarnations[0], sizeof incarnations[0]);
    memcpy(message.as.commit.id, epoch_id, sizeof epoch_id);
    for (unsigned rank = 0; rank < 2; rank++)
        memcpy(message.members[rank].incarnation, incarnations[rank], sizeof incarnations[rank]);
    size = mesh_wire_encode(&message, bytes, sizeof bytes);
    assert_int_equal(mesh_seal_key_of_process(&key, &master, "mesh", incarnations[0]), 0);
    assert_int_equal(mesh_seal_packet(&key, MESH_SECURITY_SEAL, bytes, size), 0);
}

static void the_clusters_key_opens_an_epoch_once_its_list_was_seen(void **state)
{
    char path[40], line[MESH_KEY_LINE_BYTES];
    struct mesh_sealer sealer;
    struct fail fail = {0};
    FILE *file;

    (void)state;
    make_path(path);
    mesh_key_format(&master, line);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(line, file);
    fclose(file);
    decoder.keys = keys_open("mesh");
    assert_int_equal(keys_read(decoder.keys, path, &fail), 0);
    start_sealer(&sealer, false);
    seal_status(&sealer, 5);
    assert_int_equal(decode().seal, KEYS_LOCKED);
    seal_commit();
    assert_int_equal(decode().seal, KEYS_OPENED);
    seal_status(&sealer, 6);
    assert_int_equal(decode().seal, KEYS_OPENED);
    keys_close(decoder.keys);
    decoder.keys = NULL;
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_key_log_opens_what_is_sealed, skip_without_library),
        cmocka_unit_test_setup(a_key_log_opens_both_ciphers_of_an_epoch, skip_without_library),
        cmocka_unit_test_setup(without_a_key_the_header_is_read, skip_without_library),
        cmocka_unit_test_setup(the_clusters_key_opens_an_epoch_once_its_list_was_seen, skip_without_library),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
