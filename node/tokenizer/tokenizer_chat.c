/* A conversation with a model that answers: what is said, between the tokens that tell the model who speaks.
 *
 * In the file the model's own form is a program in Jinja (tokenizer.chat_template). It is not run: what it contains tells which of the
 * forms below it is, and which of a form's variants. */
#include <assert.h>
#include <string.h>

#include "tokenizer_load.h"

#define KEY_TEMPLATE   "tokenizer.chat_template"
#define DEEPSEEK(name) "<\xef\xbd\x9c" name "\xef\xbd\x9c>"

enum { MARKS_MAX = 3, SYSTEMS_MAX = 6, ANSWERS_MAX = 4 };

/* Texts around what is said. Of several the first one counts whose mark is NULL or in the template. */
struct around {
    const char *mark;
    const char *before, *after;       /* NULL: no more */
    enum tokenizer_chat_system place; /* of a system text */
};

struct form {
    const char *marks[MARKS_MAX];  /* all of them are in the template, */
    const char *tokens[MARKS_MAX]; /* and these are control or user-defined tokens of the vocabulary */
    const char *unless;            /* and this is not */
    const char *trims;             /* if this is in the template, too, spaces around what is said are left out */
    struct around user;
    const char *prompt; /* what the model continues */
    struct around systems[SYSTEMS_MAX], answers[ANSWERS_MAX];
    bool closes; /* EOS follows an earlier answer */
};

/* Of the forms with [INST]. */
#define BRACKETS                                                                                          \
    .closes = true, .prompt = "",                                                                         \
    .systems = {{"<<SYS>>", "<<SYS>>\n", "\n<</SYS>>\n\n", TOKENIZER_CHAT_SYSTEM_FIRST},                  \
                {"[SYSTEM_PROMPT] ", "[SYSTEM_PROMPT] ", "[/SYSTEM_PROMPT]", TOKENIZER_CHAT_SYSTEM_TURN}, \
                {"[SYSTEM_PROMPT]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", TOKENIZER_CHAT_SYSTEM_TURN},   \
                {"loop.last and system_message", "", "\n\n", TOKENIZER_CHAT_SYSTEM_LAST},                 \
                {"user_messages[-1]) and system_message", "", "\n\n", TOKENIZER_CHAT_SYSTEM_LAST},        \
                {"system_message", "", "\n\n", TOKENIZER_CHAT_SYSTEM_FIRST}},                             \
    .answers = {{.mark = "+ ' ' + eos_token", .before = " ", .after = " "},                               \
                {.mark = "' ' + message[", .before = " ", .after = ""},                                   \
                {.mark = "\" \" + message[", .before = " ", .after = ""},                                 \
                {.before = "", .after = ""}}

