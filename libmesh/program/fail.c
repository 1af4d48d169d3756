/* How it went wrong, in words. */
#include "mesh/program/fail.h"

#include <stdarg.h>
#include <stdio.h>

void fail_fill(struct fail *fail, enum exit_code exit_code, const char *format, ...)
{
    va_list arguments;

    fail->exit_code = exit_code;
    va_start(arguments, format);
    vsnprintf(fail->text, sizeof fail->text, format, arguments);
    va_end(arguments);
}
