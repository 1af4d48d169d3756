/* Hosts on a switch, all in this machine: network namespaces whose interfaces are joined by a bridge.
 *
 * The namespaces have no names: they end with the process, or with bench_switch_close, whatever happens. Addresses are 10.77.0.1 and up.
 * One thread. */
#ifndef NODE_BENCH_SWITCH_H
#define NODE_BENCH_SWITCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"

enum { BENCH_HOSTS_MAX = 8 };

struct bench_switch {
    uint16_t hosts;
    int home, bridge, host[BENCH_HOSTS_MAX]; /* namespaces; -1: none */
};

/* False when this process may not create them, or lacks the tools: why then holds a phrase, and there is nothing to close.
 * is_sink: no switch and one host whose interface discards all that is sent, as a network card does for the sender. */
bool bench_switch_open(struct bench_switch *s, uint16_t hosts, bool is_sink, char *why, size_t why_bytes);
void bench_switch_close(struct bench_switch *s);

/* From now on sockets that the calling thread opens belong to that host; and to this process's own network again. */
void bench_switch_enter(const struct bench_switch *s, uint16_t host);
void bench_switch_leave(const struct bench_switch *s);

/* 10.77.0.1 for host 0, host order. */
uint32_t bench_switch_address(uint16_t host);

#endif
