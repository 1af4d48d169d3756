#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/hash.h"
#include "node/tokenizer/vocab_learn.h"
#include "tests/unit/sha256.h"
#include "tests/unit/slow_bpe.h"

#define MARK "\xe2\x96\x81"

static struct vocab learn(const char *text, uint32_t count)
{
    struct vocab vocab;
    struct fail fail;

    if (vocab_learn(&vocab, text, strlen(text), count, &fail) < 0)
        fail_msg("%s", fail.text);
    return vocab;
}

static bool has(const struct vocab *vocab, const char *text)
{
    for (uint32_t id = VOCAB_TEXT; id < vocab->count; id++)
        if (vocab->pieces[id].size == strlen(text) && memcmp(vocab->pieces[id].text, text, strlen(text)) == 0)
            return true;
    return false;
}

static struct tokenizer *open_tokenizer(const struct vocab *vocab)
{
    struct fail fail;
    struct tokenizer *tokenizer = vocab_tokenizer(vocab, &fail);

    if (tokenizer == NULL)
        fail_msg("%s", fail.text);
    return tokenizer;
}

/* Random letters, later ones of the list less frequent; never three newlines in a row or one at either end. Text has room for 4 bytes
 * each. */
static void random_text(uint64_t seed, int count, int *letter, char *text)
{
    for (int i = 0; i < count; i++) {
        const uint64_t drawn = hash_words3(seed, 1, (uint64_t)i), most = 3 + hash_words3(seed, 2, 0) % (SLOW_BPE_LETTERS - 2);

        letter[i] = (int)(drawn % most * (drawn >> 32 & 0xff) >> 8);
        if (letter[i] == SLOW_BPE_NEWLINE && (i == 0 || i == count - 1 || letter[i - 1] == SLOW_BPE_NEWLINE))
            letter[i] = SLOW_BPE_OTHERS;
        text = stpcpy(text, slow_bpe_letters[letter[i]].text);
    }
}

static void check_encoding(const struct slow_bpe *slow, const struct tokenizer *tokenizer, const int *letter, int count, const char *text)
{
    uint32_t expected[4 * SLOW_BPE_TEXT_MAX];
    const size_t expected_count = slow_bpe_encode(slow, letter, count, expected);
    struct fail fail;
    uint32_t *ids;
    size_t id_count;

    assert_int_equal(tokenizer_encode(tokenizer, text, strlen(text), false, &ids, &id_count, &fail), 0);
    assert_int_equal(id_count, expected_count);
    assert_memory_equal(ids, expected, id_count * sizeof *ids);
    free(ids);
}

static void the_pieces_are_those_of_the_definition_and_the_tokenizer_repeats_the_merges(void **state)
{
    static struct slow_bpe slow;
    int letter[SLOW_BPE_TEXT_MAX];
    char text[4 * SLOW_BPE_TEXT_MAX];

    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        const int room = (int)(hash_words3(seed, 3, 0) % 60), count = 20 + (int)(hash_words3(seed, 4, 0) % (SLOW_BPE_TEXT_MAX - 21));
        struct vocab vocab;
        struct tokenizer *tokenizer;

        random_text(seed, count, letter, text);
        slow_bpe_learn(&slow, letter, count, room);
        vocab = learn(text, VOCAB_MIN + (uint32_t)room);
        assert_int_equal(vocab.count, VOCAB_TEXT + slow.piece_count);
        for (int i = 0; i < slow.piece_count; i++) {
            const struct vocab_piece *piece = &vocab.pieces[VOCAB_TEXT + i];

            if (piece->size != strlen(slow.pieces[i]) || memcmp(piece->text, slow.pieces[i], piece->size) != 0)
                fail_msg("seed %llu: piece %d is '%.*s', expected '%s'", (unsigned long long)seed, i, (int)piece->size, piece->text,
                         slow.pieces[i]);
        }
        tokenizer = open_tokenizer(&vocab);
        check_encoding(&slow, tokenizer, letter, count, text);
        random_text(seed + 1000, count, letter, text);
        check_encoding(&slow, tokenizer, letter, count, text);
        tokenizer_close(tokenizer);
        vocab_release(&vocab);
    }
}

static const char story[] =
    "The cat sat on the mat. The cat saw the rat, and the rat saw the cat.\n\nThat was that, said the cat; that was that.\n"
    "\tAnd the hat? The hat sat on the cat, that sat on the mat, and that was that.";

