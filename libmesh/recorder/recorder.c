/* The recorder: lanes, their gaps, and the thread that stores. */
#include "mesh/recorder.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "recorder_ring.h"
#include "recorder_sleep.h"

enum {
    RECORDER_NICE = 10,
    RECORDER_YIELD_ENTRIES = 512, /* between two offers of the processor to others: storing so many takes a tenth of a millisecond */
    RECORDER_TAKEN_AT_ONCE = 256  /* by the recorder's thread, before another one may help again */
};

static const uint64_t ring_bytes_default = 16 << 20, batch_ns_default = 250000000, retry_ns_default = 1000000000, second_ns = 1000000000,
                      not_whole_ns = 1000000; /* until it is looked again whether an entry has been written to its end */

/* In the ring, before the content. */
struct recorder_head {
    uint16_t lane, kind;
    uint32_t unused;
    uint64_t when_ns;
};

struct recorder_lane {
    _Alignas(64) struct mesh_recorder_gap gap; /* not in the ring yet; belongs to the lane's writer */
};

struct mesh_recorder {
    struct mesh_recorder_config config;
    struct recorder_ring ring;
    struct recorder_lane lane[MESH_RECORDER_LANES];
    _Atomic uint64_t entries, lost, payloads, batches, failures, ring_bytes_max;
    _Atomic bool is_failing;
    _Atomic uint64_t writing_since_ns; /* the present call of the store's write; 0: none */
    _Atomic bool is_ending;
    _Atomic bool is_resting; /* until a batch is due: to be woken when the ring fills before */
    struct recorder_sleep sleep;
    pthread_t thread;
    pthread_mutex_t reading; /* guards the ring's reading side, the store, and the next field */
    uint64_t helped;         /* entries that the store has taken since the last swap */
    uint64_t swapped;        /* entries that it had taken by then and has not written; for the recorder's thread alone */
    pthread_mutex_t mutex;   /* guards what follows */
    char why[MESH_RECORDER_REASON_BYTES];
};

struct mesh_recorder_batch {
    struct mesh_recorder *recorder;
    uint64_t bytes_max;      /* 0: there are none, and the ring may be read by others */
    uint64_t entries, taken; /* taken: with gaps */
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * second_ns + (uint64_t)now.tv_nsec;
}

/* ---- writing, on anybody's thread ---- */

/* The ring is so full that a batch before its time pays. */
static bool is_due(struct mesh_recorder *recorder)
{
    return mesh_recorder_ring_used(&recorder->ring) > recorder->ring.capacity / 8;
}

/* Once for each sleep: what is put until the thread runs wakes nobody. */
static void wake(struct mesh_recorder *recorder)
{
    if (atomic_load_explicit(&recorder->is_resting, memory_order_relaxed) && atomic_exchange(&recorder->is_resting, false))
        mesh_recorder_sleep_wake(&recorder->sleep);
}

static uint8_t *begin(struct mesh_recorder *recorder, uint16_t lane, uint16_t kind, uint64_t when_ns, size_t bytes)
{
    const struct recorder_head head = {.lane = lane, .kind = kind, .when_ns = when_ns};
    uint8_t *const at = mesh_recorder_ring_reserve(&recorder->ring, sizeof head + bytes);

    if (is_due(recorder))
        wake(recorder);
    if (at == NULL)
        return NULL;
    memcpy(at, &head, sizeof head);
    return at + sizeof head;
}

void mesh_recorder_end(void *content, size_t bytes)
{
    mesh_recorder_ring_commit((uint8_t *)content - sizeof(struct recorder_head), sizeof(struct recorder_head) + bytes);
}

static bool is_roomy(struct mesh_recorder *recorder)
{
    return mesh_recorder_ring_used(&recorder->ring) < recorder->ring.capacity / 2;
}

static void add_loss(struct mesh_recorder_loss *loss, uint64_t when_ns)
{
    if (loss->count++ == 0)
        loss->first_ns = when_ns;
    loss->last_ns = when_ns;
}

