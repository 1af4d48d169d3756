/* Calls of the C library that fail at a place that a test names: loaded before a program by LD_PRELOAD.
 *
 * A place is a function of the library and its callers: the addresses of the innermost calls within the program, which are the same in
 * every run, whatever its threads do in between. Calls that libraries make for themselves do not fail.
 *
 * FAIL_LIST=FILE    each call appends a line to it: its place, and the function's name
 * FAIL_PLACE=PLACE  the first call there fails
 * FAIL_REST=1       and so does every one after it, at any place, of the same kind */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAMES_MAX = 24, PLACE_FRAMES = 3, LIST_FD = 900 /* out of the way of those that the program counts on */ };
enum kind { KIND_MEMORY = 1, KIND_SYSTEM };

static struct {
    uintptr_t base, begin, end; /* of the program in memory */
    uint64_t place;             /* that fails; 0: none */
    int list;                   /* descriptor; -1: none */
    bool with_rest, is_ready;
    _Atomic unsigned failed; /* the kind of call that has failed; 0: none */
} fails = {.list = -1};
static _Thread_local bool is_inside; /* calls made to find the place do not fail */

/* ---- places ---- */

/* The program is the first object reported. */
static int note_program(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    fails.base = info->dlpi_addr;
    fails.begin = UINTPTR_MAX;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, end = begin + info->dlpi_phdr[i].p_memsz;

        if (info->dlpi_phdr[i].p_type != PT_LOAD)
            continue;
        fails.begin = begin < fails.begin ? begin : fails.begin;
        fails.end = end > fails.end ? end : fails.end;
    }
    return 1;
}

__attribute__((constructor)) static void start(void)
{
    const char *list = getenv("FAIL_LIST"), *place = getenv("FAIL_PLACE");
    void *frame[1];

    is_inside = true;
    dl_iterate_phdr(note_program, NULL);
    backtrace(frame, 1); /* loads what backtrace needs */
    if (list != NULL) {
        const int opened = open(list, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

        fails.list = fcntl(opened, F_DUPFD_CLOEXEC, LIST_FD);
        close(opened);
    }
    fails.place = place != NULL ? strtoull(place, NULL, 16) : 0;
    fails.with_rest = getenv("FAIL_REST") != NULL;
    fails.is_ready = true;
    is_inside = false;
}

static bool is_program(const void *address)
{
    return (uintptr_t)address >= fails.begin && (uintptr_t)address < fails.end;
}

/* FNV-1a, 64 bits. */
static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
    for (const uint8_t *at = bytes; size > 0; size--)
        hash = (hash ^ *at++) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t place_of(const char *name)
{
    void *frame[FRAMES_MAX];
    const int count = backtrace(frame, FRAMES_MAX);
    uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), name, strlen(name));

    for (int i = 0, used = 0; i < count && used < PLACE_FRAMES; i++) {
        const uintptr_t address = (uintptr_t)frame[i] - fails.base;

        if (is_program(frame[i])) {
            hash = mix(hash, &address, sizeof address);
            used++;
        }
    }
    return hash;
}

static void append(uint64_t place, const char *name)
{
    char line[80];
    const int size = snprintf(line, sizeof line, "%016llx %s\n", (unsigned long long)place, name);

    (void)!write(fails.list, line, (size_t)size);
}

/* Whether the call that returns to `caller` fails; errno is then why. */
static bool is_to_fail(const char *name, enum kind kind, const void *caller, int why)
{
    const int before = errno;
    uint64_t place;
    bool fits;

    if (is_inside || !fails.is_ready || !is_program(caller))
        return false;
    is_inside = true;
    place = place_of(name);
    if (fails.list >= 0)
        append(place, name);
    fits = place == fails.place && atomic_exchange(&fails.failed, kind) == 0;
    fits = fits || (fails.with_rest && atomic_load(&fails.failed) == kind);
    is_inside = false;
    errno = fits ? why : before;
    return fits;
}

/* ---- memory ---- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

#define FAILS(kind, why) is_to_fail(__func__, kind, __builtin_return_address(0), why)
#define NO_MEMORY        FAILS(KIND_MEMORY, ENOMEM)

void *malloc(size_t size)
{
    return NO_MEMORY ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return NO_MEMORY ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return NO_MEMORY ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return NO_MEMORY ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    *out = NO_MEMORY ? NULL : __libc_memalign(alignment, size);
    return *out != NULL ? 0 : ENOMEM;
}

/* The library's own function of that name. */
#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset)
{
    return NO_MEMORY ? MAP_FAILED : NEXT(mmap)(at, size, protection, flags, file, offset);
}

char *strdup(const char *text)
{
    return NO_MEMORY ? NULL : NEXT(strdup)(text);
}

char *strndup(const char *text, size_t size)
{
    return NO_MEMORY ? NULL : NEXT(strndup)(text, size);
}

int vasprintf(char **out, const char *format, va_list values)
{
    return NO_MEMORY ? -1 : NEXT(vasprintf)(out, format, values);
}

int asprintf(char **out, const char *format, ...)
{
    va_list values;
    int size = -1;

    va_start(values, format);
    if (!NO_MEMORY)
        size = NEXT(vasprintf)(out, format, values);
    va_end(values);
    return size;
}

FILE *open_memstream(char **out, size_t *size)
{
    return NO_MEMORY ? NULL : NEXT(open_memstream)(out, size);
}

/* ---- files, sockets, threads ---- */

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list values;

    if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
        va_start(values, flags);
        mode = va_arg(values, mode_t);
        va_end(values);
    }
    return FAILS(KIND_SYSTEM, EMFILE) ? -1 : NEXT(open)(path, flags, mode);
}

FILE *fopen(const char *path, const char *mode)
{
    return FAILS(KIND_SYSTEM, EMFILE) ? NULL : NEXT(fopen)(path, mode);
}

FILE *fdopen(int file, const char *mode)
{
    return FAILS(KIND_SYSTEM, EMFILE) ? NULL : NEXT(fdopen)(file, mode);
}

int socket(int domain, int type, int protocol)
{
    return FAILS(KIND_SYSTEM, EMFILE) ? -1 : NEXT(socket)(domain, type, protocol);
}

int bind(int file, const struct sockaddr *address, socklen_t size)
{
    return FAILS(KIND_SYSTEM, EADDRINUSE) ? -1 : NEXT(bind)(file, address, size);
}

int eventfd(unsigned count, int flags)
{
    return FAILS(KIND_SYSTEM, EMFILE) ? -1 : NEXT(eventfd)(count, flags);
}

int epoll_create1(int flags)
{
    return FAILS(KIND_SYSTEM, EMFILE) ? -1 : NEXT(epoll_create1)(flags);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *argument), void *argument)
{
    return FAILS(KIND_SYSTEM, EAGAIN) ? EAGAIN : NEXT(pthread_create)(thread, attributes, run, argument);
}

pid_t fork(void)
{
    return FAILS(KIND_SYSTEM, EAGAIN) ? -1 : NEXT(fork)();
}

int rename(const char *from, const char *to)
{
    return FAILS(KIND_SYSTEM, EACCES) ? -1 : NEXT(rename)(from, to);
}

int fsync(int file)
{
    return FAILS(KIND_SYSTEM, EIO) ? -1 : NEXT(fsync)(file);
}

ssize_t write(int file, const void *bytes, size_t size)
{
    return FAILS(KIND_SYSTEM, ENOSPC) ? -1 : NEXT(write)(file, bytes, size);
}
