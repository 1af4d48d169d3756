#include "api_access.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "mesh/key.h"

static int fail_file(const char *path, struct fail *fail)
{
    const int reason = errno;

    return fail_set(fail, EXIT_ENVIRONMENT, "--api-key %.200s: %s: %s", path, strerror(reason), fail_advice(reason, "give another file"));
}

/* The line of an open file. */
static int read_line(const char *path, int fd, struct api_key *key, struct fail *fail)
{
    char line[API_KEY_BYTES_MAX + 2]; /* a newline, and one byte that shows that there is more */
    char reason[200];
    const int err = mesh_key_check_file(path, fd, reason, sizeof reason);
    ssize_t size;

    if (err != MESH_OK)
        return fail_set(fail, err == MESH_EINVAL ? EXIT_BAD_FILE : EXIT_ENVIRONMENT, "--api-key %.200s: %s", path, reason);
    size = read(fd, line, sizeof line);
    if (size < 0)
        return fail_file(path, fail);
    if (size > 0 && line[size - 1] == '\n')
        size--;
    key->size = (size_t)size;
    if (key->size < API_KEY_BYTES_MIN || key->size > API_KEY_BYTES_MAX)
        return fail_set(fail, EXIT_BAD_FILE, "--api-key %.200s: one line of %d to %d characters is needed: openssl rand -hex 32 makes one",
                        path, API_KEY_BYTES_MIN, API_KEY_BYTES_MAX);
    for (size_t i = 0; i < key->size; i++)
        if (!isgraph((unsigned char)line[i]))
            return fail_set(fail, EXIT_BAD_FILE,
                            "--api-key %.200s: a character that is no letter, digit or sign: one line without "
                            "spaces is needed",
                            path);
    memcpy(key->text, line, key->size);
    explicit_bzero(line, sizeof line);
    return 0;
}

int api_key_read(const char *path, struct api_key *key, struct fail *fail)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int result;

    if (fd < 0)
        return fail_file(path, fail);
    result = read_line(path, fd, key, fail);
    close(fd);
    return result;
}

bool api_key_allows(const struct api_key *key, const char *authorization)
{
    static const char scheme[] = "Bearer ";
    const size_t scheme_size = sizeof scheme - 1;
    const char *given;
    size_t size;
    unsigned difference = 0;

    if (key->size == 0)
        return true;
    if (authorization == NULL || strncasecmp(authorization, scheme, scheme_size) != 0)
        return false;
    given = authorization + scheme_size;
    size = strlen(given);
    for (size_t i = 0; i < key->size; i++)
        difference |= (unsigned char)key->text[i] ^ (unsigned char)(i < size ? given[i] : '\0');
    return (difference | (size ^ key->size)) == 0;
}

bool api_host_is_here(const char *host)
{
    char name[80], *end;
    unsigned char address[sizeof(struct in6_addr)];

    if (host == NULL)
        return true; /* HTTP/1.0; a browser always says it */
    if (strlen(host) >= sizeof name)
        return false;
    strncpy(name, host, sizeof name);
    if (name[0] == '[') {
        end = strchr(name, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':'))
            return false;
        *end = '\0';
        return inet_pton(AF_INET6, name + 1, address) == 1;
    }
    name[strcspn(name, ":")] = '\0';
    return strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, address) == 1;
}

bool api_type_is_json(const char *content_type)
{
    static const char json[] = "application/json";
    const size_t size = sizeof json - 1;

    return content_type != NULL && strncasecmp(content_type, json, size) == 0 &&
           (content_type[size] == '\0' || content_type[size] == ';' || content_type[size] == ' ');
}
