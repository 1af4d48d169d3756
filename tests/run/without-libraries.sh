#!/bin/bash
# Builds without libsodium, libgcrypt, libipsec-mb, libmicrohttpd, jansson, ncurses and libpcap: the files that use them compile without
# them or are left out, and nothing else needs them.
# Runs beside others.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -z "$SAN" ] || skip_all "how it is instrumented makes no difference to this"
command -v "${CC:=cc}" >/dev/null || skip_all "there is no compiler"

# Headers that fail with a message: in place of missing ones the compiler might find those of the system.
mkdir -p "$tmp/none/pcap"
for name in sodium.h gcrypt.h intel-ipsec-mb.h microhttpd.h jansson.h ncurses.h curses.h pcap.h pcap/pcap.h; do
    echo "#error $name is not there" >"$tmp/none/$name"
done
mapfile -t files < <(grep -lE '#include <(sodium|gcrypt|intel-ipsec-mb|microhttpd|jansson|ncurses)\.h>' libmesh/*/*.c node/*.c \
    node/*/*.c monitor/*.c | grep -v ^node/api/)
check_equal "each library is used by one file, except by the HTTP API" "${#files[@]}" 5
files+=(node/api_command.c)
for file in "${files[@]}"; do
    check "$file compiles without its library" "$CC" -std=c17 -Wall -Wextra -Werror -D_GNU_SOURCE -I "$tmp/none" \
        -I. -Ilibmesh/include -c -o "$tmp/object.o" "$file"
    check_equal "$file calls nothing of its library then" \
        "$(nm -u "$tmp/object.o" | grep -E ' (sodium_|crypto_|randombytes|gcry_|imb_|.*_mb_mgr|MHD_|json_load|newterm|.*refresh)')" ""
done
make_n() { make -n --no-print-directory BUILD="$tmp/build" BIN="$tmp/bin" CC="$CC" DESTDIR="$tmp/root" "$@"; }
run make_n SODIUM= GCRYPT= IPSEC_MB= NCURSES= MICROHTTPD= JANSSON= PCAP= programs
check_equal "make succeeds without any of them" "$code" 0
check_equal "make links none of them" \
    "$(grep -oE -e '-l(sodium|gcrypt|gpg-error|IPSec_MB|microhttpd|jansson|ncursesw?|tinfo|pcap)\b' "$out")" ""
check_equal "make does not build mesh-dissect without libpcap" "$(grep -c 'mesh-dissect' "$out")" 0
for missing in MICROHTTPD= JANSSON=; do
    run make_n $missing install
    check_equal "make $missing leaves out the HTTP API, its unit and jansson" \
        "$code $(grep -cE 'node/api/|mesh-api|jansson|MESH_HAVE_API' "$out")" "0 0"
done
run make_n PCAP= TRACE= install
check_equal "make install succeeds without libpcap and the trace store" "$code" 0
grep -E '^(install|for file) ' "$out" >"$tmp/installs"
check_equal "it installs no manual, completion or header of missing programs" \
    "$(grep -oE 'mesh-(dissect|replay)(\.1|\.bash)|mesh/(trace|recording)\.h' "$tmp/installs")" ""
check_contains "it installs the manual of mesh-monitor" "$tmp/installs" "docs/man/mesh-monitor.1"
finish
