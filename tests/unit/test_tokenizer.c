/* The tokenizer: on vocabularies made here, against the definition of the merging, against real cases, and every refusal. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gguf_writer.h"
#include "model_folder.h"
#include "node/hash.h"
#include "node/tokenizer.h"

#define SPACE "\xe2\x96\x81"

enum { UNKNOWN, BOS, EOS, BYTES, FIRST = BYTES + 256, EXTRA_MAX = 64, NORMAL = 1, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5 };

struct entry {
    const char *text;
    float score;
    int32_t type;
};

/* What a vocabulary file is made of; a test changes what it is about. */
struct vocab {
    const char *model;
    struct entry extra[EXTRA_MAX];          /* from id FIRST on; ends at text NULL */
    uint32_t scores_missing, types_missing; /* at the end of the array */
    bool no_scores, no_types, no_unknown, no_bos_key, byte_missing;
    const char *flag; /* a key set to flag_value */
    bool flag_value;
    const char *id_key;
    uint32_t id_value;
};

static const struct vocab basic = {.model = "llama"};

static void write_arrays(struct gguf_writer *w, const struct vocab *v)
{
    uint32_t count = FIRST;
    char text[8];

    while (v->extra[count - FIRST].text)
        count++;
    gguf_writer_array(w, "tokenizer.ggml.tokens", GGUF_STRING, count);
    gguf_writer_text(w, "<unk>", 5);
    gguf_writer_text(w, "<s>", 3);
    gguf_writer_text(w, "</s>", 4);
    for (unsigned byte = 0; byte < 256; byte++) {
        snprintf(text, sizeof text, "<0x%02X>", v->byte_missing && byte == 0xe4 ? 0 : byte);
        gguf_writer_text(w, text, 6);
    }
    for (uint32_t i = FIRST; i < count; i++)
        gguf_writer_text(w, v->extra[i - FIRST].text, strlen(v->extra[i - FIRST].text));
    if (!v->no_scores) {
        gguf_writer_array(w, "tokenizer.ggml.scores", GGUF_F32, count - v->scores_missing);
        for (uint32_t i = 0; i < count - v->scores_missing; i++)
            gguf_writer_float(w, i < FIRST ? 0 : v->extra[i - FIRST].score);
    }
    if (!v->no_types) {
        gguf_writer_array(w, "tokenizer.ggml.token_type", GGUF_I32, count - v->types_missing);
        for (uint32_t i = 0; i < count - v->types_missing; i++)
            gguf_writer_le(w, (uint32_t)(i == UNKNOWN ? 2 : i < BYTES ? CONTROL : i < FIRST ? 6 : v->extra[i - FIRST].type), 4);
    }
}

static struct tokenizer *try_open(const struct vocab *v, struct fail *fail)
{
    struct gguf_writer w;
    struct gguf *gguf;
    struct tokenizer *t;

    gguf_writer_init(&w);
    if (v->model)
        gguf_writer_string(&w, "tokenizer.ggml.model", v->model);
    write_arrays(&w, v);
    if (!v->no_unknown)
        gguf_writer_u32(&w, "tokenizer.ggml.unknown_token_id", UNKNOWN);
    else
        gguf_writer_u32(&w, "tokenizer.ggml.unknown_token_id", UINT32_MAX);
    if (!v->no_bos_key)
        gguf_writer_u32(&w, "tokenizer.ggml.bos_token_id", BOS);
    gguf_writer_u32(&w, "tokenizer.ggml.eos_token_id", EOS);
    if (v->flag)
        gguf_writer_bool(&w, v->flag, v->flag_value);
    if (v->id_key)
        gguf_writer_u32(&w, v->id_key, v->id_value);
    gguf = gguf_writer_parse(&w, fail);
    assert_non_null(gguf);
    t = tokenizer_open(gguf, fail);
    gguf_close(gguf);
    memset(w.data, 0xee, w.size); /* the tokenizer has copied what it needs */
    gguf_writer_release(&w);
    return t;
}

static struct tokenizer *open_vocab(const struct vocab *v)
{
    struct fail fail;
    struct tokenizer *t = try_open(v, &fail);

