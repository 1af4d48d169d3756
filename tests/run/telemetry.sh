#!/bin/bash
# Telemetry of the nodes of a mesh: any node answers for all; its figures are those of status, of /metrics and of the answer; a slow node is
# named; a death is reported.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"
# Counters begin anew with each epoch, and ranks may change: a run that loses a member too many compares what has nothing in common.
ended=
has_changed() { [ -n "$ended" ]; }
begin_again_if has_changed

model=node/models/stories-q8_0.gguf
security=()
if "$mesh_node" keygen -o "$tmp/key" >/dev/null 2>&1 && [ -s "$tmp/key" ]; then security=(--key "$tmp/key"); fi
metrics=(--metrics 127.0.0.1:0)
run "$mesh_node" serve -m $model --listen "127.0.0.1:$(free_port)" --metrics 192.0.2.1:1 # which is nobody's
if grep -q "built without libmicrohttpd" "$err"; then metrics=(); fi
ports=("$(free_port)" "$(free_port)" "$(free_port)") pids=()

# node I OPTIONS...
node() {
    local i=$1
    shift
    background "$mesh_node" serve -m $model -t 1 --share 1 --listen "127.0.0.1:${ports[i]}" ${metrics[@]+"${metrics[@]}"} \
        ${security[@]+"${security[@]}"} "$@" 2>"$tmp/node$i"
    pids[i]=$background_pid
}
status() { "$mesh_node" status --to "127.0.0.1:${ports[$1]}" ${security[@]+"${security[@]}"} "${@:2}"; }
has() { status "$1" --json 2>/dev/null | grep -q "\"nodes\":$2,"; }
epoch() { status 2 --json | sed -n 's/.*"nodes":[0-9]*,"epoch":\([0-9]*\),.*/\1/p'; }
still() { # EPOCH
    if [ "$(epoch)" = "$1" ]; then return; fi
    ended=$1
    not_ok "no member is lost meanwhile" "$(tail -n 5 "$tmp"/node*)"
    finish
}
# is_whole FILE NODES: it has a report of each node, and of each of its links
is_whole() {
    local found
    found=$(grep -e '"event":"node"' -e '"event":"link"' "$1" |
        sed -E 's/.*"event":"([a-z]*)".*"node_rank":([0-9]*),.*"now_ns":[0-9]*,("peer":[0-9]*|).*/\1 \2 \3/' | sort -u | wc -l)
    [ "$found" -ge $(($2 * $2)) ]
}
# report I NODES FILE: what node I tells of all nodes; on a busy machine some of it may be missing within a second: the next report has it
report() {
    for _ in 1 2 3 4 5 6 7 8; do
        status "$1" --telemetry 1 >"$3"
        if is_whole "$3" "$2"; then break; fi
    done
}

