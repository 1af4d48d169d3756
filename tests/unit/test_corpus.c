#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/hash.h"
#include "node/tokenizer/documents.h"
#include "node/tokenizer/vocab_learn.h"
#include "node/train/corpus.h"

static struct tokenizer *tokenizer; /* of the sample text, for all tests */

static const char sample[] = "the cat sat on the mat, the rat sat on the hat\n\nthat was that: the cat, the rat, the hat\n";

static int open_tokenizer(void **state)
{
    struct vocab vocab;
    struct fail fail;

    (void)state;
    if (vocab_learn(&vocab, sample, sizeof sample - 1, 300, &fail) < 0)
        return -1;
    tokenizer = vocab_tokenizer(&vocab, &fail);
    vocab_release(&vocab);
    return tokenizer != NULL ? 0 : -1;
}

static int close_tokenizer(void **state)
{
    (void)state;
    tokenizer_close(tokenizer);
    return 0;
}

static struct corpus make_sized(const char *text, size_t size, uint64_t seed, uint32_t permille)
{
    struct corpus corpus;
    struct fail fail;

    if (corpus_init(&corpus, tokenizer, text, size, seed, permille, &fail) < 0)
        fail_msg("%s", fail.text);
    return corpus;
}

static struct corpus make(const char *text)
{
    return make_sized(text, strlen(text), 1, CORPUS_HELD_OUT_PERMILLE);
}

/* `count` documents, "cat 0" and so on. Free it. */
static char *numbered_documents(uint32_t count)
{
    char *text = malloc(count * (size_t)24 + 1), *end = text;

    assert_non_null(text);
    for (uint32_t i = 0; i < count; i++)
        end += snprintf(end, 24, "cat %u\n\n\n", i);
    return text;
}

static void check_document(const struct corpus *corpus, uint32_t document, const char *text)
{
    const uint32_t *found = corpus->ids + corpus->starts[document];
    const size_t found_count = corpus->starts[document + 1] - corpus->starts[document];
    struct fail fail;
    uint32_t *ids;
    size_t count;

    assert_int_equal(tokenizer_encode(tokenizer, text, strlen(text), true, &ids, &count, &fail), 0);
    assert_int_equal(found_count, count + 1);
    assert_memory_equal(found, ids, count * sizeof *ids);
    assert_int_equal(found[0], VOCAB_BOS);
    assert_int_equal(found[count], VOCAB_EOS);
    free(ids);
}

static void a_document_is_bos_its_ids_and_eos(void **state)
{
    struct corpus corpus = make("\nthe cat\n\nthe  rat\r\n\n\n\n\n that hat\r\r\n\r\n\r\n\n\xff\xc3 the\n");

    (void)state;
    assert_int_equal(corpus.document_count, 3);
    assert_int_equal(corpus.starts[0], 0);
    assert_int_equal(corpus.starts[3], corpus.token_count);
    check_document(&corpus, 0, "the cat\n\nthe  rat");
    check_document(&corpus, 1, " that hat\r");
    check_document(&corpus, 2, "\xff\xc3 the");
    corpus_release(&corpus);
}

static void any_documents_are_encoded_as_the_tokenizer_does(void **state)
{
    static const char *const parts[] = {"the", " cat", " ", "\n", "\n\n\n", "\xc3", "\xe2", "\xf0", "\xc3\xa9", "that", ",", "\t"};
    enum { PARTS = sizeof parts / sizeof parts[0] };
    char text[1024] = "x\n\n\ny\n\n\n";

    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct documents documents;
        struct document document;
        struct fail fail;
        struct corpus corpus;
        size_t at = 0;
        char *end = text + 8;

        for (uint64_t i = 0; i < 120; i++)
            end = stpcpy(end, parts[hash_words3(seed, 0, i) % PARTS]);
        corpus = make(text);
        assert_int_equal(documents_init(&documents, text, strlen(text), &fail), 0);
        for (uint32_t i = 0; i < corpus.document_count; i++) {
            char copy[1024] = "";

            assert_true(documents_next(&documents, &at, &document));
            memcpy(copy, document.text, document.size);
            check_document(&corpus, i, copy);
        }
        documents_release(&documents);
        corpus_release(&corpus);
    }
}

static void check_totals(const struct corpus *corpus)
{
    size_t tokens = 0;
    uint32_t documents = 0;

    for (uint32_t i = 0; i < corpus->document_count; i++) {
        assert_true(corpus->starts[i + 1] >= corpus->starts[i] + 3);
        if (corpus_is_held_out(corpus, i)) {
            documents++;
            tokens += corpus->starts[i + 1] - corpus->starts[i];
        }
    }
    assert_int_equal(corpus->held_out_document_count, documents);
    assert_int_equal(corpus->held_out_token_count, tokens);
}

static void about_the_share_asked_for_is_held_out(void **state)
{
    static const uint32_t shares[] = {10, 50, 200, 500, 900};
    char *text = numbered_documents(10000);

    (void)state;
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        struct corpus corpus = make_sized(text, strlen(text), 7, shares[i]);

        check_totals(&corpus);
        assert_in_range(corpus.held_out_document_count, 10 * shares[i] * 8 / 10, 10 * shares[i] * 12 / 10);
        corpus_release(&corpus);
    }
    free(text);
}

