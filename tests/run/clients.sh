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
finish
