/* The tokenizer: on vocabularies made here, against the definition of merging, and against real cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model_folder.h"
#include "node/common/hash.h"
#include "node/tokenizer/tokenizer.h"
#include "vocab.h"

static void the_best_score_is_merged_first_and_of_equals_the_leftmost(void **state)
{
    struct vocab v = {.model = "llama"};
    struct tokenizer *t;

    (void)state;
    v.flag = "tokenizer.ggml.add_space_prefix";
    v.extra[0] = (struct vocab_entry){"a", -9, NORMAL};
    v.extra[1] = (struct vocab_entry){"b", -9, NORMAL};
    v.extra[2] = (struct vocab_entry){"ab", -2, NORMAL};
    v.extra[3] = (struct vocab_entry){"ba", -1, NORMAL};
    v.extra[4] = (struct vocab_entry){"aa", -3, NORMAL};
    v.extra[5] = (struct vocab_entry){"aba", -4, NORMAL};
    t = vocab_open(&v);
    ENCODES(t, "aba", false, FIRST + 5);
    ENCODES(t, "abab", false, FIRST + 5, FIRST + 1);
    ENCODES(t, "aaa", false, FIRST + 4, FIRST);
    ENCODES(t, "aaaaa", false, FIRST + 4, FIRST + 4, FIRST);
    tokenizer_close(t);
}

static void what_has_no_piece_becomes_bytes(void **state)
{
    struct vocab v = {.model = "llama"};
    struct tokenizer *t;

    (void)state;
    v.extra[0] = (struct vocab_entry){SPACE, -1, NORMAL};
    v.extra[1] = (struct vocab_entry){"\xc3\xa4", -1, NORMAL};
    t = vocab_open(&v);
    ENCODES(t, "\xc3\xa4\xc3\xb6", false, FIRST, FIRST + 1, BYTES + 0xc3, BYTES + 0xb6);
    ENCODES(t, "\n\0", false, FIRST, BYTES + '\n', BYTES);
    ENCODES(t, "\xff\xc3", false, FIRST, BYTES + 0xff, BYTES + 0xc3);
    ENCODES(t, "\xf0\x9f", false, FIRST, BYTES + 0xf0, BYTES + 0x9f);
    tokenizer_close(t);
}

/* The first byte of a two-byte character takes in that of the escaped space, which leaves two more symbols than the text has bytes. */
static void broken_characters_before_spaces_become_bytes(void **state)
{
    struct vocab v = {.model = "llama"};
    struct tokenizer *t;

    (void)state;
    v.extra[0] = (struct vocab_entry){SPACE, -1, NORMAL};
    t = vocab_open(&v);
    ENCODES(t, "\xc3 ", false, FIRST, BYTES + 0xc3, BYTES + 0xe2, BYTES + 0x96, BYTES + 0x81);
    ENCODES(t, "\xc3 \xc3 ", false, FIRST, BYTES + 0xc3, BYTES + 0xe2, BYTES + 0x96, BYTES + 0x81, BYTES + 0xc3, BYTES + 0xe2, BYTES + 0x96,
            BYTES + 0x81);
    tokenizer_close(t);
}

static void a_missing_byte_token_makes_the_character_unknown(void **state)
{
    struct vocab v = {.model = "llama"};
    struct tokenizer *t;

    (void)state;
    v.byte_missing = true;
    v.flag = "tokenizer.ggml.add_space_prefix";
    t = vocab_open(&v);
    ENCODES(t, "a\xe4\xb8\x80z", false, BYTES + 'a', UNKNOWN, BYTES + 'z');
    tokenizer_close(t);
}

