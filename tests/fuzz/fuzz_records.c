/* Any records of members and clients: requests, tokens, steps and cancels into a step log and a sequencer's queue, in any order, with steps
 * that end between; questions and answers of client sessions; lists of keys and values. What is read is within the limits, and is written
 * back as what it was.
 *
 * The input is a list of operations, each a byte and its arguments. Records have the expected form, with changes, or are any bytes. */
#include <stdlib.h>
#include <string.h>

#include "node/client/client_message.h"
#include "node/engine/request_queue.h"
#include "node/engine/steplog.h"
#include "node/fetch/kv_source.h"
#include "node/tokenizer/chat_turns.h"
#include "tests/fuzz/fuzz_input.h"

enum { CTX = 40, SLOTS = 3, BATCH = 8, VOCAB = 50, RANKS = 3, OPERATIONS_MAX = 300, BYTES_MAX = 2000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct steplog steps;
static struct request_queue queue;
static struct sequence sequences[SLOTS];
static uint8_t record[MESH_RECORD_BYTES_MAX];

/* ---- records ---- */

static size_t put_request(struct input *input)
{
    static uint32_t prompt[CTX + 2];
    struct request request = {.id = take(input, 1) % 8, .prompt = prompt, .sampling = {.temperature = 1, .top_p = 1, .repeat_penalty = 1}};
    uint32_t index;

    request.prompt_count = 1 + (uint32_t)take(input, 1) % (CTX + 1);
    request.predict = (uint32_t)take(input, 1);
    request.generated_before = (uint32_t)take(input, 1) % request.prompt_count;
    index = (uint32_t)take(input, 1) % 2;
    for (uint32_t i = 0; i < request.prompt_count; i++)
        prompt[i] = i % (VOCAB + (index && request.predict == 1));
    return record_put_request(&request, index, record);
}

static size_t put_step(struct input *input)
{
    struct step_entry entry = {.step = steps.known + take(input, 1) % 4 / 3, .part_count = (uint16_t)(1 + take(input, 1) % (SLOTS + 1))};

    for (uint16_t i = 0; i < entry.part_count; i++) {
        const unsigned flags = (unsigned)take(input, 1);

        entry.part[i] = (struct step_part){.request = take(input, 1) % 8,
                                           .position = (uint32_t)take(input, 1),
                                           .count = (uint16_t)(take(input, 1) % (BATCH + 1)),
                                           .is_sampled = flags & 1,
                                           .is_cancelled = (flags & 2) != 0,
                                           .begins = (flags & 4) != 0};
    }
    return record_put_step(&entry, record);
}

static size_t put_any(struct input *input)
{
    const size_t wanted = take(input, 2) % BYTES_MAX, left = (size_t)(input->end - input->at), bytes = wanted < left ? wanted : left;

    memcpy(record, input->at, bytes);
    input->at += bytes;
    return bytes;
}

/* With changes; in memory that is not larger, so that reads beyond the end are detected. */
static uint8_t *take_record(struct input *input, size_t *bytes)
{
    const unsigned how = (unsigned)take(input, 1);
    uint8_t *copy;

    *bytes = how % 4 == 0 ? put_any(input) : how % 4 == 1 ? put_step(input) : put_request(input);
    for (unsigned changes = how / 4 % 4; changes > 0 && *bytes > 0; changes--) {
        const size_t at = take(input, 1);

        record[at % *bytes] = (uint8_t)take(input, 1);
    }
    if ((how & 64) != 0)
        *bytes -= *bytes > 0;
    copy = malloc(*bytes > 0 ? *bytes : 1);
    require(copy != NULL);
    memcpy(copy, record, *bytes);
    return copy;
}

/* ---- members ---- */

static void give_to_log(struct input *input)
{
    const uint64_t before = steps.known;
    uint64_t complete;
    size_t bytes;
    uint8_t *copy = take_record(input, &bytes);
    const int err = steplog_take_record(&steps, copy, bytes, &complete);

    require(err == 0 || (complete == 0 && steps.known == before));
    require(steps.known <= before + 1 && steps.known - atomic_load(&steps.over) <= STEPLOG_ENTRIES_MAX);
    free(copy);
}

/* The parts of the next step begin their requests where there is room, and it is over. */
static void end_step(struct input *input)
{
    struct step_entry entry;
    uint32_t tokens = 0;

    (void)input;
    if (!steplog_next(&steps, &entry))
        return;
    require(entry.step == atomic_load(&steps.over) && entry.part_count >= 1 && entry.part_count <= SLOTS);
    for (uint16_t i = 0; i < entry.part_count; i++) {
        struct sequence *sequence = &sequences[entry.part[i].request % SLOTS];

        tokens += entry.part[i].count;
        require((uint64_t)entry.part[i].position + entry.part[i].count <= CTX);
        if (steplog_start(&steps, sequence, entry.part[i].request)) {
            require(sequence->token_count <= CTX && sequence->generated < sequence->token_count && sequence->token != NULL);
            memset(sequence->token, 1, CTX * sizeof *sequence->token);
        }
    }
    require(tokens <= BATCH);
    steplog_step_over(&steps);
}

static void give_to_queue(struct input *input)
{
    const uint16_t from = (uint16_t)(1 + take(input, 1) % (RANKS - 1));
    uint64_t refused;
    size_t bytes;
    uint8_t *copy = take_record(input, &bytes);
    const int err = request_queue_take_record(&queue, from, copy, bytes, &refused);

    require(err == 0 || refused == 0);
    free(copy);
}

static void take_from_queue(struct input *input)
{
    const struct request *request = request_queue_take(&queue);
    struct fail fail;
    uint16_t origin = MESH_RANKS_MAX;

    if (request == NULL)
        return;
    require(request_check(request, CTX, VOCAB, &fail) == 0);
    require(request_queue_state(&queue, request->id, &origin) == REQUEST_QUEUE_TAKEN && origin > 0 && origin < RANKS);
    if (take(input, 1) & 1)
        require(request_queue_remove(&queue, request->id));
}

static void cancel_all(struct input *input)
{
    (void)input;
    for (uint32_t cell = 0; request_queue_has_cancels(&queue) && cell < REQUEST_QUEUE_CANCELS_MAX; cell++) {
        const uint64_t id = request_queue_cancel_at(&queue, cell);

        if (id == 0)
            continue;
        request_queue_remove(&queue, id);
        request_queue_cancel_done(&queue, cell);
    }
    require(!request_queue_has_cancels(&queue));
}

/* ---- what is read by itself ---- */

/* The turns of a conversation, put again, are the same bytes. */
static void read_turns(const char *packed, size_t size)
{
    static char again[MESH_RECORD_BYTES_MAX];
    const bool is_good = chat_turns_check(packed, size, &(struct fail){0}) == 0;
    const char *at = packed;
    size_t left = size, put = 0;
    struct chat_turn turn;
    int result;

    while ((result = chat_turns_next(&at, &left, &turn)) > 0)
        require(chat_turns_put(again, sizeof again, &put, &turn));
    require(put + left == size && at == packed + put && memcmp(again, packed, put) == 0);
    require(!is_good || (result == 0 && size > 0));
}

/* A message that was read is written as a record that is read as the same. */
static void read_message(struct input *input)
{
    static uint8_t first[MESH_RECORD_BYTES_MAX], second[MESH_RECORD_BYTES_MAX];
    static struct client_message message, again;
    const size_t bytes = put_any(input);
    size_t written;

    if (client_message_read(&message, record, bytes) < 0)
        return;
    require(message.token_count <= CLIENT_MESSAGE_TOKENS_MAX && message.text_size <= bytes);
    written = client_message_write(&message, first);
    require(written == bytes && client_message_read(&again, first, written) == 0);
    require(client_message_write(&again, second) == written && memcmp(first, second, written) == 0);
    if (message.kind == CLIENT_MESSAGE_CONVERSE)
        read_turns(message.text, message.text_size);
}

static void read_kept(struct input *input)
{
    uint8_t written[RECORD_KEPT_BYTES_MAX];
    struct record_kept kept;
    const size_t bytes = put_any(input);
    struct bytes in = bytes_reader(record, bytes);

    bytes_get_u8(&in);
    if (record_get_kept(&in, &kept) < 0)
        return;
    record[0] = RECORD_KEPT;
    require(kept.count <= RECORD_KEPT_MAX && record_put_kept(&kept, written) == bytes && memcmp(written, record, bytes) == 0);
}

static void read_list(struct input *input)
{
    static struct kv_source_list list;
    const size_t bytes = put_any(input);

    if (kv_source_list_read(&list, record, bytes) == 0)
        require(list.count <= ENGINE_SLOTS_MAX && bytes == 12 + 12 * (size_t)list.count);
}

static void (*const operations[])(struct input *input) = {give_to_log,  give_to_log, end_step,  give_to_queue, take_from_queue,
                                                          read_message, cancel_all,  read_kept, read_list};

static void start(void)
{
    static const struct steplog_limits limits = {.ctx = CTX, .slots = SLOTS, .batch = BATCH};
    struct fail fail;

    require(steplog_init(&steps, &limits, &fail) == 0);
    request_queue_init(&queue, CTX, VOCAB);
    for (unsigned i = 0; i < SLOTS; i++) {
        sequences[i] = (struct sequence){.token = calloc(CTX, sizeof(uint32_t))};
        require(sequences[i].token != NULL);
    }
}

static void stop(void)
{
    steplog_release(&steps);
    request_queue_release(&queue);
    for (unsigned i = 0; i < SLOTS; i++)
        free(sequences[i].token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};

    start();
    for (unsigned i = 0; i < OPERATIONS_MAX && input.at < input.end; i++)
        operations[take(&input, 1) % (sizeof operations / sizeof *operations)](&input);
    stop();
    return 0;
}