/* The first one that fits counts. */
static const struct form forms[] = {
    {.marks = {"<|im_start|>", "<|im_sep|>"},
     .tokens = {"<|im_start|>", "<|im_sep|>", "<|im_end|>"},
     .systems = {{.before = "<|im_start|>system<|im_sep|>", .after = "<|im_end|>"}},
     .user = {.before = "<|im_start|>user<|im_sep|>", .after = "<|im_end|>"},
     .answers = {{.before = "<|im_start|>assistant<|im_sep|>", .after = "<|im_end|>"}},
     .prompt = "<|im_start|>assistant<|im_sep|>"},
    {.marks = {"<|im_start|>", "<|im_end|>"},
     .unless = "<|im_sep|>",
     .tokens = {"<|im_start|>", "<|im_end|>"},
     .systems = {{.before = "<|im_start|>system\n", .after = "<|im_end|>\n"}},
     .user = {.before = "<|im_start|>user\n", .after = "<|im_end|>\n"},
     .answers = {{.before = "<|im_start|>assistant\n", .after = "<|im_end|>\n"}},
     .prompt = "<|im_start|>assistant\n"},
    {.marks = {"<|start_header_id|>", "<|eot_id|>"},
     .tokens = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
     .trims = "trim",
     .systems = {{.before = "<|start_header_id|>system<|end_header_id|>\n\n", .after = "<|eot_id|>"}},
     .user = {.before = "<|start_header_id|>user<|end_header_id|>\n\n", .after = "<|eot_id|>"},
     .answers = {{.before = "<|start_header_id|>assistant<|end_header_id|>\n\n", .after = "<|eot_id|>"}},
     .prompt = "<|start_header_id|>assistant<|end_header_id|>\n\n"},
    {.marks = {DEEPSEEK("User"), DEEPSEEK("Assistant")},
     .tokens = {DEEPSEEK("User"), DEEPSEEK("Assistant")},
     .systems = {{.before = "", .after = ""}},
     .user = {.before = DEEPSEEK("User"), .after = ""},
     .answers = {{.before = DEEPSEEK("Assistant"), .after = ""}},
     .closes = true,
     .prompt = DEEPSEEK("Assistant")},
    {.marks = {"<|user|>\\n' + message['content'] + eos_token"},
     .tokens = {"</s>"},
     .systems = {{.mark = "<|system|>", .before = "<|system|>\n", .after = "</s>\n"}},
     .user = {.before = "<|user|>\n", .after = "</s>\n"},
     .answers = {{.before = "<|assistant|>\n", .after = "</s>\n"}},
     .prompt = "<|assistant|>\n"},
    {.marks = {"<|user|>\n' + message['content'] + eos_token"}, /* the same, with a newline instead of its escape */
     .tokens = {"</s>"},
     .systems = {{.mark = "<|system|>", .before = "<|system|>\n", .after = "</s>\n"}},
     .user = {.before = "<|user|>\n", .after = "</s>\n"},
     .answers = {{.before = "<|assistant|>\n", .after = "</s>\n"}},
     .prompt = "<|assistant|>\n"},
    {.marks = {"[INST] ", " [/INST]"}, .trims = ".strip()", .user = {.before = "[INST] ", .after = " [/INST]"}, BRACKETS},
    {.marks = {"[INST] ", "[/INST]"}, .user = {.before = "[INST] ", .after = "[/INST]"}, BRACKETS},
    {.marks = {"[INST]", "[/INST]"}, .user = {.before = "[INST]", .after = "[/INST]"}, BRACKETS},
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

static void append(struct tokenizer_chat_words *words, const char *text, size_t size, int64_t id)
{
    if (size == 0 && id < 0)
        return;
    assert(words->count < TOKENIZER_CHAT_PARTS_MAX);
    words->part[words->count++] = (struct tokenizer_chat_part){.text = text, .size = size, .id = id};
}

/* Divides a text of the form at its tokens. */
static void divide(const struct tokenizer *t, const char *text, struct tokenizer_chat_words *words)
{
    int64_t id;

    do {
        const size_t at = find_token(t, text, strlen(text), &id);

        append(words, text, at, -1);
        text += at;
        if (id >= 0) {
            append(words, "", 0, id);
            text += t->pieces[id].text_size;
        }
    } while (id >= 0);
}

static bool contains(const struct gguf_string *template, const char *mark)
{
    return memmem(template->text, template->size, mark, strlen(mark)) != NULL;
}

static const struct around *choose(const struct around *choices, size_t count, const struct gguf_string *template)
{
    for (size_t i = 0; i < count && choices[i].before != NULL; i++)
        if (choices[i].mark == NULL || contains(template, choices[i].mark))
            return &choices[i];
    return NULL;
}

static void make_role(struct tokenizer *t, enum chat_role role, const struct around *around)
{
    divide(t, around->before, &t->chat.before[role]);
    divide(t, around->after, &t->chat.after[role]);
}

static void make(struct tokenizer *t, const struct form *form, const struct gguf_string *template)
{
    const struct around *system = choose(form->systems, SYSTEMS_MAX, template), *answer = choose(form->answers, ANSWERS_MAX, template);
    struct tokenizer_chat *chat = &t->chat;

    chat->system = system != NULL ? system->place : TOKENIZER_CHAT_SYSTEM_NOWHERE;
    if (system != NULL)
        make_role(t, CHAT_SYSTEM, system);
    make_role(t, CHAT_USER, &form->user);
    assert(answer != NULL);
    make_role(t, CHAT_ASSISTANT, answer);
    if (form->closes && t->eos >= 0)
        append(&chat->after[CHAT_ASSISTANT], "", 0, t->eos);
    chat->lacks_end = form->closes && t->eos < 0;
    divide(t, form->prompt, &chat->prompt);
    chat->trims = form->trims != NULL && contains(template, form->trims);
    chat->trims_answers = chat->trims || contains(template, "trim + eos_token");
    chat->repeats_bos = contains(template, "bos_token + '[INST]");
    chat->drops_thoughts = contains(template, ".split('</think>')[-1]");
    chat->drops_newlines = contains(template, ".split('</think>')[-1].lstrip('\\n')");
    chat->state = TOKENIZER_CHAT_KNOWN;
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
    for (size_t i = 0; i < sizeof forms / sizeof *forms && t->chat.state != TOKENIZER_CHAT_KNOWN; i++)
        if (fits(t, &forms[i], &template))
            make(t, &forms[i], &template);
    return 0;
}

static int check_state(const struct tokenizer *tokenizer, const char *what, const char *otherwise, struct fail *fail)
{
    switch (tokenizer->chat.state) {
    case TOKENIZER_CHAT_MISSING:
        return fail_set(fail, EXIT_USAGE, "%s: the model has no " KEY_TEMPLATE ", so it is not made for questions: %s", what, otherwise);
    case TOKENIZER_CHAT_UNKNOWN:
        return fail_set(fail, EXIT_USAGE,
                        "%s: the model's " KEY_TEMPLATE " is none of the forms that are known (ChatML, Phi 4, Llama 2 and 3, Mistral, "
                        "Zephyr, DeepSeek), or the vocabulary lacks its tokens: %s",
                        what, otherwise);
    default:
        return 0;
    }
}

int tokenizer_check_chat(const struct tokenizer *tokenizer, struct fail *fail)
{
    return check_state(tokenizer, "--chat", "leave it out, and write what the model is to continue", fail);
}

int tokenizer_check_turns(const struct tokenizer *tokenizer, const char *packed, size_t size, struct fail *fail)
{
    const struct tokenizer_chat *chat = &tokenizer->chat;
    struct chat_turn turn;

    if (check_state(tokenizer, "conversation", "send a plain text, which it continues", fail) < 0 ||
        chat_turns_check(packed, size, fail) < 0)
        return -1;
    while (chat_turns_next(&packed, &size, &turn) > 0) {
        if (turn.role == CHAT_SYSTEM && chat->system == TOKENIZER_CHAT_SYSTEM_NOWHERE)
            return fail_set(fail, EXIT_USAGE,
                            "conversation: the model's " KEY_TEMPLATE " has no known place for a system text: put it into the question");
        if (turn.role == CHAT_ASSISTANT && chat->lacks_end)
            return fail_set(fail, EXIT_USAGE,
                            "conversation: the model's file names no end token, which has to follow each answer: ask questions one by one");
    }
    return 0;
}
