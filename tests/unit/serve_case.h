/* How tests of simulated serving nodes begin: with a question that has a long answer, which is under way. */
#ifndef SERVE_CASE_H
#define SERVE_CASE_H

#include "simserve.h"

/* The question of a model (simquestion.h) that has the longest answer. */
unsigned serve_case_question(unsigned model);

/* Fails the test with the first error among the nodes if there is one; otherwise fails unless `holds`. */
void serve_case_expect(const struct simserve *serve, bool holds);

/* Ask at a place, and run until the client has been told eight tokens; returns the index of the question in serve->ask. */
int serve_case_ask(struct simserve *serve, uint16_t place, unsigned question);

#endif
