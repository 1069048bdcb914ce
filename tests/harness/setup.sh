#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# Sees to it that the tools for a job are there:  setup.sh --need image,run,test
#
# Silent and quick when nothing is missing. Otherwise, on Debian and Ubuntu, it installs what is
# missing if it may (root, or sudo without a password), and else prints the one line to run.
# Elsewhere it names the tools. Relies on a POSIX shell alone; `wanted` below is the one place that
# knows what is needed for what. The names of the packages are Debian 12's.
set -eu

usage() {
        cat <<'HELP'
usage: tests/harness/setup.sh [--need NEED[,NEED...]] [--print]

  --need    what for (image,run,test):
              image   build the image: kernel, UEFI application and its disk, picolibc
              run     boot it under QEMU, on either firmware
              test    `make test`: host tests, boot matrix (takes in image and run)
              clang   build with CC=clang
              model   `make model`
              debug   `make debug`
              peers   strangers that `make test-peers` meets; tests of those missing are skipped
              all     all of these
  --print   installs nothing: only says what is missing, and the line that installs it
Exit status: 0 all is there (now), 1 the installation failed, 2 the command line is wrong,
3 something is missing and was not installed
HELP
}

# NEED PACKAGE PROOF...: the package is there if any proof holds. A proof is the name of a command,
# the path of a file (a pattern with / in it), or python:MODULE.
wanted() {
        cat <<'TABLE'
image  gcc                   gcc
image  make                  make
image  binutils              objcopy
image  meson                 meson
image  ninja-build           ninja
image  gnu-efi               /usr/lib*/crt0-efi-x86_64.o /usr/lib*/gnuefi/crt0-efi-x86_64.o
image  mtools                mcopy
image  ca-certificates       /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt
run    make                  make
run    qemu-system-x86       qemu-system-x86_64
run    ovmf                  /usr/share/OVMF/OVMF_CODE*.fd /usr/share/edk2*/*/OVMF_CODE*.fd
test   libc6-dev             /usr/include/stdlib.h
test   libcmocka-dev         /usr/include/cmocka.h
test   python3               /usr/bin/python3
test   python3-pytest        python:pytest
test   python3-pytest-xdist  python:xdist
clang  clang                 clang
model  g++                   g++
model  relacy-dev            /usr/include/relacy/relacy.hpp
model  python3               /usr/bin/python3
debug  gdb                   gdb
peers  dpdk-dev              dpdk-testpmd
peers  librte-net-virtio23   /usr/lib/*/dpdk/pmds-*/librte_net_virtio.so*
peers  librte-net-vhost23    /usr/lib/*/dpdk/pmds-*/librte_net_vhost.so*
peers  iproute2              /sbin/ip /usr/sbin/ip /bin/ip /usr/bin/ip
peers  iputils-ping          /bin/ping /usr/bin/ping
peers  arping                /usr/sbin/arping /usr/bin/arping
TABLE
}

readonly TRIES_MAX=20 TRY_PAUSE_SECONDS=6 LOCK_SECONDS_MAX=120

say() {
        echo "setup: $*" >&2
}

is_there() { # PROOF; patterns are expanded by the caller
        case $1 in
        python:*)
                for file in /usr/lib/python3*/*-packages/"${1#python:}"/__init__.py; do
                        [ ! -e "$file" ] || return 0
                done
                ${PYTHON:-/usr/bin/python3} -c "import ${1#python:}" 2> /dev/null ;;
        */*) [ -e "$1" ] ;;
        *) command -v "$1" > /dev/null ;;
        esac
}

