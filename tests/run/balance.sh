#!/bin/bash
# Shares by measured speed, with real processes: a slow node gets less, from the beginning or when it becomes slow; a joining node gets its
# share; and no bit of an answer changes.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

model=node/models/stories-q8_0.gguf
question=(-p "Once upon a time" -n 200 --ignore-eos --temp 0.7 --seed 4 --digest)
if [ -n "$SAN" ]; then skip_all "instrumented nodes are slower than the speeds that this test gives them"; fi
check "one process alone gives a digest" "$mesh_node" run -m $model "${question[@]}"
expected=$(grep '^digest ' "$out")

ports=()
for i in 0 1 2 3 4; do ports[i]=$(free_port); done

# node I SEED OPTION...: start node I, joining node SEED ("" for none)
node() {
    local i=$1 seed=$2
    shift 2
    background "$mesh_node" serve -m $model -t 1 --listen "127.0.0.1:${ports[i]}" ${seed:+--join "127.0.0.1:${ports[seed]}"} "$@" \
        2>>"$tmp/node$i"
}
status() { "$mesh_node" status --json --to "127.0.0.1:${ports[$1]}"; }
figure() { status "$1" | grep -o "\"$2\":[0-9]*" | head -n 1 | cut -d: -f2; }
# member I RANK KEY: what node I reports of a rank
member() { status "$1" | grep -o "\"rank\":$2,[^}]*" | grep -o "\"$3\":[0-9a-z]*" | cut -d: -f2; }
has() { status "$1" 2>/dev/null | grep -q "\"nodes\":$2,"; }
becomes() { # SENTENCE I N
    if wait_until 20 has "$2" "$3"; then ok "$1"; else not_ok "$1" "$(status "$2" 2>&1)" "$(tail -n 5 "$tmp"/node*)"; fi
}
# check_calm SENTENCE FOUND EXPECTED: skipped when the machine was so busy that a member was taken for dead, which changes shares and ranks
check_calm() {
    if [ "$2" != "$3" ] && grep -qs "lost:\|gone on without" "$tmp"/node*; then
        skip "$1" "members were lost beside it, on a machine that is too busy"
    else
        check_equal "$1" "$2" "$3"
    fi
}
ask() { "$mesh_node" ask --to "127.0.0.1:${ports[$1]}" "${question[@]}" 2>/dev/null </dev/null | grep '^digest '; }
# Ask again and again until the command holds or the time is over; every answer has to be the same.
asking_until() { # SECONDS COMMAND...
    local end=$((SECONDS + $1)) answer
    shift
    while ! "$@"; do
        [ $SECONDS -lt $end ] || return 1
        answer=$(ask 0)
        if [ -z "$answer" ]; then
            unanswered=$((unanswered + 1)) # members were lost, too many times for one question
        elif [ "$answer" != "$expected" ]; then
            wrong+=" $answer"
        fi
    done
}
never() { return 1; }
less_than() { # RANK SHARE
    local share
    share=$(member 0 "$1" share)
    [ "${share:-999999}" -lt "$2" ]
}
wrong=""
unanswered=0

# ---- a node that is slow from the beginning ----

node 0 "" --lab pace=400MB/s
becomes "a node alone has all rows" 0 1
node 1 0 --lab pace=400MB/s,later=60MB/s,after=12s
becomes "a node that joins an idle cluster" 0 2
check_equal "a node as fast as the other gets the same share" "$(member 0 1 share)" "$(member 0 0 share)"
node 2 0 --lab pace=100MB/s
becomes "a third one joins" 0 3
check_equal "a slower node gets less: a third of the average, which counts 1000" "$(member 0 2 share)" 333
check_equal "status reports speeds" "$(member 0 2 speed_mb_per_s)" 100
told() { "$mesh_node" status --to "127.0.0.1:${ports[0]}" --telemetry 1 | grep '"event":"node",.*"node_rank":2,' | tail -n 1; }
check_equal "telemetry reports the share by which rows are dealt, too" "$(told | grep -o '"share":[0-9]*')" '"share":333'

# ---- a node that becomes slow ----

before=$(member 0 1 share)
changes=$(figure 0 share_changes)
prepared=$(figure 0 epochs_prepared)
asking_until 90 less_than 1 $((before / 2))
check_calm "a node that has become slow has a smaller share" $? 0
check_calm "a node that became slow caused one change of shares" "$(figure 0 share_changes)" $((changes + 1))
check_calm "rows were loaded before that change" "$(figure 0 epochs_prepared)" $((prepared + 1))
check_calm "speeds are measured while tokens are made" "$(member 0 1 speed_is_measured)$(member 0 0 speed_is_measured)" truetrue
epoch=$(figure 0 epoch)
asking_until 15 never
check_calm "afterwards shares stay as they are" "$(figure 0 epoch)" "$epoch"

# ---- a node that joins while there is work ----

node 3 1 --lab pace=400MB/s
if asking_until 30 has 0 4; then
    ok "a node joins a cluster that generates"
else
    not_ok "a node joins a cluster that generates" "$(status 0)"
fi
check_calm "a node that joined has the share of one as fast" "$(member 0 3 share)" "$(member 0 0 share)"
check_equal "no answer changed by a bit" "$wrong" ""
check_calm "every question had an answer" $unanswered 0

# ---- fixed shares ----

node 4 0 --share 2 --lab pace=20MB/s
becomes "a node with a share of its own choice joins" 0 5
check_equal "a node has the fixed share, however slow it is" "$(member 0 4 share)" 2000
check_equal "status says that the share is fixed" "$(member 0 4 share_is_fixed)" true
check_equal "a fixed share changes no bit" "$(ask 0)" "$expected"
finish