/* Put the lane's gap, if it has one, before anything else of the lane. True: the next entry may follow; where is_last, no gap is left. */
static bool put_gap(struct mesh_recorder *recorder, uint16_t lane, bool is_last)
{
    struct mesh_recorder_gap *gap = &recorder->lane[lane].gap;
    uint64_t when_ns = gap->entries.count > 0 ? gap->entries.last_ns : gap->payloads.last_ns;
    uint8_t *at;

    /* A gap of payloads alone waits until there is room for payloads again: else each payload would get a gap of its own. */
    if (gap->entries.count == 0 && (gap->payloads.count == 0 || (!is_last && !is_roomy(recorder))))
        return true;
    at = begin(recorder, lane, MESH_RECORDER_GAP, when_ns, sizeof *gap);
    if (at == NULL)
        return gap->entries.count == 0 && !is_last;
    memcpy(at, gap, sizeof *gap);
    mesh_recorder_end(at, sizeof *gap);
    *gap = (struct mesh_recorder_gap){0};
    return true;
}

void *mesh_recorder_begin(struct mesh_recorder *recorder, uint16_t lane, uint16_t kind, uint64_t when_ns, size_t bytes)
{
    uint8_t *at = NULL;

    assert(lane < MESH_RECORDER_LANES && kind != MESH_RECORDER_GAP && bytes > 0);
    if (put_gap(recorder, lane, false))
        at = begin(recorder, lane, kind, when_ns, bytes);
    if (at == NULL) {
        add_loss(&recorder->lane[lane].gap.entries, when_ns);
        atomic_fetch_add_explicit(&recorder->lost, 1, memory_order_relaxed);
    }
    return at;
}

void mesh_recorder_put(struct mesh_recorder *recorder, const struct mesh_recorder_entry *entry)
{
    void *at = mesh_recorder_begin(recorder, entry->lane, entry->kind, entry->when_ns, entry->bytes);

    if (at == NULL)
        return;
    memcpy(at, entry->content, entry->bytes);
    mesh_recorder_end(at, entry->bytes);
}

bool mesh_recorder_takes_payload(struct mesh_recorder *recorder, uint16_t lane, uint64_t when_ns)
{
    assert(lane < MESH_RECORDER_LANES);
    if (is_roomy(recorder))
        return true;
    add_loss(&recorder->lane[lane].gap.payloads, when_ns);
    atomic_fetch_add_explicit(&recorder->payloads, 1, memory_order_relaxed);
    return false;
}

void mesh_recorder_get_stats(struct mesh_recorder *recorder, struct mesh_recorder_stats *stats)
{
    const uint64_t since_ns = atomic_load(&recorder->writing_since_ns); /* read before the clock, which is then not earlier */

    *stats = (struct mesh_recorder_stats){
        .entries = atomic_load(&recorder->entries),
        .lost = atomic_load(&recorder->lost),
        .payloads = atomic_load(&recorder->payloads),
        .batches = atomic_load(&recorder->batches),
        .failures = atomic_load(&recorder->failures),
        .ring_bytes_max = atomic_load(&recorder->ring_bytes_max),
        .is_failing = atomic_load(&recorder->is_failing),
        .writing_ns = since_ns > 0 ? clock_ns(CLOCK_MONOTONIC) - since_ns : 0,
    };
    pthread_mutex_lock(&recorder->mutex);
    memcpy(stats->why, recorder->why, sizeof stats->why);
    pthread_mutex_unlock(&recorder->mutex);
}

/* ---- storing, on the recorder's thread, and helping, on others ---- */

static bool next(struct recorder_ring *ring, struct mesh_recorder_entry *entry)
{
    size_t bytes;
    const uint8_t *content = mesh_recorder_ring_next(ring, &bytes);
    struct recorder_head head;

    if (content == NULL)
        return false;
    memcpy(&head, content, sizeof head);
    *entry = (struct mesh_recorder_entry){
        .lane = head.lane,
        .kind = head.kind,
        .when_ns = head.when_ns,
        .content = content + sizeof head,
        .bytes = bytes - sizeof head,
    };
    return true;
}