# Sets `packages` and `things` to what is missing for the needs, each once.
find_missing() { # NEED...
        packages='' things=''
        hash -r
        while read -r need package proofs; do
                case " $* " in *" $need "*) ;; *) continue ;; esac
                case " $packages " in *" $package "*) continue ;; esac
                found=''
                # Words and patterns by purpose.
                # shellcheck disable=SC2086
                for proof in $proofs; do
                        if is_there "$proof"; then
                                found=1
                                break
                        fi
                done
                if [ -z "$found" ]; then
                        packages="$packages${packages:+ }$package"
                        case $proofs in
                        */* | python:*) thing=$package ;;
                        *) thing=$proofs ;;
                        esac
                        things="$things${things:+, }$thing (for $need)"
                fi
        done <<TABLE
$(wanted)
TABLE
}

# Runs apt-get without questions; while somebody else is at it, waits and tries again. What it says
# is kept in `said` and shown only if it fails for good.
apt() { # ARGUMENT...
        try=1
        while ! said=$($as_root env DEBIAN_FRONTEND=noninteractive \
                NEEDRESTART_SUSPEND=1 LC_ALL=C apt-get -q -y \
                -o Dpkg::Use-Pty=0 -o "DPkg::Lock::Timeout=$LOCK_SECONDS_MAX" "$@" \
                2>&1 < /dev/null); do
                case $said in
                *'Could not get lock'* | *'Unable to lock'* | *'Unable to acquire the dpkg'*) ;;
                *) return 1 ;;
                esac
                [ "$try" -lt "$TRIES_MAX" ] || return 1
                [ "$try" -gt 1 ] || say 'somebody else is installing: waiting'
                try=$((try + 1))
                sleep "$TRY_PAUSE_SECONDS"
        done
}

have_lists() {
        for list in /var/lib/apt/lists/*_Packages*; do
                [ ! -e "$list" ] || return 0
        done
        return 1
}

# Lists that are missing or out of date are fetched, once.
install() { # PACKAGE...
        if have_lists && apt install --no-install-recommends "$@"; then
                return
        fi
        # A third party's mirror may be down without harm: the installation decides.
        apt update || true
        update_said=$(printf '%s\n' "$said" | grep '^[WE]:') || true
        if apt install --no-install-recommends "$@"; then
                return
        fi
        printf '%s\n' "$update_said" "$said" | tail -n 20 >&2
        say 'apt-get failed'
        exit 1
}

needs=image,run,test may_install=1
while [ $# -gt 0 ]; do
        case $1 in
        --need) [ $# -ge 2 ] || { usage >&2; exit 2; }; needs=$2; shift ;;
        --need=*) needs=${1#--need=} ;;
        --print) may_install='' ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
        esac
        shift
done
words=$(echo "$needs" | tr ',' ' ')
needs=''
for word in $words; do
        case $word in
        image | run | clang | debug | model | peers) needs="$needs $word" ;;
        test) needs="$needs image run test" ;;
        all) needs="$needs image run test clang debug model peers" ;;
        *) say "--need $word: expected image, run, test, clang, debug, model, peers or all"; exit 2 ;;
        esac
done

# shellcheck disable=SC2086
find_missing $needs
[ -n "$packages" ] || exit 0

say "missing: $things"
# shellcheck source=/dev/null
distribution=$(. /etc/os-release 2> /dev/null && echo " ${ID:-} ${ID_LIKE:-} ") || distribution=''
case $distribution in
*' debian '* | *' ubuntu '*) ;;
*)
        say "cannot install on this system; Debian's names of the packages: $packages"
        exit 3 ;;
esac
as_root=''
if [ "$(id -u)" -ne 0 ]; then
        as_root=sudo
        sudo -n true > /dev/null 2>&1 || may_install=''
fi
if [ -z "$may_install" ]; then
        have_lists && update='' || update='sudo apt-get update && '
        echo "${update}sudo apt-get install --no-install-recommends -y $packages"
        exit 3
fi

say "installing: $packages"
# shellcheck disable=SC2086
install $packages
# shellcheck disable=SC2086
find_missing $needs
if [ -n "$packages" ]; then
        say "still missing after the installation: $things"
        exit 1
fi
