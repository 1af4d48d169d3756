#!/bin/bash
# `make install` installs a usable libmesh and mesh-node in the given folders, and `make uninstall` removes everything.
. tests/run/lib.sh
[ -z "$SAN" ] || skip_all "a sanitizer build is not installed"
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

install_command() {
    env -u MAKEFLAGS -u MAKELEVEL -u BIN -u BUILD -u SAN make --no-print-directory DESTDIR="$tmp/root" PREFIX=/opt/mesh BIN="$BIN" "$@"
}
prefix=$tmp/root/opt/mesh

check "make install succeeds" install_command install
for file in bin/mesh-node bin/mesh-monitor lib/libmesh.a lib/libmesh.so lib/libmesh.so.0 lib/pkgconfig/libmesh.pc include/mesh/mesh.h \
    include/mesh/seal.h share/man/man1/mesh-node.1 share/man/man1/mesh-monitor.1 share/bash-completion/completions/mesh-monitor \
    share/zsh/site-functions/_mesh share/fish/vendor_completions.d/mesh-node.fish \
    share/doc/diolkos-mesh/LICENSE share/man/man7/libmesh.7 share/doc/libmesh/PROTOCOL.md share/doc/libmesh/examples/exchange.c; do
    check "$file is installed" test -e "$prefix/$file"
done
check "the installed mesh-node runs" "$prefix/bin/mesh-node" --version

cat >"$tmp/user.c" <<'C'
#include <mesh/mesh.h>
#include <mesh/version.h>
#include <stdio.h>

int main(void)
{
    return puts(mesh_strerror(MESH_AGAIN)) < 0 || printf("%s\n%s\n", MESH_VERSION, mesh_version()) < 0;
}
C
version=$("$prefix/bin/mesh-node" --version | sed 's/^mesh-node //')
if command -v pkg-config >/dev/null; then
    read -ra flags < <(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --define-prefix --cflags --libs libmesh)
    check "a program compiles with what pkg-config says" "${CC:-cc}" -o "$tmp/user" "$tmp/user.c" "${flags[@]}"
    check "a program runs with the shared library" env LD_LIBRARY_PATH="$prefix/lib" "$tmp/user"
    check_equal "the headers and the library have the version of mesh-node" \
        "$(LD_LIBRARY_PATH=$prefix/lib "$tmp/user" | tail -n 2 | xargs)" "$version $version"
    check_equal "so has libmesh.pc" "$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --modversion libmesh)" "$version"
    check "so has the name of the library" test -e "$prefix/lib/libmesh.so.$version"
    check "the shared library is found by its soname" sh -c "readelf -d '$tmp/user' | grep -q 'libmesh.so.0'"
    check "a program links with the static library" \
        "${CC:-cc}" -o "$tmp/user" "$tmp/user.c" -I"$prefix/include" "$prefix/lib/libmesh.a" -lm -pthread
    sed -e 's/mesh_strerror(MESH_AGAIN)/mesh_seal_is_available() ? "yes" : "no"/; s/mesh.h/seal.h/' "$tmp/user.c" >"$tmp/sealer.c"
    read -ra flags < <(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --define-prefix --static --cflags --libs libmesh)
    check "a program that seals links with what pkg-config says of static libraries" \
        "${CC:-cc}" -o "$tmp/sealer" "$tmp/sealer.c" "${flags[@]/#-lmesh/$prefix/lib/libmesh.a}"
    check "a program that seals runs without the shared library" "$tmp/sealer"
fi
# Each header by itself, with strict warnings; and from C++, which needs to be told that names are C's.
for header in "$prefix"/include/mesh/*.h; do
    echo "#include <mesh/${header##*/}>" >"$tmp/header.c"
    check "${header##*/} compiles by itself as C11" "${CC:-cc}" -std=c11 -pedantic -Wall -Wextra -Werror -I"$prefix/include" -fsyntax-only \
        "$tmp/header.c"
done
if command -v c++ >/dev/null; then
    { for header in "$prefix"/include/mesh/*.h; do echo "#include <mesh/${header##*/}>"; done && cat "$tmp/user.c"; } >"$tmp/user.cpp"
    check "all headers compile as C++, and a C++ program links" \
        c++ -std=c++11 -Wall -Wextra -Werror -o "$tmp/user" "$tmp/user.cpp" -I"$prefix/include" \
        -L"$prefix/lib" -lmesh
    check "a C++ program runs" env LD_LIBRARY_PATH="$prefix/lib" "$tmp/user"
fi
nm -D --defined-only "$prefix/lib/libmesh.so" | awk '{ print $3 }' | grep -v '^mesh_' >"$tmp/foreign"
check_equal "the shared library shows only names that begin with mesh_" "$(cat "$tmp/foreign")" ""
nm -g --defined-only "$prefix/lib/libmesh.a" | awk 'NF == 3 { print $3 }' | grep -v -e '^mesh_' -e '^__' >"$tmp/foreign"
check_equal "the static library's names cannot clash with those of a program either" "$(cat "$tmp/foreign")" ""
check "the shared library shows mesh_version" sh -c "nm -D --defined-only '$prefix/lib/libmesh.so' | grep -q ' mesh_version$'"

# A packager's folder has any name, an administrator any umask.
other="$tmp/a folder/root"
staged_command() { (umask 077 && install_command "$1" DESTDIR="$other"); }
check "make install succeeds with spaces in DESTDIR and a umask of 077" staged_command install
check_equal "the same files are installed there" "$(cd "$other" && find . | sort)" "$(cd "$tmp/root" && find . | sort)"
check_equal "every user can read the installed files" "$(find "$tmp/a folder" -mindepth 1 -not -perm -044)" ""
check_equal "spaces in DESTDIR create no other folder" "$(ls -d folder 2>/dev/null)" ""
check "make uninstall succeeds there, too" staged_command uninstall
check_equal "make uninstall leaves no file there" "$(find "$tmp/a folder" -not -type d)" ""
# A system that has libraries of several kinds of machines, each in a folder of its own.
multiarch="$tmp/multiarch"
for libdir in lib/x86_64-linux-gnu /usr/lib64; do
    placed_command() { install_command "$1" DESTDIR="$multiarch" PREFIX=/usr LIBDIR="$libdir"; }
    case $libdir in /*) place=$libdir ;; *) place=/usr/$libdir ;; esac
    check "make install LIBDIR=$libdir succeeds" placed_command install
    check_equal "libraries are in LIBDIR and nowhere else" \
        "$(cd "$multiarch" && find . -name 'libmesh.*' -not -path '*/man7/*' -printf '/%P\n' | sort)" \
        "$(printf '%s\n' "$place"/libmesh.{a,so,so.0,so."$version"} "$place/pkgconfig/libmesh.pc" | sort)"
    if command -v pkg-config >/dev/null; then
        check_equal "pkg-config gives LIBDIR" \
            "$(PKG_CONFIG_LIBDIR="$multiarch$place/pkgconfig" pkg-config --variable=libdir libmesh)" "$place"
    fi
    check "make uninstall succeeds" placed_command uninstall
    check_equal "make uninstall leaves no file there" "$(find "$multiarch" -not -type d)" ""
done
check_exit "a LIBDIR with spaces is refused" 2 "cannot have spaces" install_command install LIBDIR="/opt/my lib"
check_exit "a PREFIX with spaces is refused" 2 "cannot have spaces" install_command install PREFIX="/opt/my mesh"

check "make uninstall succeeds" install_command uninstall
check_equal "make uninstall leaves no file" "$(find "$tmp/root" -not -type d)" ""
finish