bool mesh_recorder_next(struct mesh_recorder_batch *batch, struct mesh_recorder_entry *entry)
{
    struct recorder_ring *ring = &batch->recorder->ring;

    if (batch->bytes_max == 0 || mesh_recorder_ring_unreleased(ring) >= batch->bytes_max || !next(ring, entry))
        return false;
    batch->entries += entry->kind != MESH_RECORDER_GAP;
    if (++batch->taken % RECORDER_YIELD_ENTRIES == 0 && mesh_recorder_ring_used(ring) < ring->capacity / 4)
        sched_yield(); /* to a worker that has waited for this processor; but not until nothing has room any more */
    return true;
}

/* Let the store take at most `count` entries; how many it took. With recorder->reading locked. */
static unsigned give(struct mesh_recorder *recorder, unsigned count, bool *is_refused)
{
    const struct mesh_recorder_store *to = &recorder->config.store;
    struct recorder_ring *ring = &recorder->ring;
    struct mesh_recorder_entry entry;
    unsigned given = 0;

    while (given < count && !*is_refused) {
        const uint64_t before = ring->read;

        if (!next(ring, &entry))
            break;
        *is_refused = entry.kind == MESH_RECORDER_GAP || !to->take(to->app, &entry);
        if (*is_refused)
            mesh_recorder_ring_unread(ring, before);
        else
            given++;
    }
    recorder->helped += given;
    mesh_recorder_ring_release(ring);
    return given;
}

void mesh_recorder_help(struct mesh_recorder *recorder, unsigned count)
{
    bool is_refused = false;

    if (recorder->config.store.take == NULL || mesh_recorder_ring_used(&recorder->ring) == 0 ||
        pthread_mutex_trylock(&recorder->reading) != 0)
        return;
    give(recorder, count, &is_refused);
    pthread_mutex_unlock(&recorder->reading);
}

/* The recorder's thread does what no other has done, a little at a time: while it has the lock and no processor, nobody can help. True: the
 * next entry is one that cannot be taken. */
static bool help_alone(struct mesh_recorder *recorder)
{
    unsigned given = RECORDER_TAKEN_AT_ONCE;
    bool is_refused = false;

    while (given == RECORDER_TAKEN_AT_ONCE && !is_refused) {
        pthread_mutex_lock(&recorder->reading);
        given = give(recorder, RECORDER_TAKEN_AT_ONCE, &is_refused);
        pthread_mutex_unlock(&recorder->reading);
        if (mesh_recorder_ring_used(&recorder->ring) < recorder->ring.capacity / 4)
            sched_yield(); /* to a worker that has waited for this processor; but not until nothing has room any more */
    }
    return is_refused;
}

enum stored { STORE_FAILED = -1, STORED_NOTHING, STORED_SOME, STORED_PART /* of what was there; go on at once */ };

static void fail(struct mesh_recorder *recorder, const char why[MESH_RECORDER_REASON_BYTES])
{
    pthread_mutex_lock(&recorder->mutex);
    if (recorder->why[0] == '\0')
        memcpy(recorder->why, why, sizeof recorder->why);
    pthread_mutex_unlock(&recorder->mutex);
    atomic_fetch_add(&recorder->failures, 1);
    atomic_store(&recorder->is_failing, true);
}

static enum stored write_batch(struct mesh_recorder *recorder, struct mesh_recorder_batch *batch)
{
    char why[MESH_RECORDER_REASON_BYTES] = "";
    int err;

