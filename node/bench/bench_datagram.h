/* What datagrams cost the processor of this machine: the system calls of the UDP driver, over the loopback. */
#ifndef NODE_BENCH_DATAGRAM_H
#define NODE_BENCH_DATAGRAM_H

#include "bench.h"
#include "virtual_node.h"

/* Medians. On the loopback the sender's call also puts the datagram into the receiver's socket, which otherwise the receiver's machine
 * does. That work is the difference between what a further datagram of a call costs here and what it costs up to a network card (`bench
 * multicast`). -1: no sockets. */
int bench_datagram_costs(const struct bench *bench, struct virtual_costs *costs, struct fail *fail);

/* "2400,650,900,500,900": the fields of costs in their order, each up to a second. EXIT_USAGE for anything else. */
int bench_datagram_parse(const char *text, struct virtual_costs *costs, struct fail *fail);

#endif
