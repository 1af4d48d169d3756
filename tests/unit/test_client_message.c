#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <string.h>

#include "mesh/session.h"
#include "mesh/telemetry.h"
#include "node/client/client_message.h"
#include "node/common/hash.h"
#include "node/fetch/bulk.h"
#include "word_hash.h"

static uint8_t record[MESH_RECORD_BYTES_MAX];

static struct client_message example(enum client_message_kind kind)
{
    return (struct client_message){
        .kind = kind,
        .ask = {.predict = 7,
                .sampling = {.temperature = 0.5f, .top_k = 3, .top_p = 0.9f, .min_p = 0.1f, .repeat_penalty = 1.1f, .seed = 1234567890123},
                .ignore_end = true,
                .is_ids = true},
        .done = {.reason = ENGINE_DONE_END, .prompt_tokens = 5, .tokens = 6, .first_ns = 7, .all_ns = 8, .nodes = 3, .epochs = 2},
        .token = {{1, 2, 4}, {3, 4, 5}},
        .token_count = 2,
        .text = "Once upon",
        .text_size = 9};
}

static const enum client_message_kind kinds[] = {
    CLIENT_MESSAGE_ASK,  CLIENT_MESSAGE_STATUS, CLIENT_MESSAGE_STATUS_TEXT, CLIENT_MESSAGE_CANCEL, CLIENT_MESSAGE_TOKENS,
    CLIENT_MESSAGE_DONE, CLIENT_MESSAGE_STATE,  CLIENT_MESSAGE_REFUSED,     CLIENT_MESSAGE_UNFIT,  CLIENT_MESSAGE_CONVERSE};
enum { LATER = 1 /* of these kinds: a node of the first version does not know them, and refuses them */ };

static void what_is_written_is_read_back(void **state)
{
    struct client_message message;
    struct client_message asked = example(CLIENT_MESSAGE_ASK), done = example(CLIENT_MESSAGE_DONE);

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct client_message said = example(kinds[i]);

        assert_int_equal(client_message_read(&message, record, client_message_write(&said, record)), 0);
        assert_int_equal(message.kind, kinds[i]);
        assert_false(bulk_is_one(record, 1)); /* other records of a session */
        assert_true(record[0] != MESH_TELEMETRY_RECORD_WATCH && record[0] != MESH_TELEMETRY_RECORD_REPORT);
    }
    assert_int_equal(client_message_read(&message, record, client_message_write(&asked, record)), 0);
    assert_true(message.ask.sampling.temperature == 0.5f && message.ask.sampling.seed == 1234567890123 && message.ask.predict == 7);
    assert_true(message.ask.ignore_end && !message.ask.want_digest && message.ask.is_ids);
    assert_false(message.ask.is_chat);
    assert_int_equal(message.text_size, 9);
    assert_memory_equal(message.text, "Once upon", 9);
    asked.ask.is_ids = false;
    asked.ask.is_chat = true;
    assert_int_equal(client_message_read(&message, record, client_message_write(&asked, record)), 0);
    assert_true(message.ask.is_chat && !message.ask.is_ids && message.ask.ignore_end);
    assert_int_equal(client_message_read(&message, record, client_message_write(&done, record)), 0);
    assert_int_equal(message.done.epochs, 2);
    assert_int_equal(message.done.all_ns, 8);
}

static void a_record_that_is_cut_or_too_long_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct client_message said = example(kinds[i]), message;
        const size_t bytes = client_message_write(&said, record);

        for (size_t cut = 0; cut < bytes; cut++)
            assert_int_equal(client_message_read(&message, record, cut), -1);
        assert_int_equal(client_message_read(&message, record, bytes + 1), -1);
    }
}

static void texts_of_tokens_make_up_the_text(void **state)
{
    struct client_message said = example(CLIENT_MESSAGE_TOKENS), message;
    const size_t bytes = client_message_write(&said, record);

    (void)state;
    assert_int_equal(client_message_read(&message, record, bytes), 0);
    assert_int_equal(message.token[0].text_size, 4);
    assert_int_equal(message.token[1].text_size, 5);
    record[1 + 4 + 4 + 8]++; /* the first one's size */
    assert_int_equal(client_message_read(&message, record, bytes), -1);
    said.token_count = 0; /* text that belongs to no token */
    assert_int_equal(client_message_read(&message, record, client_message_write(&said, record)), 0);
    assert_int_equal(message.text_size, 9);
}

