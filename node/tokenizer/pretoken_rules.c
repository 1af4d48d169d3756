/* What each value of tokenizer.ggml.pre stands for.
 *
 * The patterns are those of the models' own tokenizers; names are gathered as converters and other programs do. Two patterns look alike
 * where no text could tell them apart: a model whose digits are cut one by one has no token of two. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "pretoken.h"

#define GPT_2_WORDS                                 \
    {                                               \
        .contractions = PRETOKEN_SMALL_CONTRACTIONS \
    }

static const struct pretoken_rule gpt_2 = {.stages = {{.set = PRETOKEN_WORDS}}, .words = GPT_2_WORDS};

static const struct pretoken_rule single_digits = {
    .stages = {{.set = PRETOKEN_NUMBER, .most = 1}, {.set = PRETOKEN_WORDS}},
    .words = GPT_2_WORDS,
};

static const struct pretoken_rule falcon = {
    .stages = {{.set = PRETOKEN_SIGN_OR_GRAVE}, {.set = PRETOKEN_WORDS}, {.set = PRETOKEN_DIGIT, .least = 3, .most = 3}},
    .words = GPT_2_WORDS,
};

static const struct pretoken_rule unnamed = {
    .stages = {{.set = PRETOKEN_SIGN}, {.set = PRETOKEN_WORDS}, {.set = PRETOKEN_NUMBER}, {.set = PRETOKEN_DIGIT, .least = 3, .most = 3}},
    .words = GPT_2_WORDS,
};

static const struct pretoken_rule llama_3 = {
    .stages = {{.set = PRETOKEN_WORDS}},
    .words = {.contractions = PRETOKEN_ANY_CONTRACTIONS,
              .is_any_before_letters = true,
              .is_newline_end = true,
              .numbers_max = 3,
              .after_signs = "\r\n"},
};

static const struct pretoken_rule qwen_2 = {
    .stages = {{.set = PRETOKEN_WORDS}},
    .words = {.contractions = PRETOKEN_ANY_CONTRACTIONS,
              .is_any_before_letters = true,
              .is_newline_end = true,
              .numbers_max = 1,
              .after_signs = "\r\n"},
};

static const struct pretoken_rule seed_coder = {
    .stages = {{.set = PRETOKEN_WORDS}},
    .words = {.contractions = PRETOKEN_ANY_CONTRACTIONS, .is_any_before_letters = true, .is_newline_end = true, .numbers_max = 1},
};

static const struct pretoken_rule tekken = {
    .stages = {{.set = PRETOKEN_WORDS}},
    .words = {.is_any_before_letters = true, .is_by_case = true, .is_newline_end = true, .numbers_max = 1, .after_signs = "\r\n/"},
};

static const struct pretoken_rule gpt_4o = {
    .stages = {{.set = PRETOKEN_WORDS}},
    .words = {.contractions = PRETOKEN_AFTER_LETTERS,
              .is_any_before_letters = true,
              .is_by_case = true,
              .is_newline_end = true,
              .numbers_max = 3,
              .after_signs = "\r\n/"},
};

static const struct pretoken_rule deepseek_llm = {
    .stages = {{.set = PRETOKEN_NEWLINE, .most = 1},
               {.set = PRETOKEN_DEEPSEEK_LETTER, .is_spaced = true},
               {.set = PRETOKEN_DEEPSEEK_SIGN, .is_spaced = true},
               {.set = PRETOKEN_SPACE, .is_last = true},
               {.set = PRETOKEN_DEEPSEEK_IDEOGRAPH},
               {.set = PRETOKEN_NUMBER}},
};

static const struct pretoken_rule deepseek_coder = {
    .stages = {{.set = PRETOKEN_NEWLINE, .most = 1},
               {.set = PRETOKEN_LETTER, .is_spaced = true},
               {.set = PRETOKEN_PUNCTUATION, .is_spaced = true},
               {.set = PRETOKEN_DEEPSEEK_IDEOGRAPH},
               {.set = PRETOKEN_NUMBER, .most = 1}},
};

/* Names of one rule stand together, the best known one first. */
static const struct pretoken all[] = {
    {"llama-bpe", &llama_3, true, true},
    {"llama3", &llama_3, true, true},
    {"llama-v3", &llama_3, true, true},
    {"falcon3", &llama_3, true, true},
    {"falcon-h1", &llama_3, true, true},
    {"pixtral", &llama_3, true, true},
    {"midm-2.0", &llama_3, true, true},
    {"lfm2", &llama_3, true, true},
    {"dbrx", &llama_3, false, false},
    {"smaug-bpe", &llama_3, false, false},
    {"glm4", &llama_3, false, false},
    {"chatglm-bpe", &llama_3, false, false},
    {"qwen2", &qwen_2, false, false},
    {"deepseek-r1-qwen", &qwen_2, false, false},
    {"megrez", &qwen_2, false, false},
    {"kormo", &qwen_2, false, false},
    {"stablelm2", &qwen_2, false, false},
    {"hunyuan", &qwen_2, false, false},
    {"solar-open", &qwen_2, false, false},
    {"grok-2", &qwen_2, false, false},
    {"seed-coder", &seed_coder, false, false},
    {"tekken", &tekken, true, true},
    {"gpt-4o", &gpt_4o, false, false},
    {"llama4", &gpt_4o, false, false},
    {"kanana2", &gpt_4o, false, false},
    {"smollm", &single_digits, false, false},
    {"starcoder", &single_digits, false, false},
    {"refact", &single_digits, false, false},
    {"command-r", &single_digits, false, false},
    {"codeshell", &single_digits, false, false},
    {"exaone", &single_digits, false, false},
    {"minerva-7b", &single_digits, false, false},
    {"mellum2", &single_digits, false, false},
    {"gpt-2", &gpt_2, false, false},
    {"phi-2", &gpt_2, false, false},
    {"mpt", &gpt_2, false, false},
    {"olmo", &gpt_2, false, false},
    {"jais", &gpt_2, false, false},
    {"gigachat", &gpt_2, false, false},
    {"a.x-4.0", &gpt_2, false, false},
    {"mellum", &gpt_2, false, false},
    {"exaone4", &gpt_2, false, false},
    {"trillion", &gpt_2, false, false},
    {"granite-docling", &gpt_2, false, false},
    {"deepseek-llm", &deepseek_llm, false, false},
    {"deepseek-coder", &deepseek_coder, false, false},
    {"falcon", &falcon, false, false},
    {PRETOKEN_DEFAULT, &unnamed, false, false},
};

enum { NAME_COUNT = sizeof all / sizeof all[0] };

const struct pretoken *pretoken_find(const char *name, size_t size)
{
    for (size_t i = 0; i < NAME_COUNT; i++)
        if (strlen(all[i].name) == size && memcmp(all[i].name, name, size) == 0)
            return &all[i];
    return NULL;
}

const char *pretoken_names(char out[PRETOKEN_NAMES_BYTES])
{
    size_t written = 0;

    for (size_t i = 0; i < NAME_COUNT; i++) {
        if (i > 0 && all[i].rule == all[i - 1].rule)
            continue;
        written += (size_t)snprintf(out + written, PRETOKEN_NAMES_BYTES - written, "%s%s", i > 0 ? ", " : "", all[i].name);
        assert(written < PRETOKEN_NAMES_BYTES);
    }
    return out;
}
