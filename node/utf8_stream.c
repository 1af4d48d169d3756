/* Converts pieces of generated text, of any content, to valid UTF-8.
 *
 * held is always a proper prefix of some character. Replacement follows the Unicode standard's "maximal subparts" (section 3.9): each
 * longest prefix of a character that cannot be completed becomes one U+FFFD, as does any byte that begins none. */
#include "tokenizer.h"

#include <assert.h>
#include <string.h>

/* Length of the character that this byte begins; 0: none. */
static size_t length_of(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Can the next byte follow? The second byte of some characters is restricted: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool continues(const struct utf8_stream *stream, unsigned char next)
{
    unsigned char low = 0x80, high = 0xbf;

    if (stream->held_size == 1) {
        switch (stream->held[0]) {
        case 0xe0:
            low = 0xa0;
            break;
        case 0xed:
            high = 0x9f;
            break;
        case 0xf0:
            low = 0x90;
            break;
        case 0xf4:
            high = 0x8f;
            break;
        default:
            break;
        }
    }
    return next >= low && next <= high;
}

static char *put_replacement(char *out)
{
    return mempcpy(out, "\xef\xbf\xbd", 3);
}

static char *push_byte(struct utf8_stream *stream, unsigned char byte, char *out)
{
    if (stream->held_size > 0 && !continues(stream, byte)) {
        out = put_replacement(out);
        stream->held_size = 0;
    }
    if (stream->held_size == 0 && (byte == 0 || length_of(byte) == 0))
        return put_replacement(out);
    stream->held[stream->held_size++] = byte;
    if (stream->held_size == length_of(stream->held[0])) {
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
