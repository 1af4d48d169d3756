/* One cluster on the simulator, for tests of what members agree on: formed, and closed after each of them. */
#ifndef TEST_MEMBERS_CASE_H
#define TEST_MEMBERS_CASE_H

#include <stdint.h>

#include "simmembers.h"

extern struct simmembers members; /* too large for the stack */

/* `count` processes, which are members of one epoch then, on links that lose nothing. */
void members_case_form(uint16_t count);

/* For teardown. */
int members_case_close(void **state);

uint64_t members_case_without(uint64_t places, uint16_t place);

/* Those at these places, a mask, are in one epoch within that time, and nobody else is; the test fails otherwise. */
void members_case_expect_agreement(uint64_t places, uint64_t within_ns);

#endif
