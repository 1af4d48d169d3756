#!/bin/bash
# A trained model generates its reference text, on any number of nodes and with any kernel. The models are not part of the project.
# Runs beside others.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"
models=${MESH_MODELS:-../shared/models}
[ -d "$models" ] || skip_all "there are no trained models in $models: name their folder in MESH_MODELS"
kernels=$("$mesh_node" run -m x -p x --kernel none 2>&1 | sed -n 's/.*give one of *//p' | tr -d ,)

dreams=$models/dreams-260k.gguf
if [ -e "$dreams" ]; then
    # continues SENTENCE OPTION...: the text generated after "Echoes" is the beginning of the expected text.
    continues() {
        local sentence=$1
        shift
        run timeout -k 5 60 "$mesh_node" run -m "$dreams" -p Echoes -n 80 --temp 0 "$@"
        { printf Echoes && cat "$out"; } >"$tmp/text"
        truncate -s -1 "$tmp/text" # the newline that ends the output
        if [ "$code" -eq 0 ] && [ "$(stat -c %s "$tmp/text")" -gt 100 ] &&
            cmp -s -n "$(stat -c %s "$tmp/text")" "$tmp/text" "$models/dreams-260k.greedy.txt"; then
            ok "$sentence"
        else
            not_ok "$sentence" "$(show_run)" "expected: $(head -c 600 "$models/dreams-260k.greedy.txt")"
        fi
    }
    for nodes in 1 2 3; do
        continues "dreams-260k: $nodes node(s) write the expected text" --local $nodes
        for kernel in $kernels; do continues "dreams-260k: and with the $kernel kernel" --local $nodes --kernel "$kernel"; done
    done
    continues "dreams-260k: prompts in pieces and lossy networks change nothing" --local 3 --batch 2 --lab loss=3%,dup=2%,reorder=3%,seed=1
else
    skip "dreams-260k writes the expected text" "there is no $dreams"
fi

for model in "$models"/ref-*.gguf; do
    [ -e "$model" ] || continue
    name=$(basename "$model" .gguf)
    run "$mesh_node" run -m "$model" -p "The quick brown fox" -n 12 --seed 1 --ignore-eos --digest
    reference=$(tail -n 1 "$out")
    run "$mesh_node" run -m "$model" -p "The quick brown fox" -n 12 --seed 1 --ignore-eos --digest --local 3 --batch 5
    check_equal "$name: one digest on one node and on three" "$code $(tail -n 1 "$out")" "0 $reference"
done

for model in "$models"/*.gguf; do
    name=$(basename "$model")
    check "$name: inspect works" "$mesh_node" inspect "$model"
    check "$name: inspect --json works" "$mesh_node" inspect "$model" --json
    case $name in
    ggml-vocab-*)
        check_exit "$name: a vocabulary without a model is refused in words" 3 "token_embd.weight" "$mesh_node" run -m "$model" -p a
        ;;
    *)
        check "$name: plan works" "$mesh_node" plan -m "$model" --nodes 3
        ;;
    esac
done
finish
