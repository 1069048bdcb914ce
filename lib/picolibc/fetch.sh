#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# Puts one source archive, known by its SHA-256, at a given path.
#
#   fetch.sh FILE SHA256 POOL-PATH URL
#     FILE       where it shall be; its folder is made. Already there with the right hash: done
#     SHA256     64 hexadecimal digits; an archive with another hash is never used
#     POOL-PATH  its place in a Debian archive, below the mirror's base: pool/main/...
#     URL        its place at its authors'
#
# Looks in this order: $DL_DIR (a folder that has it under the same name); the mirrors that apt is
# set up with; URL. FETCH_SECONDS_MAX (120) bounds each download. Relies on sha256sum; on
# apt-helper, curl or wget for the place that needs it. Prints nothing but one line on where the
# archive came from.
set -eu

file=$1 sha256=$2 pool_path=$3 url=$4
name=${file##*/}
seconds_max=${FETCH_SECONDS_MAX:-120}
apt_helper=/usr/lib/apt/apt-helper
tried='' reason=''
# Where apt drops its privileges to _apt, a folder that only we can write to costs a warning, no
# more.
part=$file.part.$$
trap 'rm -f "$part" "$part".*' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

has_hash() { # FILE
        [ "$(sha256sum < "$1" | cut -d ' ' -f 1)" = "$sha256" ]
}

# Notes why a place did not give the archive.
failed() { # PLACE REASON
        tried="$tried
  $1: $2"
}

# Runs a download tool for no longer than $seconds_max; why it failed is in $reason.
download() { # COMMAND...
        status=0
        timeout "$seconds_max" "$@" > "$part.log" 2>&1 || status=$?
        reason=$(sed -n 's/^E: Failed to fetch [^ ]* *//p' "$part.log" | head -n 1)
        [ -n "$reason" ] || reason=$(grep -v -e '^[WE]: ' "$part.log" | grep . | tail -n 1) || true
        if [ "$status" -eq 124 ]; then
                reason="no answer within $seconds_max s"
                rm -f "$part"
        fi
}

# The end, if what is in $part is the archive.
accept() { # PLACE
        if [ ! -s "$part" ]; then
                failed "$1" "${reason:-nothing came}"
        elif ! has_hash "$part"; then
                failed "$1" 'what came has another SHA-256'
        else
                mv -f "$part" "$file"
                echo "$name: from $1"
                exit 0
        fi
        rm -f "$part"
}

from_folder() {
        if [ -z "${DL_DIR:-}" ]; then
                failed 'DL_DIR' 'not set'
        elif [ ! -f "$DL_DIR/$name" ]; then
                failed "DL_DIR=$DL_DIR" "no $name there"
        elif ! has_hash "$DL_DIR/$name"; then
                echo "$DL_DIR/$name has another SHA-256 than $sha256: not used" >&2
                failed "DL_DIR=$DL_DIR" 'it has another SHA-256'
        else
                cp "$DL_DIR/$name" "$part"
                accept "$DL_DIR"
        fi
}

# The bases of the mirrors that apt is set up with, one a line; it knows them with and without its
# lists.
mirrors() {
        apt-get --print-uris update 2> /dev/null | sed -n "s|^'\(.*\)/dists/.*|\1|p" | sort -u
}

# The pool is shared by all suites of a mirror, so it has versions that the suite in use has not.
from_debian() {
        if [ ! -x "$apt_helper" ]; then
                failed "Debian's mirror" 'no apt here'
                return
        fi
        sites=$(mirrors)
        if [ -z "$sites" ]; then
                failed "Debian's mirror" 'apt has no sources'
                return
        fi
        for site in $sites; do
                download "$apt_helper" -o Acquire::Retries=2 download-file \
                        "$site/$pool_path" "$part" "SHA256:$sha256"
                accept "$site"
        done
}

from_upstream() {
        if command -v curl > /dev/null; then
                download curl -fsSL -o "$part" "$url"
        elif command -v wget > /dev/null; then
                download wget -nv -O "$part" "$url"
        elif [ -x "$apt_helper" ]; then
                download "$apt_helper" download-file "$url" "$part" "SHA256:$sha256"
        else
                failed "$url" 'neither curl nor wget here'
                return
        fi
        accept "$url"
}

if [ -f "$file" ] && has_hash "$file"; then
        exit 0
fi
mkdir -p "$(dirname "$file")"
from_folder
from_debian
from_upstream
echo "Could not get $name (SHA-256 $sha256). Tried:$tried" >&2
echo "Put it into a folder and say DL_DIR=FOLDER, or put it at $file." >&2
exit 1
