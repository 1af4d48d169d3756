/* Dropping privileges, once everything that needs them is open. */
#ifndef DISSECTOR_PRIVILEGES_H
#define DISSECTOR_PRIVILEGES_H

#include "mesh/program/fail.h"

/* Become that user for good: group, supplementary groups and user. NULL: the caller of sudo, or else nobody, who is 65534 where the system
 * knows neither. Does nothing for "root", or if the program is not run by root. -1: EXIT_USAGE (no such user) or EXIT_ENVIRONMENT. */
int privileges_drop(const char *user, struct fail *fail);

#endif
