/* The numbers 0 to 2, where they are free; and whether what was printed to stdout was taken. */
#include "mesh/program/standard_streams.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

void standard_streams_occupy(void)
{
    /* open takes the lowest free number, which is this one; for the wrong direction, so that reading or writing still fails. */
    for (int number = STDIN_FILENO; number <= STDERR_FILENO; number++)
        if (fcntl(number, F_GETFD) < 0)
            (void)!open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int standard_streams_flush(struct fail *fail)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : fail_output(fail, "stdout");
}
