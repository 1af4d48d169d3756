/* Overheard datagrams, and what a stranger without the key can make of them: copies with bits changed, cut, lengthened, spliced from two,
 * with another sender, receiver, epoch, type or number; or unchanged, to another receiver. Deterministic. */
#ifndef TEST_HAMMER_H
#define TEST_HAMMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HAMMER_RECORDS_MAX = 2048,
    HAMMER_BYTES_MAX = 1500,
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    HAMMER_COPIES = 20000
#else
    HAMMER_COPIES = 1000000
#endif
};

struct hammer_record {
    uint16_t from, to; /* in the test's numbering */
    size_t bytes;
    uint8_t packet[HAMMER_BYTES_MAX];
};

struct hammer {
    struct hammer_record record[HAMMER_RECORDS_MAX];
    unsigned count;
    uint64_t random;
    uint64_t replays, mutations;
    /* the last copy */
    uint8_t packet[HAMMER_BYTES_MAX + 64];
    size_t bytes;
    uint16_t from, to, meant; /* meant: the receiver of the record */
};

/* Records the datagram if there is room and it is not larger than HAMMER_BYTES_MAX. */
void hammer_record(struct hammer *hammer, uint16_t from, uint16_t to, const uint8_t *packet, size_t bytes);

/* Makes the next copy, in packet, bytes, from and to. Returns true when its bytes are those of a record, perhaps with another sender or
 * receiver. ranks: number of ranks. */
bool hammer_next(struct hammer *hammer, uint16_t ranks);

#endif