    if (!t)
        fail_msg("%s", fail.text);
    return t;
}

static void refuses(const struct vocab *v, const char *message)
{
    struct fail fail;

    assert_null(try_open(v, &fail));
    assert_string_equal(fail.text, message);
    assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
}

/* expected: ids, ended by -1. */
static void encodes_sized(const struct tokenizer *t, const char *text, size_t size, bool special, const int64_t *expected)
{
    uint32_t *ids;
    size_t count;
    struct fail fail;

    assert_int_equal(tokenizer_encode(t, text, size, special, &ids, &count, &fail), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ids[i], expected[i]);
    assert_int_equal(expected[count], -1);
    free(ids);
}
#define ENCODES(t, text, special, ...) encodes_sized(t, text, sizeof(text) - 1, special, (const int64_t[]){__VA_ARGS__ __VA_OPT__(, ) - 1})

static void the_best_score_is_merged_first_and_of_equals_the_leftmost(void **state)
{
    struct vocab v = basic;
    struct tokenizer *t;

    (void)state;
    v.flag = "tokenizer.ggml.add_space_prefix";
    v.extra[0] = (struct entry){"a", -9, NORMAL};
    v.extra[1] = (struct entry){"b", -9, NORMAL};
    v.extra[2] = (struct entry){"ab", -2, NORMAL};
    v.extra[3] = (struct entry){"ba", -1, NORMAL};
    v.extra[4] = (struct entry){"aa", -3, NORMAL};
    v.extra[5] = (struct entry){"aba", -4, NORMAL};
    t = open_vocab(&v);
    ENCODES(t, "aba", false, FIRST + 5);
    ENCODES(t, "abab", false, FIRST + 5, FIRST + 1);
    ENCODES(t, "aaa", false, FIRST + 4, FIRST);
    ENCODES(t, "aaaaa", false, FIRST + 4, FIRST + 4, FIRST);
    tokenizer_close(t);
}

static void what_has_no_piece_becomes_bytes(void **state)
{
    struct vocab v = basic;
    struct tokenizer *t;

    (void)state;
    v.extra[0] = (struct entry){SPACE, -1, NORMAL};
    v.extra[1] = (struct entry){"\xc3\xa4", -1, NORMAL};
    t = open_vocab(&v);
    ENCODES(t, "\xc3\xa4\xc3\xb6", false, FIRST, FIRST + 1, BYTES + 0xc3, BYTES + 0xb6);
    ENCODES(t, "\n\0", false, FIRST, BYTES + '\n', BYTES);
    ENCODES(t, "\xff\xc3", false, FIRST, BYTES + 0xff, BYTES + 0xc3);
    ENCODES(t, "\xf0\x9f", false, FIRST, BYTES + 0xf0, BYTES + 0x9f);
    tokenizer_close(t);
}

static void a_missing_byte_token_makes_the_character_unknown(void **state)
{
    struct vocab v = basic;
    struct tokenizer *t;

    (void)state;
    v.byte_missing = true;
    v.flag = "tokenizer.ggml.add_space_prefix";
    t = open_vocab(&v);
    assert_int_equal(tokenizer_missing_bytes(t), 1);
    ENCODES(t, "a\xe4\xb8\x80z", false, BYTES + 'a', UNKNOWN, BYTES + 'z');
    tokenizer_close(t);
    v.no_unknown = true;
    refuses(&v,
            "test.gguf: tokenizer.ggml.tokens: 1 of the 256 byte tokens are missing (the first is <0xE4>) and there is no unknown token: "
            "some text could not be encoded: get another copy of the model");
}

