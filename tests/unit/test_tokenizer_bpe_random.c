/* Byte-level BPE against its definition, on random vocabularies and texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bpe_vocab.h"
#include "node/common/hash.h"
#include "node/tokenizer/pretoken.h"
#include "node/tokenizer/tokenizer_words.h"
#include "vocab.h"

enum { PIECES = 40, PIECE_BYTES = 16, LIST = 60, TEXT_BYTES = 40, VOCABULARIES = 60, TEXTS = 40 };

struct slow {
    char pieces[PIECES][PIECE_BYTES]; /* ids BPE_FIRST on, as bytes */
    size_t piece_count;
    struct slow_merge {
        int left, right; /* ids */
    } merges[LIST];
    size_t merge_count;
};

static size_t slow_text(const struct slow *slow, int id, char out[PIECE_BYTES])
{
    if (id < BPE_FIRST) {
        out[0] = (char)id;
        out[1] = 0;
    } else {
        memcpy(out, slow->pieces[id - BPE_FIRST], PIECE_BYTES);
    }
    return strlen(out);
}

static int slow_find(const struct slow *slow, const char *text)
{
    if (strlen(text) == 1)
        return (unsigned char)text[0];
    for (size_t i = 0; i < slow->piece_count; i++)
        if (strcmp(slow->pieces[i], text) == 0)
            return BPE_FIRST + (int)i;
    return -1;
}

/* The first merge of the list that applies anywhere is applied at its leftmost place, until none is left. */
static size_t slow_merge_word(const struct slow *slow, const char *word, size_t size, int *ids)
{
    size_t count = size;

    for (size_t i = 0; i < size; i++)
        ids[i] = (unsigned char)word[i];
    for (size_t m = 0; m < slow->merge_count; m++) {
        for (size_t i = 0; i + 1 < count; i++) {
            char text[2 * PIECE_BYTES];

            if (ids[i] != slow->merges[m].left || ids[i + 1] != slow->merges[m].right)
                continue;
            slow_text(slow, ids[i + 1], text + slow_text(slow, ids[i], text));
            ids[i] = slow_find(slow, text);
            memmove(ids + i + 1, ids + i + 2, (count - i - 2) * sizeof *ids);
            count--;
            m = (size_t)-1; /* from the beginning */
            break;
        }
    }
    return count;
}

static size_t slow_encode(const struct slow *slow, const struct pretoken *pre, const char *text, size_t size, int *ids)
{
    struct pretoken_cut cut = {.rule = pre->rule, .text = text, .size = size};
    size_t count = 0, start = 0;

    for (; pretoken_next(&cut); start = cut.at) {
        char word[TEXT_BYTES + 1] = "";

        memcpy(word, text + start, cut.at - start);
        if (pre->is_whole_first && strlen(word) < PIECE_BYTES && slow_find(slow, word) >= 0)
            ids[count++] = slow_find(slow, word);
        else
            count += slow_merge_word(slow, word, cut.at - start, ids + count);
    }
    return count;
}

/* Random pairs of what is there already, so that some pieces can be made in several ways, or in none. */
static void make_slow(struct slow *slow, uint64_t seed)
{
    static const char letters[] = "abc \n1\xc3\xa9.";

    *slow = (struct slow){.piece_count = 0};
    for (uint64_t i = 0; slow->merge_count < LIST && i < 400; i++) {
        const uint64_t drawn = hash_words3(seed, 2, i);
        const size_t known = sizeof letters - 1 + slow->piece_count;
        const size_t left = drawn % known, right = (drawn >> 20) % known;
        const struct slow_merge merge = {
            left < sizeof letters - 1 ? (unsigned char)letters[left] : BPE_FIRST + (int)(left - (sizeof letters - 1)),
            right < sizeof letters - 1 ? (unsigned char)letters[right] : BPE_FIRST + (int)(right - (sizeof letters - 1))};
        char text[2 * PIECE_BYTES];

        slow_text(slow, merge.right, text + slow_text(slow, merge.left, text));
        if (strlen(text) >= PIECE_BYTES || (slow_find(slow, text) < 0 && slow->piece_count == PIECES))
            continue;
        if (slow_find(slow, text) < 0)
            memcpy(slow->pieces[slow->piece_count++], text, strlen(text) + 1);
        slow->merges[slow->merge_count++] = merge;
    }
    for (size_t i = slow->merge_count; i-- > 1;) { /* any order will do */
        const size_t other = hash_words3(seed, 3, i) % (i + 1);
        const struct slow_merge merge = slow->merges[i];

        slow->merges[i] = slow->merges[other];
        slow->merges[other] = merge;
    }
}

