/* Where the time of a node's workers goes, how long blocks wait to be used, and how the last steps went.
 *
 * Measured with the clock readings that the engine needs anyway and a few per phase. Any thread may ask, at any time. */
#ifndef NODE_ENGINE_TIME_H
#define NODE_ENGINE_TIME_H

#include "engine.h"
#include "mesh/telemetry.h"

/* Since engine_attach. worker: its own number; the fields are those of mesh/telemetry.h. */
void engine_worker_time(const struct engine *engine, uint16_t worker, struct mesh_telemetry_worker *out);

/* Time that workers have waited for blocks of a rank, summed; of the own rank: for another worker. */
uint64_t engine_waited_ns(const struct engine *engine, uint16_t rank);

/* From the sending of blocks by a rank to the first use of the slice they completed. */
void engine_use_latency(struct engine *engine, uint16_t rank, struct mesh_histogram *out);

/* The oldest remembered step after *serial (0: of all), and its phases: (engine_phase_count). False: there is none. *serial moves on. */
bool engine_next_step(struct engine *engine, uint64_t *serial, struct mesh_telemetry_step *step, struct mesh_telemetry_phase *phases);
uint16_t engine_phase_count(const struct engine *engine);

#endif