static void beginning_and_end_are_marked_as_the_file_asks(void **state)
{
    struct vocab v = basic;
    struct tokenizer *t;

    (void)state;
    v.extra[0] = (struct entry){SPACE "a", -1, NORMAL};
    v.extra[1] = (struct entry){SPACE, -2, NORMAL};
    t = open_vocab(&v);
    ENCODES(t, "a", true, BOS, FIRST);
    ENCODES(t, "", true, BOS);
    ENCODES(t, "", false);
    assert_int_equal(tokenizer_bos(t), BOS);
    assert_int_equal(tokenizer_eos(t), EOS);
    tokenizer_close(t);
    v.flag = "tokenizer.ggml.add_bos_token";
    t = open_vocab(&v);
    ENCODES(t, "a", true, FIRST);
    tokenizer_close(t);
    v.flag = "tokenizer.ggml.add_eos_token";
    v.flag_value = true;
    t = open_vocab(&v);
    ENCODES(t, "a", true, BOS, FIRST, EOS);
    tokenizer_close(t);
    v.no_bos_key = true;
    t = open_vocab(&v);
    assert_int_equal(tokenizer_bos(t), BOS);
    tokenizer_close(t);
}

static void ends_are_what_the_file_names(void **state)
{
    struct vocab v = basic;
    struct tokenizer *t;

    (void)state;
    v.extra[0] = (struct entry){"<turn>", 0, CONTROL};
    v.id_key = "tokenizer.ggml.eot_token_id";
    v.id_value = FIRST;
    t = open_vocab(&v);
    assert_true(tokenizer_is_end(t, EOS));
    assert_true(tokenizer_is_end(t, FIRST));
    assert_false(tokenizer_is_end(t, BOS));
    tokenizer_close(t);
    v.id_key = "tokenizer.ggml.eom_token_id";
    t = open_vocab(&v);
    assert_true(tokenizer_is_end(t, FIRST));
    tokenizer_close(t);
    v.id_value = UINT32_MAX; /* how converters write "none" */
    t = open_vocab(&v);
    assert_false(tokenizer_is_end(t, FIRST));
    tokenizer_close(t);
}

static void control_and_byte_tokens_are_never_made_from_text(void **state)
{
    struct vocab v = basic;
    struct tokenizer *t;

    (void)state;
    v.flag = "tokenizer.ggml.add_space_prefix";
    v.extra[0] = (struct entry){"<", 0, NORMAL};
    v.extra[1] = (struct entry){"s", 0, NORMAL};
    v.extra[2] = (struct entry){">", 0, NORMAL};
    v.extra[3] = (struct entry){"<s", 0, NORMAL};
    v.extra[4] = (struct entry){"<0x0A", 0, NORMAL};
    v.extra[5] = (struct entry){"<0", 0, NORMAL};
    v.extra[6] = (struct entry){"x0A", 0, NORMAL};
    t = open_vocab(&v);
    ENCODES(t, "<s>", false, FIRST + 3, FIRST + 2);
    tokenizer_close(t);
}

/* As in the reference implementation: longest first, in the text as it was given; a space goes before the text after each. */
static void user_defined_pieces_are_found_before_anything_else(void **state)
{
    struct vocab v = basic;
    struct tokenizer *t;

    (void)state;
    v.extra[0] = (struct entry){SPACE, -1, NORMAL};
    v.extra[1] = (struct entry){"<b>", 0, USER_DEFINED};
    v.extra[2] = (struct entry){"b>c", 0, USER_DEFINED};
    v.extra[3] = (struct entry){"<b><", 0, USER_DEFINED};
    v.extra[4] = (struct entry){"  ", 0, USER_DEFINED};
    v.extra[5] = (struct entry){"", 0, USER_DEFINED};
    t = open_vocab(&v);
    ENCODES(t, "<b>", false, FIRST + 1);
    ENCODES(t, "<b>c", false, FIRST + 1, FIRST, BYTES + 'c');
    ENCODES(t, "<b><b>c", false, FIRST + 3, FIRST + 2);
    ENCODES(t, "x   y<b>z", false, FIRST, BYTES + 'x', FIRST + 4, FIRST, FIRST, BYTES + 'y', FIRST + 1, FIRST, BYTES + 'z');
    tokenizer_close(t);
}

static void assert_shown(const struct tokenizer *t, uint32_t id, const char *expected, size_t expected_size)
{
    size_t size;
    const char *piece = tokenizer_piece(t, id, &size);

    assert_int_equal(size, expected_size);
    assert_memory_equal(piece, expected, size);
}

