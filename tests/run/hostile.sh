#!/bin/bash
# Files that are no models, broken models and models of another kind are refused with exit code 3, naming the file and what is wrong in it.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

good=$tmp/good.gguf
file=$tmp/file.gguf
check "a model can be made" \
    "$mesh_node" synth -o "$good" --dim 64 --hidden 96 --layers 2 --heads 4 --kv-heads 2 --vocab 300 --ctx 64 --type f32

# ---- editing ----

# le BYTES NUMBER: little-endian, for printf %b
le() {
    local number=$2 text='' i
    for ((i = 0; i < $1; i++)); do
        text+=$(printf '\\x%02x' $((number & 255)))
        number=$((number >> 8))
    done
    printf '%s' "$text"
}
# string TEXT: the text, after its length
string() { printf '%s%s' "$(le 8 ${#1})" "$1"; }
# place TEXT: its first offset in the good file as a name, which its length precedes
place() { LC_ALL=C grep -aboP -m 1 -e "(?<=\\x00)\\Q$1\\E" "$good" | head -n 1 | cut -d: -f1; }
# begin: a fresh copy in $file. put OFFSET BYTES: write them over what is there.
begin() { cp "$good" "$file"; }
put() { printf '%b' "$2" | dd of="$file" bs=1 seek="$1" conv=notrunc status=none; }
# number OFFSET BYTES: the unsigned number there
number() { od -An -v -t "u$2" -j "$1" -N "$2" "$file" | tr -d ' '; }
# value KEY: where the value of a metadata key begins (after its type)
value() { echo $(($(place "$1") + ${#1} + 4)); }
# rename OLD NEW: both of the same length
rename() { put "$(place "$1")" "$2"; }
# tensor NAME: where the description after its name begins: u32 dimensions, u64 each, u32 type, u64 offset
tensor() { echo $(($(place "$1") + ${#1})); }
# insert VALUE-COUNT BYTES: further metadata before the first, then the padding that keeps the data aligned
insert() {
    local size filler
    size=$(printf '%b' "$2" | wc -c)
    filler=$((((-size - 23) % 32 + 32) % 32))
    {
        head -c 24 "$good"
        printf '%b' "$2$(string pad)$(le 4 8)$(le 8 $filler)"
        head -c $filler /dev/zero | tr '\0' x
        tail -c +25 "$good"
    } >"$file"
    put 16 "$(le 8 $(($(number 16 8) + $1 + 1)))"
}

# refused WHAT TEXT [COMMAND...]: by run, plan and inspect; or only by the given ones, where the others have no reason
refused() {
    local what=$1 text=$2 command last
    shift 2
    [ $# -gt 0 ] || set -- run plan inspect
    for command; do
        case $command in
        run) run timeout -k 5 60 "$mesh_node" run -m "$file" -p a -n 2 --seed 1 --local 2 ;;
        plan) run timeout -k 5 60 "$mesh_node" plan -m "$file" --nodes 2 ;;
        inspect) run timeout -k 5 60 "$mesh_node" inspect "$file" ;;
        esac
        last=$(tail -n 1 "$err")
        if [ "$code" -eq 3 ] && [ ! -s "$out" ] && grep -qE '^mesh-node: [^:]+: .*: .+' <<<"$last" && grep -qF -e "$file: " <<<"$last" &&
            grep -qF -e "$text" <<<"$last"; then
            ok "$what: refused by $command"
        else
            not_ok "$what: refused by $command" "expected exit code 3 and on stderr: mesh-node: $file: ...$text...: ..." "$(show_run)"
        fi
    done
}

# ---- files ----

begin
check "the good file runs" "$mesh_node" run -m "$file" -p a -n 2 --seed 1 --local 2
insert 0 ""
check "the good file with more metadata runs" "$mesh_node" run -m "$file" -p a -n 2 --seed 1 --local 2
: >"$file"
refused "an empty file" "empty"
file=$tmp
refused "a folder" "is a directory"
file=/dev/null
refused "a device" "no regular file"
file=$tmp/file.gguf
mkfifo "$tmp/fifo"
file=$tmp/fifo
refused "a pipe that nobody writes" "no regular file"
file=$tmp/file.gguf
if [ "$(id -u)" -ne 0 ]; then
    begin
    chmod 000 "$file"
    check_exit "a file that may not be read: refused" 4 "Permission denied" "$mesh_node" run -m "$file" -p a
    chmod 600 "$file"
else
    skip "a file that may not be read: refused" "root may read everything"
fi
echo "This is a text, not a model." >"$file"
refused "a text" "magic"
echo "version https://git-lfs.github.com/spec/v1" >"$file"
refused "a pointer in place of a file" "run git lfs pull"
echo "<!doctype html>" >"$file"
refused "a web page in place of a file" "download the file itself"

# ---- the header ----

begin && put 0 'GGML'
refused "another magic" "magic"
begin && put 4 "$(le 4 1)"
refused "version 1" "version"
begin && put 4 "$(le 4 9)"
refused "a later version" "version"
begin && put 4 '\x00\x00\x00\x03'
refused "a big-endian file" "big-endian"
begin && put 8 "$(le 8 -1)"
refused "2^64 - 1 tensors" "tensor count"
begin && put 16 "$(le 8 1000000000000)"
refused "a million million values" "metadata count"
begin && put 24 "$(le 8 -1)"
refused "a key of 2^64 - 1 bytes" "metadata 0"
begin && put "$(($(value general.architecture) - 4))" "$(le 4 99)"
refused "a value of no known type" "general.architecture"
begin && put "$(($(value tokenizer.ggml.tokens) + 4))" "$(le 8 -1)"
refused "an array of 2^64 - 1 strings" "tokenizer.ggml.tokens"
begin && rename llama.block_count llama.vocab_size1 2>/dev/null
refused "no number of layers" "llama.block_count" run plan
begin && put "$(value llama.block_count)" "$(le 4 0)"
refused "no layers" "llama.block_count" run plan
begin && put "$(value llama.block_count)" "$(le 4 4000000000)"
refused "four thousand million layers" "llama.block_count" run plan
begin && put "$(value llama.block_count)" "$(le 4 3)"
refused "more layers than there are" "blk.2." run plan
begin && put "$(value llama.embedding_length)" "$(le 4 0)"
refused "no width" "llama.embedding_length" run plan
begin && put "$(value llama.attention.head_count)" "$(le 4 3)"
refused "heads that are no multiple" "head_count" run plan
begin && put "$(value llama.attention.layer_norm_rms_epsilon)" '\x00\x00\xc0\x7f'
refused "an epsilon that is no number" "layer_norm_rms_epsilon" run plan

size=$(stat -c %s "$good")
for bytes in 3 10 23 24 100 2000 $((size / 2)) $((size - 1)); do
    head -c "$bytes" "$good" >"$file"
    refused "only the first $bytes bytes" ""
done

# ---- models of another kind ----

begin && put "$(($(value general.architecture) + 8))" mamba
refused "another architecture" "'mamba'" run plan
insert 1 "$(string split.count)$(le 4 4)$(le 4 3)"
refused "a part of a split model" "split.count is 3" run plan
insert 1 "$(string llama.expert_count)$(le 4 4)$(le 4 8)"
refused "a mixture of experts" "llama.expert_count is 8" run plan
begin && put "$(($(value tokenizer.ggml.model) + 8))" gpt-2
refused "another tokenizer" "'gpt-2'" run plan
begin && put "$(($(tensor blk.1.attn_q.weight) + 20))" "$(le 4 16)"
refused "an unsupported tensor type" "blk.1.attn_q.weight" run plan
begin && put "$(($(tensor blk.1.attn_q.weight) + 20))" "$(le 4 77)"
refused "an unknown tensor type" "blk.1.attn_q.weight" run plan
begin && rename blk.1.attn_q.weight blk.1.attn_X.weight
refused "a missing tensor" "'blk.1.attn_q.weight' is missing" run plan
begin && put "$(($(tensor blk.0.ffn_down.weight) + 4))" "$(le 8 64)$(le 8 96)"
refused "a tensor of another shape" "blk.0.ffn_down.weight" run plan
begin && put "$(($(tensor blk.0.attn_norm.weight) + 12))" "$(le 4 1)"
refused "a norm in f16" "blk.0.attn_norm.weight" run plan
begin && put "$(value llama.block_count)" "$(le 4 1)"
refused "fewer layers than there are" "'blk.1.attn_norm.weight': not part of a llama model of 1 layers" run plan
begin && rename output.weight blk.0.qk.bias
refused "biases" "'blk.0.qk.bias': biases" run plan
begin && put "$(value llama.rope.freq_base)" "$(le 4 0)"
refused "an impossible base of rope" "file.gguf: rope: freq_base is 0" run plan
begin && put "$(tensor blk.0.attn_k.weight)" "$(le 4 9)"
refused "a tensor of nine dimensions" "blk.0.attn_k.weight"
begin && put "$(($(tensor blk.0.attn_k.weight) + 4))" "$(le 8 -1)"
refused "a tensor of 2^64 - 1 columns" "blk.0.attn_k.weight"
begin && put "$(($(tensor blk.0.attn_k.weight) + 24))" "$(le 8 1099511627776)"
refused "a tensor beyond the end" "blk.0.attn_k.weight"
begin && put "$(($(tensor blk.0.attn_k.weight) + 24))" "$(le 8 7)"
refused "a tensor that is not aligned" "blk.0.attn_k.weight"

# ---- weights ----

# spoil TENSOR ROW COLUMNS: a NaN in the first column of a row. Tensor data ends where the file does.
spoil() {
    local data
    begin
    data=$((size - 300 * 64 * 4 - $(number $(($(tensor output.weight) + 24)) 8)))
    put "$((data + $(number $(($(tensor "$1") + 24)) 8) + $2 * $3 * 4))" '\x00\x00\xc0\x7f'
}
while read -r name row columns where; do
    spoil "$name" "$row" "$columns"
    run timeout -k 5 60 "$mesh_node" run -m "$file" -p a -n 3 --seed 1
    cp "$err" "$tmp/one"
    check_equal "a NaN in $name ends the run with exit code 3" "$code" 3
    check_contains "the message names its place: $where" "$err" "$where: a value is not a finite number: "
    for options in "--local 3" "--local 3 --shares 1,0,5 -t 2" "--kernel scalar"; do
        # shellcheck disable=SC2086
        run timeout -k 5 60 "$mesh_node" run -m "$file" -p a -n 3 --seed 1 $options
        check_equal "it is reported in the same words with $options" "$code $(tail -n 1 "$err")" "3 $(tail -n 1 "$tmp/one")"
    done
done <<'END'
blk.1.attn_output.weight 5 64 layer 1, attention output, row 5
blk.0.ffn_down.weight 63 96 layer 0, down, row 63
output.weight 299 64 logits, row 299
END

# ---- norms, which are read when the model is loaded ----

# spoil_norm TENSOR VALUE: a NaN in its place; a norm has one dimension.
spoil_norm() {
    local data
    begin
    data=$((size - 300 * 64 * 4 - $(number $(($(tensor output.weight) + 24)) 8)))
    put "$((data + $(number $(($(tensor "$1") + 16)) 8) + $2 * 4))" '\x00\x00\xc0\x7f'
}
for norm in "blk.0.attn_norm.weight 5" "blk.1.attn_norm.weight 63" "blk.1.ffn_norm.weight 0" "output_norm.weight 7"; do
    # shellcheck disable=SC2086
    spoil_norm $norm
    for options in "" "--local 3 --shares 1,0,5"; do
        # shellcheck disable=SC2086
        check_exit "a NaN in a norm is found by loading it, $options" 3 "'${norm% *}': value ${norm#* } is not a finite number" \
            timeout -k 5 60 "$mesh_node" run -m "$file" -p a -n 3 --seed 1 $options
    done
done

# ---- other architectures ----

for arch in qwen2 qwen3; do
    vector=attn_k.bias rows=32
    [ $arch = qwen2 ] || vector=attn_k_norm.weight rows=16
    check "a model of $arch can be made" "$mesh_node" synth -o "$good" --arch $arch --dim 64 --hidden 96 --layers 2 --heads 4 \
        --kv-heads 2 --vocab 300 --ctx 64 --type f32
    size=$(stat -c %s "$good")
    begin
    check "the good file of $arch runs" "$mesh_node" run -m "$file" -p a -n 2 --seed 1 --local 2
    begin && rename blk.1.$vector "blk.1.${vector/k/X}"
    refused "$arch without $vector" "'blk.1.$vector' is missing: the file is no complete $arch model" run plan
    begin && put "$(($(tensor blk.1.$vector) + 4))" "$(le 8 8)"
    refused "$arch with $vector of another length" "'blk.1.$vector': shape 8 x 1 x 1, expected $rows x 1" run plan
    begin && put "$(($(tensor blk.1.$vector) + 12))" "$(le 4 1)"
    refused "$arch with $vector in f16" "'blk.1.$vector'" run plan
    spoil_norm blk.1.$vector 5
    for options in "" "--local 3 --shares 1,0,5"; do
        # shellcheck disable=SC2086
        check_exit "a NaN in $vector is found by loading it, $options" 3 "'blk.1.$vector': value 5 is not a finite number" \
            timeout -k 5 60 "$mesh_node" run -m "$file" -p a -n 3 --seed 1 $options
    done
    begin && put "$(($(value general.architecture) + 8))" llama
    refused "$arch called llama" "llama.embedding_length is missing" run plan
    insert 1 "$(string $arch.attention.sliding_window)$(le 4 4)$(le 4 8)"
    refused "$arch with a sliding window" "$arch.attention.sliding_window is 8: sliding windows are not supported" run plan
    insert 1 "$(string $arch.rope.dimension_sections)$(le 4 4)$(le 4 8)"
    refused "$arch with rope in sections" "$arch.rope.dimension_sections" run plan
done
finish
