#include "ask_prompt.h"

#include <string.h>

#include "node/tokenizer/chat_turns.h"
#include "node/tokenizer/prompt_ids.h"

int ask_prompt_check(const struct ask_prompt *prompt, struct fail *fail)
{
    if (prompt->is_chat && prompt->ids_path != NULL)
        return fail_set(fail, EXIT_USAGE, "ask: --chat: a question is text, not --prompt-ids: give it with -p TEXT");
    if ((prompt->text == NULL) == (prompt->ids_path == NULL))
        return fail_set(fail, EXIT_USAGE, "ask: %s: give one, with -p TEXT", prompt->text == NULL ? "no prompt" : "two prompts");
    if (prompt->system != NULL && !prompt->is_chat)
        return fail_set(fail, EXIT_USAGE, "ask: --system: only a question has a system text before it: give --chat, too");
    return 0;
}

static int fail_size(size_t size, const char *what, size_t limit, struct fail *fail)
{
    return fail_set(fail, EXIT_USAGE, "%s: %zu bytes: ask sends at most %zu: shorten it", what, size, limit);
}

static int pack(const struct ask_prompt *prompt, char *packed, struct client_message *question, struct fail *fail)
{
    const struct chat_turn turns[] = {{.role = CHAT_SYSTEM, .text = prompt->system, .text_size = strlen(prompt->system)},
                                      {.role = CHAT_USER, .text = prompt->text, .text_size = strlen(prompt->text)}};
    size_t size = 0;

    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++)
        if (!chat_turns_put(packed, CLIENT_MESSAGE_TEXT_MAX, &size, &turns[i]))
            return fail_size(turns[0].text_size + turns[1].text_size, "--system and -p", CLIENT_MESSAGE_TEXT_MAX - 2 * CHAT_TURN_OVERHEAD,
                             fail);
    question->kind = CLIENT_MESSAGE_CONVERSE;
    question->text = packed;
    question->text_size = size;
    return 0;
}

int ask_prompt_make(const struct ask_prompt *prompt, struct client_message *question, struct fail *fail)
{
    static char made[CLIENT_MESSAGE_TEXT_MAX];

    if (prompt->system != NULL)
        return pack(prompt, made, question, fail);
    question->kind = CLIENT_MESSAGE_ASK;
    question->ask.is_chat = prompt->is_chat;
    question->ask.is_ids = prompt->ids_path != NULL;
    if (prompt->ids_path != NULL) {
        question->text = made;
        return prompt_ids_read(prompt->ids_path, (uint8_t *)made, sizeof made, &question->text_size, fail);
    }
    question->text = prompt->text;
    question->text_size = strlen(prompt->text);
    return question->text_size <= CLIENT_MESSAGE_TEXT_MAX ? 0 : fail_size(question->text_size, "-p", CLIENT_MESSAGE_TEXT_MAX, fail);
}
