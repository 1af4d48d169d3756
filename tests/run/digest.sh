#!/bin/bash
# The same request gives the same digest line whatever the nodes, threads, shares, batches, kernels and losses.
# Runs beside others.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

# About a hundred tokens in a byte vocabulary; greedy and sampled requests, with every stage of the sampler in use.
prompt="Ships were hauled over the isthmus on wheels, in grooves cut into the stone, one after the other, all day."
greedy=(--temp 0)
sampled=(--temp 0.9 --seed 7 --repeat-penalty 1.1 --presence-penalty 0.1 --frequency-penalty 0.1)
nucleus=(--temp 1.1 --seed 11 --top-k 0 --top-p 0.9)
lossy=loss=5%,dup=2%,reorder=5%,delay=200us,seed=3
tokens=10

model() { # FILE OPTION VALUE...: a small model where the options do not say otherwise; of an option given twice the last counts
    local file=$tmp/$1
    shift
    "$mesh_node" synth -o "$file" --dim 64 --hidden 160 --layers 2 --heads 8 --kv-heads 4 --vocab 300 --ctx 160 --type q8_0 --seed 3 "$@" ||
        not_ok "a model can be made: $*"
}

# generate OUTPUT-OPTIONS... : run the request with the options common to all requests; stdout in $out, see `run`
generate() {
    run timeout -k 5 30 "$mesh_node" run -m "$tmp/$file" -p "$prompt" -n $tokens --ignore-eos "${request[@]}" "$@"
}

# begin FILE REQUEST...: the following cases are compared with this request on one node and one thread. $what begins their sentences.
begin() {
    what=$1
    file=$2
    shift 2
    request=("$@")
    generate --digest --local 1 -t 1
    reference=$(grep '^digest ' "$out")
    if [ "$code" -eq 0 ] && grep -qE "^digest tokens=$tokens ids=[0-9a-f]{16} logits=[0-9a-f]{16}$" "$out"; then
        ok "$what: one node with one thread gives a digest"
    else
        not_ok "$what: one node with one thread gives a digest" "$(show_run)"
    fi
}

# same OPTION...: with these options the digest is the same.
same() {
    generate --digest "$@"
    if [ "$code" -eq 0 ] && [ "$(grep '^digest ' "$out")" = "$reference" ]; then
        ok "$what: the same with $*"
    else
        not_ok "$what: the same with $*" "command: $mesh_node run ... ${request[*]} $*" "expected: $reference" "$(show_run)"
    fi
}

# other OPTION...: with these options it is not, so the digest depends on what it should.
other() {
    generate --digest "$@"
    if [ "$code" -eq 0 ] && [ "$(grep '^digest ' "$out")" != "$reference" ]; then
        ok "$what: another with $*"
    else
        not_ok "$what: another with $*" "$(show_run)"
    fi
}

# few A B: A in a sanitizer build, where everything takes ten times as long, else B.
few() {
    if [ -n "$SAN" ]; then echo "$1"; else echo "$2"; fi
}
kernels=$("$mesh_node" run -m x -p x --kernel none 2>&1 | sed -n 's/.*give one of *//p' | tr -d ,)

nodes_and_threads() {
    local n t
    for n in $(few "2 3 5 8" "1 2 3 4 5 6 7 8 16"); do same --local "$n" -t 1; done
    for t in 2 3 4; do same --local 1 -t "$t"; done
    for t in $(few "2" "2 4"); do same --local 2 -t "$t"; done
    same --local 3 -t 2
}

shares() {
    same --local 3 --shares 3,2,1
    same --local 3 --shares 1,0,2
    same --local 2 --shares 0,1
    same --local 2 --shares 1,0
    same --local 8 --shares 5,1,1,9,0,0,3,1
    same --local 3 --shares 1000,1,1 -t 2
}

batches() {
    local b
    for b in 1 3 7 64 128; do same --batch "$b"; done
    for b in $(few "3 128" "1 3 7 64 128"); do same --batch "$b" --local 3; done
    same --batch 7 --local 3 --shares 2,0,5 -t 2
}

every_kernel() {
    local k
    for k in $kernels; do
        same --kernel "$k" --local 1
        same --kernel "$k" --local 3
    done
}

bad_networks() {
    local n
    for n in $(few "3" "2 3 5 8"); do same --lab $lossy --local "$n" -t 1; done
}

baselines() {
    same --topology star --local 3
    same --pipeline off --local 3 -t 2
    same --topology star --pipeline off --local 4 --lab $lossy
}

