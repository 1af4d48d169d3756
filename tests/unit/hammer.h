/* Datagrams that were overheard, and what a stranger without the key can make of them: copies with bits changed, cut, lengthened, spliced
 * from two, with another sender, receiver, epoch, type or number; or as they were, to whom they were not for. Deterministic. */
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
    uint16_t from, to; /* as the test counts them */
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

/* When there is room, and not larger than HAMMER_BYTES_MAX. */
void hammer_record(struct hammer *hammer, uint16_t from, uint16_t to, const uint8_t *packet, size_t bytes);

/* The next copy, in packet, bytes, from and to. True: its bytes are those of a record; it may have got another sender or receiver.
 * ranks: how many of them there are. */
bool hammer_next(struct hammer *hammer, uint16_t ranks);

uint64_t hammer_draw(struct hammer *hammer, uint64_t below);

#endif
