#include "long_text.h"

#include <stdarg.h>
#include <stdio.h>

void mesh_long_text_print(struct mesh_long_text *text, const char *format, ...)
{
    const size_t room = mesh_long_text_room(text);
    va_list arguments;
    int bytes;

    va_start(arguments, format);
    bytes = vsnprintf(room > 0 ? text->out + text->size : NULL, room, format, arguments);
    va_end(arguments);
    if (bytes > 0)
        text->size += (size_t)bytes;
}