agreement() {
    local ids logits
    ids=${reference##*ids=} ids=${ids%% *}
    logits=${reference##*logits=}
    generate --json --local 3
    check_equal "$what: the JSON summary has the digest of the ids" "$(tail -n 1 "$out" | sed 's/.*"digest_ids":"\([^"]*\)".*/\1/')" "$ids"
    check_equal "$what: the JSON summary has the digest of the logits" \
        "$(tail -n 1 "$out" | sed 's/.*"digest_logits":"\([^"]*\)".*/\1/')" "$logits"
    sed -n 's/.*"event":"token".*"id":\([0-9]*\).*/\1/p' "$out" | tr '\n' ' ' | sed 's/ $//' >"$tmp/json_ids"
    generate --ids --digest --local 2
    check_equal "$what: --ids prints the ids of --json" "$(head -n 1 "$out")" "$(cat "$tmp/json_ids")"
    check_equal "$what: --ids does not change the digest" "$(tail -n 1 "$out")" "$reference"
}

echo "# kernels: $kernels"
model wide.gguf
begin sampled wide.gguf "${sampled[@]}"
nodes_and_threads
shares
baselines
batches
every_kernel
bad_networks
agreement
other --seed 8
other --temp 0

begin greedy wide.gguf "${greedy[@]}"
for n in 2 3 8; do same --local $n; done
same --local 3 --lab $lossy
same --local 3 --shares 1,4,2 --batch 7

begin "top-p over all tokens" wide.gguf "${nucleus[@]}"
for n in 2 3 8; do same --local $n; done
same --local 3 --lab $lossy

for kv in f16 f32 q8_0; do
    begin "--kv-type $kv" wide.gguf "${sampled[@]}" --kv-type $kv
    for k in $kernels; do same --kernel "$k" --local 2; done
    same --local 3 --batch 7 -t 2
done

# One KV head for all query heads, and heads of 20 rows: no cut is at a round number.
model odd.gguf --dim 60 --hidden 100 --heads 3 --kv-heads 1 --vocab 301 --type f32 --layers 3
begin "odd sizes" odd.gguf "${sampled[@]}"
for n in 2 3 7; do same --local $n; done
same --local 3 --batch 3 --shares 1,0,2 -t 2
for k in $kernels; do same --kernel "$k" --local 2; done

# Other architectures: biases, norms of heads, and rope of another kind. Heads of 20 columns end within a block, and none divides evenly.
for arch in qwen2 qwen3; do
    model $arch.gguf --arch $arch
    begin $arch $arch.gguf "${sampled[@]}"
    if [ -n "$SAN" ]; then
        same --local 3 -t 2 --lab $lossy
    else
        nodes_and_threads
        shares
        baselines
        batches
        every_kernel
        bad_networks
    fi
    model odd-$arch.gguf --arch $arch --dim 60 --hidden 100 --heads 3 --kv-heads 1 --vocab 301 --type f32 --layers 3
    begin "odd sizes of $arch" odd-$arch.gguf "${sampled[@]}"
    same --local 3 --batch 3 --shares 1,0,2 -t 2
    for k in $kernels; do same --kernel "$k" --local 2; done
done

# The model that comes with the project, and its quantised versions.
stories=node/models/stories-q8_0.gguf
cp $stories "$tmp/stories.gguf"
begin "stories" stories.gguf "${sampled[@]}"
if [ -n "$SAN" ]; then
    same --local 3 -t 2 --lab $lossy
else
    nodes_and_threads
    shares
    batches
    every_kernel
    bad_networks
fi
for type in $(few "q4_k" "f32 f16 q4_0 q4_k q6_k"); do
    "$mesh_node" quantize $stories "$tmp/$type.gguf" --type "$type" >/dev/null || not_ok "stories can be made $type"
    begin "stories as $type" "$type.gguf" "${sampled[@]}"
    for k in $kernels; do same --kernel "$k" --local 2; done
    same --local 3 --shares 3,2,1 --batch 33
done

for type in $(few "f16 q4_0 q6_k" "$(tensor_types)"); do
    model "$type.gguf" --dim 256 --hidden 512 --layers 1 --heads 4 --kv-heads 2 --type "$type"
    begin "$type" "$type.gguf" "${sampled[@]}"
    for k in $kernels; do same --kernel "$k" --local 2; done
    same --local 3 --shares 3,2,1 --batch 33
    [ -n "$SAN" ] || same --local 5 -t 2
    rm -f "$tmp/$type.gguf"
done
finish
