/* What tests of simulated serving nodes begin with: a question whose answer is long, and under way. */
#ifndef SERVE_CASE_H
#define SERVE_CASE_H

#include "simserve.h"

/* The question of a model (simquestion.h) that has the longest answer. */
unsigned serve_case_question(unsigned model);

/* Fails with what has gone wrong among the nodes first, if anything has, and else unless it holds. */
void serve_case_expect(const struct simserve *serve, bool holds);

/* Ask at a place, and run until eight tokens have been told; number of the question in serve->ask. */
int serve_case_ask(struct simserve *serve, uint16_t place, unsigned question);

#endif
