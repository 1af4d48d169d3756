/* The key log: senders' keys of an epoch as lines of text, in the manner of browsers' SSLKEYLOGFILE. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/seal.h"

enum { KEY_LOG_LINE_BYTES = 128 };

static size_t key_log_hex(char *out, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    return 2 * count;
}

static size_t key_log_line(char *out, const struct mesh_sealer *sealer, uint16_t rank)
{
    size_t used = (size_t)snprintf(out, KEY_LOG_LINE_BYTES, "MESH_EPOCH ");

    used += key_log_hex(out + used, sealer->epoch_id, sizeof sealer->epoch_id);
    used += (size_t)snprintf(out + used, KEY_LOG_LINE_BYTES - used, " %u ", rank);
    used += key_log_hex(out + used, sealer->keys[rank].bytes, sizeof sealer->keys[rank].bytes);
    out[used++] = '\n';
    return used;
}

static int key_log_system(char *reason, size_t reason_bytes, const char *what)
{
    snprintf(reason, reason_bytes, "%s: %s: choose another name or folder for the key log", what, strerror(errno));
    return MESH_ESYSTEM;
}

/* In one piece, so that lines of several processes do not mix. */
static int key_log_write(int fd, const struct mesh_sealer *sealer, char *reason, size_t reason_bytes)
{
    char lines[MESH_RANKS_MAX * KEY_LOG_LINE_BYTES];
    struct stat status;
    size_t used = 0;
    int err = 0;

    if (fstat(fd, &status) != 0) {
        return key_log_system(reason, reason_bytes, "cannot be examined");
    }
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0 && S_ISREG(status.st_mode)) {
        snprintf(reason, reason_bytes, "others than its owner may use this file (mode %04o): type chmod 600, or give another key log",
                 (unsigned)status.st_mode & 07777);
        return MESH_EINVAL;
    }
    for (uint16_t rank = 0; rank < sealer->rank_count; rank++) {
        used += key_log_line(lines + used, sealer, rank);
    }
    errno = ENOSPC; /* of a write that is short */
    if (write(fd, lines, used) != (ssize_t)used) {
        err = key_log_system(reason, reason_bytes, "writing failed");
    }
    mesh_wipe(lines, sizeof lines);
    return err;
}

int mesh_key_log_append(const char *path, const struct mesh_sealer *sealer, char *reason, size_t reason_bytes)
{
    int fd, err;

    if (sealer->security == MESH_SECURITY_NONE) {
        return 0;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0) {
        return key_log_system(reason, reason_bytes, "cannot be opened");
    }
    err = key_log_write(fd, sealer, reason, reason_bytes);
    if (close(fd) != 0 && err == 0) {
        err = key_log_system(reason, reason_bytes, "writing failed");
    }
    return err;
}
