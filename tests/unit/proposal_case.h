/* A member of an epoch of two that proposes to take in a third: a core without a network, and what single messages do to it. */
#ifndef TEST_PROPOSAL_CASE_H
#define TEST_PROPOSAL_CASE_H

#include <stdbool.h>
#include <stdint.h>

#include "libmesh/core/cluster_parts.h"

enum { NUMBER = 5, SELF = 1, MEMBER = 2, JOINER = 3, NOBODY = 9 }; /* the bytes of incarnations; the last one is no process */

extern struct mesh_cluster *cluster;
extern struct cluster_peer *member, *joiner;

/* For setup and teardown: the proposal has the number NUMBER + 1. */
int proposal_case_open(void **state);
int proposal_case_close(void **state);

/* The next message of this type that it sends, and to which port; false: there is none. */
bool proposal_case_sends(unsigned type, struct mesh_message *message, uint16_t *port);

#endif
