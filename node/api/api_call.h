/* One request to complete something, from its body to the end of the answer. Knows nothing of HTTP but statuses. */
#ifndef NODE_API_CALL_H
#define NODE_API_CALL_H

#include "api_answer.h"
#include "api_session.h"

struct api_call {
    struct api_request request;
    struct api_session *session;
    struct api_node node;
    struct api_answer answer;
    struct api_usage usage;
    const char *reason; /* why the answer ended; NULL: it has not */
    size_t text_size;
    char text[CLIENT_MESSAGE_TEXT_MAX + API_STOP_BYTES_MAX]; /* the newest piece of the answer */
};

/* Reads the body, calls a node, and waits for the first piece of the answer, so that what can be refused is refused before any of it is
 * out. is_wanted as of api_session_open. -1 with *error set. Release the call in either case. */
int api_call_begin(struct api_call *call, struct api_mesh *mesh, bool is_chat, const char *body, size_t size, bool (*is_wanted)(void *app),
                   void *app, struct api_error *error);

/* The next piece, which may be empty; call it while there is no reason. */
int api_call_next(struct api_call *call, struct api_error *error);

/* The rest of the answer into out, as one object. */
int api_call_write(struct api_call *call, FILE *out, struct api_error *error);

/* The next chunk of a stream into out, which begins with the first piece and ends with the reason. True: it was the last one. *error has a
 * status if the answer was broken off. */
bool api_call_stream(struct api_call *call, bool is_first, FILE *out, struct api_error *error);

void api_call_release(struct api_call *call);

#endif
