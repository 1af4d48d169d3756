#!/bin/bash
# A node without the model file fetches it from peers: the chunks for its rows, or all; checked, resumed where it was cut off, and only
# once.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

model=$tmp/tales.gguf
security=()
if "$mesh_node" keygen -o "$tmp/key" >/dev/null 2>&1 && [ -s "$tmp/key" ]; then security=(--key "$tmp/key"); fi
question=(-p "Once upon a time" -n 20 --ignore-eos --seed 4 --digest)
check "a model of some MB can be made" "$mesh_node" synth -o "$model" --dim 256 --hidden 704 --layers 6 --heads 8 --kv-heads 4 \
    --vocab 3000 --ctx 256 --type f16 --seed 1
size=$(stat -c %s "$model")
chunks=$(((size + 1048575) / 1048576))
check "run gives its digest" "$mesh_node" run -m "$model" "${question[@]}"
expected=$(grep '^digest ' "$out")

# serve NAME PORT OPTION...: start a node; its output goes to the file NAME. Its cache is the folder cache-$cache.
# Up to "only its rows" whole files are fetched.
cache=a
fetch=(--fetch all)
serve() {
    local name=$1 port=$2
    shift 2
    XDG_CACHE_HOME="$tmp/cache-$cache" background "$mesh_node" serve -t 1 --listen "127.0.0.1:$port" ${security[@]+"${security[@]}"} \
        "${fetch[@]}" "$@" 2>"$tmp/$name"
}
has() { # PORT MEMBERS
    "$mesh_node" status --json --to "127.0.0.1:$1" ${security[@]+"${security[@]}"} 2>/dev/null | grep -q "\"nodes\":$2,"
}
becomes() { # SENTENCE PORT MEMBERS FILE
    if wait_until 60 has "$2" "$3"; then ok "$1"; else not_ok "$1" "$(tail -n 5 "$tmp/$4")"; fi
}
folder() { echo "$tmp/cache-$cache"/diolkos-mesh/models/*; }
end() { kill "$1" 2>/dev/null && wait "$1" 2>/dev/null; }
fetch_fails() { # SENTENCE TEXT OPTION...
    local sentence=$1 text=$2
    shift 2
    check_exit "$sentence" 4 "$text" env XDG_CACHE_HOME="$tmp/cache-$cache" timeout -k 5 120 "$mesh_node" serve -t 1 \
        --listen "127.0.0.1:$(free_port)" ${security[@]+"${security[@]}"} "${fetch[@]}" "$@"
}

first=$(free_port) second=$(free_port) slow=$(free_port)
serve first "$first" -m "$model"
becomes "a node that has the file serves" "$first" 1 first
status() { "$mesh_node" status --to "127.0.0.1:$1" ${security[@]+"${security[@]}"} "${@:2}" >"$tmp/status"; }
status "$first"
check_contains "its status says that rows are on one disk only" "$tmp/status" "rows are on one disk only"
status "$first" --json
check_contains "JSON says that rows are on one disk only, too" "$tmp/status" '"rows_on_two_disks":false'

# ---- cut off, and resumed ----

# A node that fetches from this one waits for every acknowledgement: there is time to kill it.
cp "$model" "$tmp/copy.gguf"
serve slow "$slow" -m "$tmp/copy.gguf" --lab delay=20ms
becomes "a slow node that has the file serves, too" "$slow" 1 slow
some_there() { [ "$(tr -d '\0' <"$(folder)/have" 2>/dev/null | wc -c)" -ge 2 ]; }
has_all() { [ "$(tr -d '\0' <"$(folder)/have" 2>/dev/null | wc -c)" -ge "$chunks" ]; }
# On a busy machine it may have all before it is killed: then once more, at another port, as it became a member.
for _ in 1 2 3 4 5; do
    rm -rf "$(folder)"
    serve killed "$(free_port)" --join "127.0.0.1:$slow"
    wait_until 60 some_there
    kill -9 "$background_pid"
    wait "$background_pid" 2>/dev/null
    if ! has_all; then break; fi
done
if some_there; then ok "a node without one fetches it"; else not_ok "a node without one fetches it" "$(cat "$tmp/killed")"; fi
cmp -s "$(folder)/model.gguf" "$model"
check_equal "a fetching node was killed before it had all" $? 1
serve second "$second" --join "127.0.0.1:$first"
node=$background_pid
becomes "the killed node, started again, becomes a member" "$second" 2 second
missing=$(sed -n 's/.*: \([0-9]*\) of [0-9]* MiB are missing/\1/p' "$tmp/second")
if [ -n "$missing" ] && [ "$missing" -lt "$chunks" ]; then
    ok "the killed node fetched only what was missing"
else
    not_ok "the killed node fetched only what was missing" "$(cat "$tmp/second")"
fi
check_same "the file is the same, byte by byte" "$(folder)/model.gguf" "$model"
check "a node that fetched its model answers" "$mesh_node" ask --to "127.0.0.1:$second" ${security[@]+"${security[@]}"} "${question[@]}"
check_equal "its answer has the bits of run" "$(grep '^digest ' "$out")" "$expected"
status "$second" --json
check_contains "now every row is on two disks" "$tmp/status" '"disks_with_every_row":2,"rows_on_two_disks":true'
end "$node"

# ---- from the cache ----

serve second "$second" --join "127.0.0.1:$first"
node=$background_pid
becomes "the next start is a member, too" "$second" 2 second
if grep -q "fetching" "$tmp/second"; then
    not_ok "a cached model is not fetched" "$(cat "$tmp/second")"
else
    ok "a cached model is not fetched"
fi
end "$node"

printf 'x' | dd of="$(folder)/model.gguf" bs=1 seek=2000000 conv=notrunc 2>/dev/null
serve second "$second" --join "127.0.0.1:$first"
node=$background_pid
becomes "with a damaged byte in the cache a node starts, too" "$second" 2 second
check_contains "a damaged chunk is fetched again" "$tmp/second" "1 of $chunks MiB are missing"
check_same "the fetched file is whole" "$(folder)/model.gguf" "$model"
end "$node"

third=$(free_port) nobody=$(free_port)
serve third "$third" --join "127.0.0.1:$nobody"
node=$background_pid
becomes "a node without answering peers uses the model that its cluster had last" "$third" 1 third
check_contains "a node prints that no peer answers" "$tmp/third" "no peer answers"

# ---- a node that has fetched the model serves it to others ----

cache=b
serve fourth "$second" --join "127.0.0.1:$third"
becomes "a node that has fetched it gives it to others" "$second" 2 fourth
check_same "the model is fetched unchanged from a node that fetched it" "$(folder)/model.gguf" "$model"
end "$background_pid"
end "$node"

# ---- what goes wrong ----

cache=c
fetch_fails "nobody there is told" "no peer has the model" --join "127.0.0.1:$nobody" --fetch-wait 1
check_exit "without a model or a peer to ask, serve is wrong usage" 2 "-m MODEL.gguf" "$mesh_node" serve

# Its hashes are known since the first node fetched from it.
printf 'xyz' | dd of="$tmp/copy.gguf" bs=1 seek=$((size - 100)) conv=notrunc 2>/dev/null
fetch_fails "a peer whose file has changed is found out" "does not fit its hash" --join "127.0.0.1:$slow" --fetch-wait 1
cmp -s "$(folder)/model.gguf" "$tmp/copy.gguf"
check_equal "chunks of a peer with another file are not kept" $? 1
serve fifth "$second" --join "127.0.0.1:$slow" --join "127.0.0.1:$first"
becomes "fetching continues with another peer that has the right file" "$second" 3 fifth
check_same "the file from the other peer is right" "$(folder)/model.gguf" "$model"
end "$background_pid"

# A peer that dies in the middle: nothing is heard of it for 10 s, then the other peer is asked for the missing chunks.
cache=e
dying=$(free_port)
serve dying "$dying" -m "$model" --lab delay=20ms
node=$background_pid
becomes "another slow one serves" "$dying" 1 dying
for _ in 1 2 3 4 5; do # as above
    serve sixth "$second" --join "127.0.0.1:$dying" --join "127.0.0.1:$first"
    wait_until 60 some_there
    kill -9 "$node"
    wait "$node" 2>/dev/null
    if ! has_all; then break; fi
    end "$background_pid"
    rm -rf "$(folder)"
    dying=$(free_port)
    serve dying "$dying" -m "$model" --lab delay=20ms
    node=$background_pid
    wait_until 60 has "$dying" 1
done
if some_there; then ok "a node fetches from it"; else not_ok "a node fetches from it" "$(cat "$tmp/sixth")"; fi
becomes "when it dies the other peer is asked" "$second" 3 sixth
check_contains "the loss of a peer while fetching is reported" "$tmp/sixth" "127.0.0.1:$dying: nothing"
check_same "the fetched file is whole" "$(folder)/model.gguf" "$model"
end "$background_pid"

cache=d
check_exit "a limit on the size of files is told" 4 "no room for the model" \
    sh -c "ulimit -f 4000; XDG_CACHE_HOME='$tmp/cache-d' exec '$mesh_node' serve --listen 127.0.0.1:$(free_port) \
    --join 127.0.0.1:$first ${security[*]+${security[*]}}"
mkdir "$tmp/small"
if unshare -rm sh -c "mount -t tmpfs -o size=2m none '$tmp/small'" 2>/dev/null; then
    check_exit "a disk that is too small is told" 4 "make room" \
        unshare -rm sh -c "mount -t tmpfs -o size=2m none '$tmp/small'; XDG_CACHE_HOME='$tmp/small' exec '$mesh_node' serve \
        --listen 127.0.0.1:$(free_port) --join 127.0.0.1:$first ${security[*]+${security[*]}}"
else
    skip "a disk that is too small is told" "no namespace for a mount can be made here"
fi
mkdir "$tmp/closed" && echo >"$tmp/closed/diolkos-mesh"
check_exit "a cache that cannot be made is told" 4 "XDG_CACHE_HOME" env XDG_CACHE_HOME="$tmp/closed" "$mesh_node" serve \
    --listen "127.0.0.1:$(free_port)" --join "127.0.0.1:$first" ${security[@]+"${security[@]}"}
check_exit "a home that is missing is told" 4 "which is no folder: set XDG_CACHE_HOME" env -u XDG_CACHE_HOME HOME="$tmp/missing" \
    "$mesh_node" serve --listen "127.0.0.1:$(free_port)" --join "127.0.0.1:$first" ${security[@]+"${security[@]}"}
check_equal "and not made" "$(ls -d "$tmp/missing" 2>/dev/null)" ""

# ---- only its rows ----

# Matrices of many chunks, so that shares have different chunks; and biases, which every node reads.
large=$tmp/large.gguf
fetch=(--fetch rows --share 1)
check "a model of some 60 MB can be made" "$mesh_node" synth -o "$large" --arch qwen2 --dim 1024 --hidden 2816 --layers 2 --heads 16 \
    --kv-heads 4 --vocab 3000 --ctx 256 --type f16 --seed 2
check "run gives its digest" "$mesh_node" run -m "$large" "${question[@]}"
expected=$(grep '^digest ' "$out")
needs() { # NODES RANK: chunks that this rank reads
    "$mesh_node" plan -m "$large" --nodes "$1" --json | sed -n "s/.*\"rank\":$2,.*\"model_chunks\":\([0-9]*\).*/\1/p"
}
here() { # PORT: chunks on this node's disk
    "$mesh_node" status --json --to "127.0.0.1:$1" ${security[@]+"${security[@]}"} | sed -n 's/.*"model_chunks_here":\([0-9]*\).*/\1/p'
}
on_disk() { tr -d '\0' <"$(folder)/have" | wc -c; }
seen() { # PORT: epochs that this node has been in
    "$mesh_node" status --json --to "127.0.0.1:$1" ${security[@]+"${security[@]}"} | sed -n 's/.*"epochs_seen":\([0-9]*\).*/\1/p'
}
# exactly SENTENCE PORT CHUNKS EPOCHS: skipped when members came and went on a busy machine: then more is fetched, rightly
exactly() {
    local count
    count=$(here "$2")
    if [ "$count" -gt "$3" ] && [ "$(seen "$2")" -gt "$4" ]; then
        skip "$1" "members came and went otherwise meanwhile"
    else
        check_equal "$1" "$count" "$3"
    fi
}
answers() { # SENTENCE PORT
    check "$1" "$mesh_node" ask --to "127.0.0.1:$2" ${security[@]+"${security[@]}"} "${question[@]}"
    check_equal "its answer has the bits of run" "$(grep '^digest ' "$out")" "$expected"
}
whole=$(free_port) near=$(free_port) far=$(free_port) seed=$(free_port)
all=$((($(stat -c %s "$large") + 1048575) / 1048576))

