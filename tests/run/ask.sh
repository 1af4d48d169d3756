#!/bin/bash
# What `ask` prints: the same as `run`; and its exit code when there is no answer or only a part of one: a prompt that does not fit, a node
# that vanishes, a signal.
# Runs beside others.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

# A slow node, so that there is time to end it, or the client, within an answer.
model=$tmp/m.gguf
"$mesh_node" synth -o "$model" --dim 64 --hidden 64 --layers 1 --heads 2 --kv-heads 2 --vocab 300 --ctx 512 --type f32 --seed 1
port=$(free_port)
ask() { "$mesh_node" ask --to "127.0.0.1:$port" --temp 0 --ignore-eos "$@"; }
serve() { # OPTIONS
    background "$mesh_node" serve -m "$model" -t 1 --ctx 256 --listen "127.0.0.1:$port" --lab pace=2MB/s "$@" 2>"$tmp/node"
    node=$background_pid
    check "a node answers" wait_until 20 ask -p x -n 1
}
recording=()
if [ -x "$BIN/mesh-replay" ]; then recording=(--record "$tmp/T.db"); fi
serve ${recording[@]+"${recording[@]}"}

check_contains "a node with --lab says so, as run does" "$tmp/node" "lab: pace=2MB/s"

# ---- a prompt that does not fit ----

long=$(head -c 400 /dev/zero | tr '\0' x)
run "$mesh_node" run -m "$model" --ctx 256 -p "$long"
words=$(sed -n 's/^.*run: \(the prompt has .*\)$/\1/p' "$err")
check_exit "a prompt that the context does not hold is wrong usage, in the words of run" 2 "ask: ${words:-no words of run}" ask -p "$long"
check_exit "a prompt id outside the vocabulary is wrong usage, too" 2 "the vocabulary has 300" ask --prompt-ids <(echo 5 300)

# ---- the same as run ----

check_exit "ids and JSON at once are wrong usage" 2 "--json and --ids together" ask -p x --ids --json
check "an answer without a seed draws one" "$mesh_node" ask --to "127.0.0.1:$port" -p x -n 4 --ids
cp "$out" "$tmp/ids"
seed=$(sed -n 's/^seed: //p' "$err")
check "the seed that ask printed, in the form of run, can be given to run" \
    "$mesh_node" run -m "$model" --ctx 256 -p x -n 4 --ids --seed "${seed:-none}"
check_same "the printed seed repeats the answer" "$out" "$tmp/ids"

quick=$(free_port) # generates faster than it tells, so that one record has several tokens
background "$mesh_node" serve -m "$model" -t 1 --ctx 256 --listen "127.0.0.1:$quick" 2>/dev/null
check "a quick node answers" wait_until 20 "$mesh_node" ask --to "127.0.0.1:$quick" -p x -n 1
hot=(-p x -n 200 --temp 3 --top-k 0 --top-p 1 --min-p 0 --seed 9 --ignore-eos --json)
"$mesh_node" run -m "$model" --ctx 256 "${hot[@]}" 2>/dev/null | grep -v '"event":"summary"' >"$tmp/run.json"
"$mesh_node" ask --to "127.0.0.1:$quick" "${hot[@]}" 2>/dev/null | grep -v '"event":"summary"' >"$tmp/ask.json"
check_same "in JSON each token has its own text, as run gives it" "$tmp/ask.json" "$tmp/run.json"
check_equal "the summary has what the manual page says" \
    "$("$mesh_node" ask --to "127.0.0.1:$quick" "${hot[@]}" 2>/dev/null | tail -n 1 | grep -o '"[a-z_]*":' | tr -d '":' | paste -sd' ')" \
    "schema_version event $(sed -n '/^with a summary of what the client knows/,/^which may/p' docs/man/mesh-node.1 |
        sed -n 's/^\.BR //p' | tr -d ',"' | xargs)"
# figures FILE: those of a summary that the nodes count: utilisation, bytes and packets
figures() {
    local sent='"bytes_sent_per_token":([^,]*),"packets_sent_per_token":([^,]*)'
    sed -nE "s/^.*\"event\":\"summary\".*\"utilisation\":\\[([^]]*)\\],$sent,.*$/\\1 \\2 \\3/p" "$1"
}
"$mesh_node" ask --to "127.0.0.1:$quick" "${hot[@]}" 2>/dev/null >"$tmp/alone.json"
check_equal "alone a node sends nothing, and computes for a part of the time" \
    "$(figures "$tmp/alone.json" | awk '{ print ($1 > 0.05 && $1 <= 1 && NF == 3 ? "some" : $0), $2, $3 }')" "some 0 0"