static void beginning_and_end_are_marked_as_the_file_asks(void **state)
{
    struct vocab v = {.model = "llama"};
    struct tokenizer *t;

    (void)state;
    v.extra[0] = (struct vocab_entry){SPACE "a", -1, NORMAL};
    v.extra[1] = (struct vocab_entry){SPACE, -2, NORMAL};
    t = vocab_open(&v);
    ENCODES(t, "a", true, BOS, FIRST);
    ENCODES(t, "", true, BOS);
    ENCODES(t, "", false);
    assert_int_equal(tokenizer_bos(t), BOS);
    assert_int_equal(tokenizer_eos(t), EOS);
    tokenizer_close(t);
    v.flag = "tokenizer.ggml.add_bos_token";
    t = vocab_open(&v);
    ENCODES(t, "a", true, FIRST);
    tokenizer_close(t);
    v.flag = "tokenizer.ggml.add_eos_token";
    v.flag_value = true;
    t = vocab_open(&v);
    ENCODES(t, "a", true, BOS, FIRST, EOS);
    tokenizer_close(t);
    v.no_bos_key = true;
    t = vocab_open(&v);
    assert_int_equal(tokenizer_bos(t), BOS);
    tokenizer_close(t);
}

static void control_and_byte_tokens_are_never_made_from_text(void **state)
{
    struct vocab v = {.model = "llama"};
    struct tokenizer *t;

    (void)state;
    v.flag = "tokenizer.ggml.add_space_prefix";
    v.extra[0] = (struct vocab_entry){"<", 0, NORMAL};
    v.extra[1] = (struct vocab_entry){"s", 0, NORMAL};
    v.extra[2] = (struct vocab_entry){">", 0, NORMAL};
    v.extra[3] = (struct vocab_entry){"<s", 0, NORMAL};
    v.extra[4] = (struct vocab_entry){"<0x0A", 0, NORMAL};
    v.extra[5] = (struct vocab_entry){"<0", 0, NORMAL};
    v.extra[6] = (struct vocab_entry){"x0A", 0, NORMAL};
    t = vocab_open(&v);
    ENCODES(t, "<s>", false, FIRST + 3, FIRST + 2);
    tokenizer_close(t);
}

/* As in the reference implementation: longest first, in the original text; a space precedes the text after each. */
static void user_defined_pieces_are_found_before_anything_else(void **state)
{
    struct vocab v = {.model = "llama"};
    struct tokenizer *t;

    (void)state;
    v.extra[0] = (struct vocab_entry){SPACE, -1, NORMAL};
    v.extra[1] = (struct vocab_entry){"<b>", 0, USER_DEFINED};
    v.extra[2] = (struct vocab_entry){"b>c", 0, USER_DEFINED};
    v.extra[3] = (struct vocab_entry){"<b><", 0, USER_DEFINED};
    v.extra[4] = (struct vocab_entry){"  ", 0, USER_DEFINED};
    v.extra[5] = (struct vocab_entry){"", 0, USER_DEFINED};
    t = vocab_open(&v);
    ENCODES(t, "<b>", false, FIRST + 1);
    ENCODES(t, "<b>c", false, FIRST + 1, FIRST, BYTES + 'c');
    ENCODES(t, "<b><b>c", false, FIRST + 3, FIRST + 2);
    ENCODES(t, "x   y<b>z", false, FIRST, BYTES + 'x', FIRST + 4, FIRST, FIRST, BYTES + 'y', FIRST + 1, FIRST, BYTES + 'z');
    tokenizer_close(t);
}

/* The definition, literally: while any two neighbours form a piece, join the pair with the best score, the leftmost of equals. */
struct slow {
    char parts[64][64];
    size_t count;
};

static const struct vocab_entry *slow_find(const struct vocab *v, const char *a, const char *b)
{
    char joined[130];

    snprintf(joined, sizeof joined, "%s%s", a, b);
    for (size_t i = 0; v->extra[i].text; i++)
        if (strcmp(v->extra[i].text, joined) == 0)
            return &v->extra[i];
    return NULL;
}

static void slow_merge(const struct vocab *v, struct slow *s)
{
    for (;;) {
        const struct vocab_entry *best = NULL;
        size_t best_at = 0;

        for (size_t i = 0; i + 1 < s->count; i++) {
            const struct vocab_entry *found = slow_find(v, s->parts[i], s->parts[i + 1]);

            if (found && (!best || found->score > best->score)) {
                best = found;
                best_at = i;
            }
        }
        if (!best)
            return;
        memcpy(s->parts[best_at], best->text, strlen(best->text) + 1);
        memmove(s->parts[best_at + 1], s->parts[best_at + 2], (s->count - best_at - 2) * sizeof s->parts[0]);
        s->count--;
    }
}

