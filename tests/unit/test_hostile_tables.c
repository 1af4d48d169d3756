/* Hash tables of texts that come from files: the author of such a file cannot make all texts collide, which would make a lookup take time
 * proportional to their number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "node/common/hash.h"
#include "node/tokenizer/tokenizer_vocab.h"
#include "node/tokenizer/vocab.h"
#include "node/tokenizer/word_table.h"

enum { TEXTS = 20000, TEXT_BYTES = 8, RUN_MAX = 500 /* of taken slots, in a table that is half full; by chance some tens */ };

static char texts[TEXTS][TEXT_BYTES];

static uint64_t unshift(uint64_t x, unsigned by)
{
    uint64_t y = x;

    for (unsigned done = by; done < 64; done += by)
        y = x ^ y >> by;
    return y;
}

/* Inverse of an odd number modulo 2^64: each Newton iteration doubles the number of correct bits. */
static uint64_t inverse(uint64_t odd)
{
    uint64_t x = odd;

    for (int i = 0; i < 6; i++)
        x *= 2 - odd * x;
    return x;
}

static uint64_t unmix(uint64_t x)
{
    x = unshift(x, 31) * inverse(0x94d049bb133111ebu);
    x = unshift(x, 27) * inverse(0xbf58476d1ce4e5b9u);
    return unshift(x, 30) - 0x9e3779b97f4a7c15u;
}

/* Texts of one word each whose hashes with this seed differ in the high half alone. */
static void make_texts(uint64_t seed)
{
    for (uint64_t i = 0; i < TEXTS; i++) {
        const uint64_t word = unmix((i + 1) << 32 | 12345) ^ hash_mix64(seed ^ TEXT_BYTES);

        for (unsigned k = 0; k < TEXT_BYTES; k++)
            texts[i][k] = (char)(word >> (8 * k));
        assert_int_equal(hash_bytes(seed, texts[i], TEXT_BYTES) & UINT32_MAX, 12345);
    }
}

static uint32_t longest_run(const uint32_t *slots, uint32_t slot_mask)
{
    uint32_t run = 0, longest = 0;

    for (uint32_t i = 0; i <= slot_mask; i++) {
        run = slots[i] != 0 ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest;
}

static void pieces_of_a_model_cannot_all_be_in_one_place(void **state)
{
    struct vocab vocab;
    struct fail fail;
    struct tokenizer *tokenizer;

    (void)state;
    make_texts(0);
    assert_int_equal(vocab_init(&vocab, VOCAB_MIN + TEXTS, &fail), 0);
    for (uint32_t i = 0; i < TEXTS; i++)
        vocab_add(&vocab, texts[i], TEXT_BYTES);
    tokenizer = vocab_tokenizer(&vocab, &fail);
    assert_non_null(tokenizer);
    assert_in_range(longest_run(tokenizer->slots, tokenizer->slot_mask), 1, RUN_MAX);
    for (uint32_t i = 0; i < TEXTS; i++)
        assert_int_equal(tokenizer_find(tokenizer, texts[i], TEXT_BYTES), VOCAB_MIN + i);
    tokenizer_close(tokenizer);
    vocab_release(&vocab);
}

static void words_of_a_text_cannot_all_be_in_one_place(void **state)
{
    struct word_table table = {0};

    (void)state;
    make_texts(1);
    for (uint32_t i = 0; i < TEXTS; i++) {
        const struct word word = {.text = texts[i], .size = TEXT_BYTES, .is_spaced = true};
        struct word_table_entry *entry = word_table_find(&table, &word);

        assert_non_null(entry);
        entry->value = i + 1;
    }
    assert_int_equal(table.count, TEXTS);
    assert_in_range(longest_run(table.slots, table.slot_mask), 1, RUN_MAX);
    word_table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_a_model_cannot_all_be_in_one_place),
        cmocka_unit_test(words_of_a_text_cannot_all_be_in_one_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
