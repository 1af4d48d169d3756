#!/bin/bash
# The model that comes with the project writes stories that end by themselves, of 80 to 200 words, the same on any number of nodes.
# Runs beside others.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

model=node/models/stories-q8_0.gguf
check "the file is a model" "$mesh_node" inspect $model
for seed in 1 2 3 4 5 6; do
    check "seed $seed: a story is told" "$mesh_node" run -m $model -p "Once upon a time" -n 400 --temp 0.7 --seed $seed --digest \
        --local $((seed % 3 + 1))
    tokens=$(sed -n 's/^digest tokens=\([0-9]*\) .*/\1/p' "$out")
    sed '/^digest /d' "$out" >"$tmp/story"
    words=$(($(wc -w <"$tmp/story") + 4)) # the prompt is not repeated
    if [ "$words" -ge 80 ] && [ "$words" -le 200 ]; then
        ok "seed $seed: the story has 80 to 200 words"
    else
        not_ok "seed $seed: the story has 80 to 200 words" "$words" "$(cat "$tmp/story")"
    fi
    if [ "${tokens:-400}" -lt 400 ]; then
        ok "seed $seed: the story ends by itself"
    else
        not_ok "seed $seed: the story ends by itself" "$(show_run)"
    fi
    if tail -n 1 "$tmp/story" | grep -qE '[.!?]"?$'; then
        ok "seed $seed: the story's last sentence is whole"
    else
        not_ok "seed $seed: the story's last sentence is whole" "$(tail -n 1 "$tmp/story")"
    fi
done
finish
