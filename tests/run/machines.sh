#!/bin/bash
# Unsupported machines are refused before anything is compiled, and a missing compiler is named.
# Runs beside others.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -z "$SAN" ] || skip_all "how it is instrumented makes no difference to this"
command -v "${CC:=cc}" >/dev/null || skip_all "there is no compiler"

# Without the variables that this test was started with: make gets only the arguments given here.
make_alone() {
    env -u MAKEFLAGS -u MAKELEVEL -u SAN -u CFLAGS -u CPPFLAGS -u LDFLAGS -u WERROR make --no-print-directory BUILD="$tmp/build" \
        BIN="$tmp/bin" "$@"
}
# Makes only the first file that make makes.
begin() { make_alone "$@" "$tmp/build/flags"; }
nothing_is_made() { check_equal "a refused build makes nothing" "$(find "$tmp/build" -type f 2>/dev/null)" ""; }

check_exit "a compiler that is not there is named" 2 "no compiler 'nowhere-gcc'" begin CC=nowhere-gcc
nothing_is_made
if [ "$(uname -m)" = x86_64 ]; then
    check_exit "32-bit machines are refused" 2 "64-bit ones only" begin CC="$CC -m32"
    nothing_is_made
fi
check_exit "big-endian machines are refused" 2 "little-endian ones only" \
    begin CC="$CC" CPPFLAGS="-U__BYTE_ORDER__ -D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__"
nothing_is_made
check_exit "other systems are refused" 2 "Linux only" begin CC="$CC" CPPFLAGS=-U__linux__
nothing_is_made
check "this machine is not refused" begin CC="$CC"
before=$(stat -c %y "$tmp/build/flags")
check "make begins a second time" begin CC="$CC"
check_contains "warnings are errors" "$tmp/build/flags" " -Werror "
check_equal "unchanged flags remake nothing" "$(stat -c %y "$tmp/build/flags")" "$before"
begin CC="$CC" CFLAGS=-O1 >/dev/null
check "other flags are noticed" test "$(stat -c %y "$tmp/build/flags")" != "$before"
for other in WERROR= CFLAGS=-O3; do
    begin CC="$CC" "$other" >/dev/null
    check_equal "warnings are no errors with $other" "$(grep -c -e ' -Werror ' "$tmp/build/flags")" 0
done

# A dry run needs no compiler.
is_built_with() {
    make_alone -n CC="$1" SODIUM= GCRYPT= IPSEC_MB= NCURSES= MICROHTTPD= PCAP= TRACE= build-tests | grep -c -e '-shared .*/fail_calls\.so '
}
check_equal "tests load a file of their own before programs" "$(is_built_with "$CC")" 1
check_equal "musl lacks the functions for that file" "$(is_built_with musl-gcc)" 0
finish
