#!/bin/bash
# Whoever waits at a terminal for more than a second is told how far a command is; nobody else is. A clock that runs fast makes seconds of
# milliseconds.
. tests/run/lib.sh
[ -z "$SAN" ] || skip_all "a sanitizer build is not loaded with other libraries"
[ -e "$BUILD/other_clock.so" ] || skip_all "$BUILD/other_clock.so is not built"
command -v script >/dev/null || skip_all "there is no script (bsdutils), to make terminals"
mesh_dissect=$BIN/mesh-dissect
mesh_replay=$BIN/mesh-replay
mesh_monitor=$BIN/mesh-monitor
other=$(realpath "$BUILD/other_clock.so")
sample=tests/traces/lossy.db
trace=$tmp/T.db # a larger one
capture=docs/captures/gaps-host1.pcap

# typed COMMAND...: stderr is a terminal, whose text goes to $tmp/terminal; stdout and the exit code as of `run`.
typed() {
    cat >"$tmp/typed" <<END
LD_PRELOAD=$other OTHER_CLOCK_PPM=${fast}000000 exec $* >$out </dev/null
END
    code=0
    script -qec "sh $tmp/typed" /dev/null >"$tmp/terminal" </dev/null || code=$?
}
without_times() { sed -E 's/[0-9.]+ (s|datagrams\/s|times)\b/N \1/g' "$1"; }
# told SENTENCE PATTERN COMMAND...: there it says that, and then clears the line; the output is the same as without a terminal.
told() {
    local sentence=$1 pattern=$2 clear=$'\r\e[K' text
    shift 2
    plain=0
    "$@" >"$tmp/plain" 2>"$tmp/plain.err" </dev/null || plain=$?
    typed "$@"
    text=$(tr -d '\n' <"$tmp/terminal")
    if [ "$code" -ne 0 ] || ! tr '\r' '\n' <"$tmp/terminal" | grep -qE "$pattern"; then
        not_ok "$sentence" "command: $*" "expected on the terminal: $pattern" "exit code $code" "$(cat -v "$tmp/terminal")"
    elif [[ $text != *"$clear"* ]] || grep -qE "$pattern" <<<"${text##*"$clear"}"; then
        not_ok "$sentence" "command: $*" "the line is still there: $(tail -c 200 "$tmp/terminal" | cat -v)"
    elif [ "$plain" -ne 0 ] || ! cmp -s <(without_times "$out") <(without_times "$tmp/plain"); then
        not_ok "$sentence" "command: $*" "exit code without a terminal: $plain" "$(diff "$out" "$tmp/plain" | head -5)"
    elif grep -q $'\r' "$tmp/plain.err"; then
        not_ok "$sentence" "command: $*" "also without a terminal: $(cat -v "$tmp/plain.err")"
    else
        ok "$sentence"
    fi
}

if [ -x "$mesh_replay" ]; then
    fast=1000 # times
    "$mesh_node" run -m node/models/stories-q8_0.gguf -p Once -n 200 --ignore-eos --seed 1 --local 2 --record "$trace" >"$out" 2>"$err"
    told "verify tells how much of a trace it has run again" 'verify: .*lossy.db: +[0-9]+ %' "$mesh_replay" verify "$sample"
    told "verify tells how much it has computed" 'verify: computing: +[0-9]+ %' \
        "$mesh_replay" verify "$sample" -m node/models/stories-q8_0.gguf
    fast=100 # queries have a limit of time
    told "info tells that it reads" 'info: reading: [0-9]+ s' "$mesh_replay" info "$trace"
    told "diff tells that it reads" 'diff: reading: [0-9]+ s' "$mesh_replay" diff "$trace" "$tmp/T.1.db"
    told "export tells that it reads" 'export: reading: [0-9]+ s' "$mesh_replay" export "$trace" --perfetto "$tmp/run.json"
    told "a query tells that it reads, and then prints its rows" 'query: reading: [0-9]+ s' "$mesh_replay" \
        query "$trace" --named latency --seconds 86400
    check_same "rows are printed without it" "$out" "$tmp/plain"
    if [ -x "$mesh_monitor" ]; then
        fast=10000
        told "mesh-monitor tells which recording it reads" 'reading (reports|tokens) of T.db: 1 of 2' \
            "$mesh_monitor" --trace "$trace" -b -n 1
    fi
