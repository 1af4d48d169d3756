/* The JSON of a request to complete a text (/v1/completions) or a conversation (/v1/chat/completions), after OpenAI's reference.
 *
 * Besides its members, top_k, min_p and repeat_penalty are understood, as other servers have them. What would change the answer and is not
 * supported is refused; what this API does not know is ignored, since clients send much that concerns one server only. */
#ifndef NODE_API_REQUEST_H
#define NODE_API_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "api_error.h"
#include "api_stops.h"
#include "node/client/client_message.h"

enum { API_BODY_BYTES_MAX = 1 << 20, API_MODEL_BYTES_MAX = 256 };

struct api_request {
    bool is_chat;
    bool streams, wants_usage;       /* a stream's last chunk says how many tokens there were */
    bool has_seed;                   /* else the caller draws one */
    char model[API_MODEL_BYTES_MAX]; /* empty: any */
    struct client_message_ask ask;   /* how to complete ... */
    char *text;                      /* ... the text or, of a conversation, its turns (chat_turns.h), or token ids; owned */
    size_t text_size;                /* at most CLIENT_MESSAGE_TEXT_MAX */
    struct api_stops stops;
};

/* body: any bytes. -1 with *error set; the request is then empty. */
int api_request_read(struct api_request *request, bool is_chat, const char *body, size_t size, struct api_error *error);
void api_request_release(struct api_request *request);

#endif