    atomic_store(&recorder->writing_since_ns, clock_ns(CLOCK_MONOTONIC));
    err = recorder->config.store.write(recorder->config.store.app, batch, why);
    atomic_store(&recorder->writing_since_ns, 0);
    if (err < 0) {
        fail(recorder, why);
        return STORE_FAILED;
    }
    atomic_fetch_add(&recorder->entries, batch->entries + recorder->swapped);
    recorder->swapped = 0;
    atomic_fetch_add(&recorder->batches, 1);
    atomic_store(&recorder->is_failing, false);
    return STORED_SOME;
}

/* With recorder->reading locked. */
static void swap(struct mesh_recorder *recorder)
{
    if (recorder->swapped > 0 || recorder->helped == 0)
        return;
    recorder->config.store.swap(recorder->config.store.app);
    recorder->swapped = recorder->helped;
    recorder->helped = 0;
}

/* Store what others have taken. They go on meanwhile. */
static enum stored store_taken(struct mesh_recorder *recorder)
{
    struct mesh_recorder_batch none = {.recorder = recorder};

    pthread_mutex_lock(&recorder->reading);
    swap(recorder);
    pthread_mutex_unlock(&recorder->reading);
    return recorder->swapped > 0 ? write_batch(recorder, &none) : STORED_NOTHING;
}

/* Store what is in the ring, at most `most` bytes of it; nothing where its first entry is not whole. With recorder->reading locked. */
static enum stored store_ring(struct mesh_recorder *recorder, uint64_t most)
{
    struct mesh_recorder_batch batch = {.recorder = recorder, .bytes_max = most};
    enum stored stored;

    if (!mesh_recorder_ring_has_next(&recorder->ring))
        return STORED_NOTHING;
    swap(recorder);
    stored = write_batch(recorder, &batch);
    if (stored == STORE_FAILED)
        mesh_recorder_ring_rewind(&recorder->ring);
    else
        mesh_recorder_ring_release(&recorder->ring);
    return stored;
}

/* Entries that can be taken are. One that cannot, and what is behind it, is stored from the ring: a little, so that others can help again
 * soon; or, where the store takes nothing, a quarter of the ring, so that others may fill the rest meanwhile. */
static enum stored store(struct mesh_recorder *recorder)
{
    const bool takes = recorder->config.store.take != NULL;
    const uint64_t used = mesh_recorder_ring_used(&recorder->ring), capacity = recorder->ring.capacity;
    bool is_refused;
    enum stored stored;

    if (used > atomic_load(&recorder->ring_bytes_max))
        atomic_store(&recorder->ring_bytes_max, used); /* nobody else writes it */
    is_refused = !takes || help_alone(recorder);
    stored = store_taken(recorder);
    if (stored == STORE_FAILED || !is_refused)
        return stored;
    pthread_mutex_lock(&recorder->reading);
    stored = store_ring(recorder, takes ? capacity / 256 : capacity / 4);
    pthread_mutex_unlock(&recorder->reading);
    return takes && stored == STORED_SOME && mesh_recorder_ring_used(&recorder->ring) > 0 ? STORED_PART : stored;
}

uint64_t mesh_recorder_sleep_ns(uint64_t now_ns, uint64_t batch_ns)
{
    const uint64_t left_ns = batch_ns - now_ns % batch_ns;

    return left_ns < batch_ns / 16 ? left_ns + batch_ns : left_ns; /* woken a little early: the last batch was that one */
}

static void sleep_until_due(struct mesh_recorder *recorder)
{
    atomic_store(&recorder->is_resting, true);
    if (!is_due(recorder)) /* look again: entries put before the line above have woken nobody */
        mesh_recorder_sleep_for(&recorder->sleep, mesh_recorder_sleep_ns(clock_ns(CLOCK_REALTIME), recorder->config.batch_ns));
    atomic_store(&recorder->is_resting, false);
}

/* Computing comes first: all members of a cluster wait for the one whose worker is put off. A batch that waits a while costs nothing, as
 * there is room. For this thread alone; that the system may refuse does not matter. */
static void step_back(void)
{
    const struct sched_param none = {0};

    (void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), RECORDER_NICE);
}

