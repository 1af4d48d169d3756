/* stdin, stdout and stderr: that there is something behind each of them, and that stdout took what was printed. */
#ifndef MESH_PROGRAM_STANDARD_STREAMS_H
#define MESH_PROGRAM_STANDARD_STREAMS_H

#include "mesh/program/fail.h"

/* Call first in main. A program that is started with one of them closed (`>&-`) would get its number for the next file or socket that it
 * opens, and write its messages there. A closed stream's number is occupied, and still fails with EBADF. */
void standard_streams_occupy(void);

/* Hand over what was printed to stdout and is still in its buffer. Returns 0, or -1 as fail_output does when that, or anything printed
 * earlier, could not be written. */
int standard_streams_flush(struct fail *fail);

#endif
