/* A serving node in a test: its server with real cores, engine and socket, on a clock and a network that the test plays.
 *
 * The test calls what the node's loop calls. What the node sends outside of epochs goes to clients, which are cores of calls, and to one
 * other process, which is a core of the cluster layer; neither has a socket. served_clock.h gives a program its clock and network. */
#ifndef TESTS_SERVED_H
#define TESTS_SERVED_H

#include "node/serve/serve_state.h"

#define SERVED_MS UINT64_C(1000000)
#define SERVED_S  UINT64_C(1000000000)

enum { SERVED_CLIENTS = 3, SERVED_TOKENS = 8192, SERVED_CTX = 8000 };

struct served_client {
    struct mesh_call *call;
    struct mesh_session_seal seal;
    void *memory;
    bool is_deaf; /* nothing reaches it */
    uint32_t session;
    bool is_open, is_over;
    unsigned told[256]; /* records by kind */
    uint32_t token[SERVED_TOKENS], tokens;
    struct client_message_done done;
    char text[CLIENT_MESSAGE_TEXT_MAX + 1]; /* of the last STATE, REFUSED or UNFIT */
};

struct served {
    struct serve_config config;
    struct server server;
    struct served_client client[SERVED_CLIENTS];
    unsigned client_count;
    struct mesh_cluster *other; /* another process; NULL: there is none */
    void *other_memory;
    struct mesh_seal_key other_key;
    bool other_is_deaf, other_is_mute;
    bool is_held;              /* what is being opened for the next epoch is not waited for */
    void (*before_send)(void); /* called before the node sends what is outside of epochs; NULL: nothing is */
};

uint64_t served_now_ns(void);
void served_send(struct server *server);     /* the one of the test that is open: what is outside of epochs */
void served_let_pass(uint64_t ns);           /* nothing happens meanwhile */
struct mesh_addr served_addr(uint16_t port); /* 1: the node, 2: the other process, from 10: clients */

/* One at a time; without an epoch. seed_count: 1: it looks for the other process first. With a security, all of them have its key. */
void served_open(struct served *s, unsigned seed_count, enum mesh_security security);
void served_close(struct served *s);

/* An epoch of this node alone, with all loaded; no thread works on it: served_work does. */
void served_begin_alone(struct served *s);
void served_work(struct served *s); /* until nothing is to be done, and results are taken */

unsigned served_call(struct served *s); /* a client, whose session is open */
void served_hang_up(struct served *s, unsigned client);
void served_say(struct served *s, unsigned client, const uint8_t *record, size_t bytes);
void served_ask(struct served *s, unsigned client, const struct client_message *message);
void served_ask_text(struct served *s, unsigned client, const char *text, uint32_t predict);
void served_say_kind(struct served *s, unsigned client, enum client_message_kind kind); /* a message without anything else */
void served_expect_text(const struct served *s, unsigned client, const char *part);     /* of the last text that it was told */
void served_pump(struct served *s);                                                     /* sessions, until nothing is under way */

/* A process that looks for the node. Again: another process, at the same address. */
void served_start_other(struct served *s, bool has_other_model);

void served_run_other(struct served *s, uint64_t ns); /* alone, before the node's cluster layer begins */

/* Time passes in small steps, with the node's cluster layer and the other process, for at most so long or until is_done. False with fail
 * set: the node ends. */
bool served_run(struct served *s, uint64_t ns, bool (*is_done)(const struct served *s), struct fail *fail);

/* Events noted so far of a kind; and the text of the last one, "" if there is none. */
unsigned served_noted(const struct served *s, enum mesh_node_event kind);
const char *served_note(const struct served *s, enum mesh_node_event kind);

#endif
