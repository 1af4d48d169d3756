/* What a key log or the cluster's key can decrypt. */
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
static const uint8_t another_epoch_id[MESH_EPOCH_ID_BYTES] = {10}; /* of an epoch with the same number */
static struct decoder decoder;
static uint8_t bytes[2000];
static size_t size;

static void start_sealer_of(struct mesh_sealer *sealer, const uint8_t *id, bool has_aes)
{
    const struct mesh_sealer_config config = {.security = MESH_SECURITY_SEAL,
                                              .key = &master,
                                              .cluster = "mesh",
                                              .epoch = EPOCH,
                                              .epoch_id = id,
                                              .incarnation = incarnations,
                                              .rank_count = 2,
                                              .has_no_aes = !has_aes};

    assert_int_equal(mesh_sealer_init(sealer, &config), 0);
}

static void start_sealer(struct mesh_sealer *sealer)
{
    start_sealer_of(sealer, epoch_id, false);
}

/* Of rank 0. */
static void seal_message(struct mesh_sealer *sealer, uint8_t type, uint64_t number)
{
    size = message_case(type, number, bytes, sizeof bytes);
    assert_int_equal(mesh_sealer_seal(sealer, bytes, size), 0);
}

static void seal_status(struct mesh_sealer *sealer, uint64_t number)
{
    seal_message(sealer, MESH_TYPE_STATUS, number);
}

static struct frame frame; /* the frame that carries them */

static struct packet decode(void)
{
    struct packet packet = {.frame = &frame};

    packet_decode(&decoder, &packet, bytes, size, size);
    return packet;
}

static void make_path(char *path)
{
    const int fd = mkstemp(memcpy(path, "/tmp/mesh-keys-XXXXXX", sizeof "/tmp/mesh-keys-XXXXXX"));

    assert_true(fd >= 0);
    close(fd);
}

static void open_log(const struct mesh_sealer *sealer, char *path)
{
    struct fail fail = {0};
    char reason[200];

    make_path(path);
    assert_int_equal(mesh_key_log_append(path, sealer, reason, sizeof reason), 0);
    decoder.keys = keys_open("mesh");
    assert_int_equal(keys_read(decoder.keys, path, &fail), 0);
}

static void close_log(const char *path)
{
    keys_close(decoder.keys);
    decoder.keys = NULL;
    unlink(path);
}

static void a_key_log_opens_what_is_sealed(void **state)
{
    struct mesh_sealer sealer;
    struct packet packet;
    char path[40];

    (void)state;
    start_sealer(&sealer);
    open_log(&sealer, path);
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
    close_log(path);
}

/* Both ranks' datagrams of an epoch begin with ChaCha20-Poly1305. */
static void a_key_log_opens_both_ciphers_of_an_epoch(void **state)
{
    struct mesh_sealer sealer;
    struct packet packet;
    char path[40];

    (void)state;
    if (!mesh_aes_is_fast())
        skip();
    start_sealer_of(&sealer, epoch_id, true);
    open_log(&sealer, path);
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
    mesh_sealer_release(&sealer);
    close_log(path);
}

static void without_a_key_the_header_is_read(void **state)
{
    struct mesh_sealer sealer;
    struct packet packet;

    (void)state;
    start_sealer(&sealer);
    seal_status(&sealer, 5);
    packet = decode();
    assert_int_equal(packet.state, PACKET_HEADER);
    assert_int_equal(packet.seal, KEYS_LOCKED);
    assert_int_equal(packet.message.header.number, 5);
}

/* A forged datagram is left out of the analysis, one whose key is missing is not. */
static void an_epoch_of_the_same_number_elsewhere_is_not_forged_but_locked(void **state)
{
    struct mesh_sealer known, unknown;
    char path[40];

    (void)state;
    start_sealer(&known);
    start_sealer_of(&unknown, another_epoch_id, false);
    open_log(&known, path);
    seal_status(&known, 5);
    assert_int_equal(decode().seal, KEYS_OPENED);
    frame.src.port = 1; /* another cluster */
    seal_status(&unknown, 6);
    assert_int_equal(decode().seal, KEYS_LOCKED);
    frame.src.port = 0;
    seal_status(&unknown, 6);
    assert_int_equal(decode().seal, KEYS_FORGED);
    close_log(path);
}

