/* Converts pieces of generated text, of any content, to valid UTF-8.
 *
 * held is always a proper prefix of some character. Replacement follows the Unicode standard's "maximal subparts" (section 3.9): each
 * longest prefix of a character that cannot be completed becomes one U+FFFD, as does any byte that begins none. */
#include "tokenizer.h"

#include <assert.h>
#include <string.h>

#include "mesh/program/text_decode.h"

static char *put_replacement(char *out)
{
    return mempcpy(out, "\xef\xbf\xbd", 3);
}

static char *push_byte(struct utf8_stream *stream, unsigned char byte, char *out)
{
    const char *held = (const char *)stream->held;
    uint32_t code_point;

    stream->held[stream->held_size] = byte;
    if (stream->held_size > 0 &&
        text_decode(held, stream->held_size + 1u, &code_point) <= stream->held_size) { /* byte does not continue it */
        out = put_replacement(out);
        stream->held_size = 0;
    }
    if (stream->held_size == 0 && (byte == 0 || (byte >= 0x80 && byte < 0xc2) || byte > 0xf4))
        return put_replacement(out);
    stream->held[stream->held_size++] = byte;
    text_decode(held, stream->held_size, &code_point);
    if (code_point != TEXT_DECODE_INVALID) {
        out = mempcpy(out, stream->held, stream->held_size);
        stream->held_size = 0;
    }
    return out;
}

size_t utf8_stream_push(struct utf8_stream *stream, const char *bytes, size_t size, char *out)
{
    char *end = out;

    assert(stream->held_size < sizeof stream->held);
    if (stream->is_first && size > 0) {
        stream->is_first = false;
        if (bytes[0] == ' ') {
            bytes++;
            size--;
        }
    }
    for (size_t i = 0; i < size; i++)
        end = push_byte(stream, (unsigned char)bytes[i], end);
    return (size_t)(end - out);
}

size_t utf8_stream_flush(struct utf8_stream *stream, char *out)
{
    size_t size = stream->held_size > 0 ? (size_t)(put_replacement(out) - out) : 0;

    stream->held_size = 0;
    return size;
}
