#!/bin/bash
# A cluster of real processes: they find one another, any node answers, and a generation continues with the same bits when members die,
# stop, leave and join.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

model=node/models/stories-q8_0.gguf
tokens=450
if [ -n "$SAN" ]; then tokens=200; fi
question=(-p "Once upon a time" -n "$tokens" --ignore-eos --temp 0.7 --seed 4 --digest)
security=() # options of all following commands
if "$mesh_node" keygen -o "$tmp/key" >/dev/null 2>&1 && [ -s "$tmp/key" ]; then security=(--key "$tmp/key"); fi

check "one process alone gives a digest" "$mesh_node" run -m $model "${question[@]}"
expected=$(grep '^digest ' "$out")

ports=() pids=()
for i in 0 1 2 3; do ports[i]=$(free_port); done

# node I SEED... [OPTION...]: start node I, joining the nodes SEED; arguments from the first that begins with -- on are options of the node
node() {
    local i=$1 joins=()
    shift
    while [ $# -gt 0 ] && [ "${1#--}" = "$1" ]; do
        joins+=(--join "127.0.0.1:${ports[$1]}")
        shift
    done
    background "$mesh_node" serve -m $model -t 1 --listen "127.0.0.1:${ports[i]}" ${joins[@]+"${joins[@]}"} "$@" \
        ${security[@]+"${security[@]}"} 2>>"$tmp/node$i"
    pids[i]=$background_pid
}
ask() { "$mesh_node" ask --to "127.0.0.1:${ports[$1]}" ${security[@]+"${security[@]}"} "${question[@]}"; }
status() { "$mesh_node" status --json --to "127.0.0.1:${ports[$1]}" ${security[@]+"${security[@]}"}; }
# figure I NAME: a number of node I's status
figure() { status "$1" | grep -o "\"$2\":[0-9]*" | head -n 1 | cut -d: -f2; }
# has I N: node I is in an epoch of N members
has() { status "$1" 2>/dev/null | grep -q "\"nodes\":$2,"; }
becomes() { # SENTENCE I N
    if wait_until 20 has "$2" "$3"; then ok "$1"; else not_ok "$1" "$(status "$2" 2>&1)" "$(tail -n 5 "$tmp"/node*)"; fi
}
same() { # SENTENCE I: asked at node I
    run timeout -k 5 120 "$mesh_node" ask --to "127.0.0.1:${ports[$2]}" ${security[@]+"${security[@]}"} "${question[@]}"
    check_equal "$1" "$(grep '^digest ' "$out")" "$expected"
}
has_told() { [ "$(wc -c <"$tmp/answer")" -ge "$1" ]; } # BYTES
# repeats SENTENCE I MOST: since `begin_count I`, if members changed only once, node I has computed at most that many positions again
begin_count() {
    epoch=$(figure "$1" epoch)
    again=$(figure "$1" recomputed_tokens)
}
repeats() {
    local more=$(($(figure "$2" recomputed_tokens) - again))
    if [ "$(figure "$2" epoch)" != $((epoch + 1)) ]; then
        skip "$1" "members were lost beside it, on a machine that is too busy"
    elif [ "$more" -le "$3" ]; then
        ok "$1"
    else
        not_ok "$1" "$more positions"
    fi
}
# loaded_before SENTENCE: likewise, node 1 had prepared for that change
loaded_before() {
    if [ "$(figure 1 epoch)" != $((epoch + 1)) ]; then
        skip "$1" "members were lost beside it, on a machine that is too busy"
    else
        check_equal "$1" "$(figure 1 epochs_prepared)" $((prepared + 1))
    fi
}
# during SENTENCE I COMMAND...: asked at node I; the command is run while it generates
during() {
    local sentence=$1 at=$2 asking
    shift 2
    ask "$at" >"$tmp/answer" 2>"$tmp/figures" </dev/null &
    asking=$!
    wait_until 20 has_told $((tokens / 2))
    "$@"
    wait $asking
    check_equal "$sentence" "$(grep '^digest ' "$tmp/answer")" "$expected"
}

node 0
becomes "a node alone is a cluster of one" 0 1
same "it answers with the bits of run" 0
"$mesh_node" ask --to "127.0.0.1:${ports[0]}" ${security[@]+"${security[@]}"} "${question[@]}" --ids 2>/dev/null | head -n 1 >"$tmp/ids"
"$mesh_node" ask --to "127.0.0.1:${ports[0]}" ${security[@]+"${security[@]}"} "${question[@]}" --json 2>/dev/null >"$tmp/events"
check_equal "in JSON each token is an event, as with run" \
    "$(sed -n 's/.*"event":"token","text":.*,"id":\([0-9]*\)}$/\1/p' "$tmp/events" | paste -sd ' ')" "$(cat "$tmp/ids")"
node 1 0
node 2 0
becomes "three nodes form a cluster" 0 3
becomes "node 2 reports three members, too" 2 3
if [ ${#security[@]} -gt 0 ]; then
    check_equal "the log says what seals" "$(grep -cE '^seal: (AES-256-GCM by lib[a-z-]+|ChaCha20-Poly1305 \(.+\))$' "$tmp/node1")" 1
fi
check "status is printed as text" "$mesh_node" status --to "127.0.0.1:${ports[1]}" ${security[@]+"${security[@]}"}
check_equal "status as text has a line for each node, and one before them" "$(wc -l <"$out")" 4
for i in 0 1 2; do same "node $i answers with the same bits" $i; done

# Signs of life and timers wake idle nodes some fifty times a second; on a busy machine less often.
sleeps() { cat /proc/"${pids[1]}"/task/*/status | awk '/^voluntary/ { n += $2 } END { print n }'; }
begin_ns=$(date +%s%N) begin_sleeps=$(sleeps)
sleep 2
per_second=$((($(sleeps) - begin_sleeps) * 1000000000 / ($(date +%s%N) - begin_ns)))
if [ "$per_second" -le 120 ]; then
    ok "an idle node sleeps"
else
    not_ok "an idle node sleeps" "it woke $per_second times a second"
fi

ask 0 >"$tmp/first" 2>/dev/null </dev/null &
first=$!
same "two questions at once: one" 1
wait $first
check_equal "two questions at once: the other" "$(grep '^digest ' "$tmp/first")" "$expected"

during "a member that is killed changes no bit" 1 kill -9 "${pids[2]}"
becomes "the others go on without it" 1 2
node 2 1
becomes "it comes back" 1 3
during "the first member, which orders the steps, is killed: no bit changes" 1 kill -9 "${pids[0]}"
becomes "the others go on without it, too" 2 2
node 0 2
becomes "it comes back as another one" 2 3
begin_count 1
prepared=$(figure 1 epochs_prepared)
during "a node that joins changes no bit" 1 node 3 0
becomes "there are four" 1 4
loaded_before "rows were loaded before it came in"
refusals() { "$mesh_node" status --to "127.0.0.1:${ports[1]}" ${security[@]+"${security[@]}"} | grep -o "[0-9]* datagrams refused"; }
before=$(refusals)
check "status counts refused datagrams" test -n "$before"
for _ in 1 2 3; do after=$(refusals); done
check_equal "a client that asks for the status is not counted as refused" "$after" "$before"
begin_count 1
prepared=$(figure 1 epochs_prepared)
during "a member that leaves in order changes no bit" 1 kill -TERM "${pids[3]}"
becomes "there are three again" 1 3
loaded_before "and before it left"
wait "${pids[3]}"
check_equal "a node that leaves in order ends with 0" $? 0
check_equal "all others print that it has left, not that it is lost" \
    "$(grep -ho "[a-z]*: 127.0.0.1:${ports[3]} (it was rank [0-9])" "$tmp"/node[012] | cut -d: -f1 | paste -sd ' ')" "left left left"

# A stopped process is taken for dead; when it continues it finds that the others have gone on, and joins them again.
during "a member that is stopped changes no bit" 1 kill -STOP "${pids[2]}"
becomes "the others go on without the stopped one" 1 2
kill -CONT "${pids[2]}"
becomes "it is taken back when it wakes" 1 3
same "a member that was stopped answers with the same bits" 2

# A node without attention heads holds nothing that others need: not even its death costs a computed position.
node 3 1 --share 0
becomes "a node without a share joins" 1 4
begin_count 1
during "its death changes no bit" 1 kill -9 "${pids[3]}"
becomes "the others go on without it as well" 1 3
repeats "no more than the last positions are computed again" 1 8

# With a share of its own, since it would get none for its speed.
node 3 1 --kernel scalar --share 1
becomes "a node with another instruction set joins" 1 4
same "it answers with the same bits" 3
during "two members that are killed at once change no bit" 1 kill -9 "${pids[2]}" "${pids[3]}"
becomes "the others go on without both" 1 2
node 2 1
becomes "one of them comes back" 1 3

# ---- JSON ----

# The model's tokens are bytes: a text that ends within a character. The node is slow, so that tokens are sent one by one.
bytes=(-p "x" --temp 5 --top-k 0 --top-p 1 --min-p 0 --seed 1 --ignore-eos)
"$mesh_node" synth -o "$tmp/bytes.gguf" --dim 64 --hidden 64 --layers 1 --heads 2 --kv-heads 2 --vocab 300 --ctx 256 --type f32 --seed 1
port=$(free_port)
background "$mesh_node" serve -m "$tmp/bytes.gguf" -t 1 --listen "127.0.0.1:$port" --lab pace=4MB/s 2>/dev/null
for n in 1 2 3 4 5 6 7 8; do
    "$mesh_node" run -m "$tmp/bytes.gguf" "${bytes[@]}" -n "$n" --json 2>/dev/null >"$tmp/rest.run"
    if grep -q '"event":"rest"' "$tmp/rest.run"; then break; fi
done
check "a node answers in JSON" wait_until 20 "$mesh_node" ask --to "127.0.0.1:$port" "${bytes[@]}" -n "$n" --json
"$mesh_node" ask --to "127.0.0.1:$port" "${bytes[@]}" -n "$n" --json 2>/dev/null >"$tmp/rest.ask"
check_equal "the rest of an incomplete character is a separate event, as with run" "$(grep '"event":"rest"' "$tmp/rest.ask")" \
    "$(grep '"event":"rest"' "$tmp/rest.run")"
background "$mesh_node" ask --to "127.0.0.1:$port" "${bytes[@]}" -n 250 --json >"$tmp/interrupted" 2>/dev/null
has_tokens() { grep -q '"event":"token"' "$tmp/interrupted"; }
wait_until 10 has_tokens
kill -INT "$background_pid"
wait "$background_pid"
check_equal "a request that is interrupted ends with a whole object" "$? $(tail -n 1 "$tmp/interrupted" | cut -c 1-34)" \
    '0 {"schema_version":1,"event":"token'

# ---- strangers ----

if [ ${#security[@]} -gt 0 ]; then
    "$mesh_node" keygen -o "$tmp/other" >/dev/null 2>&1
    check_exit "a client with another key gets no answer" 4 "no answer within" \
        "$mesh_node" ask --to "127.0.0.1:${ports[1]}" --key "$tmp/other" -p a
    check_exit "a client without a key gets no answer" 4 "no answer within" "$mesh_node" status --to "127.0.0.1:${ports[1]}"
    status 1 >"$tmp/status"
    if grep -q '"refused":{[^{}]*"client_tag":[1-9][^{}]*}' "$tmp/status"; then # a count for each reason, and nothing else
        ok "the node counts these refusals"
    else
        not_ok "the node counts these refusals" "$(cat "$tmp/status")"
    fi
    same "a node that refused strangers answers with the same bits" 1
fi
check "another model can be made" "$mesh_node" quantize $model "$tmp/other.gguf" --type q4_0
stranger=$(free_port)
background "$mesh_node" serve -m "$tmp/other.gguf" -t 1 --listen "127.0.0.1:$stranger" --join "127.0.0.1:${ports[1]}" \
    ${security[@]+"${security[@]}"} 2>"$tmp/stranger"
if wait_until 20 grep -q "refused by" "$tmp/stranger"; then
    ok "a node with another model is refused in words"
else
    not_ok "a node with another model is refused in words" "$(cat "$tmp/stranger")"
fi
background "$mesh_node" serve -m $model -t 1 --slots 2 --listen "127.0.0.1:$(free_port)" --join "127.0.0.1:${ports[1]}" \
    ${security[@]+"${security[@]}"} 2>"$tmp/slots"
if wait_until 20 grep -q "slots" "$tmp/slots"; then
    ok "a node with other sizes is refused in words"
else
    not_ok "a node with other sizes is refused in words" "$(cat "$tmp/slots")"
fi
becomes "refused nodes leave the cluster unchanged" 1 3

# ---- two nodes: joining and leaving nodes copy keys and values ----

for i in 0 1 2; do
    kill "${pids[i]}"
    wait "${pids[i]}"
done
slow=(--lab pace=600MB/s) # so that there is time to come and go
node 0 "${slow[@]}"
becomes "a node alone again" 0 1
begin_count 0
comes() { # the question is asked at node 0, and goes on until there are two
    node 1 0 "${slow[@]}"
    wait_until 20 has 0 2
}
during "a second node that joins it changes no bit" 0 comes
repeats "and has keys and values copied: at most a batch is computed again" 0 128
becomes "there are two" 0 2
begin_count 0
during "it leaves, and no bit changes" 0 kill -TERM "${pids[1]}"
becomes "there is one" 0 1
repeats "its keys and values were copied before: at most a batch is computed again" 0 128

# ---- output ----

port=$(free_port)
background "$mesh_node" serve -m $model -t 1 --listen "127.0.0.1:$port" --join "127.0.0.1:$(free_port)" \
    ${security[@]+"${security[@]}"} 2> >(:) # nobody reads
alone() { "$mesh_node" status --json --to "127.0.0.1:$port" ${security[@]+"${security[@]}"} | grep -q '"nodes":1,'; }
check "a node goes on when its output is not read any more" wait_until 20 alone

# ---- command lines ----

check_exit "an occupied port is named" 4 "${ports[0]}" "$mesh_node" serve -m $model --listen "127.0.0.1:${ports[0]}" \
    ${security[@]+"${security[@]}"}
check_exit "without a key a node serves the loopback only" 2 "--key FILE" "$mesh_node" serve -m $model --listen 0.0.0.0:7999
check_exit "a key that is not there is named" 4 "nokey" "$mesh_node" serve -m $model --key "$tmp/nokey"
check_exit "a key that others can read is refused" 3 "chmod 600" sh -c "cp '$tmp/key' '$tmp/open' && chmod 644 '$tmp/open' &&
    exec $mesh_node serve -m $model --key '$tmp/open'"
check_exit "without a model it says so" 2 "-m MODEL.gguf" "$mesh_node" serve
check_exit "an address that is none is named" 2 "--join nowhere" "$mesh_node" serve -m $model --join nowhere
check_exit "a missing node is reported within seconds" 4 "no answer within 5 s" "$mesh_node" ask --to "127.0.0.1:$(free_port)" -p a
check_exit "a question without a prompt is refused" 2 "-p TEXT" "$mesh_node" ask
printf '[cluster]\nmodel = %s\n[node a]\naddress = 127.0.0.1:%s\n' $model "$(free_port)" >"$tmp/cluster.conf"
check_exit "a cluster file needs to know which node this is" 2 "--node NAME" "$mesh_node" serve -c "$tmp/cluster.conf"
finish
