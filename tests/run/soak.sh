#!/bin/bash
# A soak with churn: nodes join, leave, are killed and stopped at random while clients ask all the time. Every answer has the bits of one
# process alone, and the node that lives through all of it ends with the memory, descriptors and threads that it had after the first round.
#
# SOAK_SECONDS=45, 20 with sanitizers (an hour: SOAK_SECONDS=3600); SOAK_SEED=N repeats the choices, but not the scheduling.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

tokens=100
if [ -n "$SAN" ]; then : "${SOAK_SECONDS:=20}" && tokens=40; fi
: "${SOAK_SECONDS:=45}" "${SOAK_SEED:=$((RANDOM * 32768 + RANDOM))}"
RANDOM=$((SOAK_SEED % 32768))
echo "# SOAK_SEED=$SOAK_SEED SOAK_SECONDS=$SOAK_SECONDS"
model=node/models/stories-q8_0.gguf
node_count=4 # node 0 is never touched
asked=("Once upon a time" "In the harbour" "Late in the night there was")
security=()
if "$mesh_node" keygen -o "$tmp/key" >/dev/null 2>&1 && [ -s "$tmp/key" ]; then security=(--key "$tmp/key"); fi

options=(-n "$tokens" --ignore-eos --temp 0.7 --seed 4 --digest)
expected=() ports=() pids=()
for q in "${!asked[@]}"; do
    run "$mesh_node" run -m $model -p "${asked[q]}" "${options[@]}"
    expected[q]=$(grep '^digest ' "$out")
done
check_equal "one process alone gives the digests" "$(printf '%s\n' "${expected[@]}" | grep -c "^digest tokens=$tokens ")" ${#asked[@]}

# ---- nodes ----

for ((i = 0; i < node_count; i++)); do ports[i]=$(free_port) && echo 0 >"$tmp/touched$i"; done
start() { # I
    local join=()
    if [ "$1" -ne 0 ]; then join=(--join "127.0.0.1:${ports[0]}"); fi
    background "$mesh_node" serve -m $model -t 1 --drain 1 --listen "127.0.0.1:${ports[$1]}" ${join[@]+"${join[@]}"} \
        ${security[@]+"${security[@]}"} 2>>"$tmp/node$1"
    pids[$1]=$background_pid
}
# touch_node I: called before and after an action on node I, whose clients may lose their answers meanwhile; the count is odd meanwhile
touch_node() { echo $(($(cat "$tmp/touched$1") + 1)) >"$tmp/touching" && mv "$tmp/touching" "$tmp/touched$1"; }
# gone I: node I has ended; its process id is forgotten, since another process may get it
gone() {
    local pid left=()
    wait "${pids[$1]}" 2>/dev/null
    for pid in "${background_pids[@]}"; do
        if [ "$pid" != "${pids[$1]}" ]; then left+=("$pid"); fi
    done
    background_pids=("${left[@]}")
    pids[$1]=
}
status() { timeout 10 "$mesh_node" status --json --to "127.0.0.1:${ports[0]}" ${security[@]+"${security[@]}"} 2>/dev/null; }
epoch() { status | sed -nE 's/.*"epoch":([0-9]+).*/\1/p'; }
is_idle() { status | grep -q '"requests":0'; }
is_whole() { status | grep -q "\"nodes\":$node_count,"; }

# Actions on a node: their outcomes are counted by name.
declare -A done_count=([start]=0 [kill]=0 [leave]=0 [stop]=0)
disturb() { # I
    local what
    if [ -z "${pids[$1]}" ]; then
        touch_node "$1"
        start "$1"
        rm -f "$tmp/down$1"
        touch_node "$1"
        done_count[start]=$((done_count[start] + 1))
        return
    fi
    what=$((RANDOM % 3))
    touch_node "$1"
    case $what in
    0) kill -9 "${pids[$1]}" && gone "$1" && done_count[kill]=$((done_count[kill] + 1)) ;;
    1) kill -TERM "${pids[$1]}" && gone "$1" && done_count[leave]=$((done_count[leave] + 1)) ;;
    2)
        kill -STOP "${pids[$1]}"
        sleep 0.$((RANDOM % 9 + 1))
        sleep $((RANDOM % 2))
        kill -CONT "${pids[$1]}"
        done_count[stop]=$((done_count[stop] + 1))
        ;;
    esac
    if [ -z "${pids[$1]}" ]; then touch "$tmp/down$1"; fi
    touch_node "$1"
}

# ---- clients ----