static void no_two_pieces_are_alike(void **state)
{
    struct vocab vocab = learn(story, 400);

    (void)state;
    for (uint32_t a = 0; a < vocab.count; a++)
        for (uint32_t b = 0; b < a; b++)
            assert_false(vocab.pieces[a].size == vocab.pieces[b].size &&
                         memcmp(vocab.pieces[a].text, vocab.pieces[b].text, vocab.pieces[a].size) == 0);
    vocab_release(&vocab);
}

static void there_are_never_more_tokens_than_asked_for_and_fewer_when_nothing_repeats(void **state)
{
    (void)state;
    for (uint32_t count = VOCAB_MIN; count < VOCAB_MIN + 40; count++) {
        struct vocab vocab = learn(story, count);

        assert_int_equal(vocab.count, count);
        vocab_release(&vocab);
    }

    struct vocab vocab = learn(story, 5000);

    assert_in_range(vocab.count, VOCAB_MIN + 40, 500);
    vocab_release(&vocab);
    vocab = learn("abcdefg", 5000); /* nothing occurs twice */
    assert_int_equal(vocab.count, VOCAB_MIN);
    vocab_release(&vocab);
}

static void a_vocabulary_is_the_beginning_of_a_larger_one_with_the_same_characters(void **state)
{
    struct vocab small = learn(story, VOCAB_MIN + 38), large = learn(story, VOCAB_MIN + 40);

    (void)state;
    for (uint32_t id = 0; id < small.count; id++)
        assert_memory_equal(small.pieces[id].text, large.pieces[id].text, small.pieces[id].size);
    vocab_release(&small);
    vocab_release(&large);
}

static void equal_counts_are_decided_by_code_point_and_by_earlier_pieces(void **state)
{
    static const char *const expected[] = {"a", "b", "y", "z", "ab", "yz", MARK "yz", MARK "ab"};
    struct vocab vocab = learn("yz\nab\nzy\nba\nyz\nab yz ab yz ab", 5000);

    /* Six of each letter; (a b) and (y z) four times; then (space yz) three times, as the first word has a space too, (space ab) twice. */
    (void)state;
    assert_int_equal(vocab.count, VOCAB_MIN + 8);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(vocab.pieces[VOCAB_MIN + i].size, strlen(expected[i]));
        assert_memory_equal(vocab.pieces[VOCAB_MIN + i].text, expected[i], strlen(expected[i]));
    }
    vocab_release(&vocab);
}

static void frequent_characters_are_pieces_and_rare_ones_are_not(void **state)
{
    static const char rare[] = "qqqqqqqqqqqqqqqqZZZZZZZZZZZZZZZ\xe2\x82\xac"; /* 16 and 15 times, and once */
    enum { ROOM = 100, CHARACTERS = 16 * 64 * ROOM, COMMON = CHARACTERS - 16 - 15 - 1 - 1 /* the space before the text */ };
    char *text = malloc(COMMON + sizeof rare);
    struct vocab vocab;

    (void)state;
    assert_non_null(text);
    memset(text, 'a', COMMON);
    memcpy(text + COMMON, rare, sizeof rare);
    vocab = learn(text, VOCAB_MIN + ROOM);
    assert_true(has(&vocab, "a"));
    assert_true(has(&vocab, "q"));
    assert_false(has(&vocab, "Z"));
    assert_false(has(&vocab, "\xe2\x82\xac"));
    vocab_release(&vocab);
    free(text);
}

static void characters_take_half_of_the_room_at_most(void **state)
{
    struct vocab vocab = learn("abab abab cdcd efef ghgh abab cdcd", VOCAB_MIN + 4);

    (void)state;
    assert_int_equal(vocab.count, VOCAB_MIN + 4);
    assert_true(has(&vocab, "a") && has(&vocab, "b"));
    assert_false(has(&vocab, "c"));
    assert_true(has(&vocab, "ab"));
    vocab_release(&vocab);
}

