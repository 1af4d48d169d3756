/* Who the program is once everything that needs rights is open. */
#ifndef DISSECTOR_PRIVILEGES_H
#define DISSECTOR_PRIVILEGES_H

#include "mesh/program/fail.h"

/* Become that user for good: group, further groups and user. NULL: whoever called sudo, or else nobody. Nothing for "root", and where the
 * program is not run by root. -1: EXIT_USAGE (no such user) or EXIT_ENVIRONMENT. */
int privileges_drop(const char *user, struct fail *fail);

#endif