static void *run(void *argument)
{
    struct mesh_recorder *recorder = argument;

    pthread_setname_np(pthread_self(), "recorder");
    step_back();
    while (!atomic_load(&recorder->is_ending)) {
        const enum stored stored = store(recorder);

        if (stored == STORE_FAILED)
            mesh_recorder_sleep_for(&recorder->sleep, recorder->config.retry_ns);
        else if (stored == STORED_NOTHING && is_due(recorder))
            mesh_recorder_sleep_for(&recorder->sleep, not_whole_ns); /* enough is there, behind an entry that somebody is still writing */
        else if (stored != STORED_PART)
            sleep_until_due(recorder);
    }
    return NULL;
}

/* ---- beginning and ending ---- */

static int open_thread(struct mesh_recorder *recorder)
{
    sigset_t all, before;
    int err;

    pthread_mutex_init(&recorder->reading, NULL);
    pthread_mutex_init(&recorder->mutex, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&recorder->thread, NULL, run, recorder);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

static void release(struct mesh_recorder *recorder)
{
    pthread_mutex_destroy(&recorder->mutex);
    pthread_mutex_destroy(&recorder->reading);
    mesh_recorder_ring_close(&recorder->ring);
    free(recorder);
}

int mesh_recorder_open(struct mesh_recorder **recorder, const struct mesh_recorder_config *config)
{
    const uint64_t ring_bytes = config->ring_bytes > 0 ? config->ring_bytes : ring_bytes_default;
    struct mesh_recorder *opened;
    int err;

    if (config->store.write == NULL || !mesh_recorder_ring_is_valid(ring_bytes))
        return MESH_EINVAL;
    opened = aligned_alloc(64, (sizeof *opened + 63) / 64 * 64);
    if (opened == NULL)
        return MESH_ENOMEM;
    memset(opened, 0, sizeof *opened);
    opened->config = *config;
    opened->config.batch_ns = config->batch_ns > 0 ? config->batch_ns : batch_ns_default;
    opened->config.retry_ns = config->retry_ns > 0 ? config->retry_ns : retry_ns_default;
    if (mesh_recorder_ring_open(&opened->ring, ring_bytes) != 0) {
        free(opened);
        return MESH_ENOMEM;
    }
    err = open_thread(opened);
    if (err != 0) {
        release(opened);
        errno = err;
        return MESH_ESYSTEM;
    }
    *recorder = opened;
    return 0;
}

/* The gaps after which nothing came, each as soon as there is room. */
static void store_rest(struct mesh_recorder *recorder)
{
    bool is_all = false;
    enum stored stored = STORED_NOTHING;

    while (stored != STORE_FAILED &&
           !(is_all && mesh_recorder_ring_used(&recorder->ring) == 0 && recorder->helped + recorder->swapped == 0)) {
        is_all = true;
        for (uint16_t lane = 0; lane < MESH_RECORDER_LANES; lane++)
            is_all = put_gap(recorder, lane, true) && is_all;
        stored = store(recorder);
    }
}

/* Entries that the store does not take in the end. */
static uint64_t count_rest(struct mesh_recorder *recorder)
{
    struct mesh_recorder_batch batch = {.recorder = recorder, .bytes_max = recorder->ring.capacity};
    struct mesh_recorder_entry entry;

    while (mesh_recorder_next(&batch, &entry))
        continue;
    return batch.entries;
}

void mesh_recorder_close(struct mesh_recorder *recorder, struct mesh_recorder_stats *stats)
{
    if (recorder == NULL)
        return;
    atomic_store(&recorder->is_ending, true);
    mesh_recorder_sleep_wake(&recorder->sleep);
    pthread_join(recorder->thread, NULL);
    store_rest(recorder);
    atomic_fetch_add(&recorder->lost, count_rest(recorder) + recorder->helped + recorder->swapped);
    if (stats != NULL)
        mesh_recorder_get_stats(recorder, stats);
    release(recorder);
}
