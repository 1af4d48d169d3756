/* The subject of tests of recordings: rank 0 of an exchange between two ranks over a lossy network, so that tiles are retransmitted in
 * other pieces. The same calls every time. No test library is used here. */
#ifndef TESTS_TAPE_CASE_H
#define TESTS_TAPE_CASE_H

#include "mesh/tape.h"

/* Report the whole exchange to a tap, from the start of the endpoint to its end. Returns its epoch; ends the process with a message when
 * the ranks do not finish. */
uint32_t tape_case_tell(const struct mesh_tap *tap, uint64_t steps);

#endif
