/* How it went wrong, in words. */
#include "mesh/program/fail.h"

#include <stdarg.h>
#include <stdio.h>

#include "mesh/program/text_decode.h"

void fail_fill(struct fail *fail, enum exit_code exit_code, const char *format, ...)
{
    va_list arguments;

    fail->exit_code = exit_code;
    va_start(arguments, format);
    vsnprintf(fail->text, sizeof fail->text, format, arguments);
    va_end(arguments);
    text_decode_disarm(fail->text); /* words of files and of other nodes are among it */
}
