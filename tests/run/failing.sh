#!/bin/bash
# What a system that has no more of something refuses: memory, a file, a socket, a process, a thread, room on the disk. At each place of a
# program that asks for such a thing the first time is refused. The program does what it should all the same, or says in words that it
# cannot and ends with code 4; it never ends with a fault, or as if all was well. FAILING_REST=1: and then with that all that follows of
# its kind is refused, too, which takes as long again.
# Runs beside others.
. tests/run/lib.sh
[ -z "$SAN" ] || skip_all "a sanitizer has malloc for itself"
[ -e "$BUILD/fail_calls.so" ] || skip_all "$BUILD/fail_calls.so is not built"
fails=$(realpath "$BUILD/fail_calls.so")
mesh_replay=$BIN/mesh-replay
mesh_dissect=$BIN/mesh-dissect

# once PLACE REST: `command`, in which @ is a folder of its own; exit code, stdout and stderr beside it
once() {
    local code=0
    mkdir -p "$dir/made"
    timeout -k 5 60 env ${1:+"FAIL_PLACE=$1"} ${2:+"FAIL_REST=$2"} LD_PRELOAD="$fails" "${command[@]//@/$dir/made}" \
        >"$dir/out" 2>"$dir/err" </dev/null || code=$?
    echo "$code" >"$dir/code"
}
words() { tr -d '0-9.' <"$dir/${compared:-code}"; } # what is compared of a run: times are left out
# judge NAME: nothing where what the command did is well, else what is not
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
# never SENTENCE COMPARED COMMAND...: over all places of the command that none before it had. COMPARED: out, made/FILE; "": nothing
never() {
    local sentence=$1 compared=$2 dir=$tmp/whole number=0 place name
    local command=("${@:3}")
    rm -f "$tmp/list" "$tmp/bad"
    FAIL_LIST=$tmp/list once "" ""
    words >"$tmp/expected"
    check_equal "$sentence is well where nothing fails" "$(cat "$dir/code")" 0
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
    check_equal "$sentence ends well at each of them" "$(cat "$tmp/bad")" ""
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
if [ -x "$mesh_dissect" ]; then
    never "dissecting" out "$mesh_dissect" -r tests/dissect/lost.pcap -v -Y 'tile && !lost'
    never "making a trace of a capture" "" "$mesh_dissect" -r tests/dissect/messages.pcap --import @/t.db
fi
finish