static void no_piece_goes_from_one_word_into_the_next(void **state)
{
    struct vocab vocab = learn("a b\nc a b\nc a b\nc a" MARK "b a" MARK "b  a  b  a  b", 400);

    (void)state;
    for (uint32_t id = VOCAB_MIN; id < vocab.count; id++) {
        const struct vocab_piece *piece = &vocab.pieces[id];
        const char *mark = memmem(piece->text + 1, piece->size - 1, MARK, 3);

        assert_null(memchr(piece->text, '\n', piece->size));
        assert_true(mark == NULL || memcmp(mark - 3, MARK, 3) == 0);
    }
    assert_true(has(&vocab, MARK MARK "a"));
    vocab_release(&vocab);
}

static void names_of_special_tokens_are_not_learnt(void **state)
{
    struct vocab vocab = learn("x<s>x<s>y<s>y<s> <0x0A><0x0A>\n<unk>\n<unk>", 400);

    (void)state;
    for (uint32_t id = VOCAB_TEXT; id < vocab.count; id++)
        assert_false(vocab_is_reserved(vocab.pieces[id].text, vocab.pieces[id].size));
    assert_true(has(&vocab, "<s"));
    vocab_release(&vocab);
}

static void pieces_have_sixteen_characters_at_most(void **state)
{
    char text[301];
    struct vocab vocab;

    (void)state;
    memset(text, '=', 300);
    text[300] = '\0';
    vocab = learn(text, 400);
    assert_true(has(&vocab, "================"));
    for (uint32_t id = VOCAB_MIN; id < vocab.count; id++)
        assert_in_range(vocab.pieces[id].size, 1, 18); /* a space mark has three bytes */
    vocab_release(&vocab);
}

static void the_first_word_of_a_document_counts_with_its_space(void **state)
{
    struct vocab vocab = learn("once\n\n\nonce\r\n\r\n\r\n\nonce", 400);

    (void)state;
    assert_true(has(&vocab, MARK "once"));
    assert_false(has(&vocab, "\r"));
    vocab_release(&vocab);
}

static size_t spaces_for_marks(char *text, size_t size)
{
    size_t written = 0;

    for (size_t i = 0; i < size; written++) {
        const bool is_mark = size - i >= 3 && memcmp(text + i, MARK, 3) == 0;

        text[written] = is_mark ? ' ' : text[i];
        i += is_mark ? 3 : 1;
    }
    return written;
}

/* A space that a broken character has taken in comes back as the bytes of U+2581. */
static void check_round_trip(const struct tokenizer *tokenizer, const char *text, size_t size)
{
    char *decoded = malloc(3 * size + 4), *expected = malloc(size + 1);
    uint32_t *ids;
    size_t count, end = 0, piece_size;
    struct fail fail;

    assert_non_null(decoded);
    assert_non_null(expected);
    assert_int_equal(tokenizer_encode(tokenizer, text, size, true, &ids, &count, &fail), 0);
    for (size_t i = 0; i < count; i++) {
        const char *piece = tokenizer_piece(tokenizer, ids[i], &piece_size);

        memcpy(decoded + end, piece, piece_size);
        end += piece_size;
    }
    assert_true(end > 0 && decoded[0] == ' ');
    memmove(decoded, decoded + 1, --end);
    memcpy(expected, text, size);
    end = spaces_for_marks(decoded, end);
    assert_int_equal(end, spaces_for_marks(expected, size));
    assert_memory_equal(decoded, expected, end);
    free(ids);
    free(decoded);
    free(expected);
}

static void any_text_comes_back_from_its_ids(void **state)
{
    static const char *const texts[] = {
        "a",
        "  The cat\t sat",
        "\n\n\n\n The",
        "\xf0\x9f\x98\x80\xf0\x9f\x91\x8d\xef\xb8\x8f",
        "na\xc3\xafve caf\xc3\xa9 \xe4\xb8\xad",
        "\xff\xfe\xc3",
        "\xf0\x9f cat",
        "the\xe2\x96",
        " ",
        "\r\n",
        "<s></s><0x0A>",
    };
    struct vocab vocab = learn(story, 400);
    struct tokenizer *tokenizer = open_tokenizer(&vocab);
    char bytes[200];

    (void)state;
    check_round_trip(tokenizer, story, strlen(story));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        check_round_trip(tokenizer, texts[i], strlen(texts[i]));
    for (uint64_t seed = 0; seed < 300; seed++) {
        for (size_t i = 0; i < sizeof bytes; i++) {
            const uint64_t drawn = hash_words3(seed, 5, i);

            bytes[i] = drawn % 3 == 0 ? " \nate\xc3\xe2\xf0"[drawn >> 8 & 7] : (char)(drawn >> 8);
        }
        check_round_trip(tokenizer, bytes, sizeof bytes);
    }
    tokenizer_close(tokenizer);
    vocab_release(&vocab);
}

