/* Texts at which an answer ends ("stop"), found in a stream of pieces wherever the pieces begin and end.
 *
 * What may be the beginning of such a text is held back until it is known. Pieces and stops are UTF-8, so nothing is cut within a
 * character. */
#ifndef NODE_API_STOPS_H
#define NODE_API_STOPS_H

#include <stdbool.h>
#include <stddef.h>

enum { API_STOPS_MAX = 4, API_STOP_BYTES_MAX = 256 };

struct api_stops {
    unsigned count;
    size_t size[API_STOPS_MAX]; /* 1..API_STOP_BYTES_MAX */
    char text[API_STOPS_MAX][API_STOP_BYTES_MAX];

    size_t held_size;
    char held[API_STOP_BYTES_MAX];
    bool is_found; /* from then on nothing comes out */
};

/* The text that is certain to be part of the answer, into out (size + API_STOP_BYTES_MAX bytes); returns its size. */
size_t api_stops_push(struct api_stops *stops, const char *piece, size_t size, char *out);

/* The answer has ended: what is still held back is part of it. */
size_t api_stops_flush(struct api_stops *stops, char *out);

#endif
