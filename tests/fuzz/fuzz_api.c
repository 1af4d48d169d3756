/* Any bytes as the body of a request over HTTP: it is refused in words, or what it asks for can be sent to a node. And the beginning of any
 * text as stops in the rest of it: what comes out is the text before the first of them, however it is cut into pieces. */
#include <stdlib.h>
#include <string.h>

#include "node/api/api_request.h"
#include "node/engine/sampler.h"
#include "node/tokenizer/chat_turns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_BYTES = 600 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void read_body(bool is_chat, const char *body, size_t size)
{
    static struct api_request request;
    static uint8_t record[MESH_RECORD_BYTES_MAX];
    struct client_message again;
    struct api_error error = {0};
    struct fail fail;

    if (api_request_read(&request, is_chat, body, size, &error) < 0) {
        require((error.status == API_BAD_REQUEST || error.status == API_NOT_FOUND) && error.text[0] != '\0' && request.text == NULL);
        return;
    }
    require(request.text_size <= CLIENT_MESSAGE_TEXT_MAX && request.ask.predict > 0 && sampler_check(&request.ask.sampling, &fail) == 0);
    require(!is_chat || chat_turns_check(request.text, request.text_size, &fail) == 0);
    require(!request.ask.is_ids || request.text_size % 4 == 0);
    const struct client_message message = {.kind = is_chat ? CLIENT_MESSAGE_CONVERSE : CLIENT_MESSAGE_ASK,
                                           .ask = request.ask,
                                           .text = request.text,
                                           .text_size = request.text_size};
    require(client_message_read(&again, record, client_message_write(&message, record)) == 0);
    require(again.text_size == request.text_size && memcmp(again.text, request.text, again.text_size) == 0);
    for (unsigned i = 0; i < request.stops.count; i++)
        require(request.stops.size[i] >= 1 && request.stops.size[i] <= API_STOP_BYTES_MAX);
    api_request_release(&request);
}

static size_t stream(struct api_stops stops, const char *text, size_t size, size_t step, char *all)
{
    char out[TEXT_BYTES + API_STOP_BYTES_MAX];
    size_t all_size = 0, got;

    for (size_t at = 0; at < size; at += step) {
        got = api_stops_push(&stops, text + at, size - at < step ? size - at : step, out);
        memcpy(all + all_size, out, got);
        all_size += got;
    }
    got = api_stops_flush(&stops, out);
    memcpy(all + all_size, out, got);
    return all_size + got;
}

/* data: how many stops; of each its size, and its bytes; then the text. */
static void find_stops(const char *data, size_t size)
{
    struct api_stops stops = {.count = 0};
    char by_one[TEXT_BYTES], by_step[TEXT_BYTES];
    const unsigned wanted = size > 0 ? (unsigned char)*data % (API_STOPS_MAX + 1) : 0;
    size_t first;

    for (data++, size = size > 0 ? size - 1 : 0; stops.count < wanted && size > 1; stops.count++) {
        const size_t given = 1 + (unsigned char)*data % 16, bytes = given < size - 1 ? given : size - 1;

        memcpy(stops.text[stops.count], data + 1, bytes);
        stops.size[stops.count] = bytes;
        data += 1 + bytes;
        size -= 1 + bytes;
    }
    size = size < TEXT_BYTES ? size : TEXT_BYTES;
    first = stream(stops, data, size, 1, by_one);
    require(first <= size && memcmp(by_one, data, first) == 0);
    for (size_t step = 2; step <= size; step = 2 * step + 1)
        require(stream(stops, data, size, step, by_step) == first && memcmp(by_one, by_step, first) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 3 == 2)
        find_stops((const char *)data + 1, size - 1);
    else
        read_body(data[0] % 3 == 1, (const char *)data + 1, size - 1);
    return 0;
}
