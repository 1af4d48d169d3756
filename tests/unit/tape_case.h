/* What tests of recordings record: rank 0 of an exchange of two over a network that loses, so that tiles are sent again and cut in other
 * ways. The same calls every time. No test library is used here. */
#ifndef TESTS_TAPE_CASE_H
#define TESTS_TAPE_CASE_H

#include "mesh/tape.h"

/* Tell a tap all of it, from the start of the endpoint to its end. Returns its epoch; ends the process with a message when ranks do not get
 * done. */
uint32_t tape_case_tell(const struct mesh_tap *tap, uint64_t steps);

#endif
