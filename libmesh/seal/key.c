/* Key files: their one line, and who may read them. Nothing here needs a library, so a key can be made on any machine. */
#include "mesh/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/program/fail_advice.h"

static const char key_prefix[] = "mesh-key-1 ";

enum { KEY_PREFIX_BYTES = sizeof key_prefix - 1, KEY_DIGITS = 2 * MESH_KEY_BYTES, KEY_TEXT_BYTES = KEY_PREFIX_BYTES + KEY_DIGITS };

_Static_assert(KEY_TEXT_BYTES + 2 == MESH_KEY_LINE_BYTES, "the line, a newline and NUL");

int mesh_random(void *out, size_t bytes)
{
    uint8_t *at = out;

    while (bytes > 0) {
        const ssize_t got = getrandom(at, bytes, 0);

        if (got < 0 && errno != EINTR)
            return MESH_ESYSTEM;
        at += got > 0 ? got : 0;
        bytes -= got > 0 ? (size_t)got : 0;
    }
    return 0;
}

void mesh_wipe(void *secret, size_t bytes)
{
    explicit_bzero(secret, bytes);
}

/* ---- the line ---- */

void mesh_key_format(const struct mesh_key *key, char out[MESH_KEY_LINE_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    char *at = out + KEY_PREFIX_BYTES;

    memcpy(out, key_prefix, KEY_PREFIX_BYTES);
    for (size_t i = 0; i < MESH_KEY_BYTES; i++) {
        *at++ = digits[key->bytes[i] >> 4];
        *at++ = digits[key->bytes[i] & 15];
    }
    memcpy(at, "\n", 2);
}

static int key_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int key_refuse(char *reason, size_t reason_bytes, const char *why)
{
    snprintf(reason, reason_bytes, "%s: make a key with mesh-node keygen", why);
    return MESH_EINVAL;
}

int mesh_key_parse(const char *text, size_t bytes, struct mesh_key *key, char *reason, size_t reason_bytes)
{
    struct mesh_key parsed;

    if (bytes > 0 && text[bytes - 1] == '\n')
        bytes--;
    if (bytes < KEY_PREFIX_BYTES || memcmp(text, key_prefix, KEY_PREFIX_BYTES) != 0)
        return key_refuse(reason, reason_bytes, "no key: it does not begin with 'mesh-key-1 '");
    if (bytes < KEY_TEXT_BYTES)
        return key_refuse(reason, reason_bytes, "a key that is too short: 64 hexadecimal digits are needed");
    for (size_t i = 0; i < MESH_KEY_BYTES; i++) {
        const int high = key_digit(text[KEY_PREFIX_BYTES + 2 * i]), low = key_digit(text[KEY_PREFIX_BYTES + 2 * i + 1]);

        if (high < 0 || low < 0) {
            mesh_wipe(&parsed, sizeof parsed);
            return key_refuse(reason, reason_bytes, "no key: 64 hexadecimal digits are needed");
        }
        parsed.bytes[i] = (uint8_t)(high << 4 | low);
    }
    if (bytes > KEY_TEXT_BYTES) {
        mesh_wipe(&parsed, sizeof parsed);
        return key_refuse(reason, reason_bytes, "more than a key: something follows its 64 digits");
    }
    *key = parsed;
    mesh_wipe(&parsed, sizeof parsed);
    return 0;
}

/* ---- the file ---- */

static int key_system(char *reason, size_t reason_bytes, const char *what, const char *advice)
{
    const int error = errno;

    snprintf(reason, reason_bytes, "%s: %s: %s", what, strerror(error), fail_advice(error, advice));
    errno = error;
    return MESH_ESYSTEM;
}

static bool key_is_ours(const struct stat *status)
{
    return status->st_uid == 0 || status->st_uid == geteuid();
}

/* A service manager's credential stays root's; an access list, which shows as mode 0440, lets the service read it. What keeps others away
 * is then the folder. */
static bool key_is_credential(const char *path, const struct stat *file)
{
    const char *folder = secure_getenv("CREDENTIALS_DIRECTORY");
    const size_t size = folder == NULL ? 0 : strlen(folder);
    struct stat status;

    return size > 0 && strncmp(path, folder, size) == 0 && path[size] == '/' && strchr(path + size + 1, '/') == NULL && key_is_ours(file) &&
           (file->st_mode & 07777 & ~(mode_t)0440) == 0 && lstat(folder, &status) == 0 && S_ISDIR(status.st_mode) && key_is_ours(&status) &&
           (status.st_mode & (S_IWGRP | S_IRWXO)) == 0;
}

int mesh_key_check_file(const char *path, int fd, char *reason, size_t reason_bytes)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return key_system(reason, reason_bytes, "cannot be examined", "give a key file");
    if (!S_ISREG(status.st_mode)) {
        snprintf(reason, reason_bytes, "no regular file: give a key file");
        return MESH_EINVAL;
    }
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0 && !key_is_credential(path, &status)) {
        snprintf(reason, reason_bytes,
                 "others than its owner may use this key (mode %04o): type chmod 600 and, if it was read, make another",
                 (unsigned)status.st_mode & 07777);
        return MESH_EINVAL;
    }
    return 0;
}

/* Up to one byte more than a key has, so that a longer file is noticed. */
static ssize_t key_read_all(int fd, char *text, size_t room)
{
    size_t bytes = 0;

    while (bytes < room) {
        const ssize_t got = read(fd, text + bytes, room - bytes);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        bytes += (size_t)got;
    }
    return (ssize_t)bytes;
}

int mesh_key_read(const char *path, struct mesh_key *key, char *reason, size_t reason_bytes)
{
    char text[MESH_KEY_LINE_BYTES + 1];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t bytes;
    int err;

    if (fd < 0)
        return key_system(reason, reason_bytes, "cannot be opened", "give a key file, or make one with mesh-node keygen -o FILE");
    err = mesh_key_check_file(path, fd, reason, reason_bytes);
    if (err == 0) {
        bytes = key_read_all(fd, text, sizeof text);
        err = bytes < 0 ? key_system(reason, reason_bytes, "cannot be read", "give a key file")
                        : mesh_key_parse(text, (size_t)bytes, key, reason, reason_bytes);
    }
    close(fd);
    mesh_wipe(text, sizeof text);
    return err;
}

int mesh_key_write_new(const char *path, const struct mesh_key *key, char *reason, size_t reason_bytes)
{
    char text[MESH_KEY_LINE_BYTES];
    const ssize_t size = MESH_KEY_LINE_BYTES - 1;
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int err = 0;

    if (fd < 0) {
        return key_system(reason, reason_bytes, "cannot be made",
                          errno == EEXIST ? "a key is not replaced: give another name, or remove it first"
                                          : "choose another name or folder");
    }
    mesh_key_format(key, text);
    errno = ENOSPC; /* of a write that is short */
    if (write(fd, text, (size_t)size) != size || fsync(fd) != 0)
        err = key_system(reason, reason_bytes, "writing failed", "make room, or write to another disk");
    if (close(fd) != 0 && err == 0)
        err = key_system(reason, reason_bytes, "writing failed", "make room, or write to another disk");
    if (err != 0)
        unlink(path);
    mesh_wipe(text, sizeof text);
    return err;
}
