#include "slow_bpe.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "node/tokenizer/vocab.h"

enum { GAP = -1, CHARACTERS_MAX = 16 };

const struct slow_bpe_letter slow_bpe_letters[SLOW_BPE_LETTERS] = {
    {" ", ' '},
    {"\n", '\n'},
    {"a", 'a'},
    {"b", 'b'},
    {"c", 'c'},
    {"<", '<'},
    {"s", 's'},
    {">", '>'},
    {"\t", '\t'},
    {"\xc3\xa9", 0xe9},
    {"Z", 'Z'},
    {"\x80", 0},
    {"\xe2\x82\xac", 0x20ac},
    {"\xf0\x9f\x98\x80", 0x1f600},
};

struct symbols {
    int piece[SLOW_BPE_TEXT_MAX + 1]; /* or GAP */
    int letter[SLOW_BPE_TEXT_MAX + 1];
    bool begins_word[SLOW_BPE_TEXT_MAX + 1];
    int count;
};

static int add(struct slow_bpe *slow, const char *left, const char *right, int characters)
{
    char text[SLOW_BPE_PIECE_BYTES];

    snprintf(text, sizeof text, "%s%s", left, right);
    memcpy(slow->pieces[slow->piece_count], text, sizeof text);
    slow->characters[slow->piece_count] = characters;
    return slow->piece_count++;
}

/* One symbol for every letter, and one for the space that precedes a text. */
static void begin(const struct slow_bpe *slow, const int *text, int count, struct symbols *symbols)
{
    symbols->count = count + 1;
    for (int i = 0; i <= count; i++) {
        const int letter = i == 0 ? SLOW_BPE_SPACE : text[i - 1];

        symbols->letter[i] = letter;
        symbols->piece[i] = letter == SLOW_BPE_SPACE ? 0 : letter == SLOW_BPE_NEWLINE ? GAP : slow->letter_piece[letter];
        symbols->begins_word[i] = letter == SLOW_BPE_SPACE && i > 0 && symbols->letter[i - 1] != SLOW_BPE_SPACE;
    }
}

static bool is_pair(const struct symbols *symbols, int at)
{
    return at + 1 < symbols->count && symbols->piece[at] != GAP && symbols->piece[at + 1] != GAP && !symbols->begins_word[at + 1];
}

static void apply(struct symbols *symbols, const struct slow_bpe_merge *merge)
{
    for (int i = 0; i < symbols->count; i++) {
        if (!is_pair(symbols, i) || symbols->piece[i] != merge->left || symbols->piece[i + 1] != merge->right)
            continue;
        symbols->piece[i] = merge->result;
        symbols->count--;
        for (int j = i + 1; j < symbols->count; j++) {
            symbols->piece[j] = symbols->piece[j + 1];
            symbols->letter[j] = symbols->letter[j + 1];
            symbols->begins_word[j] = symbols->begins_word[j + 1];
        }
    }
}

/* The letter that becomes a piece next, or 0. */
static int best_letter(const struct slow_bpe *slow, const int *occurrences, int total, int room)
{
    int best = 0;

    for (int letter = SLOW_BPE_OTHERS; letter < SLOW_BPE_LETTERS; letter++) {
        const uint32_t code_point = slow_bpe_letters[letter].code_point;
        const bool is_frequent = occurrences[letter] >= 2 && occurrences[letter] * 64 * room >= total;

        if (code_point == 0 || !is_frequent || slow->letter_piece[letter] != GAP)
            continue;
        if (best == 0 || occurrences[letter] > occurrences[best] ||
            (occurrences[letter] == occurrences[best] && code_point < slow_bpe_letters[best].code_point))
            best = letter;
    }
    return best;
}

static void add_letters(struct slow_bpe *slow, const int *text, int count, int room)
{
    int occurrences[SLOW_BPE_LETTERS] = {0};

    for (int i = 0; i < count; i++)
        occurrences[text[i]]++;
    for (int letter = 0; letter < SLOW_BPE_LETTERS; letter++)
        slow->letter_piece[letter] = GAP;
    for (int chosen = 0; chosen < (room + 1) / 2; chosen++) {
        const int letter = best_letter(slow, occurrences, count + 1, room);

        if (letter == 0)
            break;
        slow->letter_piece[letter] = add(slow, slow_bpe_letters[letter].text, "", 1);
    }
}

static bool may_join(const struct slow_bpe *slow, int left, int right)
{
    char text[2 * SLOW_BPE_PIECE_BYTES];

    snprintf(text, sizeof text, "%s%s", slow->pieces[left], slow->pieces[right]);
    return slow->characters[left] + slow->characters[right] <= CHARACTERS_MAX && strcmp(text, "<s>") != 0;
}

/* The most frequent pair that may be a piece, the first of equals; false when none occurs twice. */
static bool best_pair(const struct slow_bpe *slow, const struct symbols *symbols, struct slow_bpe_merge *best)
{
    static int counts[SLOW_BPE_PIECES_MAX][SLOW_BPE_PIECES_MAX];
    int best_count = 1;

    memset(counts, 0, sizeof counts);
    for (int i = 0; i < symbols->count; i++)
        if (is_pair(symbols, i))
            counts[symbols->piece[i]][symbols->piece[i + 1]]++;
    for (int left = 0; left < slow->piece_count; left++) {
        for (int right = 0; right < slow->piece_count; right++) {
            if (counts[left][right] <= best_count || !may_join(slow, left, right))
                continue;
            best_count = counts[left][right];
            *best = (struct slow_bpe_merge){.left = left, .right = right};
        }
    }
    return best_count > 1;
}

void slow_bpe_learn(struct slow_bpe *slow, const int *text, int count, int room)
{
    struct symbols symbols;

    slow->piece_count = slow->merge_count = 0;
    add(slow, "\xe2\x96\x81", "", 1);
    add(slow, "\n", "", 1);
    add(slow, "\n\n", "", 2);
    add_letters(slow, text, count, room);
    begin(slow, text, count, &symbols);
    while (slow->piece_count < room + 3) {
        struct slow_bpe_merge *merge = &slow->merges[slow->merge_count];

        if (!best_pair(slow, &symbols, merge))
            break;
        merge->result = add(slow, slow->pieces[merge->left], slow->pieces[merge->right],
                            slow->characters[merge->left] + slow->characters[merge->right]);
        apply(&symbols, merge);
        slow->merge_count++;
    }
}

size_t slow_bpe_encode(const struct slow_bpe *slow, const int *text, int count, uint32_t *ids)
{
    struct symbols symbols;
    size_t written = 0;

    begin(slow, text, count, &symbols);
    for (int i = 0; i < slow->merge_count; i++)
        apply(&symbols, &slow->merges[i]);
    for (int i = 0; i < symbols.count; i++) {
        const char *letter = slow_bpe_letters[symbols.letter[i]].text;

        if (symbols.piece[i] != GAP) {
            ids[written++] = (uint32_t)(VOCAB_TEXT + symbols.piece[i]);
        } else if (symbols.letter[i] == SLOW_BPE_NEWLINE) {
            const bool is_double = i + 1 < symbols.count && symbols.letter[i + 1] == SLOW_BPE_NEWLINE;

            ids[written++] = is_double ? VOCAB_NEWLINES : VOCAB_NEWLINE;
            i += is_double;
        } else {
            for (; *letter != '\0'; letter++)
                ids[written++] = VOCAB_BYTES + (unsigned char)*letter;
        }
    }
    return written;
}
