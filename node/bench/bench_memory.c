#include "bench_memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum { FILL_BYTE = 0x35, HUGE_PAGE_BYTES = 2 << 20, STRIDE_BYTES = 512, CALIBRATION_CHUNKS = 6 };

typedef uint64_t vector __attribute__((vector_size(64), aligned(64)));

static _Thread_local volatile uint64_t read_sink; /* keeps the compiler from removing the reads */

/* Eight vectors at once, from `streams` places of the memory at a time; prefetch: distance in bytes, 0 leaves it to the hardware. */
static inline __attribute__((always_inline)) void read_streams(const uint8_t *data, size_t bytes, size_t streams, size_t prefetch)
{
    vector sum[8] = {{0}};
    uint64_t total = 0;

    for (size_t at = 0; at < bytes / streams; at += STRIDE_BYTES) {
        for (size_t s = 0; s < streams; s++) {
            const uint8_t *from = data + s * (bytes / streams) + at;

#pragma GCC unroll 8
            for (size_t i = 0; i < 8; i++) {
                if (prefetch > 0)
                    __builtin_prefetch(from + i * sizeof(vector) + prefetch, 0, 2);
                sum[i] |= *(const vector *)(const void *)(from + i * sizeof(vector));
            }
        }
    }
    for (size_t i = 1; i < 8; i++)
        sum[0] |= sum[i];
    for (size_t i = 0; i < 8; i++)
        total |= sum[0][i];
    read_sink = total;
}

/* One set of loops per width of vectors. */
#define READ_LOOPS(suffix, attribute)                                           \
    attribute static void read_1_##suffix(const uint8_t *data, size_t bytes)    \
    {                                                                           \
        read_streams(data, bytes, 1, 0);                                        \
    }                                                                           \
    attribute static void read_2_##suffix(const uint8_t *data, size_t bytes)    \
    {                                                                           \
        read_streams(data, bytes, 2, 0);                                        \
    }                                                                           \
    attribute static void read_4k_##suffix(const uint8_t *data, size_t bytes)   \
    {                                                                           \
        read_streams(data, bytes, 1, 4096);                                     \
    }                                                                           \
    attribute static void read_8k_##suffix(const uint8_t *data, size_t bytes)   \
    {                                                                           \
        read_streams(data, bytes, 1, 8192);                                     \
    }                                                                           \
    attribute static void read_2_4k_##suffix(const uint8_t *data, size_t bytes) \
    {                                                                           \
        read_streams(data, bytes, 2, 4096);                                     \
    }

typedef void read_fn(const uint8_t *data, size_t bytes);

READ_LOOPS(plain, )
#ifdef __x86_64__
READ_LOOPS(avx2, __attribute__((target("avx2"))))
#ifdef __clang__ /* knows the width by another name */
READ_LOOPS(avx512, __attribute__((target("avx512f"), min_vector_width(512))))
#else
READ_LOOPS(avx512, __attribute__((target("avx512f,prefer-vector-width=512"))))
#endif
#endif

enum { LOOPS = 5 };

static const char *const loop_names[LOOPS] = {"1 stream", "2 streams", "1 stream, prefetch 4 KiB ahead", "1 stream, prefetch 8 KiB ahead",
                                              "2 streams, prefetch 4 KiB ahead"};

#define LOOP_TABLE(suffix)                                                                       \
    {                                                                                            \
        read_1_##suffix, read_2_##suffix, read_4k_##suffix, read_8k_##suffix, read_2_4k_##suffix \
    }

static read_fn *loop_at(int index)
{
    static read_fn *const plain[LOOPS] = LOOP_TABLE(plain);

#ifdef __x86_64__
    static read_fn *const avx2[LOOPS] = LOOP_TABLE(avx2), *const avx512[LOOPS] = LOOP_TABLE(avx512);

    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f"))
        return avx512[index];
    if (__builtin_cpu_supports("avx2"))
        return avx2[index];
#endif
    return plain[index];
}

uint64_t bench_memory_thread_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

size_t bench_memory_cache_bytes(void)
{
#ifdef _SC_LEVEL3_CACHE_SIZE
    long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);

    return bytes > 0 ? (size_t)bytes : 0;
#else
    return 0;
#endif
}

const uint8_t *bench_memory_next(struct bench_memory *memory)
{
    const uint8_t *chunk = memory->data + memory->next * BENCH_CHUNK_BYTES;

    memory->next = (memory->next + 1) % (memory->bytes / BENCH_CHUNK_BYTES);
    return chunk;
}

void bench_memory_read(const struct bench_memory *memory, const uint8_t *data, size_t bytes)
{
    loop_at(memory->loop)(data, bytes);
}

const char *bench_memory_loop_name(const struct bench_memory *memory)
{
    return loop_names[memory->loop];
}

/* Which loop is fastest differs between machines; a slow one would flatter everything compared with it. */
static int find_fastest_loop(struct bench_memory *memory)
{
    double best = 0.0;
    int fastest = 0;

    for (int loop = 0; loop < LOOPS; loop++) {
        struct bench_series series = {.count = 0};

        for (int i = 0; i < CALIBRATION_CHUNKS; i++) {
            const uint8_t *chunk = bench_memory_next(memory);
            uint64_t begin_ns = bench_memory_thread_ns();

            loop_at(loop)(chunk, BENCH_CHUNK_BYTES);
            bench_add(&series, 1.0 / (double)(bench_memory_thread_ns() - begin_ns + 1));
        }
        double median = bench_stat_of(&series).median;
        if (median > best) {
            best = median;
            fastest = loop;
        }
    }
    return fastest;
}

int bench_memory_open(struct bench_memory *memory, size_t bytes, struct fail *fail)
{
    void *data = NULL;

    assert(bytes >= BENCH_CHUNK_BYTES && bytes % BENCH_CHUNK_BYTES == 0);
    *memory = (struct bench_memory){.bytes = bytes};
    /* Prefetches beyond the end load nothing. */
    if (posix_memalign(&data, HUGE_PAGE_BYTES, bytes) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: cannot have %zu bytes to read: close other programs, or give --quick", bytes);
    madvise(data, bytes, MADV_HUGEPAGE);
    memset(data, FILL_BYTE, bytes);
    memory->data = data;
    memory->loop = find_fastest_loop(memory);
    return 0;
}

void bench_memory_close(struct bench_memory *memory)
{
    free(memory->data);
    *memory = (struct bench_memory){0};
}