static char *write_bytes(char *out, const struct slow *slow, int id)
{
    char text[PIECE_BYTES];
    const size_t size = slow_text(slow, id, text);

    for (size_t i = 0; i < size; i++)
        out += bpe_vocab_character((unsigned char)text[i], out);
    return out;
}

static struct tokenizer *open_slow(const struct slow *slow, const char *pre)
{
    static char texts[PIECES + LIST][4 * PIECE_BYTES + 4];
    struct bpe_vocab v = {.pre = pre, .flag = "tokenizer.ggml.add_bos_token"};

    for (size_t i = 0; i < slow->piece_count; i++) {
        write_bytes(texts[i], slow, BPE_FIRST + (int)i);
        v.extra[i] = (struct bpe_token){texts[i], BPE_NORMAL};
    }
    for (size_t i = 0; i < slow->merge_count; i++) {
        char *end = write_bytes(texts[PIECES + i], slow, slow->merges[i].left);

        *end++ = ' ';
        write_bytes(end, slow, slow->merges[i].right);
        v.merges[i] = texts[PIECES + i];
    }
    return bpe_vocab_open(&v);
}

static size_t make_text(uint64_t seed, char out[TEXT_BYTES])
{
    static const char letters[] = "aaabbbccc  \n11\xc3\xa9\xc3\xa9.";
    const size_t size = hash_words3(seed, 4, 0) % TEXT_BYTES;

    for (size_t i = 0; i < size; i++)
        out[i] = letters[hash_words3(seed, 5, i) % (sizeof letters - 1)];
    return size;
}

static void check(const struct slow *slow, const char *name, uint64_t seed)
{
    struct tokenizer *t = open_slow(slow, name);
    struct fail fail;
    struct tokenizer_words *words = tokenizer_words_open(t, &fail);

    assert_non_null(words);
    assert_true(tokenizer_words_is_fast(words));
    for (uint64_t i = 0; i < TEXTS; i++) {
        static char texts[TEXTS][TEXT_BYTES];
        const size_t size = make_text(seed * TEXTS + i, texts[i]);
        int ids[TEXT_BYTES];
        const size_t expected_count = slow_encode(slow, pretoken_find(name, strlen(name)), texts[i], size, ids);
        int64_t expected[TEXT_BYTES + 1];
        const uint32_t *found;
        size_t count;

        for (size_t at = 0; at < expected_count; at++)
            expected[at] = ids[at];
        expected[expected_count] = -1;
        vocab_encodes(t, texts[i], size, false, expected);
        assert_int_equal(tokenizer_words_encode(words, texts[i], size, &found, &count, &fail), 0);
        assert_int_equal(count, expected_count);
        for (size_t at = 0; at < count; at++)
            assert_int_equal(found[at], expected[at]);
    }
    tokenizer_words_close(words);
    tokenizer_close(t);
}

static void random_texts_get_the_ids_of_the_definition(void **state)
{
    static const char *const names[] = {"gpt-2", "llama-bpe", "tekken", "deepseek-coder"};
    struct slow slow;

    (void)state;
    for (uint64_t seed = 0; seed < VOCABULARIES; seed++) {
        make_slow(&slow, seed);
        check(&slow, names[seed % (sizeof names / sizeof names[0])], seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_texts_get_the_ids_of_the_definition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