serve whole "$whole" -m "$large"
holder=$background_pid
becomes "a node has the file" "$whole" 1 whole
cache=f
serve near "$near" --join "127.0.0.1:$whole"
near_pid=$background_pid
becomes "one without it becomes a member" "$near" 2 near
exactly "of $all chunks it fetched those of its rows and what all nodes read" "$near" "$(needs 2 1)" 1
check_equal "the number of chunks on its disk agrees with its status" "$(on_disk)" "$(here "$near")"
answers "it answers" "$near"
status "$near" --json
check_contains "not every row is on two disks" "$tmp/status" '"disks_with_every_row":1,"rows_on_two_disks":false'

cache=g
serve far "$far" --join "127.0.0.1:$near"
far_pid=$background_pid
becomes "a third node fetches from one that has only a part" "$far" 3 far
exactly "it fetched its share" "$far" "$(needs 3 2)" 1
cache=f
if [ "$(on_disk)" -gt "$(needs 2 1)" ]; then
    ok "the change of shares made the other one fetch some more"
else
    not_ok "the change of shares made the other one fetch some more" "$(on_disk) of $all chunks"
fi
status "$near" --json
check "it did so before the switch of epochs" grep -q '"epochs_prepared":[2-9]' "$tmp/status"
answers "all three answer" "$far"