/* Clients index by them. */
static void an_end_for_no_reason_or_of_more_nodes_than_a_cluster_has_is_refused(void **state)
{
    struct client_message said = example(CLIENT_MESSAGE_DONE), message;

    (void)state;
    said.done.reason = ENGINE_DONE_REFUSED;
    said.done.nodes = MESH_RANKS_MAX;
    assert_int_equal(client_message_read(&message, record, client_message_write(&said, record)), 0);
    said.done.nodes++;
    assert_int_equal(client_message_read(&message, record, client_message_write(&said, record)), -1);
    said.done.nodes = 1;
    said.done.reason++;
    assert_int_equal(client_message_read(&message, record, client_message_write(&said, record)), -1);
}

static void a_conversation_has_the_fields_of_a_question(void **state)
{
    struct client_message said = example(CLIENT_MESSAGE_ASK), message;
    static uint8_t asked[MESH_RECORD_BYTES_MAX];
    size_t bytes;

    (void)state;
    said.ask.is_ids = false;
    bytes = client_message_write(&said, asked);
    said.kind = CLIENT_MESSAGE_CONVERSE;
    said.ask.is_ids = said.ask.is_chat = true;
    assert_int_equal(client_message_write(&said, record), bytes);
    assert_int_equal(record[0], 8);
    assert_memory_equal(record + 1, asked + 1, bytes - 1);
    assert_int_equal(client_message_read(&message, record, bytes), 0);
    assert_true(message.kind == CLIENT_MESSAGE_CONVERSE && message.ask.ignore_end && !message.ask.is_ids && !message.ask.is_chat);
    assert_memory_equal(message.text, "Once upon", 9);
}

/* Else an option of a later version would be ignored, and nobody told. */
static void a_flag_that_is_not_known_is_refused(void **state)
{
    const size_t at = 1 + 4 + 36; /* kind, tokens, sampling */
    struct client_message message;

    (void)state;
    for (unsigned flag = 1; flag < 256; flag *= 2) {
        struct client_message asked = example(CLIENT_MESSAGE_ASK), turns = example(CLIENT_MESSAGE_CONVERSE);
        size_t bytes = client_message_write(&asked, record);

        record[at] = (uint8_t)flag;
        assert_int_equal(client_message_read(&message, record, bytes), flag <= 8 ? 0 : -1);
        bytes = client_message_write(&turns, record);
        record[at] = (uint8_t)flag;
        assert_int_equal(client_message_read(&message, record, bytes), flag <= 2 ? 0 : -1);
    }
}

/* Two programs that disagree on it would take one record for another. */
static void the_layout_is_that_of_its_version(void **state)
{
    const uint64_t known = UINT64_C(0x46cd0eed8601f620);
    uint64_t hash = WORD_HASH_OF_NOTHING;

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds - LATER; i++) {
        struct client_message said = example(kinds[i]);
        const size_t bytes = client_message_write(&said, record);

        hash = word_hash(hash, bytes);
        for (size_t at = 0; at < bytes; at++)
            hash = word_hash(hash, record[at]);
    }
    assert_int_equal(MESH_SESSION_RECORDS, 1);
    if (hash != known)
        fail_msg(
            "the layout of records is another one: raise MESH_SESSION_RECORDS (mesh/session.h, and in docs/PROTOCOL.md), since a client "
            "of another build would read nonsense. Then write UINT64_C(0x%016" PRIx64 ") here",
            hash);
}

static void any_bytes_are_read_or_refused(void **state)
{
    struct client_message message;

    (void)state;
    for (uint64_t round = 0; round < 20000; round++) {
        const size_t bytes = hash_words3(1, round, 0) % 200;

        for (size_t i = 0; i < bytes; i++)
            record[i] = (uint8_t)(hash_words3(2, round, i) % (i == 0 ? 24 : 256));
        if (client_message_read(&message, record, bytes) == 0 && message.text_size > 0)
            assert_true((const uint8_t *)message.text >= record && (const uint8_t *)message.text + message.text_size <= record + bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(a_record_that_is_cut_or_too_long_is_refused),
        cmocka_unit_test(texts_of_tokens_make_up_the_text),
        cmocka_unit_test(a_conversation_has_the_fields_of_a_question),
        cmocka_unit_test(a_flag_that_is_not_known_is_refused),
        cmocka_unit_test(the_layout_is_that_of_its_version),
        cmocka_unit_test(any_bytes_are_read_or_refused),
        cmocka_unit_test(an_end_for_no_reason_or_of_more_nodes_than_a_cluster_has_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
