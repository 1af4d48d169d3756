/* The key log: keys of senders as lines of text, in the manner of browsers' SSLKEYLOGFILE. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/program/fail_advice.h"
#include "mesh/seal.h"

enum { KEY_LOG_LINE_BYTES = 160 };

static size_t key_log_hex(char *out, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    return 2 * count;
}

static size_t key_log_epoch_line(char *out, const struct mesh_sealer *sealer, uint16_t rank)
{
    size_t used = (size_t)snprintf(out, KEY_LOG_LINE_BYTES, "MESH_EPOCH ");

    used += key_log_hex(out + used, sealer->epoch_id, sizeof sealer->epoch_id);
    used += (size_t)snprintf(out + used, KEY_LOG_LINE_BYTES - used, " %u ", rank);
    used += key_log_hex(out + used, sealer->keys[rank].bytes, sizeof sealer->keys[rank].bytes);
    out[used++] = '\n';
    return used;
}

/* Note why keys are missing from the log: errno of the first failure. */
static void key_log_note_failure(struct mesh_key_log *log)
{
    if (!log->has_failed)
        log->error = errno;
    log->has_failed = true;
}

/* In one piece, so that lines of several processes do not mix. Wipes the lines. */
static int key_log_write(struct mesh_key_log *log, char *lines, size_t bytes)
{
    ssize_t written;

    errno = ENOSPC; /* of a write that is short */
    written = write(log->fd, lines, bytes);
    mesh_wipe(lines, bytes);
    if (written == (ssize_t)bytes)
        return 0;
    key_log_note_failure(log);
    return MESH_ESYSTEM;
}

int mesh_key_log_epoch(struct mesh_key_log *log, const struct mesh_sealer *sealer)
{
    char lines[MESH_RANKS_MAX * KEY_LOG_LINE_BYTES];
    size_t used = 0;

    if (sealer->security == MESH_SECURITY_NONE)
        return 0;
    for (uint16_t rank = 0; rank < sealer->rank_count; rank++)
        used += key_log_epoch_line(lines + used, sealer, rank);
    return key_log_write(log, lines, used);
}

int mesh_key_log_process(struct mesh_key_log *log, const uint8_t incarnation[MESH_INCARNATION_BYTES], const struct mesh_seal_key *key)
{
    char line[KEY_LOG_LINE_BYTES];
    size_t used = (size_t)snprintf(line, sizeof line, "MESH_PROCESS ");

    used += key_log_hex(line + used, incarnation, MESH_INCARNATION_BYTES);
    line[used++] = ' ';
    used += key_log_hex(line + used, key->bytes, sizeof key->bytes);
    line[used++] = '\n';
    return key_log_write(log, line, used);
}

int mesh_key_log_session(struct mesh_key_log *log, const uint8_t sender[MESH_INCARNATION_BYTES],
                         const uint8_t receiver[MESH_INCARNATION_BYTES], const struct mesh_seal_key *key)
{
    char line[KEY_LOG_LINE_BYTES];
    size_t used = (size_t)snprintf(line, sizeof line, "MESH_SESSION ");

    used += key_log_hex(line + used, sender, MESH_INCARNATION_BYTES);
    line[used++] = ' ';
    used += key_log_hex(line + used, receiver, MESH_INCARNATION_BYTES);
    line[used++] = ' ';
    used += key_log_hex(line + used, key->bytes, sizeof key->bytes);
    line[used++] = '\n';
    return key_log_write(log, line, used);
}

/* ---- the file ---- */

static int key_log_system(char *reason, size_t reason_bytes, const char *what)
{
    snprintf(reason, reason_bytes, "%s: %s: %s", what, strerror(errno),
             fail_advice(errno, "choose another name or folder for the key log"));
    return MESH_ESYSTEM;
}

int mesh_key_log_open(struct mesh_key_log *log, const char *path, char *reason, size_t reason_bytes)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
    struct stat status;
    int err = 0;

    if (fd < 0)
        return key_log_system(reason, reason_bytes, "cannot be opened");
    if (fstat(fd, &status) != 0) {
        err = key_log_system(reason, reason_bytes, "cannot be examined");
    } else if (status.st_uid != geteuid() && status.st_uid != 0 && !S_ISCHR(status.st_mode)) {
        snprintf(reason, reason_bytes, "this file belongs to another user (%u), who may read it: give another key log",
                 (unsigned)status.st_uid);
        err = MESH_EINVAL;
    } else if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0 && S_ISREG(status.st_mode)) {
        snprintf(reason, reason_bytes, "others than its owner may use this file (mode %04o): type chmod 600, or give another key log",
                 (unsigned)status.st_mode & 07777);
        err = MESH_EINVAL;
    }
    if (err != 0) {
        close(fd);
        return err;
    }
    *log = (struct mesh_key_log){.fd = fd};
    return 0;
}

void mesh_key_log_close(struct mesh_key_log *log)
{
    if (close(log->fd) != 0)
        key_log_note_failure(log);
    log->fd = -1;
}

int mesh_key_log_append(const char *path, const struct mesh_sealer *sealer, char *reason, size_t reason_bytes)
{
    struct mesh_key_log log;
    int err;

    if (sealer->security == MESH_SECURITY_NONE)
        return 0;
    err = mesh_key_log_open(&log, path, reason, reason_bytes);
    if (err != 0)
        return err;
    mesh_key_log_epoch(&log, sealer);
    mesh_key_log_close(&log);
    if (!log.has_failed)
        return 0;
    errno = log.error; /* closing may have changed it */
    return key_log_system(reason, reason_bytes, "writing failed");
}
