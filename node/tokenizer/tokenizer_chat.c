/* A question to a model that answers: what a user says, between the tokens that tell the model who speaks.
 *
 * In the file the model's own form is a program in Jinja (tokenizer.chat_template). It is not run: what it contains tells which of the
 * forms below it is. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer_load.h"

#define KEY_TEMPLATE "tokenizer.chat_template"

enum { MARKS_MAX = 3 };

struct form {
    const char *marks[MARKS_MAX];  /* all of them are in the template, */
    const char *tokens[MARKS_MAX]; /* and these are control or user-defined tokens of the vocabulary */
    const char *unless;            /* and this is not */
    const char *trims;             /* if this is in the template, too, spaces around what the user says are left out */
    const char *before, *after;    /* what the user says stands between them */
};

/* The first one that fits counts. */
static const struct form forms[] = {
    {.marks = {"<|im_start|>", "<|im_sep|>"},
     .tokens = {"<|im_start|>", "<|im_sep|>", "<|im_end|>"},
     .before = "<|im_start|>user<|im_sep|>",
     .after = "<|im_end|><|im_start|>assistant<|im_sep|>"},
    {.marks = {"<|im_start|>", "<|im_end|>"},
     .unless = "<|im_sep|>",
     .tokens = {"<|im_start|>", "<|im_end|>"},
     .before = "<|im_start|>user\n",
     .after = "<|im_end|>\n<|im_start|>assistant\n"},
    {.marks = {"<|start_header_id|>", "<|eot_id|>"},
     .tokens = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
     .trims = "trim",
     .before = "<|start_header_id|>user<|end_header_id|>\n\n",
     .after = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"},
    {.marks = {"<\xef\xbd\x9cUser\xef\xbd\x9c>", "<\xef\xbd\x9c"
                                                 "Assistant\xef\xbd\x9c>"},
     .tokens = {"<\xef\xbd\x9cUser\xef\xbd\x9c>", "<\xef\xbd\x9c"
                                                  "Assistant\xef\xbd\x9c>"},
     .before = "<\xef\xbd\x9cUser\xef\xbd\x9c>",
     .after = "<\xef\xbd\x9c"
              "Assistant\xef\xbd\x9c>"},
    {.marks = {"<|user|>\\n' + message['content'] + eos_token"},
     .tokens = {"</s>"},
     .before = "<|user|>\n",
     .after = "</s>\n<|assistant|>\n"},
    {.marks = {"<|user|>\n' + message['content'] + eos_token"}, /* the same, with a newline instead of its escape */
     .tokens = {"</s>"},
     .before = "<|user|>\n",
     .after = "</s>\n<|assistant|>\n"},
    {.marks = {"[INST] ", " [/INST]"}, .trims = ".strip()", .before = "[INST] ", .after = " [/INST]"},
    {.marks = {"[INST] ", "[/INST]"}, .before = "[INST] ", .after = "[/INST]"},
    {.marks = {"[INST]", "[/INST]"}, .before = "[INST]", .after = "[/INST]"},
};

static bool is_token(const struct piece *piece)
{
    return (piece->type == PIECE_CONTROL || piece->type == PIECE_USER_DEFINED) && piece->text_size > 0;
}

/* The control or user-defined token with which this text begins, the longest one; or -1. */
static int64_t token_at(const struct tokenizer *t, const char *text, size_t size)
{
    int64_t found = -1;

    for (uint32_t id = 0; id < t->count; id++) {
        const struct piece *piece = &t->pieces[id];

        if (is_token(piece) && piece->text_size <= size && memcmp(piece->text, text, piece->text_size) == 0 &&
            (found < 0 || piece->text_size > t->pieces[found].text_size))
            found = id;
    }
    return found;
}

/* The first token in a text: where it begins, or `size`. */
static size_t find_token(const struct tokenizer *t, const char *text, size_t size, int64_t *id)
{
    for (size_t at = 0; at < size; at++)
        if ((text[at] == '<' || text[at] == '[') && (*id = token_at(t, text + at, size - at)) >= 0)
            return at;
    *id = -1;
    return size;
}

/* A vocabulary without usual pieces could make more ids of a form than there is room for. */
static void append(struct tokenizer_chat_ids *list, const uint32_t *ids, size_t count)
{
    if (list->count + count > TOKENIZER_CHAT_IDS_MAX)
        list->is_cut = true;
    for (size_t i = 0; i < count && list->count < TOKENIZER_CHAT_IDS_MAX; i++)
        list->ids[list->count++] = ids[i];
}

static int append_text(const struct tokenizer *t, struct tokenizer_chat_ids *list, const char *text, size_t size, struct fail *fail)
{
    uint32_t *ids = NULL;
    size_t count = 0;
    int result;

    if (size == 0)
        return 0;
    result = tokenizer_encode(t, text, size, false, &ids, &count, fail);
    if (result == 0)
        append(list, ids, count);
    free(ids);
    return result;
}

/* Tokens, and texts before tokens; *rest is the text after the last token. */
static int encode_tokens(const struct tokenizer *t, struct tokenizer_chat_ids *list, const char *text, const char **rest, struct fail *fail)
{
    int64_t id;

    for (;;) {
        const size_t size = strlen(text), at = find_token(t, text, size, &id);
        uint32_t token = (uint32_t)id;

        *rest = text;
        if (id < 0)
            return 0;
        if (append_text(t, list, text, at, fail) < 0)
            return -1;
        append(list, &token, 1);
        text += at + t->pieces[id].text_size;
    }
}

static bool contains(const struct gguf_string *template, const char *mark)
{
    return memmem(template->text, template->size, mark, strlen(mark)) != NULL;
}

static int make(struct tokenizer *t, const struct form *form, const struct gguf_string *template, struct fail *fail)
{
    struct tokenizer_chat *chat = &t->chat;
    const char *rest;
    int64_t id;

    chat->tail = form->after;
    chat->tail_size = find_token(t, form->after, strlen(form->after), &id);
    if (encode_tokens(t, &chat->before, form->before, &chat->lead, fail) < 0 ||
        encode_tokens(t, &chat->after, form->after + chat->tail_size, &rest, fail) < 0)
        return -1;
    chat->lead_size = strlen(chat->lead);
    chat->trims = form->trims != NULL && contains(template, form->trims);
    if (id >= 0 && append_text(t, &chat->after, rest, strlen(rest), fail) < 0)
        return -1;
    if (!chat->before.is_cut && !chat->after.is_cut)
        chat->state = TOKENIZER_CHAT_KNOWN;
    return 0;
}

static bool has_token(const struct tokenizer *t, const char *name)
{
    const int64_t id = token_at(t, name, strlen(name));

    return id >= 0 && t->pieces[id].text_size == strlen(name);
}

static bool fits(const struct tokenizer *t, const struct form *form, const struct gguf_string *template)
{
    for (size_t i = 0; i < MARKS_MAX; i++) {
        const char *mark = form->marks[i];

        if ((mark != NULL && !contains(template, mark)) || (form->tokens[i] != NULL && !has_token(t, form->tokens[i])))
            return false;
    }
    return form->unless == NULL || !contains(template, form->unless);
}

int tokenizer_chat_load(struct tokenizer *t, const struct gguf *gguf, struct fail *fail)
{
    struct gguf_string template = {0};
    const int found = gguf_get_string(gguf, KEY_TEMPLATE, &template, fail);

    if (found <= 0)
        return found;
    t->chat.state = TOKENIZER_CHAT_UNKNOWN;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (fits(t, &forms[i], &template))
            return make(t, &forms[i], &template, fail);
    return 0;
}

int tokenizer_check_chat(const struct tokenizer *tokenizer, struct fail *fail)
{
    switch (tokenizer->chat.state) {
    case TOKENIZER_CHAT_MISSING:
        return fail_set(fail, EXIT_USAGE, "--chat: the model has no " KEY_TEMPLATE ", so it is not made for questions: leave out --chat");
    case TOKENIZER_CHAT_UNKNOWN:
        return fail_set(fail, EXIT_USAGE,
                        "--chat: the model's " KEY_TEMPLATE " is none of the forms that are known (ChatML, Phi 4, Llama 2 and 3, Mistral, "
                        "Zephyr, DeepSeek), or the vocabulary lacks its tokens: write the question in the model's form, without --chat");
    default:
        return 0;
    }
}
