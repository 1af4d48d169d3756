/* Answers as OpenAI's API has them: one object, or a stream of chunks as server-sent events. */
#ifndef NODE_API_ANSWER_H
#define NODE_API_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "api_error.h"

enum { API_ID_DIGITS = 24 };

/* What all parts of an answer repeat. */
struct api_answer {
    bool is_chat, has_usage; /* usage: of a stream, whether its last chunk has it (an object always does) */
    char id[API_ID_DIGITS + 1];
    int64_t created; /* seconds since 1970 */
    const char *model;
};

struct api_usage {
    uint64_t prompt_tokens, tokens;
};

/* reason: "stop" or "length". */
void api_answer_write(const struct api_answer *answer, FILE *out, const char *text, size_t size, const char *reason,
                      const struct api_usage *usage);

/* The parts of a stream in order; of a conversation, begin tells who speaks. An error ends it, too. */
void api_stream_begin(const struct api_answer *answer, FILE *out);
void api_stream_text(const struct api_answer *answer, FILE *out, const char *text, size_t size);
void api_stream_end(const struct api_answer *answer, FILE *out, const char *reason, const struct api_usage *usage);
void api_stream_error(FILE *out, const struct api_error *error);

/* /v1/models, and /v1/models/NAME: list is false. */
void api_models_write(FILE *out, const char *model, bool list);

#endif
