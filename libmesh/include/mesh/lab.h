/* The --lab specification: what an experiment does to a node and its network. */
#ifndef MESH_LAB_H
#define MESH_LAB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mesh_lab {
    uint64_t pace_bytes_per_s;                     /* compute clock: weights read at this speed; 0 off */
    uint64_t later_bytes_per_s, after_ns;          /* the pace from this time after the start on; 0 as before */
    uint64_t delay_ns;                             /* a datagram stays hidden until its receive time plus this */
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm; /* parts per million of received datagrams */
    uint64_t seed;
};

/* Parse "pace=10GB/s,later=1GB/s,after=8s,delay=50us,loss=1%,dup=1%,reorder=1%,seed=7" (any subset, any order, but later needs pace and
 * after; empty is all off). Returns 0, or MESH_EINVAL with a phrase in reason that names the part and what is allowed. */
int mesh_lab_parse(const char *text, struct mesh_lab *lab, char *reason, size_t reason_bytes);

#ifdef __cplusplus
}
#endif

#endif
