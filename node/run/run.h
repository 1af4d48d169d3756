/* `mesh-node run`: generate on this machine. */
#ifndef NODE_RUN_H
#define NODE_RUN_H

#include "mesh/program/fail.h"

/* argv: what stands after "run". Returns 0, or -1 with fail set. In a child process (a further local node) it
 * also returns, when that node has finished. */
int run_command(int argc, char *const *argv, struct fail *fail);

#endif
