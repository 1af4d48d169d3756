#include "run_words.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the given ones ---- */

const char *run_words_option(char *const *command, int words, const char *name)
{
    const size_t length = strlen(name);

    for (int i = 2; i < words; i++) {
        const char *word = command[i];

        assert(word != NULL);
        if (strncmp(word, name, length) == 0 && word[length] == '=')
            return word + length + 1;
        if (strcmp(word, name) == 0)
            return i + 1 < words ? command[i + 1] : "";
    }
    return NULL;
}

/* The path of the cluster file; NULL: none is given. */
static const char *cluster_path(char *const *command, int words)
{
    const char *path = run_words_option(command, words, "--cluster");

    if (path == NULL)
        path = run_words_option(command, words, "-c");
    for (int i = 2; i < words && path == NULL; i++) {
        assert(command[i] != NULL);
        if (strncmp(command[i], "-c", 2) == 0) /* -cFILE */
            path = command[i] + 2;
    }
    return path;
}

/* Of which of its nodes that model is does not matter here, and of a file that cannot be read the nodes say so. */
static bool names_model(const char *path)
{
    FILE *file = fopen(path, "re");
    char line[4096], first[2];
    bool is_found = file == NULL;

    while (!is_found && fgets(line, sizeof line, file) != NULL)
        is_found = sscanf(line, " model = %1s", first) == 1;
    if (file != NULL)
        fclose(file);
    return is_found;
}

int run_words_check(char *const *command, int words, struct fail *fail)
{
    static const char *const addresses[] = {"--listen", "--advertise", "--join", "--peers", "--rank"};
    static const char *const traces[] = {"--record", "--record-size", "--record-time"};
    const char *path = cluster_path(command, words);
    bool has_model = strcmp(command[1], "serve") != 0 || run_words_option(command, words, "--model") != NULL;

    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
        if (run_words_option(command, words, addresses[i]) != NULL)
            return fail_set(fail, EXIT_USAGE, "run: %s after --: each node is given a port of its own and its peers: leave it out",
                            addresses[i]);
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++)
        if (run_words_option(command, words, traces[i]) != NULL)
            return fail_set(fail, EXIT_USAGE,
                            "run: %s after --: each node is given a trace of its own: leave it out; --keep before -- keeps them",
                            traces[i]);
    for (int i = 2; i < words; i++) /* -m MODEL, and -mMODEL */
        has_model |= strncmp(command[i], "-m", 2) == 0;
    if (!has_model && path != NULL && !names_model(path))
        return fail_set(fail, EXIT_USAGE,
                        "run: -- %.100s serve -c %.200s: the file names no model: no node would have one: add -m MODEL.gguf", command[0],
                        path);
    if (!has_model && path == NULL)
        return fail_set(fail, EXIT_USAGE, "run: -- %.100s serve: no model: no node would have one: add -m MODEL.gguf", command[0]);
    return 0;
}

/* ---- all of them ---- */

static void add_word(struct run_words *words, const char *word)
{
    assert(words->count < RUN_WORDS_MAX);
    words->word[words->count++] = word;
}

void run_words_add(struct run_words *words, const char *name, const char *value)
{
    add_word(words, name);
    if (value != NULL)
        add_word(words, value);
}

static char *new_value(struct run_words *words)
{
    assert(words->values < RUN_VALUES_MAX);
    return words->value[words->values++];
}

void run_words_add_uint(struct run_words *words, const char *name, uint64_t value)
{
    char *text = new_value(words);

    snprintf(text, RUN_VALUE_BYTES, "%" PRIu64, value);
    run_words_add(words, name, text);
}

/* A float, exact to the last bit. */
static void add_float(struct run_words *words, const char *name, float value)
{
    char *text = new_value(words);

    snprintf(text, RUN_VALUE_BYTES, "%.9g", (double)value);
    run_words_add(words, name, text);
}

static void add_sampling(struct run_words *words, const struct sampling *s)
{
#define ADD_f32                      add_float
#define ADD_u32                      run_words_add_uint
#define ADD_u64                      run_words_add_uint
#define ADD(type, name, option, off) ADD_##type(words, option, s->name);
    SAMPLING_FIELDS(ADD)
#undef ADD
#undef ADD_u64
#undef ADD_u32
#undef ADD_f32
}

void run_words_add_request(struct run_words *words, const struct request *request, const char *prompt_path)
{
    run_words_add(words, "--prompt-ids", prompt_path);
    run_words_add_uint(words, "-n", request->predict);
    add_sampling(words, &request->sampling);
    if (request->ignore_end)
        run_words_add(words, "--ignore-eos", NULL);
    if (request->want_digest)
        run_words_add(words, "--digest", NULL);
}

int run_words_write_prompt(const struct request *request, const char *path, struct fail *fail)
{
    FILE *file = fopen(path, "w");
    bool is_written = file != NULL;

    for (uint32_t i = 0; is_written && i < request->prompt_count; i++)
        is_written = fprintf(file, "%" PRIu32 "\n", request->prompt[i]) > 0;
    if (file != NULL && fclose(file) != 0)
        is_written = false;
    if (!is_written)
        return fail_set(fail, EXIT_ENVIRONMENT, "%.200s: cannot be written: %s: %s", path, strerror(errno),
                        fail_advice(errno, "see whether TMPDIR can be written"));
    return 0;
}
