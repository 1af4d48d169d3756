#!/bin/bash
# What `ask` says, and how it ends, when there is no answer or not all of one: a prompt that does not fit.
# Runs beside others.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

# A node that is slow, so that there is time to end it, and whoever asks it, within an answer.
model=$tmp/m.gguf
"$mesh_node" synth -o "$model" --dim 64 --hidden 64 --layers 1 --heads 2 --kv-heads 2 --vocab 300 --ctx 512 --type f32 --seed 1
port=$(free_port)
background "$mesh_node" serve -m "$model" -t 1 --ctx 256 --listen "127.0.0.1:$port" --lab pace=2MB/s 2>"$tmp/node"
node=$background_pid
ask() { "$mesh_node" ask --to "127.0.0.1:$port" --temp 0 --ignore-eos "$@"; }
check "a node answers" wait_until 20 ask -p x -n 1

# ---- a prompt that does not fit ----

long=$(head -c 400 /dev/zero | tr '\0' x)
run "$mesh_node" run -m "$model" --ctx 256 -p "$long"
words=$(sed -n 's/^.*run: \(the prompt has .*\)$/\1/p' "$err")
check_exit "a prompt that the context does not hold is wrong usage, in the words of run" 2 "ask: ${words:-no words of run}" ask -p "$long"
check_exit "so is a token that the vocabulary has not" 2 "the vocabulary has 300" ask --prompt-ids <(echo 5 300)

finish
