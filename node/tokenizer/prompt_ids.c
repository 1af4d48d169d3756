#include "prompt_ids.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/common/bytes.h"

/* A longer run of digits is not to be read as two numbers. */
static bool ends_here(FILE *file)
{
    const int next = getc(file);

    return next == EOF || isspace(next);
}

int prompt_ids_read(const char *path, uint8_t *out, size_t capacity, size_t *bytes, struct fail *fail)
{
    struct bytes list = bytes_writer(out, capacity);
    FILE *file = fopen(path, "r");
    uint64_t id;
    int got;

    if (file == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "%.200s: cannot open: %s: %s", path, strerror(errno),
                        fail_advice(errno, "give a file of token ids"));
    while ((got = fscanf(file, "%20" SCNu64, &id)) == 1 && id <= UINT32_MAX && ends_here(file) && bytes_ok(&list))
        bytes_put_u32(&list, (uint32_t)id);
    const int ended = got == EOF && !ferror(file), reason = ferror(file) ? errno : 0;
    fclose(file);
    if (reason != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "%.200s: cannot be read: %s: give a file of token ids", path, strerror(reason));
    if (!bytes_ok(&list))
        return fail_set(fail, EXIT_BAD_FILE, "%.200s: more than %zu token ids, which is all that fits: give fewer", path, capacity / 4);
    if (!ended || bytes_size(&list) == 0)
        return fail_set(fail, EXIT_BAD_FILE, "%.200s: not a list of token ids: give decimal numbers with spaces between them", path);
    *bytes = bytes_size(&list);
    return 0;
}
