#include "pages.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

static void advise(uint8_t *at, size_t bytes, int advice)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (page - (uintptr_t)at % page) % page;
    const size_t whole = bytes < before ? 0 : (bytes - before) / page * page;

    if (whole > 0)
        (void)madvise(at + before, whole, advice);
}

void pages_prefer_huge(void *at, size_t bytes)
{
    advise(at, bytes, MADV_HUGEPAGE);
}

void pages_have(void *at, size_t bytes)
{
    advise(at, bytes, MADV_POPULATE_WRITE);
}

void *pages_zeros(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return at == MAP_FAILED ? NULL : at;
}

void pages_release(void *at, size_t bytes)
{
    if (at != NULL)
        munmap(at, bytes);
}