static void the_split_depends_on_the_seed_and_the_number_of_a_document_only(void **state)
{
    char *text = numbered_documents(200), *longer = numbered_documents(300);
    struct corpus corpus = make_sized(text, strlen(text), 5, 300), same = make_sized(longer, strlen(longer), 5, 300),
                  other = make_sized(text, strlen(text), 6, 300);
    uint32_t differences = 0;

    (void)state;
    for (uint32_t i = 0; i < corpus.document_count; i++) {
        assert_int_equal(corpus_is_held_out(&corpus, i), corpus_is_held_out(&same, i));
        differences += corpus_is_held_out(&corpus, i) != corpus_is_held_out(&other, i);
    }
    assert_in_range(differences, 40, 130); /* 2 * 0.3 * 0.7 of 200 are 84 */
    corpus_release(&corpus);
    corpus_release(&same);
    corpus_release(&other);
    free(text);
    free(longer);
}

static void of_two_or_more_documents_there_is_one_on_either_side(void **state)
{
    (void)state;
    for (uint32_t count = 2; count < 12; count++) {
        char *text = numbered_documents(count);

        for (uint64_t seed = 0; seed < 40; seed++) {
            struct corpus corpus = make_sized(text, strlen(text), seed, seed % 2 != 0 ? 1 : 999);

            check_totals(&corpus);
            assert_int_equal(corpus.document_count, count);
            assert_int_equal(corpus.held_out_document_count, seed % 2 != 0 ? 1 : count - 1);
            corpus_release(&corpus);
        }
        free(text);
    }
}

static void the_end_of_a_single_document_is_held_out(void **state)
{
    char text[901] = "";
    uint32_t *ids;
    size_t count, first;
    struct fail fail;
    struct corpus corpus;

    (void)state;
    for (int i = 0; i < 150; i++)
        strcat(text, "the \xc3\xa9");
    assert_int_equal(tokenizer_encode(tokenizer, text, strlen(text), false, &ids, &count, &fail), 0);
    corpus = make(text);
    check_totals(&corpus);
    assert_int_equal(corpus.document_count, 2);
    assert_false(corpus_is_held_out(&corpus, 0));
    assert_true(corpus_is_held_out(&corpus, 1));
    assert_int_equal(corpus.held_out_token_count, count * 5 / 100 + 2);
    assert_int_equal(corpus.token_count, count + 4);
    first = corpus.starts[1] - 2;
    assert_int_equal(corpus.ids[0], VOCAB_BOS);
    assert_memory_equal(corpus.ids + 1, ids, first * sizeof *ids);
    assert_int_equal(corpus.ids[first + 1], VOCAB_EOS);
    assert_int_equal(corpus.ids[first + 2], VOCAB_BOS);
    assert_memory_equal(corpus.ids + first + 3, ids + first, (count - first) * sizeof *ids);
    assert_int_equal(corpus.ids[corpus.token_count - 1], VOCAB_EOS);
    corpus_release(&corpus);
    free(ids);
}

static void a_short_single_document_keeps_a_token_on_either_side(void **state)
{
    struct corpus corpus = make_sized("ZQ", 2, 1, 1); /* a space and two bytes */

    (void)state;
    assert_int_equal(corpus.document_count, 2);
    assert_int_equal(corpus.token_count, 3 + 4);
    assert_int_equal(corpus.held_out_token_count, 3);
    corpus_release(&corpus);
    corpus = make_sized("ZQ", 2, 1, 999);
    assert_int_equal(corpus.held_out_token_count, 4);
    corpus_release(&corpus);
    corpus = make(" the"); /* may be divided as well */
    check_totals(&corpus);
    corpus_release(&corpus);
}

static void a_single_document_of_one_token_is_not_divided(void **state)
{
    struct corpus corpus = make("the");

    (void)state;
    assert_int_equal(corpus.document_count, 1);
    assert_int_equal(corpus.token_count, 3);
    assert_int_equal(corpus.held_out_document_count, 0);
    assert_false(corpus_is_held_out(&corpus, 0));
    corpus_release(&corpus);
}

static void a_text_without_documents_and_binary_data_are_refused(void **state)
{
    struct corpus corpus;
    struct fail fail = {0};

    (void)state;
    assert_int_equal(corpus_init(&corpus, tokenizer, "\n\n", 2, 1, 50, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
    assert_int_equal(corpus_init(&corpus, tokenizer, "abc\0", 4, 1, 50, &fail), -1);
    assert_non_null(strstr(fail.text, "byte 0 at offset 3"));
}

static void a_share_of_nothing_holds_nothing_out(void **state)
{
    char *text = numbered_documents(100);
    struct corpus corpus = make_sized(text, strlen(text), 7, 0);

    (void)state;
    check_totals(&corpus);
    assert_int_equal(corpus.document_count, 100);
    assert_int_equal(corpus.held_out_document_count, 0);
    corpus_release(&corpus);
    corpus = make_sized("ZQ", 2, 1, 0);
    assert_int_equal(corpus.document_count, 1);
    assert_int_equal(corpus.held_out_token_count, 0);
    corpus_release(&corpus);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_is_bos_its_ids_and_eos),
        cmocka_unit_test(any_documents_are_encoded_as_the_tokenizer_does),
        cmocka_unit_test(about_the_share_asked_for_is_held_out),
        cmocka_unit_test(the_split_depends_on_the_seed_and_the_number_of_a_document_only),
        cmocka_unit_test(of_two_or_more_documents_there_is_one_on_either_side),
        cmocka_unit_test(the_end_of_a_single_document_is_held_out),
        cmocka_unit_test(a_short_single_document_keeps_a_token_on_either_side),
        cmocka_unit_test(a_single_document_of_one_token_is_not_divided),
        cmocka_unit_test(a_share_of_nothing_holds_nothing_out),
        cmocka_unit_test(a_text_without_documents_and_binary_data_are_refused),
    };

    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}
