#include "architecture.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct architecture architectures[] = {
    {.name = "llama"},
    {.name = "qwen2", .has_biases = true, .turns_halves = true},
    {.name = "qwen3", .has_head_norms = true, .turns_halves = true},
};

const struct architecture *architecture_find(const char *text, size_t size)
{
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++)
        if (size == strlen(architectures[i].name) && memcmp(text, architectures[i].name, size) == 0)
            return &architectures[i];
    return NULL;
}

const char *architecture_key(const struct architecture *architecture, const char *name, char *key)
{
    const int size = snprintf(key, ARCHITECTURE_KEY_BYTES, "%s.%s", architecture->name, name);

    assert(size > 0 && size < ARCHITECTURE_KEY_BYTES);
    return key;
}
