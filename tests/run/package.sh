#!/bin/bash
# `make dist` packs the sources, `make deb` makes Debian packages of them, with the same bytes each time; packages install all that a node
# needs, and their removal leaves the machine as it was, except for its key and its cluster file.
# Runs beside others.
. tests/run/lib.sh
[ -z "$SAN" ] || skip_all "a sanitizer build is not packed"
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

version=$(sed -n 's/.*MESH_VERSION "\(.*\)"/\1/p' libmesh/include/mesh/version.h)
name=diolkos-mesh-$version

# ---- the sources ----

check "make-dist packs the sources" deploy/make-dist "$version" "$tmp/dist"
elsewhere() { (umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 "$@"); }
check "make-dist works with another umask, zone and language" elsewhere deploy/make-dist "$version" "$tmp/again"
check_same "the tarballs are the same" "$tmp/dist/$name.tar.gz" "$tmp/again/$name.tar.gz"
check "the tarball can be unpacked" tar -xzf "$tmp/dist/$name.tar.gz" -C "$tmp"
check_equal "the tarball has one folder" "$(tar -tf "$tmp/dist/$name.tar.gz" | grep -v "^$name/")" ""
check_equal "the tarball has nothing that is built" \
    "$(cd "$tmp/$name" && find . -name '*.o' -o -name '*.a' -o -path ./bin -o -path ./build)" ""
sums() { (cd "$1" && find [a-z]* Makefile -path build -prune -o -path bin -prune -o -type f -print0 | sort -z | xargs -0 sha256sum); }
comm -23 <(sums .) <(sums "$tmp/$name") | cut -c 67- >"$tmp/missing"
if git rev-parse HEAD >/dev/null 2>&1; then git ls-files --others >"$tmp/foreign"; else : >"$tmp/foreign"; fi
check_equal "the tarball has every file of the tree, unchanged" "$(grep -vxFf "$tmp/foreign" "$tmp/missing")" ""
in_tree() { (cd "$tmp/$name" && "$@"); }
check "the unpacked sources can be packed, without git" elsewhere in_tree deploy/make-dist "$version" "$tmp/third"
check_same "packing the unpacked sources gives the same bytes" "$tmp/dist/$name.tar.gz" "$tmp/third/$name.tar.gz"

# Compiling everything takes a minute: both builds get the objects already built from the same sources, compile what is missing, and link.
mkdir "$tmp/objects"
cp -a "$BUILD"/{libmesh,node,monitor,dissector,replay,flags} "$BUILD"/*.{a,list,map} "$tmp/objects"
lent=(OBJECTS="$tmp/objects" WERROR=-Werror DEB_CFLAGS_SET="-O2 -g" DEB_CPPFLAGS_SET= DEB_LDFLAGS_SET=)
for tool in dpkg-buildpackage dh; do
    command -v $tool >/dev/null && continue
    mkdir "$tmp/$name/build" && cp -a "$tmp/objects" "$tmp/$name/build/$ARCH"
    find "$tmp/$name" -path '*/build' -prune -o -type f -exec touch -d 2000-01-01T00:00Z '{}' +
    check "the unpacked sources can be built" in_tree env -u MAKEFLAGS -u MAKELEVEL -u BIN -u BUILD make -s installable
    check "programs of the unpacked sources tell a story" in_tree env -u BIN tests/tools/demo
    skip "Debian packages are made" "needs debhelper and dpkg-dev: make deps-deb"
    finish
done

# ---- the packages ----

# From this tree, with a smoke test; and from the tarball, in another folder, with other umask, zone and language.
make_deb() { env "${lent[@]}" DEB_BUILD_OPTIONS="noautodbgsym $1" deploy/make-deb "$version" 1 "$2"; }
elsewhere in_tree make_deb nocheck "$tmp/other place" >"$tmp/other.log" 2>&1 &
background_pid=$!
background_pids+=("$background_pid")
check "packages are made of the tree, whose programs tell the same story on three nodes and on one" make_deb "" "$tmp/deb"
if wait "$background_pid"; then
    ok "packages are made of the unpacked sources"
else
    not_ok "packages are made of the unpacked sources" "$(tail -n 30 "$tmp/other.log")"
fi
check_equal "packages are compiled in a folder without an odd name, which compilers would write into objects" \
    "$(grep -c 'Entering directory.*other place' "$tmp/other place/log")" 0