static void the_heap_merges_as_the_definition_says(void **state)
{
    static char texts[EXTRA_MAX][8];
    struct vocab v = {.model = "llama"};

    (void)state;
    v.flag = "tokenizer.ggml.add_space_prefix";
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct slow slow = {.count = 40};
        char text[41] = "";
        int64_t expected[41];
        size_t pieces = 3;
        struct tokenizer *t;

        /* Every piece of 1 to 4 letters of "abc" that the seed picks; few different scores, so that there are many ties. */
        for (size_t i = 0; i < 3; i++)
            snprintf(texts[i], sizeof texts[i], "%c", (char)('a' + i));
        for (uint32_t i = 0; i < 60 && pieces < EXTRA_MAX - 1; i++) {
            size_t length = 2 + hash_words3(seed, i, 1) % 3, j;

            for (j = 0; j < length; j++)
                texts[pieces][j] = (char)('a' + hash_words3(seed, i, 2 + j) % 3);
            texts[pieces][length] = '\0';
            for (j = 0; j < pieces && strcmp(texts[j], texts[pieces]) != 0; j++)
                ;
            pieces += j == pieces;
        }
        for (size_t i = 0; i < pieces; i++)
            v.extra[i] = (struct vocab_entry){texts[i], -(float)(hash_words3(seed, i, 9) % 6), NORMAL};
        v.extra[pieces].text = NULL;
        for (size_t i = 0; i < 40; i++) {
            text[i] = (char)('a' + hash_words3(seed, i, 10) % 3);
            slow.parts[i][0] = text[i];
        }
        slow_merge(&v, &slow);
        for (size_t i = 0; i < slow.count; i++)
            expected[i] = FIRST + (slow_find(&v, slow.parts[i], "") - v.extra);
        expected[slow.count] = -1;
        t = vocab_open(&v);
        vocab_encodes(t, text, 40, false, expected);
        tokenizer_close(t);
    }
}

/* A text of one word, of many, and with user-defined pieces: the work of a turn is bounded. */
static void a_long_text_takes_turns(void **state)
{
    enum { SIZE = 59000, WORK = 1000 };
    static const char *const patterns[] = {"a", "ab", "abba a b", "a b", " ", "<ab>a "};
    char *text = malloc(SIZE);
    struct fail fail;

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct vocab v = {.model = "llama"};
        struct tokenizer *t;
        uint32_t *ids;
        size_t count;

        v.extra[0] = (struct vocab_entry){SPACE "a", -1, NORMAL};
        v.extra[1] = (struct vocab_entry){"ab", -2, NORMAL};
        v.extra[2] = (struct vocab_entry){"aa", -3, NORMAL};
        v.extra[3] = (struct vocab_entry){"aaaa", -3, NORMAL};
        if (patterns[i][0] == '<')
            v.extra[4] = (struct vocab_entry){"<ab>", 0, USER_DEFINED};
        for (size_t at = 0; at < SIZE; at++)
            text[at] = patterns[i][at % strlen(patterns[i])];
        t = vocab_open(&v);
        assert_int_equal(tokenizer_encode(t, text, SIZE, true, &ids, &count, &fail), 0);
        assert_in_range(vocab_encodes_in_turns(t, text, SIZE, true, WORK, ids, count), SIZE / WORK / 2, 10 * SIZE / WORK);
        free(ids);
        tokenizer_close(t);
    }
    free(text);
}

static void a_text_has_no_fewer_ids_than_its_longest_pieces(void **state)
{
    struct vocab v = {.model = "llama"};
    struct tokenizer *t;

    (void)state;
    v.extra[0] = (struct vocab_entry){"a", -1, NORMAL};
    t = vocab_open(&v);
    assert_int_equal(tokenizer_ids_min(t, 0), 0);
    assert_int_equal(tokenizer_ids_min(t, 4), 1); /* an unknown character */
    assert_int_equal(tokenizer_ids_min(t, 9), 3);
    tokenizer_close(t);
    v.extra[1] = (struct vocab_entry){"<much>", 0, USER_DEFINED};
    t = vocab_open(&v);
    assert_int_equal(tokenizer_ids_min(t, 12), 2);
    assert_int_equal(tokenizer_ids_min(t, 13), 3);
    tokenizer_close(t);
}

