#include "stories_file.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/program/progress.h"
#include "mesh/program/replace_file.h"
#include "stories.h"

enum { BUFFER_BYTES = 1 << 18, SEPARATOR_BYTES = sizeof STORIES_SEPARATOR - 1 };

struct output {
    bool is_stdout;
    struct replace_file file; /* unless it is */
    char *buffer;             /* (BUFFER_BYTES) */
    size_t buffer_size;
    uint64_t written_bytes;
    struct progress progress;
};

static int flush_buffer(struct output *output, struct fail *fail)
{
    if (!output->is_stdout) {
        if (replace_file_write(&output->file, output->buffer, output->buffer_size, fail) < 0)
            return -1;
    } else if (fwrite(output->buffer, 1, output->buffer_size, stdout) < output->buffer_size || fflush(stdout) != 0) {
        return fail_output(fail, "stdout");
    }
    output->written_bytes += output->buffer_size;
    output->buffer_size = 0;
    return 0;
}

static void append(struct output *output, const char *text, size_t size)
{
    assert(size <= BUFFER_BYTES - output->buffer_size);
    memcpy(output->buffer + output->buffer_size, text, size);
    output->buffer_size += size;
}

static int write_story(struct output *output, uint64_t seed, uint64_t index, struct fail *fail)
{
    if (BUFFER_BYTES - output->buffer_size < SEPARATOR_BYTES + STORIES_BYTES_MAX + 1 && flush_buffer(output, fail) < 0)
        return -1;
    if (index > 0)
        append(output, STORIES_SEPARATOR, SEPARATOR_BYTES);
    output->buffer_size += stories_write(seed, index, output->buffer + output->buffer_size, BUFFER_BYTES - output->buffer_size);
    return 0;
}

static int write_all(struct output *output, uint64_t seed, uint64_t count, struct fail *fail)
{
    for (uint64_t i = 0; i < count; i++) {
        if (write_story(output, seed, i, fail) < 0)
            return -1;
        if (i % 64 == 0 && progress_is_due(&output->progress))
            fprintf(stderr, "\rwriting stories: %3.0f %%, %.0f MB/s ", 100.0 * (double)i / (double)count,
                    1e-6 * (double)output->written_bytes / progress_elapsed_s(&output->progress));
    }
    append(output, "\n", 1);
    return flush_buffer(output, fail);
}

static int write_to(struct output *output, const char *path, uint64_t seed, uint64_t count, struct fail *fail)
{
    if (!output->is_stdout && replace_file_open(&output->file, path, fail) < 0)
        return -1;
    progress_begin(&output->progress);

    const int result = write_all(output, seed, count, fail);

    progress_end(&output->progress);
    return output->is_stdout ? result : replace_file_end(&output->file, result, fail);
}

int stories_file_write(const char *path, uint64_t seed, uint64_t count, struct fail *fail)
{
    assert(count > 0);

    struct output output = {.is_stdout = strcmp(path, "-") == 0, .buffer = malloc(BUFFER_BYTES)};

    if (output.buffer == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: no %d bytes for a buffer: close other programs", BUFFER_BYTES);

    const int result = write_to(&output, path, seed, count, fail);

    free(output.buffer);
    return result;
}
