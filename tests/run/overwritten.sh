#!/bin/bash
# The model's file while nodes use it: removed or replaced by renaming it changes nothing; overwritten it ends the node, with that reason.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

shape=(--dim 64 --hidden 160 --layers 2 --heads 4 --kv-heads 2 --vocab 300 --ctx 256)
check "a model is made" "$mesh_node" synth -o "$tmp/m.gguf" "${shape[@]}" --seed 1
check "another one is made" "$mesh_node" synth -o "$tmp/other.gguf" "${shape[@]}" --seed 2
ports=("$(free_port)" "$(free_port)")
for n in 0 1; do
    cp "$tmp/m.gguf" "$tmp/m$n.gguf"
    background "$mesh_node" serve -m "$tmp/m$n.gguf" -t 1 --listen "127.0.0.1:${ports[n]}" --join "127.0.0.1:${ports[1 - n]}" \
        2>"$tmp/node$n"
    pids[n]=$background_pid
done
ask() { timeout 60 "$mesh_node" ask --to "127.0.0.1:${ports[$1]}" -p abc -n 8 --temp 0 --ids; }
has() { timeout 10 "$mesh_node" status --to "127.0.0.1:${ports[1]}" --json | grep -q "\"nodes\":$1,"; }
check "two nodes come together" wait_until 20 has 2
check "they answer" ask 1
cp "$out" "$tmp/answer"
cp "$tmp/other.gguf" "$tmp/new.gguf"
mv "$tmp/new.gguf" "$tmp/m1.gguf"
dd if="$tmp/other.gguf" of="$tmp/m0.gguf" bs=64k conv=notrunc status=none
code=0
wait "${pids[0]}" || code=$?
check_equal "a node whose model is overwritten ends with exit code 3" "$code" 3
check_contains "it prints why" "$tmp/node0" "mesh-node: $tmp/m0.gguf: was overwritten while this node used it"
check "the other one goes on without it" wait_until 20 has 1
check "a node whose model was replaced by another file answers" ask 1
check_same "from the one that it has" "$tmp/answer" "$out"
rm "$tmp/m1.gguf"
check "a node whose model was removed answers" ask 1
check_same "the same" "$tmp/answer" "$out"
finish
