/* For targets of tokenizers: a text that is encoded in turns has the ids that it has at once. */
#ifndef FUZZ_TURNS_H
#define FUZZ_TURNS_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/tokenizer/tokenizer.h"

static void check_turns(const struct tokenizer *t, const char *text, size_t size, const uint32_t *expected, size_t expected_count)
{
    struct fail fail;
    struct tokenizer_encoding *encoding = tokenizer_encoding_open(t, text, size, true, &fail);
    size_t work, count;
    uint32_t *ids;
    int result;

    assert(encoding);
    do {
        work = 1 + size % 7;
        result = tokenizer_encoding_run(encoding, &work, &fail);
        assert(result == 1 || work == 0);
    } while (result == 0);
    assert(result == 1);
    tokenizer_encoding_take(encoding, &ids, &count);
    tokenizer_encoding_close(encoding);
    assert(count == expected_count && count >= tokenizer_ids_min(t, size));
    assert(count == 0 || memcmp(ids, expected, count * sizeof *ids) == 0);
    free(ids);
}

#endif
