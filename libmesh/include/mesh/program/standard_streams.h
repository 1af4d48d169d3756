/* stdin, stdout and stderr: that there is something behind each of them. */
#ifndef MESH_PROGRAM_STANDARD_STREAMS_H
#define MESH_PROGRAM_STANDARD_STREAMS_H

/* First of all in main. A program that is started with one of them closed (`>&-`) would get its number for the next file or socket that it
 * opens, and write its messages there. What was closed is occupied, and fails as before: with EBADF. */
void standard_streams_occupy(void);

#endif