# The second node dies while the third one generates: that one needs more rows, and fetches them.
"$mesh_node" ask --to "127.0.0.1:$far" ${security[@]+"${security[@]}"} "${question[@]}" -n 200 >"$tmp/asked" 2>&1 &
asked=$!
check "run gives the digest of more tokens" "$mesh_node" run -m "$large" "${question[@]}" -n 200
more=$(grep '^digest ' "$out")
kill -9 "$near_pid"
wait "$near_pid" 2>/dev/null
becomes "after a death two go on" "$far" 2 far
wait "$asked"
check_equal "the answer during the death has the bits of run" "$(grep '^digest ' "$tmp/asked")" "$more"
cache=g
reaches() { [ "$(here "$1")" -ge "$2" ]; }
wait_until 60 reaches "$far" "$(needs 2 1)" # the answer may have ended before the death
exactly "the rows that were missing have been fetched" "$far" "$(needs 2 1)" 2
answers "with the fetched rows it answers" "$far"

# Started again, the second node still has what it fetched; then the third one leaves in order.
cache=f
serve near "$near" --join "127.0.0.1:$whole"
near_pid=$background_pid
becomes "the dead one comes back" "$near" 3 near
cache=g
end "$far_pid"
becomes "the other one leaves" "$near" 2 near
answers "the remaining nodes answer" "$near"
end "$near_pid"

