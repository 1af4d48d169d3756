#!/bin/bash
# Clients that vanish or stand still: their requests are cancelled and their places given back; one that goes on then prints what happened.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

model=$tmp/m.gguf
check "a model is made" "$mesh_node" synth -o "$model" --dim 64 --hidden 160 --layers 2 --heads 4 --kv-heads 2 --vocab 300 --ctx 4096 \
    --seed 1
port=$(free_port)
background "$mesh_node" serve -m "$model" -t 1 --slots 2 --listen "127.0.0.1:$port" --lab pace=1MB/s 2>"$tmp/node"
has_requests() { timeout 10 "$mesh_node" status --to "127.0.0.1:$port" --json | grep -q "\"requests\":$1,"; }
check "a node serves" wait_until 20 has_requests 0
has_text() { "${@:2}" | grep -qF -e "$1"; }
ask() { background "$mesh_node" ask --to "127.0.0.1:$port" -p abc --temp 0 --ignore-eos -n 4000; }
ask >"$tmp/killed" 2>&1
killed=$background_pid
ask >"$tmp/stopped" 2>"$tmp/stopped.err"
stopped=$background_pid
check "two requests take both slots" wait_until 20 test -s "$tmp/killed" -a -s "$tmp/stopped"
kill -KILL "$killed"
kill -STOP "$stopped"
wait "$killed" 2>/dev/null
check "another client's request is answered when theirs are cancelled" \
    timeout 60 "$mesh_node" ask --to "127.0.0.1:$port" -p abc --temp 0 --ignore-eos -n 3
check "nothing of them is left" wait_until 20 has_requests 0
kill -CONT "$stopped"
code=0
wait "$stopped" || code=$?
check_equal "the client that stood still ends with exit code 4" "$code" 4
check_contains "it prints that it stood still" "$tmp/stopped.err" "127.0.0.1:$port: this program stood still for "

# As many clients as a node works for: it can still be looked at.
askers=()
for _ in {1..32}; do
    ask >/dev/null 2>&1
    askers+=("$background_pid")
done
check "32 clients ask at once" wait_until 20 has_requests 32
check "the node tells its status" "$mesh_node" status --to "127.0.0.1:$port"
check "it can be watched" "$mesh_node" status --to "127.0.0.1:$port" --telemetry 1
check_contains "the watcher is told how many requests there are" "$out" '"requests_begun":3'
check_exit "one client more is told that the node works for as many as it takes" 4 \
    "refused: this node works for 32 clients, as many as it takes: ask another node, or later" \
    timeout 20 "$mesh_node" ask --to "127.0.0.1:$port" -p abc -n 1
check "it is counted" has_text '"client_full":1,' "$mesh_node" status --to "127.0.0.1:$port" --json
kill "${askers[@]}"
check "all have left" wait_until 20 has_requests 0

# Sessions that are kept open and ask for nothing.
if ! command -v "${CC:=cc}" >/dev/null; then
    skip "idle sessions give way" "there is no compiler"
    finish
fi
cat >"$tmp/hold.c" <<'END'
#include <mesh/client.h>
#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 48 };

/* Opens as many sessions as a node has, then keeps them; prints how many it opened, and a line for each that the node closes. */
int main(int argc, char **argv)
{
    const struct mesh_client_config config = {.address = argv[argc - 1], .cluster = "mesh"};
    struct mesh_client *client[COUNT];
    struct mesh_client_error why;
    const uint8_t *record;
    size_t bytes;
    int open = 0;

    for (int i = 0; i < COUNT; i++)
        open += (client[i] = mesh_client_open(&config, &why)) != NULL;
    printf("open %d\n", open);
    fflush(stdout);
    for (int i = 0; open == COUNT; i = (i + 1) % COUNT)
        if (client[i] != NULL && mesh_client_receive(client[i], &record, &bytes, 1000000, &why) < 0) {
            printf("%s\n", why.text);
            fflush(stdout);
            mesh_client_close(client[i]);
            client[i] = NULL;
        }
    return 1;
}
END
ln -s "$(realpath "$BIN/libmesh.so")" "$tmp/libmesh.so.0"
check "a program that holds sessions is built" "$CC" -std=c17 ${SAN:+-fsanitize=$SAN} -Ilibmesh/include -o "$tmp/hold" "$tmp/hold.c" \
    -L"$BIN" -lmesh -Wl,-rpath,"$tmp"
background "$tmp/hold" "127.0.0.1:$port" >"$tmp/held"
check "it gets all 48 sessions" wait_until 20 grep -qx "open 48" "$tmp/held"
check "the node has room again when they have asked for nothing for a while" \
    wait_until 20 "$mesh_node" status --to "127.0.0.1:$port"
check "some of them were closed" wait_until 20 grep -q "the node has closed the session" "$tmp/held"
check "most of them are left alone" [ "$(wc -l <"$tmp/held")" -lt 16 ]
check "a question is answered beside them" timeout 60 "$mesh_node" ask --to "127.0.0.1:$port" -p abc --temp 0 --ignore-eos -n 3
finish
