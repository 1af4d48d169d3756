#!/bin/bash
# Requests that an exhausted system refuses: memory, a file, a socket, a process, a thread, room on the disk. At each place of a program
# that makes such a request, the first request fails. The program still does what it should, or reports that it cannot and ends with code 4;
# it never crashes, and never ends as if all was well. FAILING_REST=1: repeats this, with all later requests of the same kind failing, too,
# which takes as long again.
# Runs beside others.
. tests/run/lib.sh
[ -z "$SAN" ] || skip_all "a sanitizer has malloc for itself"
[ -e "$BUILD/fail_calls.so" ] || skip_all "$BUILD/fail_calls.so is not built"
fails=$(realpath "$BUILD/fail_calls.so")
mesh_replay=$BIN/mesh-replay
mesh_dissect=$BIN/mesh-dissect

# once PLACE REST: run `command`, in which @ stands for a new folder; exit code, stdout and stderr are put beside it
once() {
    local code=0
    mkdir -p "$dir/made"
    timeout -k 5 60 env ${1:+"FAIL_PLACE=$1"} ${2:+"FAIL_REST=$2"} LD_PRELOAD="$fails" "${command[@]//@/$dir/made}" \
        >"$dir/out" 2>"$dir/err" </dev/null || code=$?
    echo "$code" >"$dir/code"
}
words() { tr -d '0-9.' <"$dir/${compared:-code}"; } # the part of a run that is compared: without times
# judge NAME: prints nothing when the command behaved correctly, otherwise what was wrong
judge() {
    local code last
    code=$(cat "$dir/code")
    last=$(tail -n 1 "$dir/err")
    if [ "$code" -eq 0 ]; then
        words | cmp -s - "$tmp/expected" || grep -q '^mesh-[a-z]*: ' <<<"$last" || echo "$1: code 0, and another $compared"
    elif [ "$code" -ne 4 ]; then
        echo "$1: code $code: $last"
    elif ! grep -qE '^mesh-[a-z]+: .+: .+' <<<"$last"; then
        echo "$1: code 4, and no message: $last"
    fi
}
# try_place NUMBER PLACE FUNCTION
try_place() {
    local rest dir=$tmp/try.$1
    for rest in "" ${FAILING_REST:+1}; do
        once "$2" "$rest"
        judge "$3 at $2${rest:+ and all after it}"
        rm -rf "$dir"
    done
}
# never SENTENCE COMPARED COMMAND...: tries all places of the command that no earlier command had. COMPARED: out, made/FILE; "": nothing
never() {
    local sentence=$1 compared=$2 dir=$tmp/whole number=0 place name
    local command=("${@:3}")
    rm -f "$tmp/list" "$tmp/bad"
    FAIL_LIST=$tmp/list once "" ""
    words >"$tmp/expected"
    check_equal "$sentence succeeds where nothing fails" "$(cat "$dir/code")" 0
    rm -rf "$dir"
    sort -u "$tmp/list" | grep -vxF -f "$tmp/tried" >"$tmp/places"
    cat "$tmp/places" >>"$tmp/tried"
    while read -r place name; do
        number=$((number + 1))
        try_place $number "$place" "$name" >>"$tmp/bad" &
        if [ $((number % 3)) -eq 0 ]; then wait; fi
    done <"$tmp/places"
    wait
    check_equal "$sentence has places that can fail" "$((number > 4))" 1
    check_equal "$sentence succeeds or ends with a message and code 4 at each of them" "$(cat "$tmp/bad")" ""
}

model=$tmp/m.gguf
shape=(--dim 64 --hidden 64 --layers 1 --heads 2 --kv-heads 1 --vocab 300 --ctx 64 --type q8_0 --seed 3)
generate=(run -m "$model" -p abc -n 3 --temp 0 -t 1)
: >"$tmp/tried"
check "a model can be made" "$mesh_node" synth -o "$model" "${shape[@]}"
check "a recording can be made" "$mesh_node" "${generate[@]}" --local 2 --record "$tmp/t.db"
check "a text can be made" "$mesh_node" stories -o "$tmp/text" --count 20

if [ -x "$mesh_replay" ]; then
    never "recording" out "$mesh_node" "${generate[@]}" --record @/t.db
    never "running a recording again" out "$mesh_replay" verify "$tmp/t.db" -m "$model" --tap
    never "exporting one" made/t.json "$mesh_replay" export "$tmp/t.db" --perfetto @/t.json --pcap @/t.pcap
fi
never "generating with another node" out "$mesh_node" "${generate[@]}" --local 2
never "planning" "" "$mesh_node" plan -m "$model" --nodes 2
never "making a model" made/m.gguf "$mesh_node" synth -o @/m.gguf "${shape[@]}"
never "training" made/m.gguf "$mesh_node" train --text "$tmp/text" -o @/m.gguf --steps 1 --dim 32 --hidden 32 --layers 1 --heads 1 \
    --kv-heads 1 --vocab 270 --ctx 16 --batch 1 -t 1

# An unfinished run's checkpoint that cannot be read at the moment is not taken for one that is not there.
train=("$mesh_node" train --text "$tmp/text" -o "$tmp/half.gguf" --dim 32 --hidden 32 --layers 1 --heads 1 --kv-heads 1 --vocab 270 --ctx 16
    --batch 1 -t 1)
background "${train[@]}" --steps 1000000 --every 1 >/dev/null 2>&1
wait_until 60 test -s "$tmp/half.gguf.ckpt"
kill -INT "$background_pid"
wait "$background_pid"
cp "$tmp/half.gguf.ckpt" "$tmp/kept.ckpt"
rm -f "$tmp/list"
: >"$tmp/bad"
FAIL_LIST=$tmp/list LD_PRELOAD=$fails "${train[@]}" --steps 2 >/dev/null 2>&1
check_equal "train does not begin over a checkpoint of another run" $? 2
sort -u "$tmp/list" >"$tmp/places"
while read -r place name; do
    FAIL_PLACE=$place LD_PRELOAD=$fails "${train[@]}" --steps 2 >/dev/null 2>&1 </dev/null && echo "$name at $place: code 0" >>"$tmp/bad"
    cmp -s "$tmp/kept.ckpt" "$tmp/half.gguf.ckpt" || echo "$name at $place: the checkpoint is another one" >>"$tmp/bad"
    cp "$tmp/kept.ckpt" "$tmp/half.gguf.ckpt"
done <"$tmp/places"
check_equal "train does not when a call fails, either" "$(cat "$tmp/bad")" ""
if [ -x "$mesh_dissect" ]; then
    never "dissecting" out "$mesh_dissect" -r tests/dissect/lost.pcap -v -Y 'tile && !lost'
    : >"$tmp/tried" # a report has other words for the same places
    never "analysing a capture" out "$mesh_dissect" -r tests/dissect/lost.pcap --analyze
    never "making a trace of a capture" "" "$mesh_dissect" -r tests/dissect/messages.pcap --import @/t.db
fi
finish