static char *read_file(const char *name)
{
    char path[MODEL_PATH_MAX];
    FILE *file;
    char *text = calloc(1, 1 << 16);

    assert_true(model_folder_path(name, path));
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_non_null(text);
    assert_in_range(fread(text, 1, (1 << 16) - 1, file), 1, (1 << 16) - 2);
    fclose(file);
    return text;
}

static struct tokenizer *open_real(const char *name)
{
    char path[MODEL_PATH_MAX];
    struct fail fail;
    struct gguf *gguf;
    struct tokenizer *t;

    if (!model_folder_path(name, path))
        skip();
    gguf = gguf_open(path, &fail);
    if (!gguf)
        fail_msg("%s", fail.text);
    t = tokenizer_open(gguf, &fail);
    if (!t)
        fail_msg("%s", fail.text);
    gguf_close(gguf);
    return t;
}

static void real_cases_of_the_llama_vocabulary_agree(void **state)
{
    static const char separator[] = "\n__ggml_vocab_test__\n";
    struct tokenizer *t = open_real("ggml-vocab-llama-spm.gguf");
    char *input = read_file("ggml-vocab-llama-spm.gguf.inp"), *output = read_file("ggml-vocab-llama-spm.gguf.out");
    char *text = input, *line = output, *next;
    size_t cases = 0;

    (void)state;
    for (; (next = strstr(text, separator)); cases++, text = next + strlen(separator)) {
        int64_t expected[4096];
        size_t count = 0;
        char *end = strchr(line, '\n');

        assert_non_null(end);
        *end = '\0';
        for (char *number = line + strspn(line, " "); *number; number += strspn(number, " "))
            expected[count++] = strtoll(number, &number, 10);
        expected[count] = -1;
        vocab_encodes(t, text, (size_t)(next - text), false, expected);
        line = end + 1;
    }
    assert_in_range(cases, 40, 1000);
    assert_int_equal(strspn(line, " \n"), strlen(line));
    free(output);
    free(input);
    tokenizer_close(t);
}

static void a_real_text_comes_back_from_its_ids(void **state)
{
    struct tokenizer *t = open_real("ggml-vocab-llama-spm.gguf");
    char *text = read_file("ggml-vocab-llama-spm.gguf.inp");
    uint32_t *ids;
    size_t count, at = 0, size;
    struct fail fail;

    (void)state;
    assert_int_equal(tokenizer_encode(t, text, strlen(text), true, &ids, &count, &fail), 0);
    assert_int_equal(ids[0], tokenizer_bos(t));
    for (size_t i = 1; i < count; i++) {
        const char *piece = tokenizer_piece(t, ids[i], &size);

        if (i == 1) { /* the space that precedes every text */
            assert_true(size > 0 && piece[0] == ' ');
            piece++;
            size--;
        }
        assert_memory_equal(piece, text + at, size);
        at += size;
    }
    assert_int_equal(at, strlen(text));
    free(ids);
    free(text);
    tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_score_is_merged_first_and_of_equals_the_leftmost),
        cmocka_unit_test(what_has_no_piece_becomes_bytes),
        cmocka_unit_test(broken_characters_before_spaces_become_bytes),
        cmocka_unit_test(a_missing_byte_token_makes_the_character_unknown),
        cmocka_unit_test(beginning_and_end_are_marked_as_the_file_asks),
        cmocka_unit_test(control_and_byte_tokens_are_never_made_from_text),
        cmocka_unit_test(user_defined_pieces_are_found_before_anything_else),
        cmocka_unit_test(the_heap_merges_as_the_definition_says),
        cmocka_unit_test(a_long_text_takes_turns),
        cmocka_unit_test(a_text_has_no_fewer_ids_than_its_longest_pieces),
        cmocka_unit_test(real_cases_of_the_llama_vocabulary_agree),
        cmocka_unit_test(a_real_text_comes_back_from_its_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
