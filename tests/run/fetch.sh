#!/bin/bash
# A node without the model file fetches it from a peer: whole, checked, on from where it was cut off, and once.
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

# serve NAME PORT OPTION...: a node; what it says goes to the file NAME. Its cache is the folder cache-$cache.
cache=a
serve() {
    local name=$1 port=$2
    shift 2
    XDG_CACHE_HOME="$tmp/cache-$cache" background "$mesh_node" serve -t 1 --listen "127.0.0.1:$port" ${security[@]+"${security[@]}"} "$@" \
        2>"$tmp/$name"
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
        --listen "127.0.0.1:$(free_port)" ${security[@]+"${security[@]}"} "$@"
}

first=$(free_port) second=$(free_port) slow=$(free_port)
serve first "$first" -m "$model"
becomes "a node that has the file serves" "$first" 1 first
status() { "$mesh_node" status --to "127.0.0.1:$1" ${security[@]+"${security[@]}"} "${@:2}" >"$tmp/status"; }
status "$first"
check_contains "its status says that nobody else has it" "$tmp/status" "rows on one disk only"
status "$first" --json
check_contains "also to programs" "$tmp/status" '"rows_on_two_disks":false'

# ---- cut off, and on from there ----

# Whoever fetches from this one waits for every acknowledgement: there is time to be killed.
cp "$model" "$tmp/copy.gguf"
serve slow "$slow" -m "$tmp/copy.gguf" --lab delay=20ms
becomes "so does a slow one" "$slow" 1 slow
some_there() { [ "$(tr -d '\0' <"$(folder)/have" 2>/dev/null | wc -c)" -ge 2 ]; }
serve killed "$second" --join "127.0.0.1:$slow"
killed=$background_pid
if wait_until 60 some_there; then ok "a node without one fetches it"; else not_ok "a node without one fetches it" "$(cat "$tmp/killed")"; fi
kill -9 "$killed"
wait "$killed" 2>/dev/null
cmp -s "$(folder)/model.gguf" "$model"
check_equal "it was killed before all was there" $? 1
serve second "$second" --join "127.0.0.1:$first"
node=$background_pid
becomes "started again it is a member of the cluster" "$second" 2 second
missing=$(sed -n 's/.*: \([0-9]*\) of [0-9]* MiB are missing/\1/p' "$tmp/second")
if [ -n "$missing" ] && [ "$missing" -lt "$chunks" ]; then
    ok "it fetched only what was missing"
else
    not_ok "it fetched only what was missing" "$(cat "$tmp/second")"
fi
check_same "the file is the same, byte by byte" "$(folder)/model.gguf" "$model"
check "it answers" "$mesh_node" ask --to "127.0.0.1:$second" ${security[@]+"${security[@]}"} "${question[@]}"
check_equal "with the bits of run" "$(grep '^digest ' "$out")" "$expected"
status "$second" --json
check_contains "now every row is on two disks" "$tmp/status" '"disks_with_every_row":2,"rows_on_two_disks":true'
end "$node"

# ---- from the cache ----

serve second "$second" --join "127.0.0.1:$first"
node=$background_pid
becomes "the next start is a member, too" "$second" 2 second
if grep -q "fetching" "$tmp/second"; then not_ok "and fetches nothing" "$(cat "$tmp/second")"; else ok "and fetches nothing"; fi
end "$node"

printf 'x' | dd of="$(folder)/model.gguf" bs=1 seek=2000000 conv=notrunc 2>/dev/null
serve second "$second" --join "127.0.0.1:$first"
node=$background_pid
becomes "with a damaged byte in the cache it starts as well" "$second" 2 second
check_contains "it fetches that chunk again" "$tmp/second" "1 of $chunks MiB are missing"
check_same "and the file is whole" "$(folder)/model.gguf" "$model"
end "$node"

third=$(free_port) nobody=$(free_port)
serve third "$third" --join "127.0.0.1:$nobody"
node=$background_pid
becomes "when nobody answers it takes the model that its cluster had last" "$third" 1 third
check_contains "and says so" "$tmp/third" "no peer answers"

# ---- one that has fetched gives it to others ----

cache=b
serve fourth "$second" --join "127.0.0.1:$third"
becomes "a node that has fetched it gives it to others" "$second" 2 fourth
check_same "as it is" "$(folder)/model.gguf" "$model"
end "$background_pid"
end "$node"

# ---- what goes wrong ----

cache=c
fetch_fails "nobody there is told" "no peer has the model" --join "127.0.0.1:$nobody" --fetch-wait 1
check_exit "without a peer to ask it says so" 2 "-m MODEL.gguf" "$mesh_node" serve

# Its hashes are known since the first one fetched from it.
printf 'xyz' | dd of="$tmp/copy.gguf" bs=1 seek=$((size - 100)) conv=notrunc 2>/dev/null
fetch_fails "a peer whose file has changed is found out" "does not fit its hash" --join "127.0.0.1:$slow" --fetch-wait 1
cmp -s "$(folder)/model.gguf" "$tmp/copy.gguf"
check_equal "its bytes are not kept" $? 1
serve fifth "$second" --join "127.0.0.1:$slow" --join "127.0.0.1:$first"
becomes "with another peer there it goes on with that one" "$second" 3 fifth
check_same "and has the right file" "$(folder)/model.gguf" "$model"
end "$background_pid"

# A peer that dies in the middle: nothing is heard for 10 s, then the other one is asked for what is missing.
cache=e
dying=$(free_port)
serve dying "$dying" -m "$model" --lab delay=20ms
node=$background_pid
becomes "another slow one serves" "$dying" 1 dying
serve sixth "$second" --join "127.0.0.1:$dying" --join "127.0.0.1:$first"
if wait_until 60 some_there; then ok "it is fetched from"; else not_ok "it is fetched from" "$(cat "$tmp/sixth")"; fi
kill -9 "$node"
wait "$node" 2>/dev/null
becomes "when it dies the other peer is asked" "$second" 3 sixth
check_contains "which is said" "$tmp/sixth" "127.0.0.1:$dying: nothing"
check_same "and the file is whole" "$(folder)/model.gguf" "$model"
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
finish
