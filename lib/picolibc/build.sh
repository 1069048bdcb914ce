#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# Builds picolibc, the image's C library:  build.sh OUT  leaves OUT/include and OUT/lib/libc.a.
#
#   CC       a gcc (default: gcc). If it is clang, gcc is taken all the same: clang cannot compile
#            picolibc for general registers only, and one libc.a serves all flavours
#   DL_DIR   a folder that may have the source archive; see fetch.sh for where else it is looked for
#
# OUT appears at once and whole, or not at all. Several may run at a time: one builds, the others
# wait and find it done. README.md says what is built in which way, and why.
set -eu

version=1.8.10
sha256=d1fc2a20f217472f8d9da084a519a25678e8d91852a41c7f3f1840d3508f7163
archive_name=picolibc_$version.orig.tar.gz
pool_path=pool/main/p/picolibc/$archive_name
upstream=https://github.com/picolibc/picolibc/archive/refs/tags/$version.tar.gz

if [ $# -ne 1 ]; then
        echo "usage: $0 OUT" >&2
        exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$(dirname "$1")"
out=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
downloads=$(dirname "$out")/downloads
work=$out.part

say() {
        echo "picolibc: $*" >&2
}

PICOLIBC_CC=${CC:-gcc}
case $PICOLIBC_CC in
*clang*) PICOLIBC_CC=gcc ;;
esac

for tool in ${PICOLIBC_CC%% *} meson ninja flock tar sha256sum objdump ar; do
        if ! command -v "$tool" > /dev/null; then
                say "$tool is missing; tests/harness/setup.sh --need image installs what is needed"
                exit 3
        fi
done

# As KERNEL_FLAGS in the Makefile; cc.sh adds -mgeneral-regs-only. The assembler memcpy and memset
# are made for streaming: their stores go past the cache (movnti), while what this kernel copies is
# read again at once, by a device model or by the next layer. So the same code is assembled with
# ordinary stores.
PICOLIBC_FLAGS="-m64 -mcmodel=kernel -mno-red-zone -fno-pic -fno-pie \
-fno-omit-frame-pointer -fno-stack-protector -fno-asynchronous-unwind-tables -fno-unwind-tables \
-ffunction-sections -fdata-sections -fcf-protection=none -gdwarf-4 -Dmovntiq=movq"
PICOLIBC_WORK=$work
PATH=$here:$PATH
export PICOLIBC_CC PICOLIBC_FLAGS PICOLIBC_WORK PATH

meson_options="
--prefix=/ --libdir=lib --includedir=include --optimization=2 -Ddebug=true
-Dmultilib=false -Dtests=false -Dsemihost=false -Dpicocrt=false
-Dposix-console=false -Dthread-local-storage=false -Dsingle-thread=true -Dspecsdir=none
-Dformat-default=integer -Dio-long-long=true -Dio-c99-formats=true -Dassert-verbose=false"

# What handles floating point in its interface cannot be compiled for general registers only, and
# has no place in the image; who uses it gets an undefined reference.
floating_point='/libm_
/libc_stdlib_(atoff?|[de]rand48)\.
/libc_time_difftime\.
/libc_ubsan_
/libc_tinystdio_(atod_|atof_|atold_|dtoa_|ftoa_|ldtoa_|strfrom|(str|wcs)to(d|f|ld)(_l)?\.)
/libc_tinystdio_[a-z]*cvt
/libc_tinystdio_v(ff|fl|fw)(w?printf|w?scanf)\.
/libc_tinystdio_vf(w?printf|w?scanf|printf_s)\.'

# One builds, the others wait. The lock goes with the process, however it ends.
exec 9> "$out.lock"
if ! flock -n 9; then
        say 'waiting for another build of it'
        flock 9
fi

# Names everything that the result depends on.
inputs=$({ cat "$here/build.sh" "$here/cc.sh" "$here/cross.txt"; echo "$sha256";
        $PICOLIBC_CC --version | head -n 1; echo "$PICOLIBC_CC"; } | sha256sum | cut -d ' ' -f 1)
if [ -f "$out/lib/libc.a" ] && [ "$(cat "$out/inputs" 2> /dev/null)" = "$inputs" ]; then
        exit 0
fi

rm -rf "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

"$here/fetch.sh" "$downloads/$archive_name" "$sha256" "$pool_path" "$upstream" >&2
mkdir -p "$work"
tar -x -z -f "$downloads/$archive_name" -C "$work"

# Runs a command with its output in a file, shown only if it fails.
quietly() {
        if ! "$@" > "$work/log" 2>&1 < /dev/null; then
                tail -n 30 "$work/log" >&2
                say "failed: $1"
                exit 1
        fi
}

cd "$work"
# The options are words by purpose.
# shellcheck disable=SC2086
quietly meson setup --cross-file "$here/cross.txt" $meson_options build "picolibc-$version"

# Not the whole library is built, so its members are chosen here. The rest of what meson installs
# are empty libraries of other names.
cd build
ninja -t targets all | sed -n 's/: c_COMPILER$//p; s/: .*ASM_COMPILER$//p' |
        grep -E '^newlib/(libc\.a\.p|libc/)' | grep -v -E "$floating_point" | sort > objects
quietly xargs -a objects ninja newlib/libg.a newlib/libm.a newlib/libnosys.a
rm -f newlib/libc.a
quietly xargs -a objects ar rcsD newlib/libc.a
quietly meson install --no-rebuild --destdir "$work/out"

# The image has no room for SSE and x87 state: not one instruction may name those registers.
if objdump -d --no-show-raw-insn "$work/out/lib/libc.a" |
        grep -E '%([xyz]?mm[0-9]|st\b)|emms|fninit' > "$work/simd"; then
        head "$work/simd" >&2
        say 'the library uses SSE or x87 registers, which the image must not touch'
        exit 1
fi

echo "$inputs" > "$work/out/inputs"
rm -rf "$out"
mv "$work/out" "$out"
