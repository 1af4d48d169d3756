#include "documents.h"

#include <stdlib.h>
#include <string.h>

enum { SEPARATOR_NEWLINES = 3 };

static int check(const char *text, size_t text_size, struct fail *fail)
{
    const char *nul = text_size > 0 ? memchr(text, 0, text_size) : NULL;

    if (text_size == 0)
        return fail_set(fail, EXIT_BAD_FILE, "text: is empty: give one with something to learn from");
    if (nul != NULL)
        return fail_set(fail, EXIT_BAD_FILE, "text: has a byte 0 at offset %zu: is binary data: give a plain text file",
                        (size_t)(nul - text));
    if (text_size > DOCUMENTS_SIZE_MAX)
        return fail_set(fail, EXIT_BAD_FILE, "text: has %zu bytes: at most %d are possible: give a part of it", text_size,
                        DOCUMENTS_SIZE_MAX);
    return 0;
}

static size_t copy_lines(char *out, const char *text, size_t size)
{
    size_t written = 0;

    for (size_t i = 0; i < size; i++)
        if (text[i] != '\r' || i + 1 == size || text[i + 1] != '\n')
            out[written++] = text[i];
    return written;
}

int documents_init(struct documents *documents, const char *text, size_t text_size, struct fail *fail)
{
    struct document first;
    size_t at = 0;

    if (check(text, text_size, fail) < 0)
        return -1;
    documents->text = malloc(text_size);
    if (documents->text == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "text: out of memory for %zu bytes: close other programs", text_size);
    documents->size = copy_lines(documents->text, text, text_size);
    if (!documents_next(documents, &at, &first)) {
        documents_release(documents);
        return fail_set(fail, EXIT_BAD_FILE, "text: has nothing but newlines: give one with something to learn from");
    }
    return 0;
}

void documents_release(struct documents *documents)
{
    free(documents->text);
    *documents = (struct documents){0};
}

static size_t count_newlines(const struct documents *documents, size_t at)
{
    size_t count = 0;

    while (at + count < documents->size && documents->text[at + count] == '\n')
        count++;
    return count;
}

bool documents_next(const struct documents *documents, size_t *at, struct document *document)
{
    const size_t start = *at + count_newlines(documents, *at);
    size_t end = start;  /* end of what is known to belong to the document */
    size_t next = start; /* next byte to examine */
    size_t newlines = 0;

    while (next < documents->size && newlines < SEPARATOR_NEWLINES) {
        const char *found = memchr(documents->text + next, '\n', documents->size - next);

        end = found != NULL ? (size_t)(found - documents->text) : documents->size;
        newlines = count_newlines(documents, end);
        next = end + newlines;
    }
    *at = next;
    *document = (struct document){.text = documents->text + start, .size = end - start};
    return end > start;
}
