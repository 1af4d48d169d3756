#include "train_source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/common/hash.h"
#include "node/tokenizer/documents.h"
#include "node/tokenizer/tokenizer.h"
#include "node/tokenizer/vocab_learn.h"

struct text {
    char *bytes; /* a copy: pages of a mapped file are gone, or others, when another program writes it */
    size_t size;
};

static int read_all(int descriptor, const char *path, struct text *text, struct fail *fail)
{
    for (size_t done = 0; done < text->size;) {
        const ssize_t got = read(descriptor, text->bytes + done, text->size - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be read: %s: %s", path, strerror(errno),
                            fail_advice(errno, "copy it to a local disk"));
        if (got == 0)
            return fail_set(fail, EXIT_ENVIRONMENT,
                            "%s: became shorter while it was read: another program writes it: end that, and try again", path);
        done += (size_t)got;
    }
    return 0;
}

static int read_file(int descriptor, const char *path, struct text *text, struct fail *fail)
{
    struct stat status;

    if (fstat(descriptor, &status) < 0 || !S_ISREG(status.st_mode))
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: no regular file: give a text file", path);
    if (status.st_size == 0)
        return fail_set(fail, EXIT_BAD_FILE, "%s: empty: give a text to learn from", path);
    if (status.st_size > DOCUMENTS_SIZE_MAX)
        return fail_set(fail, EXIT_BAD_FILE, "%s: has %lld bytes: at most %d are possible: give a part of it", path,
                        (long long)status.st_size, DOCUMENTS_SIZE_MAX);
    text->size = (size_t)status.st_size;
    text->bytes = malloc(text->size);
    if (text->bytes == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: out of memory for its %zu bytes: close other programs", path, text->size);
    return read_all(descriptor, path, text, fail);
}

/* text->bytes is the caller's to free, also after a failure. */
static int read_text(const char *path, struct text *text, struct fail *fail)
{
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* opening a FIFO must not wait for a writer */
    int result;

    if (descriptor < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot open: %s: %s", path, strerror(errno), fail_advice(errno, "give a text file"));
    result = read_file(descriptor, path, text, fail);
    close(descriptor);
    return result;
}

/* First the documents for training, then those for evaluation. */
static int divide(struct train_source *source, struct fail *fail)
{
    const struct corpus *corpus = &source->corpus;
    size_t count = 0;

    source->document = calloc(corpus->document_count, sizeof *source->document);
    if (source->document == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    for (uint32_t i = 0; i < corpus->document_count; i++)
        if (!corpus_is_held_out(corpus, i))
            source->document[count++] = i;
    source->learn = (struct train_text){corpus->ids, corpus->starts, source->document, count};
    for (uint32_t i = 0; i < corpus->document_count; i++)
        if (corpus_is_held_out(corpus, i))
            source->document[count++] = i;
    source->judge = (struct train_text){corpus->ids, corpus->starts, source->document + source->learn.count, count - source->learn.count};
    source->tokens = corpus->token_count;
    return 0;
}

static int learn(struct train_source *source, const struct text *text, const char *path, struct train_setup *setup, struct fail *fail)
{
    const uint32_t nearest = (uint32_t)((double)setup->held_out * 1000.0 + 0.5);
    const uint32_t permille = nearest == 0 && setup->held_out > 0.0f ? 1 : nearest; /* none only if none is requested */
    struct tokenizer *tokenizer;
    size_t pairs;
    int result;

    if (vocab_learn(&source->vocab, text->bytes, text->size, setup->vocab, fail) < 0)
        return -1;
    setup->vocab = source->vocab.count;
    tokenizer = vocab_tokenizer(&source->vocab, fail);
    if (tokenizer == NULL)
        return -1;
    result = corpus_init(&source->corpus, tokenizer, text->bytes, text->size, setup->seed, permille, fail);
    tokenizer_close(tokenizer);
    if (result < 0 || divide(source, fail) < 0)
        return -1;
    pairs = source->corpus.token_count - source->corpus.held_out_token_count - source->learn.count;
    if (pairs < setup->ctx)
        return fail_set(fail, EXIT_BAD_FILE,
                        "%s: %zu tokens to learn from, fewer than --ctx %" PRIu32 ": give a longer text or a smaller --ctx", path, pairs,
                        setup->ctx);
    return 0;
}

/* Add the path to messages of the parts below, which do not know it. */
static void name_text(const char *path, struct fail *fail)
{
    char text[sizeof fail->text];

    if (strncmp(fail->text, path, strlen(path)) == 0 || fail->exit_code != EXIT_BAD_FILE)
        return;
    memcpy(text, fail->text, sizeof text);
    fail_fill(fail, EXIT_BAD_FILE, "%.200s: %.380s", path, text);
}

int train_source_open(struct train_source *source, const char *path, struct train_setup *setup, struct fail *fail)
{
    struct text text = {0};
    int result;

    memset(source, 0, sizeof *source);
    if (read_text(path, &text, fail) < 0) {
        free(text.bytes);
        return -1;
    }
    setup->text_bytes = text.size;
    setup->text_hash = hash_bytes(0, text.bytes, text.size);
    result = learn(source, &text, path, setup, fail);
    free(text.bytes);
    if (result < 0)
        name_text(path, fail);
    return result;
}

void train_source_close(struct train_source *source)
{
    vocab_release(&source->vocab);
    corpus_release(&source->corpus);
    free(source->document);
    source->document = NULL;
}
