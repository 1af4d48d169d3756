# Shared by the shell tests in this folder: `. tests/run/lib.sh` first, `finish` last. Not a test itself.
#
# A test runs from the top of the tree and prints TAP: one line per check, whose text is a sentence that is true. It gets
# $BIN (programs), $BUILD (objects), $SAN and $ARCH from run-tests, $tmp (a folder of its own) from here. Everything it
# starts with `background` is ended by process id when the test ends, however it ends.
# shellcheck shell=bash disable=SC2034
set -u

: "${BIN:=bin}" "${BUILD:=build/$(uname -m)}" "${SAN:=}" "${ARCH:=$(uname -m)}"
mesh_node=$BIN/mesh-node # for the tests
tmp=$(mktemp -d "${TMPDIR:-/tmp}/mesh-test.XXXXXX")
out=$tmp/stdout # of the last `run`
err=$tmp/stderr
code=0
case_count=0
case_failed=0
background_pids=()

clean_up() {
    local pid
    for pid in ${background_pids[@]+"${background_pids[@]}"}; do
        kill "$pid" 2>/dev/null && kill -CONT "$pid" 2>/dev/null && wait "$pid" 2>/dev/null # CONT: it may be stopped
    done
    rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 143' TERM INT

# ok SENTENCE / not_ok SENTENCE [DETAIL...]: record a verdict.
ok() {
    case_count=$((case_count + 1))
    echo "ok $case_count - $1"
}
not_ok() {
    case_count=$((case_count + 1))
    case_failed=$((case_failed + 1))
    echo "not ok $case_count - $1"
    shift
    local detail
    for detail in "$@"; do printf '%s\n' "$detail" | head -40 | sed 's/^/#   /'; done
}

# begin_again_if COMMAND...: called first. A run that fails while the command succeeds at its end has measured something else than it was
# to measure, such as a cluster that lost a member on a busy machine. Then the test begins again, twice at most; the last run counts.
in_vain=()
begin_again_if() {
    local code=0
    if [ -n "${TEST_ATTEMPT:-}" ]; then
        in_vain=("$@")
        return
    fi
    trap 'cat "$tmp/attempt"; exit 143' TERM INT
    for TEST_ATTEMPT in 1 2 3; do
        code=0
        TEST_ATTEMPT=$TEST_ATTEMPT "$0" >"$tmp/attempt" 2>&1 || code=$?
        if [ $code -ne 75 ]; then break; fi
    done
    cat "$tmp/attempt"
    exit $code
}

# skip SENTENCE WHY: one case. skip_all WHY: the whole test.
skip() {
    case_count=$((case_count + 1))
    echo "ok $case_count - $1 # SKIP $2"
}
skip_all() {
    echo "skipped: $1"
    exit 77
}

# run COMMAND...: stdout to the file $out, stderr to $err, exit code to $code; never fails. A mistake in arithmetic makes bash give up all
# functions and go on with the test's next line, so `finish` looks whether every `run` has come back.
run_depth=0
run_last=
run() {
    local depth=$run_depth
    code=0
    run_depth=$((depth + 1))
    [ "$depth" -gt 0 ] || run_last=$*
    "$@" >"$out" 2>"$err" </dev/null || code=$?
    run_depth=$depth
}
show_run() {
    printf 'exit code %s\nstdout: %s\nstderr: %s\n' "$code" "$(head -c 2000 "$out" | tr -d '\0')" "$(head -c 2000 "$err" | tr -d '\0')"
}

# check SENTENCE COMMAND...: the command succeeds.
check() {
    local sentence=$1
    shift
    run "$@"
    if [ "$code" -eq 0 ]; then ok "$sentence"; else not_ok "$sentence" "command: $*" "$(show_run)"; fi
}

# check_exit SENTENCE CODE TEXT COMMAND...: it ends with that code, and stderr contains TEXT ("" for any).
check_exit() {
    local sentence=$1 expected=$2 text=$3
    shift 3
    run "$@"
    if [ "$code" -ne "$expected" ]; then
        not_ok "$sentence" "command: $*" "expected exit code $expected" "$(show_run)"
    elif [ -n "$text" ] && ! grep -qF -e "$text" "$err"; then
        not_ok "$sentence" "command: $*" "expected on stderr: $text" "$(show_run)"
    else
        ok "$sentence"
    fi
}

# check_equal SENTENCE FOUND EXPECTED; check_contains SENTENCE FILE TEXT; check_same SENTENCE FILE FILE
check_equal() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "found:    $2" "expected: $3"; fi
}
check_contains() {
    if grep -qF -e "$3" "$2"; then ok "$1"; else not_ok "$1" "not found: $3" "in: $(head -c 2000 "$2" | tr -d '\0')"; fi
}
check_same() {
    if cmp -s "$2" "$3"; then ok "$1"; else not_ok "$1" "$(cmp "$2" "$3" 2>&1)" "$(diff -a "$3" "$2" | head -c 2000 | tr -d '\0')"; fi
}

# background COMMAND...: start it; its process id is in $background_pid; it is ended with the test.
background() {
    "$@" </dev/null &
    background_pid=$!
    background_pids+=("$background_pid")
}

# wait_until SECONDS COMMAND...: try until the command succeeds; false after that time.
wait_until() {
    local tries=$(($1 * 20))
    shift
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.05
    done
}

# http_ask LOG METHOD PATH: the answer, with headers, of the node whose stderr is LOG, which holds the address of its metrics
http_ask() {
    local port
    port=$(sed -n 's|^metrics on http://127.0.0.1:\([0-9]*\)/metrics$|\1|p' "$1")
    exec 9<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf '%s %s HTTP/1.1\r\nHost: mesh\r\nConnection: close\r\n\r\n' "$2" "$3" >&9
    timeout 10 cat <&9 | tr -d '\r'
    exec 9>&-
}

# tensor_types: names of all types of tensors that mesh-node reads and writes, on one line.
tensor_types() { "$mesh_node" quantize from.gguf to.gguf 2>&1 | sed -n 's/.*give one with --type: //p'; }

# free_port: a UDP port that no process has bound now, another one each time.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        if ! grep -qsx $port "$tmp/ports" && ! grep -qi ":$(printf '%04X' $port) " /proc/net/udp /proc/net/udp6 2>/dev/null; then break; fi
    done
    echo $port | tee -a "$tmp/ports"
}

# True when the loopback has an IPv6 address: some containers and kernels lack it.
has_ipv6() { grep -q '^0\{31\}1 ' /proc/net/if_inet6 2>/dev/null; }

finish() {
    if [ $run_depth -ne 0 ]; then not_ok "every command that is checked comes back" "never came back: $run_last"; fi
    if [ $case_count -eq 0 ]; then not_ok "the test checks something"; fi
    if [ $case_failed -gt 0 ] && [ ${#in_vain[@]} -gt 0 ] && [ "$TEST_ATTEMPT" -lt 3 ] && "${in_vain[@]}"; then exit 75; fi
    echo "1..$case_count"
    [ $case_failed -eq 0 ]
    exit $?
}
