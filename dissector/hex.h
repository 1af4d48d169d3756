/* Hexadecimal digits, as people write them in filters and as files of keys have them. */
#ifndef DISSECTOR_HEX_H
#define DISSECTOR_HEX_H

static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that two digits are; -1: they are no digits. The second one is read only if the first is a digit. */
static inline int hex_byte(const char *at)
{
    const int high = hex_digit(at[0]), low = high < 0 ? -1 : hex_digit(at[1]);

    return low < 0 ? -1 : high << 4 | low;
}

#endif