static void pieces_are_shown_as_text(void **state)
{
    struct vocab v = basic;
    struct tokenizer *t;

    (void)state;
    v.extra[0] = (struct entry){SPACE SPACE "a" SPACE, 0, NORMAL};
    v.extra[1] = (struct entry){"<|im_end|>", 0, CONTROL};
    v.extra[2] = (struct entry){"", 0, NORMAL};
    v.extra[3] = (struct entry){"\xe2\x96", 0, NORMAL};
    t = open_vocab(&v);
    assert_int_equal(tokenizer_count(t), FIRST + 4);
    assert_shown(t, FIRST, "  a ", 4);
    assert_shown(t, FIRST + 1, "", 0);
    assert_shown(t, FIRST + 2, "", 0);
    assert_shown(t, FIRST + 3, "\xe2\x96", 2);
    assert_shown(t, BOS, "", 0);
    assert_shown(t, UNKNOWN, "", 0);
    assert_shown(t, BYTES, "\0", 1);
    assert_shown(t, BYTES + 0xff, "\xff", 1);
    tokenizer_close(t);
}

static void without_types_bytes_and_ids_are_known_by_other_keys(void **state)
{
    struct vocab v = basic;
    struct tokenizer *t;

    (void)state;
    v.no_types = true;
    v.extra[0] = (struct entry){SPACE, 0, NORMAL};
    t = open_vocab(&v);
    ENCODES(t, "a", true, BOS, FIRST, BYTES + 'a');
    assert_shown(t, BOS, "", 0);
    tokenizer_close(t);
}

static void a_bad_vocabulary_is_refused_naming_the_key(void **state)
{
    struct vocab v = basic;

    (void)state;
    v.model = NULL;
    refuses(&v, "test.gguf: tokenizer.ggml.model is missing: the file has no vocabulary: give a complete model");
    v.model = "gpt2";
    refuses(&v,
            "test.gguf: tokenizer.ggml.model is 'gpt2', which is not supported: give a model whose tokenizer is 'llama' (SentencePiece)");
    v.model = "bert";
    refuses(&v,
            "test.gguf: tokenizer.ggml.model is 'bert', which is not supported: give a model whose tokenizer is 'llama' (SentencePiece)");
    v = basic;
    v.scores_missing = 1;
    refuses(&v, "test.gguf: tokenizer.ggml.scores has 258 entries for 259 tokens: get another copy of the model");
    v.scores_missing = 0;
    v.no_scores = true;
    refuses(&v, "test.gguf: tokenizer.ggml.scores is missing: give a complete model");
    v = basic;
    v.types_missing = 2;
    refuses(&v, "test.gguf: tokenizer.ggml.token_type has 257 entries for 259 tokens: get another copy of the model");
    v = basic;
    v.extra[0] = (struct entry){"a", NAN, NORMAL};
    refuses(&v, "test.gguf: tokenizer.ggml.scores: entry 259 is not a finite number: get another copy of the model");
    v.extra[0] = (struct entry){"a", 0, 7};
    refuses(&v, "test.gguf: tokenizer.ggml.token_type: entry 259 is 7, 1 to 6 are known: get another copy of the model");
    v.extra[0] = (struct entry){"<0xZZ>", 0, 6};
    refuses(&v, "test.gguf: tokenizer.ggml.token_type: entry 259 says byte, but the token is '<0xZZ>', not <0x00> to <0xFF>: "
                "get another copy of the model");
    v = basic;
    v.id_key = "tokenizer.ggml.eot_token_id";
    v.id_value = 259;
    refuses(&v, "test.gguf: tokenizer.ggml.eot_token_id is 259, but there are only 259 tokens: get another copy of the model");
    v = basic;
    v.no_bos_key = true;
    v.no_types = true;
    v.flag = "tokenizer.ggml.add_bos_token";
    v.flag_value = true;
    refuses(&v,
            "test.gguf: tokenizer.ggml.add_bos_token is true, but tokenizer.ggml.bos_token_id is missing: get another copy of the model");
}