static void any_bytes_can_be_learnt_from(void **state)
{
    char bytes[2000];

    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct vocab vocab;
        struct tokenizer *tokenizer;
        struct fail fail;

        for (size_t i = 0; i < sizeof bytes; i++) {
            const uint64_t drawn = hash_words3(seed, 6, i);

            bytes[i] = drawn % 4 < 3 ? " \nate\xc3\xe2\x96"[drawn >> 8 & 7] : (char)(1 + drawn % 255);
        }
        assert_int_equal(vocab_learn(&vocab, bytes, sizeof bytes, 500, &fail), 0);
        tokenizer = open_tokenizer(&vocab);
        check_round_trip(tokenizer, bytes, sizeof bytes);
        tokenizer_close(tokenizer);
        vocab_release(&vocab);
    }
}

static void the_same_text_gives_the_same_vocabulary_on_every_machine(void **state)
{
    struct vocab vocab = learn(story, 350);
    struct gguf_write writer;
    struct fail fail;
    char hex[65];

    (void)state;
    gguf_write_init(&writer);
    vocab_write(&vocab, &writer);
    assert_int_equal(gguf_write_finish(&writer, &fail), 0);
    sha256_hex(writer.bytes, writer.size, hex);
    assert_string_equal(hex, "63e2bf1db5c68e88a8aed11d04884f8dc951eab937b5b83f37ea80f09f2c213f");
    gguf_write_release(&writer);
    vocab_release(&vocab);
}

static void check_refused(const char *text, size_t size, uint32_t count, enum exit_code code, const char *message)
{
    struct vocab vocab;
    struct fail fail = {0};

    assert_int_equal(vocab_learn(&vocab, text, size, count, &fail), -1);
    assert_int_equal(fail.exit_code, code);
    assert_non_null(strstr(fail.text, message));
}

static void a_text_that_is_empty_or_binary_is_refused(void **state)
{
    (void)state;
    check_refused("", 0, 400, EXIT_BAD_FILE, "text: is empty: give one");
    check_refused("\n\n", 2, 400, EXIT_BAD_FILE, "text: has nothing but newlines: give one");
    check_refused("ab\0c", 4, 400, EXIT_BAD_FILE, "text: has a byte 0 at offset 2: is binary data: give a plain text file");
}

static void a_number_of_tokens_that_is_not_possible_is_refused(void **state)
{
    (void)state;
    check_refused("a", 1, VOCAB_MIN - 1, EXIT_USAGE, "vocabulary: 261 tokens: not possible: give a number from 262 to 1048576");
    check_refused("a", 1, VOCAB_MAX + 1, EXIT_USAGE, "vocabulary: 1048577 tokens: not possible");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pieces_are_those_of_the_definition_and_the_tokenizer_repeats_the_merges),
        cmocka_unit_test(no_two_pieces_are_alike),
        cmocka_unit_test(there_are_never_more_tokens_than_asked_for_and_fewer_when_nothing_repeats),
        cmocka_unit_test(a_vocabulary_is_the_beginning_of_a_larger_one_with_the_same_characters),
        cmocka_unit_test(equal_counts_are_decided_by_code_point_and_by_earlier_pieces),
        cmocka_unit_test(frequent_characters_are_pieces_and_rare_ones_are_not),
        cmocka_unit_test(characters_take_half_of_the_room_at_most),
        cmocka_unit_test(no_piece_goes_from_one_word_into_the_next),
        cmocka_unit_test(names_of_special_tokens_are_not_learnt),
        cmocka_unit_test(pieces_have_sixteen_characters_at_most),
        cmocka_unit_test(the_first_word_of_a_document_counts_with_its_space),
        cmocka_unit_test(any_text_comes_back_from_its_ids),
        cmocka_unit_test(any_bytes_can_be_learnt_from),
        cmocka_unit_test(the_same_text_gives_the_same_vocabulary_on_every_machine),
        cmocka_unit_test(a_text_that_is_empty_or_binary_is_refused),
        cmocka_unit_test(a_number_of_tokens_that_is_not_possible_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
