/* A whole mesh on the simulator: N endpoints, their test applications, and statistics of the wires. For unit tests and the explorer. */
#ifndef SIMBENCH_H
#define SIMBENCH_H

#include "mesh/sim.h"
#include "mesh/wire.h"
#include "simapp.h"
#include "simscenario.h"

#define SIM_US(n) ((uint64_t)(n)*1000)
#define SIM_MS(n) ((uint64_t)(n)*1000000)
#define SIM_S(n)  ((uint64_t)(n)*1000000000)

/* Long sweeps run only one case in SIMBENCH_STRIDE under a sanitizer, which makes each ten to thirty times slower and finds in few cases
 * what it would find in all. The number is odd, so that every bit of a mask is covered. */
#if defined(__SANITIZE_THREAD__)
enum { SIMBENCH_STRIDE = 61 };
#elif defined(__SANITIZE_ADDRESS__)
enum { SIMBENCH_STRIDE = 29 };
#else
enum { SIMBENCH_STRIDE = 1 };
#endif

struct simbench {
    struct mesh_sim *sim;
    struct simshape shape;
    struct mesh_config configs[MESH_RANKS_MAX];
    struct simapp apps[MESH_RANKS_MAX];
    void *memory[MESH_RANKS_MAX];
    struct mesh_sealer sealers[MESH_RANKS_MAX];     /* all zeros unless simbench_seal was called */
    uint64_t sent[MESH_RANKS_MAX][MESH_TYPE_COUNT]; /* datagrams by type, including lost ones */
    uint64_t resent[MESH_RANKS_MAX];                /* tiles with MESH_FLAG_RESEND */
    uint64_t lost[MESH_TYPE_COUNT];                 /* by type, on the wire */
    uint64_t transcript;                            /* hash of every datagram with its time and fate */
    char error[600];                                /* what went wrong; empty: nothing */
};

/* 1 Gb/s, 50 µs, datagrams up to 1472 bytes, no queue limit, nothing lost. */
struct mesh_sim_link simbench_ethernet(void);

/* Endpoints of the shape's ranks, not connected yet. A test may change bench->configs between simbench_init and simbench_start, and the
 * applications' settings after it. Everything is released by simbench_close. */
void simbench_init(struct simbench *bench, const struct simshape *shape, uint64_t seed, const struct mesh_sim_link *link);
void simbench_start(struct simbench *bench);
void simbench_close(struct simbench *bench);

/* After simbench_start: protect all datagrams under keys that follow from the seed. False when this build cannot seal. */
bool simbench_seal(struct simbench *bench, enum mesh_security security);

/* Number of datagrams that the ranks' sealers have refused, for any reason. */
uint64_t simbench_refused(const struct simbench *bench);

/* Tiles take almost no time, so that every gather takes the same time. */
void simbench_keep_pace(struct simbench *bench);

/* Run until all handshakes are complete. False when that takes longer than limit_ns; see error. */
bool simbench_join(struct simbench *bench, uint64_t limit_ns);

/* Run the applications until everything is exchanged, freed and acknowledged. False after limit_ns or an error; see error. */
bool simbench_exchange(struct simbench *bench, uint64_t limit_ns);

/* Handshake and exchange in one, with the cuts of a scenario, for applications that the caller has started (is_started). */
bool simbench_run(struct simbench *bench, const struct simscenario *scenario, uint64_t limit_ns);

/* Datagrams of a type sent by all ranks. */
uint64_t simbench_sent(const struct simbench *bench, enum mesh_type type);
uint64_t simbench_sent_all(const struct simbench *bench);
uint64_t simbench_resent(const struct simbench *bench);

/* 32-bit hashes of all endpoints' states, combined. */
uint64_t simbench_state(const struct simbench *bench);

#endif
