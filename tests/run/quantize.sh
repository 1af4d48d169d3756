#!/bin/bash
# mesh-node quantize: models of every type from one of f32, what stays unchanged, and what is refused.
# Runs beside others.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"
types=$(tensor_types)

model=$tmp/f32.gguf
shape=(--dim 256 --hidden 512 --layers 2 --heads 4 --kv-heads 2 --vocab 300 --ctx 64 --seed 5)
check "a model can be made" "$mesh_node" synth -o "$model" "${shape[@]}" --type f32

# digest OPTION...: of twelve tokens
digest() { "$mesh_node" run -p abc -n 12 --seed 1 --ignore-eos --digest "$@" 2>/dev/null | tail -n 1; }
# metadata FILE: as JSON, without what the type changes
metadata() { "$mesh_node" inspect "$1" --json | grep '"event":"metadata"' | grep -v '"key":"general.file_type"'; }
metadata "$model" >"$tmp/metadata"

# ---- every type ----

for type in $types; do
    file=$tmp/$type.out.gguf
    check "$type: a model is written" "$mesh_node" quantize "$model" "$file" --type "$type"
    check_equal "$type: all matrices have it and vectors are f32" \
        "$("$mesh_node" inspect "$file" --json | grep '"event":"tensor"' | sed -E 's/.*"type":"([^"]*)".*"shape":\[([^]]*)\].*/\1 \2/' |
            awk -v type="$type" '$1 != ($2 ~ /,/ ? type : "f32") { wrong++ } END { print NR, wrong + 0 }')" "21 0"
    metadata "$file" >"$tmp/metadata.out"
    check_same "$type: metadata are the same" "$tmp/metadata.out" "$tmp/metadata"
    one=$(digest -m "$file" --local 1)
    check_equal "$type: two nodes generate what one does" "$(grep -c '^digest ' <<<"$one") $(digest -m "$file" --local 2)" "1 $one"
    rm -f "$file"
done

# ---- every type as the source ----

for type in $types; do
    "$mesh_node" synth -o "$tmp/in.gguf" "${shape[@]}" --type "$type"
    check "$type can be read: to its own type" "$mesh_node" quantize "$tmp/in.gguf" "$tmp/out.gguf" --type "${type^^}"
    check_same "$type: to its own type gives the same file" "$tmp/in.gguf" "$tmp/out.gguf"
    check "$type can be read: to f32" "$mesh_node" quantize "$tmp/in.gguf" "$tmp/out.gguf" --type f32
    check_contains "$type: to f32 is exact" "$out" "error    0 of"
done

# ---- output ----

check "figures are printed" "$mesh_node" quantize "$model" "$tmp/out.gguf" --type q4_k
check_equal "quantize prints three lines" \
    "$(grep -cE '^(tensors  21: 5 f32, 16 q4_k|bytes    [0-9]+ before, [0-9]+ after \([0-9.]+ %\)|error    0\.0[0-9]+ of .*)$' "$out")" 3
check_equal "quantize prints nothing on stderr" "$(cat "$err")" ""
for threads in 1 3; do
    check "$threads thread(s) quantise" "$mesh_node" quantize "$model" "$tmp/out.$threads.gguf" --type q4_k -t $threads
    check_same "$threads thread(s) give the same file" "$tmp/out.$threads.gguf" "$tmp/out.gguf"
done
check "figures are printed as JSON" "$mesh_node" quantize "$model" "$tmp/out.gguf" --type q4_k --json
object='^\{"schema_version":1,"event":"summary",.*"tensors":21,.*"bytes_before":[0-9]+,"bytes_after":[0-9]+,"rms_error":0\.0[0-9]+\}$'
check_equal "quantize --json prints one object" "$(wc -l <"$out") $(grep -cE "$object" "$out")" "1 1"

"$mesh_node" synth -o "$tmp/narrow.gguf" --dim 64 --hidden 100 --layers 2 --heads 4 --kv-heads 2 --vocab 300 --ctx 64 --type f16
check "rows that are no whole blocks are no error" "$mesh_node" quantize "$tmp/narrow.gguf" "$tmp/out.gguf" --type q4_k
check_equal "rows that are no whole blocks are reported in one line" "$(cat "$err")" "mesh-node: quantize: not all matrices can be q4_k; \
14 became q8_0, since their rows are no multiples of 256; 2 became f16, since their rows are no multiples of 32"
check_equal "a model with such rows runs" "$(digest -m "$tmp/out.gguf" --local 2)" "$(digest -m "$tmp/out.gguf" --local 1)"

