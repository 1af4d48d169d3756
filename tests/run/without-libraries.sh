#!/bin/bash
# What can be built without libsodium, libgcrypt, libmicrohttpd, ncurses and libpcap is: the files that use them compile where there are
# none, and nothing else asks for them.
# Runs beside others.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -z "$SAN" ] || skip_all "how it is instrumented makes no difference to this"
command -v "${CC:=cc}" >/dev/null || skip_all "there is no compiler"

# A header that is not there is worse than one that says so.
mkdir -p "$tmp/none/pcap"
for name in sodium.h gcrypt.h microhttpd.h ncurses.h curses.h pcap.h pcap/pcap.h; do
    echo "#error $name is not there" >"$tmp/none/$name"
done
mapfile -t files < <(grep -lE '#include <(sodium|gcrypt|microhttpd|ncurses)\.h>' libmesh/*.c libmesh/program/*.c node/*.c monitor/*.c)
check_equal "each of them is used by one file" "${#files[@]}" 4
for file in "${files[@]}"; do
    check "$file compiles without its library" "$CC" -std=c17 -Wall -Wextra -Werror -D_GNU_SOURCE -DMESH_VERSION='"0"' -I "$tmp/none" \
        -Ilibmesh/include -c -o "$tmp/object.o" "$file"
    check_equal "and calls nothing of it" \
        "$(nm -u "$tmp/object.o" | grep -E ' (sodium_|crypto_|randombytes|gcry_|MHD_|newterm|.*refresh)')" ""
done
run make -n --no-print-directory SODIUM= GCRYPT= NCURSES= MICROHTTPD= PCAP= BUILD="$tmp/build" BIN="$tmp/bin" CC="$CC" programs
check_equal "make is content without any of them" "$code" 0
check_equal "and links none" "$(grep -oE -e '-l(sodium|gcrypt|gpg-error|microhttpd|ncursesw?|tinfo|pcap)\b' "$out")" ""
check_equal "nor builds the program that captures" "$(grep -c 'mesh-dissect' "$out")" 0
run make -n --no-print-directory PCAP= TRACE= BUILD="$tmp/build" BIN="$tmp/bin" CC="$CC" DESTDIR="$tmp/root" install
check_equal "make install without libpcap and the trace store is content" "$code" 0
grep -E '^(install|for file) ' "$out" >"$tmp/installs"
check_equal "it installs no manual, completion or header of what is not there" \
    "$(grep -oE 'mesh-(dissect|replay)(\.1|\.bash)|mesh/(trace|recording)\.h' "$tmp/installs")" ""
check_contains "but those of what is" "$tmp/installs" "docs/man/mesh-monitor.1"
finish