# client SEED: ask until told to stop; a line for each question: right, wrong, left (no answer, its node was touched) or none (no answer,
# not touched)
client() {
    RANDOM=$1
    local node q before answer
    while [ ! -e "$tmp/end" ]; do
        while [ -e "$tmp/pause" ] && [ ! -e "$tmp/end" ]; do sleep 0.1; done
        node=$((RANDOM % (2 * node_count) % (node_count + 2) % node_count)) # node 0 more often
        q=$((RANDOM % ${#asked[@]}))
        before=$(cat "$tmp/touched$node")
        answer=$(timeout -k 1 120 "$mesh_node" ask --to "127.0.0.1:${ports[node]}" ${security[@]+"${security[@]}"} -p "${asked[q]}" \
            "${options[@]}" 2>"$tmp/client$1.err" | grep '^digest ')
        if [ "$answer" = "${expected[q]}" ]; then
            echo "right $node"
        elif [ -n "$answer" ]; then
            echo "wrong $node $answer"
        elif [ $((before % 2)) -eq 1 ] || [ "$before" != "$(cat "$tmp/touched$node")" ] || [ -e "$tmp/down$node" ]; then
            echo "left $node"
            sleep 0.1
        else
            echo "none $node: $(grep . "$tmp/client$1.err" | tail -n 1 | grep . || echo "nothing within 120 s")"
        fi >>"$tmp/answers$1"
    done
}
answers() { cat "$tmp"/answers* 2>/dev/null | grep -c "^$1"; }

# ---- figures ----

# figures: "RSS-KIB DESCRIPTORS THREADS" of node 0
figures() {
    local pid=${pids[0]} fds=("/proc/${pids[0]}/fd"/*)
    awk -v fds="${#fds[@]}" '/^VmRSS:/ { rss = $2 } /^Threads:/ { threads = $2 } END { print rss, fds, threads }' "/proc/$pid/status"
}
# calm: all nodes are members and no client asks for a while, so that figures, in $last, can be compared
calm() {
    local i epoch tries
    touch "$tmp/pause"
    for ((i = 1; i < node_count; i++)); do
        if [ -z "${pids[i]}" ]; then disturb "$i"; fi
    done
    for ((tries = 0; tries < 10; tries++)); do
        if ! wait_until 30 is_whole || ! wait_until 60 is_idle; then return 1; fi
        epoch=$(epoch)
        sleep 1
        last=$(figures)
        sleep 0.2
        if [ -n "$epoch" ] && [ "$epoch" = "$(epoch)" ]; then return 0; fi
    done
    return 1
}
round() { # SECONDS of churn
    local until=$((SECONDS + $1)) i
    rm -f "$tmp/pause"
    while [ $SECONDS -lt $until ]; do
        i=$((RANDOM % (node_count - 1) + 1))
        disturb $i
        sleep 0.$((RANDOM % 9 + 1))
    done
}

for ((i = 0; i < node_count; i++)); do start $i; done
for seed in 11 22; do
    client $seed &
    background_pids+=($!)
    clients+=($!)
done

length=$((SOAK_SECONDS / 3 < 60 ? SOAK_SECONDS / 3 : 60))
rounds=0 first='' last=''
while [ $rounds -lt 2 ] || [ $SECONDS -lt "$SOAK_SECONDS" ]; do
    round $length
    rounds=$((rounds + 1))
    if ! calm; then
        not_ok "after round $rounds all nodes are one cluster again" "$(status)" "$(tail -n 4 "$tmp"/node*)"
        break
    fi
    : "${first:=$last}"
    echo "# round $rounds after $SECONDS s: node 0 has $last (KiB, descriptors, threads); answers: $(answers right) right," \
        "$(answers left) left with their node; started ${done_count[start]}, killed ${done_count[kill]}, left ${done_count[leave]}," \
        "stopped ${done_count[stop]}"
done
# However slow the machine was during churn, there are answers afterwards, and nodes release what they hold only while preparing an epoch.
has_answers() { [ "$(answers right)" -ge 3 ]; }
rm -f "$tmp/pause"
wait_until 120 has_answers
touch "$tmp/end"
wait "${clients[@]}" 2>/dev/null
read -r rss fds threads <<<"$first"
has_given_back() {
    read -r _ fds_end threads_end <<<"$(figures)"
    [ "$fds_end" -le "$fds" ] && [ "$threads_end" -le "$threads" ]
}
wait_until 60 has_given_back

# ---- verdict ----

check_equal "no answer had other bits" "$(answers wrong)" 0
if [ "$(answers none)" -eq 0 ]; then
    ok "every client of an untouched node got an answer"
else
    not_ok "every client of an untouched node got an answer" "$(grep -h ^none "$tmp"/answers*)" "$(tail -n 4 "$tmp/node0")"
fi
if has_answers; then ok "there were answers"; else not_ok "there were answers" "$(cat "$tmp"/answers*)"; fi
read -r rss_end _ <<<"$last"
check "node 0 has no more descriptors than after the first round" [ "$fds_end" -le "$fds" ]
check "node 0 has no more threads than after the first round" [ "$threads_end" -le "$threads" ]
# The allocator keeps memory that was free only briefly: 8 MiB and a tenth are allowed for that.
if [ -n "$SAN" ]; then
    skip "node 0 has no more memory than after the first round" "sanitizers keep what was freed"
elif [ "$rss_end" -le $((rss + rss / 10 + 8192)) ]; then
    ok "node 0 has no more memory than after the first round"
else
    not_ok "node 0 has no more memory than after the first round" "$rss KiB after the first round, $rss_end KiB at the end"
fi
kill -TERM "${pids[0]}"
wait "${pids[0]}"
check_equal "node 0 leaves in order" $? 0
finish
