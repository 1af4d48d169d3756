/* What `ask` asks: a text, token ids from a file, a question, or a question with a system text. */
#ifndef NODE_ASK_PROMPT_H
#define NODE_ASK_PROMPT_H

#include "client_message.h"
#include "mesh/program/fail.h"

struct ask_prompt {
    const char *text, *ids_path; /* one of them */
    const char *system;          /* or NULL */
    bool is_chat;
};

/* Is there one prompt, and does all that was given belong together? -1: EXIT_USAGE. */
int ask_prompt_check(const struct ask_prompt *prompt, struct fail *fail);

/* Set the question's kind and its text, which is valid until the next call and as long as the prompt, and whether it is ids or a question.
 * Without a system text it is a record that nodes of earlier versions understand, too. -1: EXIT_USAGE, or of prompt_ids_read. */
int ask_prompt_make(const struct ask_prompt *prompt, struct client_message *question, struct fail *fail);

#endif