second=$(free_port)
background "$mesh_node" serve -m "$model" -t 1 --ctx 256 --listen "127.0.0.1:$second" --join "127.0.0.1:$quick" 2>/dev/null
two_answer() {
    "$mesh_node" ask --to "127.0.0.1:$second" "${hot[@]}" 2>/dev/null >"$tmp/two.json" &&
        tail -n 1 "$tmp/two.json" | grep '"nodes":2,"threads":1,' | grep -qv null # a node that is busy may report too late
}
check "a second node joins" wait_until 20 two_answer
"$mesh_node" run -m "$model" --ctx 256 -t 1 --local 2 --security none "${hot[@]}" 2>/dev/null >"$tmp/local.json"
# The datagrams' size grows with what is known of the path, so their number differs.
check_equal "each of two nodes has its utilisation, and they send what nodes of run send" \
    "$(echo "$(figures "$tmp/two.json" | tr , ' ') $(figures "$tmp/local.json" | tr , ' ')" |
        awk '{ print ($1 > 0 && $1 <= 1 && $2 > 0 && $2 <= 1), ($3 > $7 / 2 && $3 < 1.5 * $7), ($4 > 0 && $4 < 1.5 * $8), NF }')" "1 1 1 8"
check_equal "all tokens were compared" "$(grep -c '"event":"token"' "$tmp/ask.json")" 200

# ---- signals ----

# answer: ask in the background, in JSON, and return when the answer has begun
answer() {
    : >"$tmp/answer"
    background "$mesh_node" ask --to "127.0.0.1:$port" --temp 0 --ignore-eos -p x -n 250 --json >"$tmp/answer" 2>"$tmp/answer.err"
    wait_until 20 grep -q '"event":"token"' "$tmp/answer"
}
# ends_by SIGNAL: the exit code of an `ask` that gets the signal within its answer
ends_by() {
    code=0
    answer
    kill "-$1" "$background_pid"
    wait "$background_pid" 2>/dev/null || code=$?
    echo "$code"
}
check_equal "Ctrl-C ends an answer with exit code 0" "$(ends_by INT)" 0
check_equal "a client that gets SIGTERM dies of it" "$(ends_by TERM)" 143
check_equal "a client that gets SIGHUP dies of it" "$(ends_by HUP)" 129
# Without a word to the node, which would compute the rest.
ask -p x -n 250 --json 2>"$err" | head -n 1 >"$out"
check_equal "a reader that goes away ends an answer, with a word" \
    "${PIPESTATUS[0]} $(tail -n 1 "$err" | grep -c '^mesh-node: stdout: cannot write: Broken pipe: ')" "4 1"
if [ -x "$BIN/mesh-replay" ]; then
    kill "$node"
    wait "$node"
    check "what the node has recorded can be read" "$BIN/mesh-replay" query "$tmp/T.db" "SELECT reason FROM requests WHERE kind = 'cancel'"
    check_equal "the node is told of each cancellation, and need not wait for silence" "$(grep -c "the client asked for it" "$out")" 3
    check_equal "so it is when a session ends within an answer" "$(grep -c "the client is gone" "$out")" 1
    serve
fi

# ---- a node that vanishes ----

answer
kill -KILL "$node"
code=0
wait "$background_pid" 2>/dev/null || code=$?
check_equal "a node that vanishes within its answer is the environment's fault" "$code" 4
check_equal "in JSON the last object says how many tokens came, and why no more" "$(tail -n 1 "$tmp/answer")" \
    "{\"schema_version\":1,\"event\":\"failed\",\"gen_tokens\":$(grep -c '"event":"token"' "$tmp/answer"),\"exit_code\":4,\"error\":\"$(
        sed 's/^mesh-node: //' "$tmp/answer.err")\"}"
run "$mesh_node" ask --to "127.0.0.1:$port" -p x --temp 0 --json
check_contains "JSON reports a node that is not there in the same way" "$out" \
    '"event":"failed","gen_tokens":0,"exit_code":4,"error":"127.0.0.1:'

finish
