/* A trace with bytes changed anywhere: it is refused, or read as far as it goes.
 *
 * Input: changes of three bytes that say where (modulo the file's size), one that says how many, and so many bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/trace_case.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];
static uint8_t *whole, *bytes;
static size_t whole_bytes;

static void make(void)
{
    snprintf(path, sizeof path, "%s/fuzz_trace.%d.db", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
    unlink(path);
    trace_case_make(path);
    whole = trace_case_load(path, &whole_bytes);
    bytes = malloc(whole_bytes);
    if (bytes == NULL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (whole == NULL)
        make();
    memcpy(bytes, whole, whole_bytes);
    while (size > 4) {
        const size_t at = ((size_t)data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16) % whole_bytes;
        size_t count = data[3];

        data += 4, size -= 4;
        count = count < size ? count : size;
        count = count < whole_bytes - at ? count : whole_bytes - at;
        memcpy(bytes + at, data, count);
        data += count, size -= count;
    }
    trace_case_store(path, bytes, whole_bytes);
    trace_case_read(path);
    unlink(path);
    return 0;
}
