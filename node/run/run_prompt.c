#include "run_prompt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/bytes.h"
#include "node/tokenizer/chat_turns.h"
#include "node/tokenizer/prompt_ids.h"

enum { PROMPT_BYTES_MAX = 64 << 20 };

struct text {
    char *text; /* (size) */
    size_t size;
};

static int fail_memory(struct fail *fail)
{
    return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
}

static int read_stream(struct text *text, FILE *file, const char *name, struct fail *fail)
{
    size_t room = 0;

    for (;;) {
        if (text->size == room) {
            room = room == 0 ? 4096 : 2 * room;
            if (room > PROMPT_BYTES_MAX)
                return fail_set(fail, EXIT_BAD_FILE, "%s: longer than %d bytes: a prompt must fit the context", name, PROMPT_BYTES_MAX - 1);
            char *grown = realloc(text->text, room);
            if (grown == NULL)
                return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for the prompt: use a shorter one");
            text->text = grown;
        }
        size_t count = fread(text->text + text->size, 1, room - text->size, file);
        text->size += count;
        if (count == 0)
            break;
    }
    if (ferror(file))
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot read: %s: give a text file", name, strerror(errno));
    return 0;
}

static int read_text(const struct run_options *options, struct text *text, struct fail *fail)
{
    const char *name = options->prompt_file;

    if (name == NULL) {
        text->text = strdup(options->prompt == NULL ? "" : options->prompt);
        if (text->text == NULL)
            return fail_memory(fail);
        text->size = strlen(text->text);
        return 0;
    }
    if (strcmp(name, "-") == 0)
        return read_stream(text, stdin, "stdin", fail);
    FILE *file = fopen(name, "rb");
    if (file == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot open: %s: %s", name, strerror(errno),
                        fail_advice(errno, "give a text file with -f"));
    int err = read_stream(text, file, name, fail);
    fclose(file);
    return err;
}

/* Ids of an already tokenized prompt. */
static int read_ids(const char *path, uint32_t ctx, struct run_prompt *prompt, struct fail *fail)
{
    const size_t capacity = ((size_t)ctx + 1) * sizeof *prompt->ids; /* one more than fits, so that too long a prompt is reported */
    uint8_t *list = malloc(capacity);
    size_t size = 0;
    struct bytes ids;
    int err;

    prompt->ids = calloc((size_t)ctx + 1, sizeof *prompt->ids);
    if (list == NULL || prompt->ids == NULL)
        err = fail_memory(fail);
    else
        err = prompt_ids_read(path, list, capacity, &size, fail);
    ids = bytes_reader(list, err == 0 ? size : 0);
    prompt->has_text = err == 0;
    while (bytes_left(&ids) > 0)
        prompt->ids[prompt->count++] = bytes_get_u32(&ids);
    free(list);
    return err;
}

/* system: what stands before the question, or NULL. */
static int encode_question(const struct tokenizer *tokenizer, const char *system, const struct text *question, struct run_prompt *prompt,
                           struct fail *fail)
{
    const struct chat_turn first = {.role = CHAT_SYSTEM, .text = system, .text_size = system != NULL ? strlen(system) : 0},
                           last = {.role = CHAT_USER, .text = question->text, .text_size = question->size};
    const size_t room = 2 * CHAT_TURN_OVERHEAD + first.text_size + last.text_size;
    size_t size = 0;
    char *packed;
    int err = -1;

    if (tokenizer_check_chat(tokenizer, fail) < 0)
        return -1;
    packed = malloc(room);
    if (packed == NULL)
        return fail_memory(fail);
    if (system != NULL)
        chat_turns_put(packed, room, &size, &first);
    chat_turns_put(packed, room, &size, &last); /* texts of less than 4 GB */
    if (tokenizer_check_turns(tokenizer, packed, size, fail) == 0)
        err = tokenizer_encode_chat(tokenizer, packed, size, &prompt->ids, &prompt->count, fail);
    free(packed);
    return err;
}

int run_prompt_make(const struct run_options *options, const struct tokenizer *tokenizer, uint32_t ctx, struct run_prompt *prompt,
                    struct fail *fail)
{
    struct text text = {0};
    int err;

    if (options->prompt_ids != NULL)
        return read_ids(options->prompt_ids, ctx, prompt, fail);
    err = read_text(options, &text, fail);
    prompt->has_text = options->chat || text.size > 0;
    if (err == 0 && options->chat)
        err = encode_question(tokenizer, options->system, &text, prompt, fail);
    else if (err == 0)
        err = tokenizer_encode(tokenizer, text.text, text.size, true, &prompt->ids, &prompt->count, fail);
    free(text.text);
    return err;
}
