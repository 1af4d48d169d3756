/* Text of any length, into a buffer of the caller's. Like snprintf it ends with a zero, and what has no room is counted only. It uses
 * stdio, so it is not for the core. */
#ifndef MESH_LONG_TEXT_H
#define MESH_LONG_TEXT_H

#include <stddef.h>
#include <string.h>

struct mesh_long_text {
    char *out;       /* (capacity) */
    size_t capacity; /* may be 0 */
    size_t size;     /* of the whole text, without the zero */
};

static inline size_t mesh_long_text_room(const struct mesh_long_text *text)
{
    return text->size < text->capacity ? text->capacity - text->size : 0;
}

/* For lines that are written by the million: without printf. */
static inline void mesh_long_text_add(struct mesh_long_text *text, const char *chars, size_t count)
{
    const size_t room = mesh_long_text_room(text), copied = room > count ? count : room - 1;

    if (room > 0) {
        memcpy(text->out + text->size, chars, copied);
        text->out[text->size + copied] = '\0';
    }
    text->size += count;
}

__attribute__((format(printf, 2, 3))) void mesh_long_text_print(struct mesh_long_text *text, const char *format, ...);

#endif
