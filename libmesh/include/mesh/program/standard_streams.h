/* stdin, stdout and stderr: that there is something behind each of them. */
#ifndef MESH_PROGRAM_STANDARD_STREAMS_H
#define MESH_PROGRAM_STANDARD_STREAMS_H

/* Call first in main. A program that is started with one of them closed (`>&-`) would get its number for the next file or socket that it
 * opens, and write its messages there. A closed stream's number is occupied, and still fails with EBADF. */
void standard_streams_occupy(void);

#endif
