/* Any bytes as a GGUF file: refused with a message that names the file, or everything in it can be used and shown. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "node/inspect.h"
#include "tests/unit/gguf_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    struct fail fail = {0};
    struct gguf *gguf = gguf_parse("fuzz.gguf", data, size, &fail);

    if (gguf == NULL) {
        assert(fail.exit_code == EXIT_BAD_FILE && strncmp(fail.text, "fuzz.gguf: ", 11) == 0);
        return 0;
    }
    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "w");
    assert(nowhere != NULL);
    gguf_walk(gguf);
    inspect_print(gguf, false, nowhere);
    inspect_print(gguf, true, nowhere);
    gguf_close(gguf);
    return 0;
}