/* A file of nothing but the two keys under test. */
static void refuses_tokens_of(enum gguf_value_type type, uint64_t count, const char *message)
{
    struct gguf_writer w;
    struct gguf *gguf;
    struct fail fail;

    gguf_writer_init(&w);
    gguf_writer_string(&w, "tokenizer.ggml.model", "llama");
    if (type == GGUF_U32)
        gguf_writer_u32(&w, "tokenizer.ggml.tokens", 5);
    else
        gguf_writer_array(&w, "tokenizer.ggml.tokens", type, count);
    if (type == GGUF_F32)
        gguf_writer_float(&w, 1);
    gguf = gguf_writer_parse(&w, &fail);
    assert_non_null(gguf);
    assert_null(tokenizer_open(gguf, &fail));
    assert_string_equal(fail.text, message);
    gguf_close(gguf);
    gguf_writer_release(&w);
}

static void tokens_of_the_wrong_type_are_refused(void **state)
{
    (void)state;
    refuses_tokens_of(GGUF_U32, 0, "test.gguf: tokenizer.ggml.tokens is not an array: get another copy of the model");
    refuses_tokens_of(GGUF_STRING, 0,
                      "test.gguf: tokenizer.ggml.tokens has 0 entries, 1 to 16777216 are possible: get another copy of the model");
    refuses_tokens_of(GGUF_F32, 1,
                      "test.gguf: tokenizer.ggml.tokens has elements of the wrong type, expected string: get another copy of the model");
}

/* The definition, word by word: while any two neighbours are a piece, join the pair with the best score, the leftmost of equals. */
struct slow {
    char parts[64][64];
    size_t count;
};

static const struct entry *slow_find(const struct vocab *v, const char *a, const char *b)
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
        const struct entry *best = NULL;
        size_t best_at = 0;

        for (size_t i = 0; i + 1 < s->count; i++) {
            const struct entry *found = slow_find(v, s->parts[i], s->parts[i + 1]);

            if (found && (!best || found->score > best->score)) {
                best = found;
                best_at = i;
            }
        }
        if (!best)
            return;
        strcpy(s->parts[best_at], best->text);
        memmove(s->parts[best_at + 1], s->parts[best_at + 2], (s->count - best_at - 2) * sizeof s->parts[0]);
        s->count--;
    }
}

static void the_heap_merges_as_the_definition_says(void **state)
{
    static char texts[EXTRA_MAX][8];
    struct vocab v = basic;

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
            v.extra[i] = (struct entry){texts[i], -(float)(hash_words3(seed, i, 9) % 6), NORMAL};
        v.extra[pieces].text = NULL;
        for (size_t i = 0; i < 40; i++) {
            text[i] = (char)('a' + hash_words3(seed, i, 10) % 3);
            slow.parts[i][0] = text[i];
        }
        slow_merge(&v, &slow);
        for (size_t i = 0; i < slow.count; i++)
            expected[i] = FIRST + (slow_find(&v, slow.parts[i], "") - v.extra);
        expected[slow.count] = -1;
        t = open_vocab(&v);
        encodes_sized(t, text, 40, false, expected);
        tokenizer_close(t);
    }
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
        for (char *number = strtok(line, " "); number; number = strtok(NULL, " "))
            expected[count++] = strtoll(number, NULL, 10);
        expected[count] = -1;
        encodes_sized(t, text, (size_t)(next - text), false, expected);
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

        if (i == 1) { /* the space that goes before every text */
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
        cmocka_unit_test(a_missing_byte_token_makes_the_character_unknown),
        cmocka_unit_test(beginning_and_end_are_marked_as_the_file_asks),
        cmocka_unit_test(ends_are_what_the_file_names),
        cmocka_unit_test(control_and_byte_tokens_are_never_made_from_text),
        cmocka_unit_test(user_defined_pieces_are_found_before_anything_else),
        cmocka_unit_test(pieces_are_shown_as_text),
        cmocka_unit_test(without_types_bytes_and_ids_are_known_by_other_keys),
        cmocka_unit_test(a_bad_vocabulary_is_refused_naming_the_key),
        cmocka_unit_test(tokens_of_the_wrong_type_are_refused),
        cmocka_unit_test(the_heap_merges_as_the_definition_says),
        cmocka_unit_test(real_cases_of_the_llama_vocabulary_agree),
        cmocka_unit_test(a_real_text_comes_back_from_its_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