check_contains "the output of the build names its folders" "$tmp/other place/log" "Entering directory '"
packages=("$tmp/deb"/*.deb)
architecture=$(dpkg --print-architecture)
check_equal "there are three packages" "${packages[*]##*/}" \
    "diolkos-mesh_$version-1_$architecture.deb libmesh-dev_$version-1_$architecture.deb libmesh0_$version-1_$architecture.deb"
for package in "${packages[@]}"; do
    check_same "${package##*/} is the same both times" "$package" "$tmp/other place/${package##*/}"
    dpkg-deb -x "$package" "$tmp/root"
    dpkg-deb -c "$package" >>"$tmp/contents"
done
check_equal "all files belong to root, only root may write them, and none is setuid" \
    "$(grep -vE '^[-dl][r-][w-][xr-]([r-]-[x-]){2} root/root' \
    "$tmp/contents" | grep -vE '^lrwxrwxrwx root/root')" ""

triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
for program in "$BIN"/mesh-{node,monitor,dissect,replay}; do
    program=${program##*/}
    check "the packages have $program, with its manual and completion" test -x "$tmp/root/usr/bin/$program" -a \
        -s "$tmp/root/usr/share/man/man1/$program.1.gz" -a -s "$tmp/root/usr/share/bash-completion/completions/$program"
done
for file in lib/systemd/system/mesh-node.service lib/systemd/system/mesh-node@.service lib/systemd/system/mesh-api.service \
    usr/share/zsh/vendor-completions/_mesh usr/share/fish/vendor_completions.d/mesh-node.fish usr/share/mesh-node/cluster.conf \
    "usr/lib/$triplet/wireshark/plugins/mesh.lua" "usr/lib/$triplet/libmesh.so.$version" "usr/lib/$triplet/libmesh.a" \
    "usr/include/mesh/mesh.h" usr/share/doc/diolkos-mesh/{API,OPERATIONS}.md.gz usr/share/man/man7/libmesh.7.gz \
    usr/share/doc/libmesh-dev/{PROTOCOL,TRACE}.md.gz usr/share/doc/libmesh-dev/examples/{exchange,status}.c; do
    check "the packages have $file" test -s "$tmp/root/$file"
done
check_contains "the unit starts the program of the package" "$tmp/root/lib/systemd/system/mesh-node.service" \
    "ExecStart=/usr/bin/mesh-node serve "
check_contains "pkg-config finds the library in the folder of this architecture" "$tmp/root/usr/lib/$triplet/pkgconfig/libmesh.pc" \
    "libdir=\${prefix}/lib/$triplet"
dpkg-deb -e "${packages[0]}" "$tmp/control"
check_equal "the kernel's limits are the one file that the package has in /etc, and the administrator may change it" \
    "$(cat "$tmp/control/conffiles") $(find "$tmp/root/etc" -type f -printf '/etc/%P')" \
    "/etc/sysctl.d/60-mesh-node.conf /etc/sysctl.d/60-mesh-node.conf"
if command -v lintian >/dev/null; then
    check "lintian finds nothing without an override" lintian --allow-root --fail-on error,warning "${packages[@]}"
else
    skip "lintian finds nothing without an override" "lintian is not installed: make deps-deb"
fi

# ---- how packages are compiled without objects already built ----

# compile FOLDER TARGET...: by Debian's rules
compile() { (cd "$1" && env -u MAKEFLAGS -u BIN -u BUILD ONLY="${*:2}" debian/rules override_dh_auto_build); }
rm -rf "${tmp:?}/$name/build"
cp -a "$tmp/$name/deploy/debian" "$tmp/$name/debian"
printf 'diolkos-mesh (%s-1) unstable; urgency=low\n\n  * A test.\n\n -- Nobody <nobody@localhost>  Thu, 01 Jan 2026 00:00:00 +0000\n' \
    "$version" >"$tmp/$name/debian/changelog"
cp -a "$tmp/$name" "$tmp/longer-name-of-a-folder"
check "make says how it would compile them" compile "$tmp/$name" -n installable
grep -E ' -c -o ' "$out" >"$tmp/lines"
check_equal "every file is compiled with protection of the stack and fortified calls" \
    "$(grep -v -e '-D_FORTIFY_SOURCE=.*-fstack-protector-strong' "$tmp/lines")" ""
check_equal "no file is compiled for the processor of this machine only" "$(grep -E -e '-m(arch|cpu|tune)=native' "$tmp/lines")" ""
check_contains "programs have a read-only table of functions" "$out" "-Wl,-z,relro -Wl,-z,now"
objects=("build/$ARCH/libmesh/seal/key.o" "build/$ARCH/node/kernel/panel.o" "build/$ARCH/node/kernel/kernel_kv.o")
check "some objects are compiled" compile "$tmp/$name" "${objects[@]}"
check "some objects are compiled in another folder" elsewhere compile "$tmp/longer-name-of-a-folder" "${objects[@]}"
for object in "${objects[@]}"; do
    check_same "$object is the same in both places" "$tmp/$name/$object" "$tmp/longer-name-of-a-folder/$object"
done
code_of() { objcopy -O binary -j .text "$1" "$tmp/code" && sha256sum <"$tmp/code"; }
for object in panel.o kernel_kv.o; do
    check_equal "$object has the code that make gives it" "$(code_of "$tmp/$name/build/$ARCH/node/kernel/$object")" \
        "$(code_of "$BUILD/node/kernel/$object")"
done
check "other files are protected" sh -c "nm -u '$tmp/$name/${objects[0]}' | grep -q __stack_chk_fail"

# ---- any machine of the architecture ----

story() { "$@" "$tmp/root/usr/bin/mesh-node" run -m node/models/stories-q8_0.gguf -p "Once upon a time" -n 6 --temp 0 -t 1 --digest; }
if [ "$ARCH" = x86_64 ] && command -v qemu-x86_64 >/dev/null; then
    story env >"$tmp/story" 2>/dev/null
    check "the first x86-64 processors can tell a story" story qemu-x86_64 -cpu qemu64,-sse3,-cx16
    check_same "they tell the same story as this machine" "$out" "$tmp/story"
    for program in mesh-monitor mesh-dissect mesh-replay; do
        check "$program starts on the first x86-64 processors" qemu-x86_64 -cpu qemu64,-sse3,-cx16 "$tmp/root/usr/bin/$program" --version
    done
else
    skip "the first x86-64 processors can tell a story" "needs qemu-user, on an x86-64 machine"
fi

# ---- installation, use and removal on a machine ----

if dpkg -s diolkos-mesh >/dev/null 2>&1; then
    skip "packages can be installed" "this machine has them"
    finish
fi
mkdir "$tmp/notes"
run tests/tools/machine "$tmp" tests/tools/package-life "$tmp/notes" "${packages[@]}"
if [ "$code" -eq 77 ]; then
    skip "packages can be installed" "$(sed -n 's/^skipped: //p' "$out")"
    finish
fi
did() { # SENTENCE NOTE: what was done ended well
    if [ "$(tail -n 1 "$tmp/notes/$2" 2>/dev/null)" = "exit code 0" ]; then ok "$1"; else not_ok "$1" "$(tail -n 30 "$tmp/notes/$2")"; fi
}
noted() { sed '$d' "$tmp/notes/$1"; }
mine=$'/etc/mesh/cluster.conf\n/etc/mesh/mesh.key'
limits=/etc/sysctl.d/60-mesh-node.conf
did "packages can be installed" install
did "a key can be made" key
check_equal "program, units and limits are there, and nothing is enabled" "$(noted installed)" \
    "$(printf '%s\n' /usr/bin/mesh-node /lib/systemd/system/mesh-{node,api}.service $limits "$mine")"
did "a program is built with the library, and runs" user
if [ -e "$tmp/notes/verify" ]; then
    did "systemd finds nothing wrong with the units" verify
    did "they can be enabled" enable
fi
did "the command line of the unit serves, answers and ends in order" node
did "that of the HTTP API does so, too" api
did "they can be installed over themselves" upgrade
check_equal "an upgrade keeps what the administrator changed" "$(noted limits)" "# of the administrator"
did "they can be removed" remove
check_equal "removal deletes the programs, and leaves settings and cache" \
    "$(noted removed | grep -v '/etc/systemd/')" "$(printf '%s\n' $limits "$mine" /var/cache/private/mesh-node)"
did "and purged" purge
check_equal "purging leaves only the administrator's files" "$(noted left | sed 's|^/mnt||' | sort)" "$mine"
check_equal "purging leaves nothing in the cache" "$(noted cached)" ""
finish