fi
if [ -x "$mesh_dissect" ]; then
    fast=10000
    told "mesh-dissect tells how much of a capture it has read" 'gaps-host1.pcap: +[0-9]+ %' "$mesh_dissect" -r "$capture" --analyze
    check_same "the analysis is printed without it" "$out" "$tmp/plain"
    told "so it does of several" 'gaps-host1.pcap: +[0-9]+ %' "$mesh_dissect" -r "$capture" -r docs/captures/host-host0.pcap --analyze
    echo "cat $capture | $mesh_dissect -r - --count" >"$tmp/pipe.sh"
    told "of a pipe it tells the number of frames" '^.*-: 1024 frames' sh "$tmp/pipe.sh"
    echo "$mesh_dissect -r $capture >/dev/tty" >"$tmp/tty.sh"
    typed sh "$tmp/tty.sh"
    check_contains "lines are printed on the terminal" "$tmp/terminal" " TILE "
    check_equal "they are not mixed with it" "$(grep -c 'pcap: *[0-9]* %' "$tmp/terminal")" 0
    echo "$mesh_dissect -r $capture | cat" >"$tmp/pager.sh"
    typed sh "$tmp/pager.sh"
    check_equal "nor are those that another program shows there" "$(grep -c 'pcap: *[0-9]* %' "$tmp/terminal")" 0
fi
fast=1000
yes 'The lamp was lit, and the snow fell.' | head -30 >"$tmp/long"
told "run tells how much of a prompt it has read" 'reading the prompt: +[0-9]+ %' \
    "$mesh_node" run -m node/models/stories-q8_0.gguf -f "$tmp/long" -n 2 --seed 1 --batch 2 --kernel scalar -t 1

# Each of 50 steps of the prompt takes 50 ms or more.
model=$tmp/slow.gguf
port=$(free_port)
"$mesh_node" synth -o "$model" --dim 64 --hidden 64 --layers 1 --heads 2 --kv-heads 2 --vocab 300 --ctx 512 --type f32 --seed 1
background "$mesh_node" serve -m "$model" -t 1 --batch 4 --slots 1 --listen "127.0.0.1:$port" --lab pace=2MB/s 2>"$err"
check "a slow node answers" wait_until 20 "$mesh_node" ask --to "127.0.0.1:$port" -p x -n 1
fast=1
# Another question takes the only slot before: the same one again would go on behind what has been computed.
{
    echo "$mesh_node ask --to 127.0.0.1:$port -n 1 -p y >/dev/null 2>&1"
    echo "exec $mesh_node ask --to 127.0.0.1:$port --temp 0 -n 2 -p $(head -c 200 /dev/zero | tr '\0' x)"
} >"$tmp/ask.sh"
told "ask tells that it waits for the answer" 'waiting for the answer: [0-9]+ s' sh "$tmp/ask.sh"
# halt_within_answer: stops the node when there is text, until the client has noticed
node=$background_pid
halt_within_answer() {
    wait_until 30 test -s "$out" && kill -STOP "$node" && wait_until 30 grep -q "nothing heard" "$tmp/terminal"
    kill -CONT "$node"
}
: >"$out"
: >"$tmp/terminal"
halt_within_answer &
typed "$mesh_node" ask --to "127.0.0.1:$port" --temp 0 --ignore-eos --ids -n 60 -p x
check_contains "ask tells within an answer that the node is silent" "$tmp/terminal" \
    "mesh-node: 127.0.0.1:$port: nothing heard for 2 s: is it gone? waiting for up to 10 s"
check_equal "it goes on when the node does" "$code $(wc -w <"$out")" "0 60"
fast=2
typed "$mesh_node" status --to "127.0.0.1:$(free_port)"
check_equal "status tells whom it calls" "$code $(tr '\r' '\n' <"$tmp/terminal" | grep -cm 1 'calling 127.0.0.1:[0-9]*: [0-9] s')" "4 1"

finish
