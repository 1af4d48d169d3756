/* One cluster on the simulator, formed before each test of what members agree on, and closed after it. */
#ifndef TEST_MEMBERS_CASE_H
#define TEST_MEMBERS_CASE_H

#include <stdint.h>

#include "simmembers.h"

extern struct simmembers members; /* too large for the stack */

/* `count` processes, all members of one epoch afterwards, on links without loss. */
void members_case_form(uint16_t count);

/* For teardown. */
int members_case_close(void **state);

uint64_t members_case_without(uint64_t places, uint16_t place);

/* Fails the test unless the members at these places (a mask), and no others, are in one epoch within that time. */
void members_case_expect_agreement(uint64_t places, uint64_t within_ns);

#endif
