#!/bin/bash
# A model with a byte-level BPE vocabulary: the same ids and bits on one node, on three, and by a cluster one of whose nodes has no file.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"
[ -x "$BIN/bpe-model" ] || skip_all "bpe-model is not built"

model=$tmp/bpe.gguf
security=()
if "$mesh_node" keygen -o "$tmp/key" >/dev/null 2>&1 && [ -s "$tmp/key" ]; then security=(--key "$tmp/key"); fi
check "a model can be made" "$mesh_node" synth -o "$tmp/spm.gguf" --dim 64 --hidden 160 --layers 2 --heads 4 --kv-heads 2 --vocab 330 \
    --ctx 128 --type f16 --seed 3
check "it gets a byte-level BPE vocabulary" "$BIN/bpe-model" "$tmp/spm.gguf" "$model"
check "inspect shows it" "$mesh_node" inspect "$model"
check_contains "inspect names the rule by which texts are cut" "$out" "llama-bpe"
check "plan takes it" "$mesh_node" plan -m "$model" --nodes 2

# ---- the ids of a prompt ----

question=(-n 16 --ignore-eos --seed 4 --temp 1 --digest)
text="Once upon the time 12! "$'\xc3\xa9'
printf '256 271 264 260 274 32 49 50 33 32 195 169\n' >"$tmp/ids" # BOS, four words that are tokens, then bytes
check "a prompt is continued" "$mesh_node" run -m "$model" -p "$text" "${question[@]}"
expected=$(grep '^digest ' "$out")
check "so are the ids that it has" "$mesh_node" run -m "$model" --prompt-ids "$tmp/ids" "${question[@]}"
check_equal "they are the prompt's" "$(grep '^digest ' "$out")" "$expected"
check "three nodes continue it" "$mesh_node" run -m "$model" -p "$text" "${question[@]}" --local 3
check_equal "with the same bits" "$(grep '^digest ' "$out")" "$expected"
check "its matrices can be made smaller" "$mesh_node" quantize "$model" "$tmp/small.gguf" --type q8_0
check "and the vocabulary stays" "$mesh_node" run -m "$tmp/small.gguf" -p "$text" "${question[@]}"

# ---- a cluster ----

first=$(free_port) second=$(free_port)
background env XDG_CACHE_HOME="$tmp/cache-1" "$mesh_node" serve -t 1 -m "$model" --listen "127.0.0.1:$first" \
    ${security[@]+"${security[@]}"} 2>"$tmp/first"
background env XDG_CACHE_HOME="$tmp/cache-2" "$mesh_node" serve -t 1 --join "127.0.0.1:$first" --listen "127.0.0.1:$second" \
    ${security[@]+"${security[@]}"} 2>"$tmp/second"
has_two() { "$mesh_node" status --json --to "127.0.0.1:$second" ${security[@]+"${security[@]}"} 2>/dev/null | grep -q '"nodes":2,'; }
joins="a node without the file joins"
if wait_until 60 has_two; then ok "$joins"; else not_ok "$joins" "$(tail -n 5 "$tmp/second")"; fi
for port in "$first" "$second"; do
    check "a node answers" timeout -k 5 120 "$mesh_node" ask --to "127.0.0.1:$port" ${security[@]+"${security[@]}"} -p "$text" \
        "${question[@]}"
    check_equal "with the same bits" "$(grep '^digest ' "$out")" "$expected"
done

# ---- questions ----

check "what stands around a question can be written" "$mesh_node" run -m "$model" -p "[INST] $text [/INST]" "${question[@]}"
expected=$(grep '^digest ' "$out")
check "a question is answered" "$mesh_node" run -m "$model" --chat -p "$text" "${question[@]}"
check_equal "in the model's own form" "$(grep '^digest ' "$out")" "$expected"
check "so it is by a node without the file" timeout -k 5 120 "$mesh_node" ask --to "127.0.0.1:$second" ${security[@]+"${security[@]}"} \
    --chat -p "$text" "${question[@]}"
check_equal "with the same bits" "$(grep '^digest ' "$out")" "$expected"
system="Be brief"
printf -v framed '[INST] <<SYS>>\n%s\n<</SYS>>\n\n%s [/INST]' "$system" "$text"
check "a system text can be written, too" "$mesh_node" run -m "$model" -p "$framed" "${question[@]}"
expected=$(grep '^digest ' "$out")
check "a question is answered after a system text" "$mesh_node" run -m "$model" --chat --system "$system" -p "$text" "${question[@]}"
check_equal "in the model's own form" "$(grep '^digest ' "$out")" "$expected"
for port in "$first" "$second"; do
    check "so it is by a node of the cluster" timeout -k 5 120 "$mesh_node" ask --to "127.0.0.1:$port" \
        ${security[@]+"${security[@]}"} --chat --system "$system" -p "$text" "${question[@]}"
    check_equal "with the same bits" "$(grep '^digest ' "$out")" "$expected"
done
check_exit "a system text is for questions" 2 "run: --system: only a question has a system text before it: give --chat, too" \
    "$mesh_node" run -m "$model" --system "$system" -p "$text"
check_exit "of a cluster, too" 2 "ask: --system: only a question has a system text before it: give --chat, too" \
    "$mesh_node" ask --to "127.0.0.1:$first" --system "$system" -p "$text"
check_exit "a model without a chat template is not asked" 2 "the model has no tokenizer.chat_template" \
    "$mesh_node" run -m "$tmp/spm.gguf" --chat -p "$text"
check_exit "nor by its ids" 2 "a question is text, not --prompt-ids" "$mesh_node" ask --chat --prompt-ids "$tmp/ids"

# ---- what is refused ----

sed 's/llama-bpe/llama-xyz/' "$model" >"$tmp/other.gguf"
check_exit "an unknown rule is refused by its name" 3 "tokenizer.ggml.pre is 'llama-xyz', which is not supported" \
    "$mesh_node" run -m "$tmp/other.gguf" -p "$text" -n 1
finish