static void the_epoch_of_a_process_that_was_started_again_is_not_forged_but_locked(void **state)
{
    struct mesh_sealer known, unknown;
    char path[40];

    (void)state;
    start_sealer(&known);
    start_sealer_of(&unknown, another_epoch_id, false);
    open_log(&known, path);
    seal_status(&known, 5);
    assert_int_equal(decode().seal, KEYS_OPENED);
    seal_message(&unknown, MESH_TYPE_HELLO, 1);
    assert_int_equal(decode().seal, KEYS_LOCKED);
    seal_status(&unknown, 2);
    assert_int_equal(decode().seal, KEYS_LOCKED);
    seal_status(&known, 6);
    assert_int_equal(decode().seal, KEYS_OPENED);
    seal_status(&known, 7);
    bytes[size - 1] ^= 1;
    assert_int_equal(decode().seal, KEYS_FORGED);
    for (uint64_t number = 1; number < 32; number++) { /* its HELLO was not captured */
        seal_status(&unknown, number);
        decode();
    }
    assert_int_equal(decode().seal, KEYS_LOCKED);
    seal_status(&known, 8);
    assert_int_equal(decode().seal, KEYS_OPENED);
    keys_rewind(decoder.keys); /* a second reading starts from the beginning */
    seal_status(&unknown, 1);
    assert_int_equal(decode().seal, KEYS_LOCKED);
    close_log(path);
}

/* Sealed by the process of rank 0, outside epochs: the list of the epoch's members. */
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

static void read_key(const struct mesh_key *key)
{
    char path[40], line[MESH_KEY_LINE_BYTES];
    struct fail fail = {0};
    FILE *file;

    make_path(path);
    mesh_key_format(key, line);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(line, file);
    fclose(file);
    assert_int_equal(keys_read(decoder.keys, path, &fail), 0);
    unlink(path);
}

/* The beginning of an epoch, then a datagram sealed in it. */
static void open_epoch(void)
{
    struct mesh_sealer sealer;

    start_sealer(&sealer);
    seal_status(&sealer, 5);
    assert_int_equal(decode().seal, KEYS_LOCKED);
    seal_commit();
    assert_int_equal(decode().seal, KEYS_OPENED);
    seal_status(&sealer, 6);
    assert_int_equal(decode().seal, KEYS_OPENED);
    keys_close(decoder.keys);
    decoder.keys = NULL;
}

static void the_clusters_key_opens_an_epoch_once_its_list_was_seen(void **state)
{
    (void)state;
    decoder.keys = keys_open("mesh");
    read_key(&master);
    open_epoch();
}

/* As when the key was changed during the capture. */
static void and_so_does_any_of_several(void **state)
{
    static const struct mesh_key other = {{4, 5, 6}};

    (void)state;
    for (unsigned first = 0; first < 2; first++) {
        decoder.keys = keys_open("mesh");
        read_key(first == 0 ? &master : &other);
        read_key(first == 0 ? &other : &master);
        open_epoch();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_log_opens_what_is_sealed),
        cmocka_unit_test(a_key_log_opens_both_ciphers_of_an_epoch),
        cmocka_unit_test(an_epoch_of_the_same_number_elsewhere_is_not_forged_but_locked),
        cmocka_unit_test(the_epoch_of_a_process_that_was_started_again_is_not_forged_but_locked),
        cmocka_unit_test(without_a_key_the_header_is_read),
        cmocka_unit_test(the_clusters_key_opens_an_epoch_once_its_list_was_seen),
        cmocka_unit_test(and_so_does_any_of_several),
    };

    if (!mesh_seal_is_available()) {
        puts("skipped: built without libsodium");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
