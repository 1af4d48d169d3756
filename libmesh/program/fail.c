/* How it went wrong, in words. */
#include "mesh/program/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

void fail_fill_output(struct fail *fail, const char *output)
{
    const int error = errno;
    const char *advice = error == EPIPE   ? "read to the end"
                         : error == EBADF ? "it was closed before the start: leave it open"
                                          : "free some space";

    fail_fill(fail, EXIT_ENVIRONMENT, "%s: cannot write: %s: %s", output, strerror(error), advice);
}