# figure FILE EVENT FIELD RANK [MORE]: the last value that a node reported of itself; MORE: a further part of the line
figure() {
    grep "\"event\":\"$2\"" "$1" | grep "\"node_rank\":$4," | grep -F -e "${5-}" | tail -n 1 |
        sed -n "s/.*\"$3\":\([-0-9]*\).*/\1/p"
}
# sum FILE FIELD RANK: over the links of a node, from its last report
sum() {
    local peer total=0 value
    for peer in 0 1 2; do
        value=$(figure "$1" link "$2" "$3" "\"peer\":$peer,")
        total=$((total + ${value:-0}))
    done
    echo $total
}
# field FILE NAME: of an object of JSON
field() { sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p" "$1" | tail -n 1; }

node 0
node 1 --join "127.0.0.1:${ports[0]}" --lab pace=20MB/s
node 2 --join "127.0.0.1:${ports[0]}"
if wait_until 20 has 0 3; then ok "three nodes form a mesh"; else not_ok "three nodes form a mesh" "$(tail -n 5 "$tmp"/node*)"; fi
status 2 --json >"$tmp/members"
first_epoch=$(epoch)
slow=$(grep -o "\"rank\":[0-9]*,\"address\":\"127.0.0.1:${ports[1]}\"" "$tmp/members" | sed 's/[^:]*:\([0-9]*\),.*/\1/')
own=$(grep -o '"rank":[0-9]*,[^}]*"is_self":true' "$tmp/members" | sed 's/[^:]*:\([0-9]*\),.*/\1/')
other=$((3 - slow - own))

if [ -x "$BIN/mesh-monitor" ]; then
    background "$BIN/mesh-monitor" --to "127.0.0.1:${ports[2]}" ${security[@]+"${security[@]}"} --json -d 0.5 >"$tmp/monitor" 2>&1
    monitoring=$background_pid
    wait_until 10 test -s "$tmp/monitor"
fi
status 2 --telemetry 5 >"$tmp/during" 2>"$tmp/during.err" &
background_pids+=("$!")
watching=$!
"$mesh_node" ask --to "127.0.0.1:${ports[2]}" ${security[@]+"${security[@]}"} -p "Once upon a time" -n 40 --ignore-eos --temp 0 --json \
    >"$tmp/answer" 2>&1 </dev/null
wait "$watching"
report 2 3 "$tmp/before"
status 2 --json >"$tmp/status"
for _ in 1 2 3 4 5; do
    report 2 3 "$tmp/after"
    tiles_sent=$(figure "$tmp/after" link tiles_sent "$own" "\"peer\":$other,")
    tiles_received=$(figure "$tmp/after" link tiles_received "$other" "\"peer\":$own,")
    if [ "$tiles_sent" = "$tiles_received" ]; then break; fi
done
still "$first_epoch"

# ---- the whole mesh, from any node ----
for i in 0 1 2; do
    report $i 3 "$tmp/from$i"
    check_equal "node $i answers for all three" \
        "$(grep '"event":"node"' "$tmp/from$i" | sed 's/.*"node_rank":\([0-9]*\),.*/\1/' | sort -u | tr '\n' ' ')" "0 1 2 "
done

# ---- numbers agree ----
gen=$(grep '"event":"summary"' "$tmp/answer" | sed -n 's/.*"gen_tokens":\([0-9]*\).*/\1/p')
check_equal "the answer has all of its tokens" "$gen" 40
for rank in 0 1 2; do
    check_equal "rank $rank counts the tokens of the answer" "$(figure "$tmp/after" node tokens $rank)" "$gen"
done
check_equal "the node that was asked counts one request" "$(figure "$tmp/after" node requests_begun "$own")" 1
check_equal "the node that was asked counts the tokens of the answer" "$(figure "$tmp/after" node answer_tokens "$own")" "$gen"
request=$(grep '"event":"request"' "$tmp/after" | grep "\"node_rank\":$own," | tail -n 1)
check_equal "a request is reported after its end, too: with its state (done), its tokens, and its time to the first" \
    "$(sed -n 's/.*"state":\([0-9]*\),.*"tokens":\([0-9]*\),.*"first_ns":\([0-9]*\).*/\1 \2 \3/p' <<<"$request")" \
    "3 $gen $(awk "BEGIN { printf \"%.0f\", 1e6 * $(sed -n 's/.*"ttft_ms":\([0-9.]*\).*/\1/p' "$tmp/answer") }")"
check_equal "a node that was not asked counts no request" "$(figure "$tmp/after" node requests_begun "$slow")" 0
for pair in naks:naks_sent resent:resent lost:lost duplicates_sent:duplicates_sent; do
    check_equal "status and telemetry count the same ${pair%:*}" "$(field "$tmp/status" "${pair%:*}")" \
        "$(sum "$tmp/after" "${pair#*:}" "$own")"
done
sent=$(field "$tmp/status" datagrams_sent) first=$(sum "$tmp/before" datagrams_sent "$own")
last=$(sum "$tmp/after" datagrams_sent "$own")
if [ "$first" -le "$sent" ] && [ "$sent" -le "$last" ] && [ "$first" -gt 0 ]; then
    ok "the datagrams that status counts lie between those of telemetry before and after"
else
    not_ok "the datagrams that status counts lie between those of telemetry before and after" "$first $sent $last"
fi
check_equal "what one node sent as tiles the other received" "$tiles_sent" "$tiles_received"

if [ -n "${monitoring:-}" ] && command -v python3 >/dev/null; then
    adds_up() {
        python3 - "$tmp/monitor" >"$tmp/sums" 2>&1 <<'PY'
import json, sys
sums = [0, 0, 0]
for line in open(sys.argv[1]):
    if line.endswith("\n"):
        for node in json.loads(line)["nodes"]:
            sums[node["rank"]] += node["generated_tokens"]
print(*sums)
PY
        [ "$(cat "$tmp/sums")" = "$gen $gen $gen" ]
    }
    wait_until 20 adds_up
    check_equal "the monitor's intervals add up to the tokens of the answer" "$(cat "$tmp/sums")" "$gen $gen $gen"
    sleep 1 # for two more intervals
    kill "$monitoring"
    wait "$monitoring"
    python3 - "$tmp/monitor" "$slow" "$(figure "$tmp/after" node compute_ns "$slow")" >"$tmp/verdict" 2>&1 <<'PY'
import json, sys
slow, compute_s, seen_s, unseen_ms = int(sys.argv[2]), int(sys.argv[3]) / 1e9, 0, 0
for line in open(sys.argv[1]):
    interval = json.loads(line) if line.endswith("\n") else {"nodes": []}
    for node in interval["nodes"]:
        if node["rank"] == slow: # the first report after one that came late is of all the time since
            unseen_ms += interval["interval_ms"]
            if node["is_fresh"]:
                seen_s, unseen_ms = seen_s + node["utilisation"] * unseen_ms / 1e3, 0
# A report is of the node's own interval, weighed here by the monitor's: half of one more or less where the work begins and ends.
if abs(seen_s - compute_s) > 0.1 * compute_s + 0.25:
    print("%.3f s seen, %.3f s computed" % (seen_s, compute_s))
PY
    check_equal "the utilisations that the monitor shows add up to the time that the slow node computed" "$(cat "$tmp/verdict")" ""
else
    skip "the monitor's intervals add up to the tokens of the answer" "mesh-monitor is not built, or python3 not installed"
fi

# ---- which node waits for which ----
for rank in $own $other; do
    for_slow=$(figure "$tmp/after" link waited_ns "$rank" "\"peer\":$slow,")
    for_fast=$(figure "$tmp/after" link waited_ns "$rank" "\"peer\":$((3 - slow - rank)),")
    if [ $((2 * ${for_slow:-0})) -gt $((3 * ${for_fast:-1})) ]; then
        ok "rank $rank waited for the slow node, and less for the other"
    else
        not_ok "rank $rank waited for the slow node, and less for the other" "$for_slow ns and $for_fast ns"
    fi
done
stalls=$(grep '"event":"step"' "$tmp/during" | grep "\"node_rank\":$own," | sed 's/.*"stall_rank":\([0-9]*\).*/\1/' |
    sort | uniq -c | sort -rn | head -n 1)
check_equal "the longest wait of most steps was for the slow node" "$(awk '{ print $2 }' <<<"$stalls")" "$slow"
check_equal "histograms of use, one-way delay and round trip are reported" \
    "$(grep '"event":"latency"' "$tmp/during" | sed 's/.*"histogram":"\([a-z_]*\)".*/\1/' | sort -u | tr '\n' ' ')" \
    "one_way round_trip use "

# ---- /metrics and /health ----
# http I METHOD PATH: the answer of node I, with headers
http() { http_ask "$tmp/node$1" "$2" "$3"; }
if [ ${#metrics[@]} -gt 0 ]; then
    http 2 GET /metrics >"$tmp/page"
    report 2 3 "$tmp/now"
    check_equal "/metrics answers" "$(head -n 1 "$tmp/page")" "HTTP/1.1 200 OK"
    for name in steps:mesh_steps_total tokens:mesh_generated_tokens_total requests_begun:mesh_requests_total \
        answer_tokens:mesh_request_generated_tokens_total; do
        check_equal "/metrics and telemetry have the same ${name%:*}" \
            "$(sed -n "s/^${name#*:} //p" "$tmp/page")" "$(figure "$tmp/now" node "${name%:*}" "$own")"
    done
    for name in tiles_received:mesh_link_received_tiles_total lost:mesh_link_lost_datagrams_total \
        resent:mesh_link_resent_tiles_total; do
        check_equal "/metrics and telemetry have the same ${name%:*} of a link" \
            "$(sed -n "s/^${name#*:}{peer=\"$slow\",.*} //p" "$tmp/page")" "$(figure "$tmp/now" link "${name%:*}" "$own" "\"peer\":$slow,")"
    done
    http 2 GET /health >"$tmp/health"
    check_equal "/health says that all is well" "$(head -n 1 "$tmp/health")" "HTTP/1.1 200 OK"
    check_contains "/health gives the state" "$tmp/health" '"state":"up","members":3'
    check_equal "other paths are not found" "$(http 2 GET /etc/passwd | head -n 1)" "HTTP/1.1 404 Not Found"
    check_equal "POST is not allowed" "$(http 2 POST /metrics | head -n 1)" "HTTP/1.1 405 Method Not Allowed"
    sed -n 's/^# HELP \([a-z_]*\) .*/\1/p' "$tmp/page" | sort >"$tmp/names"
    grep -oE '\bmesh_[a-z0-9_]+' deploy/grafana-dashboard.json | sed -E 's/_(bucket|sum|count)$//' | sort -u >"$tmp/asked"
    check_equal "every metric that the dashboard asks for is one of /metrics" "$(comm -13 "$tmp/names" "$tmp/asked")" ""
    if [ "$(wc -l <"$tmp/asked")" -ge 15 ]; then
        ok "the dashboard asks for at least 15 metrics"
    else
        not_ok "the dashboard asks for at least 15 metrics" "$(cat "$tmp/asked")"
    fi
else
    skip "/metrics" "this program was built without libmicrohttpd"
    check_exit "without libmicrohttpd --metrics is refused in words" 4 "built without libmicrohttpd" \
        "$mesh_node" serve -m $model --listen "127.0.0.1:$(free_port)" --metrics 127.0.0.1:0
fi

# ---- the limit of watching clients ----
watchers=()
for i in $(seq 33); do
    status 2 --telemetry 5 >"$tmp/watch$i" 2>"$tmp/watch$i.err" </dev/null &
    watchers+=("$!")
    background_pids+=("$!")
done
watched_by_all() { [ "$(cat "$tmp"/watch*.err | wc -l)" -eq 1 ]; }
check "one of 33 clients is refused at once" wait_until 4 watched_by_all
check "a question is answered all the same" \
    "$mesh_node" ask --to "127.0.0.1:${ports[2]}" ${security[@]+"${security[@]}"} -p x --temp 0 -n 1 --json
check_contains "of the nodes its summary knows nothing" "$out" '"threads":null,'
check_contains "with a null for each" "$out" '"utilisation":[null,null,null],"bytes_sent_per_token":null,"packets_sent_per_token":null,'
for pid in "${watchers[@]}"; do wait "$pid"; done
check_equal "of 33 clients that watch one node 32 get reports" "$(grep -l '"event":"node"' "$tmp"/watch* | wc -l)" 32
check_equal "the last one is refused in words" "$(cat "$tmp"/watch*.err)" \
    "mesh-node: refused: this node is watched by as many clients as it takes: ask another node"
report 2 3 "$tmp/now"
check_equal "refused clients are counted" "$(figure "$tmp/now" node telemetry_refused "$own")" \
    $(($(figure "$tmp/after" node telemetry_refused "$own") + 2))

if [ ${#metrics[@]} -gt 0 ]; then
    unwatched() { http 0 GET /metrics | grep -q '^mesh_watchers 0$'; }
    status 2 --telemetry 2 >/dev/null
    check "when no client watches any more the other nodes are told before their leases end" wait_until 2 unwatched
fi

# ---- a death ----
still "$first_epoch"
kill -9 "${pids[0]}"
wait "${pids[0]}" 2>/dev/null
check "the others go on without one that was killed" wait_until 20 has 2 2
second_epoch=$(epoch)
report 2 2 "$tmp/dead"
grep '"event":"event"' "$tmp/dead" | grep '"what":"lost"' >"$tmp/lost" || true
check_contains "the loss of the killed node is reported with its address" "$tmp/lost" "\"text\":\"127.0.0.1:${ports[0]}\""

# ---- figures printed on leaving ----
node_asks() { # N
    "$mesh_node" ask --to "127.0.0.1:${ports[2]}" ${security[@]+"${security[@]}"} -p "Once upon a time" -n "$1" --ignore-eos --temp 0 --json
}
node_asks 20 >"$tmp/again" 2>&1 </dev/null
report 2 2 "$tmp/last"
status 2 --json >"$tmp/status"
still "$second_epoch"
if [ ${#metrics[@]} -gt 0 ]; then http 2 GET /metrics >"$tmp/page"; fi
own=$(grep -o '"rank":[0-9]*,[^}]*"is_self":true' "$tmp/status" | sed 's/[^:]*:\([0-9]*\),.*/\1/')
kill "${pids[2]}"
wait "${pids[2]}" 2>/dev/null
last() { figure "$tmp/last" node "$1" "$own"; }
requests="$(last requests_begun) requests, $(last requests_failed) failed"
check_contains "a node that leaves prints the requests and tokens that telemetry counts" "$tmp/node2" \
    "$requests: prompts of $(last prompt_tokens) tokens, $(last answer_tokens) generated"
check_equal "these are the requests and tokens of the answers" "$(last requests_begun) $(last answer_tokens)" "3 $((gen + 1 + 20))"
times=$(awk "BEGIN { printf \"%.3f s; utilisation %.2f\", $(last stepping_ns) / 1e9, $(last compute_ns) / $(last stepping_ns) }")
check_contains "a node that leaves prints the figures of its epoch" "$tmp/node2" \
    "epoch $(last epoch_number): $(last tokens) tokens generated in $(last steps) steps of $times"
check_contains "a node that leaves prints datagrams lost, NAKs and resends" "$tmp/node2" \
    "lost $(sum "$tmp/last" lost "$own"), NAKs sent $(sum "$tmp/last" naks_sent "$own"), resent $(sum "$tmp/last" resent "$own")"
check_equal "status has the same figures of loss" "$(field "$tmp/status" lost) $(field "$tmp/status" naks) $(field "$tmp/status" resent)" \
    "$(sum "$tmp/last" lost "$own") $(sum "$tmp/last" naks_sent "$own") $(sum "$tmp/last" resent "$own")"
if [ ${#metrics[@]} -gt 0 ]; then
    check_equal "/metrics has the same figures as a node prints on leaving" \
        "$(sed -n -e 's/^mesh_requests_total //p' -e 's/^mesh_request_generated_tokens_total //p' \
        -e 's/^mesh_generated_tokens_total //p' -e 's/^mesh_steps_total //p' "$tmp/page" | sort -n | tr '\n' ' ')" \
        "$(printf '%s\n' "$(last requests_begun)" "$(last answer_tokens)" "$(last tokens)" "$(last steps)" | sort -n | tr '\n' ' ')"
    check_equal "/metrics has the time that a node prints as computing" \
        "$(sed -n 's/^mesh_compute_seconds_total //p' "$tmp/page" | awk '{ printf "%.6f", $1 }')" \
        "$(awk "BEGIN { printf \"%.6f\", $(last compute_ns) / 1e9 }")"
fi
finish
