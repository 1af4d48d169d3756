#!/bin/bash
# Programs that may open few files only: with each limit, from one with which little more than the program itself can be opened, a command
# succeeds, or its message names the limit and how to raise it, whatever it was that could not be opened.
# Runs beside others.
. tests/run/lib.sh
[ -z "$SAN" ] || skip_all "a sanitizer opens files of its own"
mesh_replay=$BIN/mesh-replay
mesh_dissect=$BIN/mesh-dissect

# names_limit SENTENCE COMMAND...: with rising limits, until the command succeeds, or runs until it is ended here. @ is a new name.
names_limit() {
    local sentence=$1 limit last bad='' refused=0
    shift
    for ((limit = 4; limit <= 40; limit++)); do
        run timeout -k 5 3 bash -c 'ulimit -n "$0" && exec "$@"' "$limit" "${@//@/$tmp/made.$limit}"
        last=$(tail -n 1 "$err")
        case $code in
        0 | 124) break ;; # it has what it needs
        127) continue ;;  # not even its libraries can be opened
        esac
        refused=$((refused + 1))
        grep -qE "Too many open files.*: raise the limit of open files \(ulimit -n" <<<"$last" && [ "$code" -eq 4 ] ||
            bad+="limit $limit, code $code: $last"$'\n'
    done
    if [ -n "$bad" ] || [ "$refused" -eq 0 ] || [ "$limit" -gt 40 ]; then
        not_ok "$sentence" "$bad" "$refused limits refused, the last was $limit"
    else
        ok "$sentence"
    fi
    rm -rf "$tmp"/made.*
}

model=$tmp/model.gguf
check "a model can be made" \
    "$mesh_node" synth -o "$model" --dim 64 --hidden 96 --layers 2 --heads 4 --kv-heads 2 --vocab 300 --ctx 64 --type q8_0
recorded=$tmp/recorded.db
check "a run can be recorded" "$mesh_node" run -m "$model" -p a -n 2 --seed 1 --local 2 --record "$recorded"
capture=$tmp/capture.pcap
check "a recording becomes a capture" "$mesh_replay" export "$recorded" --pcap "$capture"

names_limit "serve names the limit" "$mesh_node" serve -m "$model" --listen 127.0.0.1:0
listening=(--listen 127.0.0.1:0 --metrics 127.0.0.1:0 --discover 239.255.77.11:7412 --multicast 239.255.77.13:7413)
run timeout -k 5 3 "$mesh_node" serve -m "$model" "${listening[@]}"
if [ "$code" -eq 124 ]; then
    names_limit "serve with all that listens names the limit" "$mesh_node" serve -m "$model" "${listening[@]}"
else
    skip "serve with all that listens names the limit" "it cannot listen here: $(tail -n 1 "$err")"
fi
names_limit "run names the limit" "$mesh_node" run -m "$model" -p a -n 2 --seed 1 --local 2 --record @.db
names_limit "ask names the limit" "$mesh_node" ask --to 127.0.0.1:9 -p a
names_limit "quantize names the limit" "$mesh_node" quantize "$model" @.gguf --type q4_0
names_limit "mesh-replay names the limit" "$mesh_replay" export "$recorded" --pcap @.pcap
names_limit "mesh-replay names it for each of several traces" "$mesh_replay" diff "$recorded" "$recorded"
names_limit "mesh-dissect names the limit" "$mesh_dissect" -r "$capture" -w @.pcap
names_limit "mesh-dissect names it for a trace" "$mesh_dissect" -r "$capture" --import @.db
names_limit "mesh-dissect names it for one of several files" "$mesh_dissect" -r "$capture" --qlog @
finish