# ---- a disk that fills up while fetching ----

mkdir "$tmp/tight"
room=$(($(needs 2 1) - 4))
if unshare -rm sh -c "mount -t tmpfs -o size=2m none '$tmp/tight'" 2>/dev/null; then
    cat >"$tmp/tight.sh" <<END
mount -t tmpfs -o size=${room}m none '$tmp/tight'
node() {
    XDG_CACHE_HOME='$tmp/tight' exec '$mesh_node' serve -t 1 --share 1 --listen 127.0.0.1:$seed --join 127.0.0.1:$whole \\
        ${security[*]+${security[*]}}
}
(node) 2>'$tmp/full'
echo \$? >'$tmp/code'
mount -o remount,size=200m '$tmp/tight'
node 2>'$tmp/roomy'
END
    background unshare -rm sh "$tmp/tight.sh"
    tight=$background_pid
    check "a disk without room for its rows ends it" wait_until 60 test -s "$tmp/code"
    check_equal "a node whose disk has no room ends with exit code 4" "$(cat "$tmp/code")" 4
    check_contains "a node whose disk has no room prints the remedy" "$tmp/full" "make room"
    answers "the others go on" "$whole"
    becomes "a node becomes a member once its disk has room" "$seed" 2 roomy
    answers "a node that became a member late has the right rows" "$seed"
    kill "$tight"
    wait "$tight" 2>/dev/null
else
    skip "a disk that fills up on the way ends a node that is no member yet" "no namespace for a mount can be made here"
fi
end "$holder"
finish
