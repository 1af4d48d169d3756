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

void *pages_huge(size_t bytes)
{
    uint8_t *at = pages_zeros(bytes + PAGES_HUGE_BYTES);

    if (at == NULL)
        return NULL;
    const size_t before = (PAGES_HUGE_BYTES - (uintptr_t)at % PAGES_HUGE_BYTES) % PAGES_HUGE_BYTES;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), end = (before + bytes + page - 1) / page * page;

    if (before > 0)
        munmap(at, before);
    if (bytes + PAGES_HUGE_BYTES > end)
        munmap(at + end, bytes + PAGES_HUGE_BYTES - end);
    pages_prefer_huge(at + before, bytes);
    return at + before;
}

void pages_forget(void *at, size_t bytes)
{
    advise(at, bytes, MADV_DONTNEED);
}

void pages_release(void *at, size_t bytes)
{
    if (at != NULL)
        munmap(at, bytes);
}
