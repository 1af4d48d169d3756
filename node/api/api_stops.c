#include "api_stops.h"

#include <assert.h>
#include <string.h>

/* Where the stop begins that is complete first, of several the longest; size: there is none. */
static size_t find(const struct api_stops *stops, const char *text, size_t size)
{
    for (size_t end = 1; end <= size; end++) {
        size_t longest = 0;

        for (unsigned i = 0; i < stops->count; i++)
            if (stops->size[i] <= end && stops->size[i] > longest &&
                memcmp(text + end - stops->size[i], stops->text[i], stops->size[i]) == 0)
                longest = stops->size[i];
        if (longest > 0)
            return end - longest;
    }
    return size;
}

/* Does the text end a stop's beginning? */
static bool may_become(const struct api_stops *stops, const char *text, size_t size)
{
    for (unsigned i = 0; i < stops->count; i++)
        if (size < stops->size[i] && memcmp(text, stops->text[i], size) == 0)
            return true;
    return false;
}

size_t api_stops_push(struct api_stops *stops, const char *piece, size_t size, char *out)
{
    size_t end, all = stops->held_size + size;

    if (stops->is_found)
        return 0;
    memcpy(out, stops->held, stops->held_size);
    memcpy(out + stops->held_size, piece, size);
    stops->held_size = 0;
    end = find(stops, out, all);
    stops->is_found = end < all;
    if (stops->is_found)
        return end;
    end = all > API_STOP_BYTES_MAX ? all - API_STOP_BYTES_MAX : 0;
    while (end < all && !may_become(stops, out + end, all - end))
        end++;
    stops->held_size = all - end;
    assert(stops->held_size < sizeof stops->held);
    memcpy(stops->held, out + end, stops->held_size);
    return end;
}

size_t api_stops_flush(struct api_stops *stops, char *out)
{
    const size_t size = stops->held_size;

    memcpy(out, stops->held, size);
    stops->held_size = 0;
    return size;
}