# ---- what is refused ----

quantize=("$mesh_node" quantize)
check_exit "no files are refused" 2 "IN.gguf OUT.gguf" "${quantize[@]}" --type q8_0
check_exit "one file is refused" 2 "IN.gguf OUT.gguf" "${quantize[@]}" "$model" --type q8_0
check_exit "no type is refused" 2 "--type" "${quantize[@]}" "$model" "$tmp/x.gguf"
check_exit "a mistyped type gets a suggestion" 2 "did you mean q4_k?" "${quantize[@]}" "$model" "$tmp/x.gguf" --type q4k
check_exit "another program's name of a type gets a suggestion" 2 "did you mean q5_k?" "${quantize[@]}" "$model" "$tmp/x.gguf" --type Q5_K_M
check_exit "an unknown type is refused" 2 "f32 f16 bf16" "${quantize[@]}" "$model" "$tmp/x.gguf" --type iq2_xxs_ternary
check_exit "no threads are refused" 2 "from 1 to 256" "${quantize[@]}" "$model" "$tmp/x.gguf" --type q8_0 -t 0
check_exit "a missing file is named" 4 "$tmp/none.gguf" "${quantize[@]}" "$tmp/none.gguf" "$tmp/x.gguf" --type q8_0
check_exit "a folder that is not there is named" 4 "$tmp/none/x.gguf" "${quantize[@]}" "$model" "$tmp/none/x.gguf" --type q8_0
check_exit "a folder is no file to write" 4 "$tmp: cannot be written" "${quantize[@]}" "$model" "$tmp" --type q8_0
check_exit "a model is not overwritten by its own result" 2 "is the same file as" "${quantize[@]}" "$model" "$model" --type q8_0
ln -s f32.gguf "$tmp/link.gguf"
check_exit "a model is not overwritten through a link" 2 "is the same file as" "${quantize[@]}" "$model" "$tmp/link.gguf" --type q8_0

echo old >"$tmp/old.gguf"
head -c 300000 "$model" >"$tmp/short.gguf"
check_exit "a truncated model is refused" 3 "truncated" "${quantize[@]}" "$tmp/short.gguf" "$tmp/old.gguf" --type q8_0
check_exit "a file that is no model is refused" 3 "not a GGUF file" "${quantize[@]}" tests/run/lib.sh "$tmp/old.gguf" --type q8_0
cp "$model" "$tmp/nan.gguf"
printf '\xff\xff\xff\x7f' | dd of="$tmp/nan.gguf" bs=1 seek=$(($(stat -c %s "$model") - 4)) conv=notrunc status=none
check_exit "a value that is no number is named" 3 "tensor 'output.weight': value 76799 (row 299, column 255)" \
    "${quantize[@]}" "$tmp/nan.gguf" "$tmp/old.gguf" --type q8_0
check_equal "a failure leaves the existing file" "$(cat "$tmp/old.gguf")" old
check_equal "a failure leaves no partial file" "$(find "$tmp" -name '*.tmp-*' -o -name x.gguf)" ""

# A separate disk that disappears with the shell: needs root, or user namespaces.
mkdir "$tmp/disk"
full_disk() {
    # shellcheck disable=SC2016 # for the inner shell
    unshare --map-root-user --mount bash -c 'mount -t tmpfs -o size=256k none "$1/disk" 2>/dev/null || exit 77
        echo old >"$1/disk/out.gguf"
        "$2" quantize "$1/f32.gguf" "$1/disk/out.gguf" --type f16
        code=$?
        cat "$1/disk/out.gguf"
        ls -A "$1/disk"
        exit $code' bash "$tmp" "$mesh_node"
}
run full_disk
if [ "$code" -eq 77 ] || [ "$code" -eq 1 ] || [ "$code" -eq 127 ]; then
    skip "a full disk leaves the existing file and nothing else" "no file system can be mounted here"
else
    check_equal "a full disk leaves the existing file and nothing else" "$code $(tr '\n' ' ' <"$out")" "4 old out.gguf "
    check_contains "the file on a full disk is named" "$err" "disk/out.gguf: writing failed: No space left on device"
fi
finish
