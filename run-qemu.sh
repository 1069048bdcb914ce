#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# Builds the image, boots it under QEMU with its self-tests, shows what the serial port says, and ends
# with one verdict line and an exit code that a script can trust. `./run-qemu.sh --help` has the options.
#
# Relies on: the guest's contract in kernel/selftest.h (KTAP on the first serial port, "# verdict: ..." as
# the last line, isa-debug-exit at port 0xf4 with 0x10 PASS, 0x11 FAIL, 0x12 PANIC). QEMU leaves with
# (value << 1) | 1. Why a guest that left otherwise did so comes from QEMU's monitor (QMP, SHUTDOWN event).
# Facts: QEMU 7.2 manual; the Linux kernel's Documentation/dev-tools/ktap.rst.
set -u
export LC_ALL=C

usage() {
        cat <<'HELP'
usage: ./run-qemu.sh [options] [-- emulator options]

Without options: builds the image and boots it under UEFI firmware (OVMF) on a q35 machine with its
self-tests. Shows them as they run and ends with one verdict line.

Machine
  --boot uefi|pvh|microvm   how the kernel starts (uefi); microvm is PVH on QEMU's microvm machine
  --machine q35|pc          chipset for uefi and pvh (q35)
  --smp N                   processors, 1 to 64 (2)
  --mem SIZE                memory, such as 64M or 4G (256M)
  --cpu MODEL               QEMU's CPU model (max; under KVM: host,-arch-capabilities)
  --accel tcg|kvm|auto      tcg; auto takes KVM once a guest has been seen running under it
  --net user|none|tap=IF|socket=ADDR
                            network card and what is behind it (user). The card is on PCI, on microvm a
                            virtio-mmio device. ADDR is HOST:PORT or the path of a UNIX socket; each
                            frame has its length before it, 4 bytes, big-endian
  --pcap FILE               captures the card's packets
  --vmbus                   VMBus by a host program (tests/peers/vmbus_host) over shared memory: echo channels
                            and a network card, whose network is a small responder of its own, or what --net
                            tap and socket name. Less than 2816M of memory; not on microvm
  --vmbus-args 'WORDS'      more options for that program, such as '--stats --lie 7' (its --help has them)
Guest
  --test GLOB               only these tests: 'pmm.*'; 'list' prints their names
  --append 'WORDS'          more words for the kernel's command line
Image
  --flavour release|debug   what to build and boot (release). FLAVOUR, CC and TESTS in the environment mean
                            what they mean to make
  --image FILE              boot this file (uefi: the ESP image; pvh, microvm: the ELF); builds nothing
  --no-build                boot what is there
Running
  --timeout SECONDS         hang detector: longest silence of the guest (60); the whole run may take ten
                            times as long
  --gdb                     the guest waits for gdb; prints the line that connects
  --raw                     the bare KTAP stream, also on a terminal; otherwise only when the standard
                            output is no terminal. The verdict line then goes to the standard error
  -n                        prints the emulator's command line and stops
  --help                    this text

Exit status
  0  PASS        the guest reported success
  1  FAIL        the guest reported failed tests
  2              the command line is wrong
  3              a tool or a firmware file is missing
  4  PANIC       the kernel panicked, or its watchdog caught a hang
  5  HANG        the guest said nothing for too long
  6  RESET       the guest reset itself: a triple fault, most likely
     SILENT      no KTAP came from the serial port
     INCOMPLETE  the guest left, but what it said is not a complete success
  7  ERROR       the build or the emulator failed
  130, 143       interrupted

Environment: QEMU (the emulator), OVMF_CODE and OVMF_VARS (the firmware), VMBUS_HOST (the host program of
--vmbus), VMBUS_FOLDER (where the guest's memory file is with --vmbus: /dev/shm), NO_COLOR.
HELP
}

readonly EXIT_PASS=0 EXIT_FAIL=1 EXIT_USAGE=2 EXIT_MISSING=3 EXIT_PANIC=4 EXIT_HANG=5 EXIT_NO_RESULT=6 \
        EXIT_ERROR=7
# What QEMU's exit status is for each value the guest writes to isa-debug-exit.
readonly STATUS_PASS=33 STATUS_FAIL=35 STATUS_PANIC=37
readonly TIMEOUT_DEFAULT=60 RUN_FACTOR=10 PROBE_SECONDS=5 SMP_MAX=64 EARLY_LINES=40 STOP_TRIES=50
# q35 moves memory beyond 4 GiB from this size on, and addresses are no offsets in its file any more.
readonly VMBUS_MEM_LIMIT=$((0xb0000000)) VMBUS_WAIT_TRIES=100

say() { printf 'run-qemu.sh: %s\n' "$*" >&2; }
stop() { # STATUS SENTENCE...
        local status=$1
        shift
        say "$*"
        exit "$status"
}
refuse() { stop $EXIT_USAGE "$* (--help has the options)"; }

((BASH_VERSINFO[0] >= 5)) || stop $EXIT_MISSING "needs bash 5 or newer, this is $BASH_VERSION"
started_in=$PWD
# Called by make, this is a make of its own.
unset MAKEFLAGS MFLAGS MAKELEVEL
cd "$(dirname "$0")" || exit $EXIT_ERROR
# shellcheck source=tests/harness/ktap_view.sh
. tests/harness/ktap_view.sh

# ---- options ------------------------------------------------------------------------------------

vmbus='' vmbus_args=''
boot=uefi machine='' smp=2 mem=256M cpu='' accel=tcg net='' pcap='' gdb='' tests='' append=''
flavour='' image='' no_build='' timeout='' only_print='' raw=''
emulator_options=()

one_of() { # OPTION VALUE ALLOWED...
        local option=$1 value=$2 allowed
        shift 2
        for allowed; do [[ $value == "$allowed" ]] && return; done
        refuse "$option $value: expected one of: $*"
}

parse_options() {
        local option value
        while (($#)); do
                option=$1
                case $option in
                --help | -h) usage; exit 0 ;;
                --gdb) gdb=1 ;;
                --no-build) no_build=1 ;;
                --raw) raw=1 ;;
                --vmbus) vmbus=1 ;;
                --vmbus-args=*) vmbus_args=${option#*=} ;;
                --vmbus-args)
                        (($# >= 2)) || refuse "$option needs a value"
                        vmbus_args=$2
                        shift
                        ;;
                -n) only_print=1 ;;
                --) shift; emulator_options=("$@"); return ;;
                --*=*) set -- "${option%%=*}" "${option#*=}" "${@:2}"; continue ;;
                --boot | --machine | --smp | --mem | --cpu | --accel | --net | --pcap | --test | --append | \
                        --flavour | --image | --timeout)
                        (($# >= 2)) || refuse "$option needs a value"
                        value=$2
                        shift
                        [[ -n $value ]] || refuse "$option needs a value that is not empty"
                        case $option in
                        --test) tests=$value ;;
                        --append) append+="${append:+ }$value" ;;
                        *) printf -v "${option#--}" %s "$value" ;;
                        esac
                        ;;
                *) refuse "unknown option $option" ;;
                esac
                shift
        done
}

check_values() {
        one_of --boot "$boot" uefi pvh microvm
        one_of --machine "${machine:-q35}" q35 pc
        one_of --accel "$accel" tcg kvm auto
        one_of --flavour "${flavour:-release}" release debug
        if [[ ! $smp =~ ^[1-9][0-9]?$ ]] || ((smp > SMP_MAX)); then
                refuse "--smp $smp: expected a number from 1 to $SMP_MAX"
        fi
        [[ $mem =~ ^[1-9][0-9]*[MG]$ ]] || refuse "--mem $mem: expected a size such as 64M or 4G"
        [[ ${timeout:-1} =~ ^[1-9][0-9]{0,4}$ ]] ||
                refuse "--timeout $timeout: expected whole seconds, 1 to 99999"
        [[ -z $net || $net == user || $net == none || $net == tap=?* || $net == socket=/?* || \
                $net == socket=?*:[1-9]* ]] ||
                refuse "--net $net: expected user, none, tap=INTERFACE, socket=HOST:PORT or socket=/PATH"
        [[ $tests != *[[:space:]]* ]] || refuse "--test '$tests': a GLOB has no spaces"
        [[ $append != *[![:print:]]* ]] || refuse "--append: the words must be printable ASCII"
}

# What --vmbus needs and forbids.
check_vmbus() {
        local bytes=$((${mem%[MG]} << 20))
        [[ $mem != *G ]] || bytes=$((bytes << 10))
        [[ $boot != microvm ]] ||
                refuse "--vmbus with --boot microvm: its messages travel over a PCI device, and this kernel" \
                        "finds no PCI bus there; take --boot pvh"
        [[ $net != user ]] ||
                refuse "--vmbus with --net user: QEMU's user network is behind QEMU's own cards only; leave" \
                        "--net out for the responder of the host program"
        [[ -z $pcap ]] ||
                refuse "--vmbus with --pcap: QEMU captures its own cards only, and here it has none"
        ((bytes < VMBUS_MEM_LIMIT)) ||
                refuse "--vmbus with --mem $mem: the host program finds the guest's memory only below 4 GiB;" \
                        "take less than $((VMBUS_MEM_LIMIT >> 20))M"
        net=${net:-responder}
}

check_contradictions() {
        [[ -n $vmbus || -z $vmbus_args ]] || refuse "--vmbus-args without --vmbus: there is no such program then"
        [[ -z $vmbus ]] || check_vmbus
        [[ $boot != microvm || -z $machine ]] ||
                refuse "--boot microvm is a machine of its own: leave --machine $machine out"
        [[ $boot != uefi || $accel != kvm ]] ||
                refuse "--accel kvm with --boot uefi: OVMF is known to hang under KVM inside virtual" \
                        "machines; take --accel tcg, or --boot pvh or microvm"
        [[ -z $gdb || -z $timeout ]] ||
                refuse "--gdb with --timeout: a guest that waits for gdb is no hang"
        net=${net:-user}
        [[ -z $pcap || $net != none ]] || refuse "--pcap with --net none: there is no card to capture from"
        [[ -z $image || -z $flavour ]] ||
                refuse "--image with --flavour: the file is already built, the flavour means nothing then"
        [[ -z $tests || " $append" != *" test="* ]] ||
                refuse "--test with test= in --append: say it once"
        machine=${machine:-q35}
        [[ $boot != microvm ]] || machine=microvm
        flavour=${flavour:-${FLAVOUR:-release}}
}

# ---- what must be there -------------------------------------------------------------------------

# Firmware as the distributions place it, code and variables; the smaller build is the faster one.
firmware_places() {
        printf '%s\n' \
                /usr/share/OVMF/OVMF_CODE.fd:/usr/share/OVMF/OVMF_VARS.fd \
                /usr/share/OVMF/OVMF_CODE_4M.fd:/usr/share/OVMF/OVMF_VARS_4M.fd \
                /usr/share/edk2/x64/OVMF_CODE.4m.fd:/usr/share/edk2/x64/OVMF_VARS.4m.fd \
                /usr/share/edk2-ovmf/x64/OVMF_CODE.fd:/usr/share/edk2-ovmf/x64/OVMF_VARS.fd \
                /usr/share/edk2/ovmf/OVMF_CODE.fd:/usr/share/edk2/ovmf/OVMF_VARS.fd \
                /usr/share/edk2-ovmf/OVMF_CODE.fd:/usr/share/edk2-ovmf/OVMF_VARS.fd \
                /usr/share/qemu/ovmf-x86_64-code.bin:/usr/share/qemu/ovmf-x86_64-vars.bin \
                /usr/share/qemu/edk2-x86_64-code.fd:/usr/share/qemu/edk2-i386-vars.fd \
                /usr/local/share/qemu/edk2-x86_64-code.fd:/usr/local/share/qemu/edk2-i386-vars.fd
}

# Sets firmware_code and firmware_vars, which stay empty when there is none.
find_firmware() {
        local place
        firmware_code=${OVMF_CODE:-} firmware_vars=${OVMF_VARS:-}
        if [[ -n $firmware_code || -n $firmware_vars ]]; then
                [[ -r $firmware_code && -r $firmware_vars ]] || stop $EXIT_MISSING \
                        "OVMF_CODE='$firmware_code' OVMF_VARS='$firmware_vars': both must name a file"
                return
        fi
        while IFS= read -r place; do
                [[ -r ${place%:*} && -r ${place#*:} ]] || continue
                firmware_code=${place%:*} firmware_vars=${place#*:}
                return
        done < <(firmware_places)
}

# Prints what is missing, one "thing (Debian package)" a line.
missing_things() {
        command -v "$emulator" >/dev/null || echo "$emulator (package qemu-system-x86)"
        [[ $boot != uefi || -n $firmware_code ]] || echo "the UEFI firmware OVMF (package ovmf)"
        [[ -n $image || -n $no_build ]] || command -v make >/dev/null || echo "make (package make)"
}

# Asks setup.sh to install what is missing; it is silent and quick when nothing is.
install_missing() { # NEEDS
        [[ -z $only_print ]] || return
        tests/harness/setup.sh --need "$1" >&2
        hash -r
        [[ $boot != uefi ]] || find_firmware
}

find_tools() {
        local missing
        emulator=${QEMU:-qemu-system-x86_64}
        [[ -z ${QEMU:-} ]] || command -v "$QEMU" >/dev/null ||
                stop $EXIT_MISSING "QEMU=$QEMU: there is no such program"
        [[ $boot != uefi ]] || find_firmware
        [[ -z $(missing_things) ]] || install_missing run
        missing=$(missing_things)
        [[ -z $missing ]] || stop $EXIT_MISSING "missing: ${missing//$'\n'/, }." \
                "On Debian or Ubuntu: sudo apt-get install $(sed 's/.*package //; s/)//' <<<"$missing" |
                        paste -sd' ')"
}

# Sets image (what QEMU starts) and symbols (the ELF that names addresses, or nothing).
find_image() {
        local target=ESP
        if [[ -n $image ]]; then
                [[ $image == /* ]] || image=$started_in/$image
                [[ -r $image ]] || stop $EXIT_USAGE "--image $image: cannot read it"
                symbols=$image
                [[ $boot != uefi ]] || symbols=$(dirname "$image")/paravane.elf
        else
                [[ $boot == uefi ]] || target=KERNEL
                image=$(make -s FLAVOUR="$flavour" "print-$target") ||
                        stop $EXIT_ERROR "make does not name the image"
                symbols=$(dirname "$image")/paravane.elf
                if [[ -z $no_build && -z $only_print ]]; then
                        # Where it cannot install, make says what it misses.
                        install_missing image
                        make -s -j"$(nproc 2>/dev/null || echo 1)" FLAVOUR="$flavour" "$image" >&2 ||
                                stop $EXIT_ERROR "the image does not build"
                elif [[ -z $only_print && ! -r $image ]]; then
                        stop $EXIT_USAGE "--no-build, but $image is not there"
                fi
        fi
        [[ -z $only_print || -r $image ]] || return 0
        local magic
        magic=$(head -c 4 "$image" | tr -d '\0')
        if [[ $boot == uefi && ($magic == $'\x7f'ELF || $magic == MZ*) ]]; then
                refuse "$image is a program: --boot uefi starts a disk image with an EFI system partition"
        elif [[ $boot != uefi && $magic != $'\x7f'ELF ]]; then
                refuse "$image is no ELF file: --boot $boot starts paravane.elf"
        fi
}

# ---- the emulator's line ------------------------------------------------------------------------

# A guest that cannot run shows it at once: boots the image on microvm for a moment.
kvm_runs_a_guest() {
        local pid deadline=$((SECONDS + PROBE_SECONDS)) seen=1
        [[ -r /dev/kvm && -w /dev/kvm ]] || { kvm_why='/dev/kvm cannot be opened'; return 1; }
        "$emulator" -M microvm -accel kvm -cpu host,-arch-capabilities -m 64M -display none -nodefaults \
                -no-reboot -serial "file:$scratch/probe" -kernel "$image" </dev/null >/dev/null 2>&1 &
        pid=$!
        while ((SECONDS < deadline)); do
                grep -q 'KTAP version 1' "$scratch/probe" 2>/dev/null && { seen=0; break; }
                kill -0 $pid 2>/dev/null || break
                sleep 0.05
        done
        kill $pid 2>/dev/null
        wait $pid 2>/dev/null
        kvm_why="a trial guest did not start within $PROBE_SECONDS s"
        return $seen
}

choose_accelerator() {
        if [[ $accel == kvm && ! (-r /dev/kvm && -w /dev/kvm) && -z $only_print ]]; then
                stop $EXIT_MISSING "--accel kvm: /dev/kvm is not there or not open to this user"
        fi
        if [[ $accel == auto ]]; then
                accel=tcg
                if [[ $boot == uefi ]]; then
                        say "--accel auto: tcg, because OVMF may hang under KVM (--boot pvh can use it)"
                elif kvm_runs_a_guest; then
                        accel=kvm
                else
                        say "--accel auto: tcg, because $kvm_why"
                fi
        fi
        [[ -n $cpu ]] || { cpu=max; [[ $accel != kvm ]] || cpu=host,-arch-capabilities; }
}

# Sets line.
# shellcheck disable=SC2054 # the commas are QEMU's
emulator_line() {
        local words="$append" address card=virtio-net-pci,netdev=net0,romfile=
        [[ -z $tests ]] || words="test=$tests${append:+ $append}"
        local with='' processors=$smp
        [[ -z $vmbus ]] || with=,memory-backend=ram
        # Where there is no room for a second processor, TCG makes plain ones of locked instructions and leaves barriers
        # out (mttcg_start_vcpu_thread, CF_PARALLEL), although devices and programs on the host share the guest's rings:
        # a signal is lost now and then.
        [[ $accel != tcg || $smp != 1 ]] || processors=1,maxcpus=2
        line=("$emulator" -M "$machine$with" -accel "$accel" -cpu "$cpu" -smp "$processors" -m "$mem"
                -display none -nodefaults -no-user-config -no-reboot -serial stdio
                -device isa-debug-exit,iobase=0xf4,iosize=4)
        if [[ $boot == uefi ]]; then
                line+=(-drive "if=pflash,unit=0,format=raw,readonly=on,file=${firmware_code//,/,,}"
                        -drive "if=pflash,unit=1,format=raw,snapshot=on,file=${firmware_vars//,/,,}"
                        -drive "if=none,id=esp,format=raw,snapshot=on,file=${image//,/,,}"
                        -device virtio-blk-pci,drive=esp,bootindex=0)
                [[ -z $words ]] || line+=(-fw_cfg "name=opt/paravane/cmdline,string=${words//,/,,}")
        else
                line+=(-kernel "$image")
                [[ -z $words ]] || line+=(-append "$words")
        fi
        if [[ $machine == microvm ]]; then
                line+=(-global virtio-mmio.force-legacy=false)
                card=virtio-net-device,netdev=net0
        fi
        [[ -z $vmbus ]] || line+=(
                -object "memory-backend-file,id=ram,share=on,mem-path=${vmbus_folder//,/,,}/ram,size=$mem"
                -chardev "socket,id=vmbus,path=${vmbus_folder//,/,,}/socket"
                -device ivshmem-doorbell,chardev=vmbus,vectors=9)
        address=${net#*=}
        [[ -n $vmbus ]] || case $net in
        user) line+=(-netdev user,id=net0) ;;
        tap=*) line+=(-netdev "tap,id=net0,ifname=${address//,/,,},script=no,downscript=no") ;;
        socket=/*) line+=(-netdev "stream,id=net0,server=off,addr.type=unix,addr.path=${address//,/,,}") ;;
        socket=*) line+=(-netdev "socket,id=net0,connect=${address//,/,,}") ;;
        esac
        [[ $net == none || -n $vmbus ]] || line+=(-device "$card")
        if [[ -n $pcap ]]; then
                [[ $pcap == /* ]] || pcap=$started_in/$pcap
                line+=(-object "filter-dump,id=dump0,netdev=net0,file=${pcap//,/,,}")
        fi
        [[ -z $gdb ]] || line+=(-s -S)
        line+=(${emulator_options[@]+"${emulator_options[@]}"})
}

# For a shell to read: a word is quoted only where it has to be.
print_line() {
        local word separator=''
        for word in "${line[@]}"; do
                [[ $word =~ ^[A-Za-z0-9_./,=:+@%-]+$ ]] || word=${word@Q}
                printf '%s%s' "$separator" "$word"
                separator=' '
        done
        printf '\n'
}

# ---- the VMBus host -----------------------------------------------------------------------------

vmbus_folder='' vmbus_pid='' vmbus_line=()
# Sets vmbus_folder, where its socket and the guest's memory are, and vmbus_line. The memory is better off in
# a file system that is memory.
prepare_vmbus() {
        local program=${VMBUS_HOST:-build/peers/vmbus-host} words
        vmbus_folder=$(mktemp -d "${VMBUS_FOLDER:-/dev/shm}/paravane.XXXXXX" 2>/dev/null) || vmbus_folder=$scratch
        read -ra words <<<"$vmbus_args"
        vmbus_line=("$program" --socket "$vmbus_folder/socket" --ram "$vmbus_folder/ram" --mem "$mem")
        if [[ $net == none ]]; then vmbus_line+=(--echo); else vmbus_line+=(--net "$net"); fi
        vmbus_line+=(${words[@]+"${words[@]}"})
        [[ -z $only_print && -z $no_build && -z ${VMBUS_HOST:-} ]] || return 0
        make -s vmbus-host >&2 || stop $EXIT_ERROR "the VMBus host does not build"
}

start_vmbus() {
        local tries
        [[ -x ${vmbus_line[0]} ]] || stop $EXIT_MISSING "${vmbus_line[0]} is not there: make vmbus-host"
        "${vmbus_line[@]}" </dev/null >&2 &
        vmbus_pid=$!
        for ((tries = 0; tries < VMBUS_WAIT_TRIES; tries++)); do
                [[ ! -S $vmbus_folder/socket ]] || return 0
                kill -0 "$vmbus_pid" 2>/dev/null || break
                sleep 0.05
        done
        stop $EXIT_ERROR "the VMBus host did not start"
}

# It ends by itself when the emulator does. Sets vmbus_status.
vmbus_status=0
end_vmbus() {
        local tries
        [[ -n $vmbus_pid ]] || return 0
        for ((tries = 0; tries < STOP_TRIES; tries++)); do
                kill -0 "$vmbus_pid" 2>/dev/null || break
                ((tries != STOP_TRIES / 2)) || kill "$vmbus_pid" 2>/dev/null
                sleep 0.1
        done
        kill -KILL "$vmbus_pid" 2>/dev/null
        wait "$vmbus_pid" 2>/dev/null
        vmbus_status=$?
        vmbus_pid=''
}

# ---- running ------------------------------------------------------------------------------------

emulator_pid='' scratch=''
# Ends an emulator that does not end by itself, with force when it does not listen.
stop_emulator() {
        local tries
        kill "$emulator_pid" 2>/dev/null
        for ((tries = 0; tries < STOP_TRIES; tries++)); do
                kill -0 "$emulator_pid" 2>/dev/null || return
                sleep 0.1
        done
        kill -KILL "$emulator_pid" 2>/dev/null
}

clean_up() {
        if [[ -n $emulator_pid ]]; then
                stop_emulator
                wait "$emulator_pid" 2>/dev/null
        fi
        end_vmbus
        [[ -z $vmbus_folder ]] || rm -rf "$vmbus_folder"
        [[ -z $scratch ]] || rm -rf "$scratch"
}

# Starts the emulator: its serial port is file descriptor $serial, its monitor $ask and $answers.
start_emulator() {
        mkfifo "$scratch/serial" "$scratch/qmp.in" "$scratch/qmp.out"
        # Opened in both directions, so that nobody waits for anybody here.
        exec {ask}<>"$scratch/qmp.in" {answers}<>"$scratch/qmp.out"
        printf '{"execute":"qmp_capabilities"}\n' >&"$ask"
        "${line[@]}" -chardev "pipe,id=qmp,path=$scratch/qmp" -mon chardev=qmp,mode=control \
                </dev/null >"$scratch/serial" 2>"$scratch/stderr" {ask}>&- {answers}>&- &
        emulator_pid=$!
        exec {serial}<"$scratch/serial"
}

now_us() { printf -v "$1" %s "${EPOCHREALTIME//[.,]/}"; }

# Reads the next line into `text`; 0: a line; 1: the guest is gone; 2: it was silent for too long.
partial='' hang='' run_start=0
next_line() {
        local status quiet_since now
        now_us quiet_since
        while :; do
                IFS= read -r -t 0.5 -u "$serial" text
                status=$?
                partial+=$text
                if ((status == 0)); then
                        text=${partial%$'\r'} partial=''
                        return 0
                elif ((status <= 128)); then
                        text=${partial%$'\r'} partial=''
                        [[ -n $text ]] && return 0
                        return 1
                fi
                [[ -z $gdb ]] || continue
                [[ -z $text ]] || now_us quiet_since
                now_us now
                if ((now - quiet_since > timeout * 1000000)); then
                        hang="no line for $timeout s"
                        return 2
                elif ((now - run_start > timeout * RUN_FACTOR * 1000000)); then
                        hang="still running after $((timeout * RUN_FACTOR)) s"
                        return 2
                fi
        done
}

# What the monitor has said about the end of the run, such as "guest-reset"; empty: nothing.
shutdown_reason() {
        local answer
        while IFS= read -r -t 0.1 -u "$answers" answer; do
                [[ $answer =~ \"SHUTDOWN\".*\"reason\":\ *\"([a-z-]+)\" ]] && echo "${BASH_REMATCH[1]}"
        done
}

# Where each processor of a guest that hangs is, as backtrace lines.
ask_where() {
        local answer
        printf '%s\n' '{"execute":"human-monitor-command","arguments":{"command-line":"info registers -a"}}' \
                >&"$ask"
        while IFS= read -r -t 2 -u "$answers" answer; do
                [[ $answer == *IP=* ]] || continue
                # EIP outside long mode, eight digits.
                grep -oE '[ER]IP=[0-9a-f]+' <<<"$answer" |
                        sed -E 's/EIP=/&00000000/; s/[ER]IP=/#   at 0x/'
                return
        done
}

# "kernel/pmm.c:12", or nothing, for each function that is inlined at an address, innermost first. Headers
# were seen through the links under build/include.
source_lines() { # ADDRESS
        local where file
        while IFS= read -r where; do
                where=${where% (discriminator*}
                file=${where%:*}
                [[ $file != '??' && ${where##*:} =~ ^[1-9] ]] || return
                [[ ! -e $file ]] || file=$(realpath --relative-to=. "$file" 2>/dev/null || echo "$file")
                printf '%s:%s\n' "${file#"$PWD/"}" "${where##*:}"
        done < <(addr2line -i -e "$symbols" "$1" 2>/dev/null)
}

# "#   at 0xADDRESS function+0xOFFSET" gains " (file:line)", and where that line was inlined, by whom. A
# return address stands behind its call, often on the next line already; the byte before it is in the call.
# Where the CPU stood ("rip 0x...") is exact.
trap_rip=''
add_source_line() {
        local address where
        [[ ! $text =~ ^#\ +rip\ (0x[0-9a-f]{16}) ]] || trap_rip=${BASH_REMATCH[1]}
        [[ $text =~ ^#\ +at\ (0x[0-9a-f]{16})(\ [^\ ]+\+(0x[0-9a-f]+))?$ ]] || return
        [[ -r $symbols ]] && command -v addr2line >/dev/null || return
        address=${BASH_REMATCH[1]}
        [[ -z ${BASH_REMATCH[3]} || ${BASH_REMATCH[3]} == 0x0 || $address == "$trap_rip" ]] ||
                printf -v address '0x%x' $((address - 1))
        where=$(source_lines "$address")
        [[ -z $where ]] || text+=" (${where//$'\n'/ in })"
}

# ---- the verdict --------------------------------------------------------------------------------

ktap='' last_text='' loader_error=''
before_ktap=()
# A line from before the stream began, without the firmware's escape sequences.
note_early_line() {
        local cleaned
        cleaned=$(sed -E 's/\x1b\[[0-9;=?]*[A-Za-z]//g' <<<"$text" | tr -cd '[:print:]')
        [[ -z ${cleaned// /} ]] || before_ktap+=("$cleaned")
        # The loader's last words; the firmware would go on to its shell and stay there.
        [[ $cleaned != '# efi: '* ]] || loader_error=${cleaned#'# efi: '}
        ((${#before_ktap[@]} <= EARLY_LINES)) || before_ktap=("${before_ktap[@]:1}")
}

explain_silence() { # STATUS
        local why="QEMU left with status $1"
        [[ -z $hang ]] || why=$hang
        if ((${#before_ktap[@]})); then
                show_verdict SILENT "no KTAP, $why; the last line was '${before_ktap[-1]}'" "$red"
        else
                show_verdict SILENT "no serial output, $why" "$red"
        fi
        return $EXIT_NO_RESULT
}

# Decides from the emulator's status, its reason and the stream.
decide() { # STATUS REASON
        local status=$1 reason=$2 problem
        problem=$(not_a_success)
        if ((vmbus_status != 0)); then
                show_verdict ERROR "the VMBus host left with status $vmbus_status" "$red"
                return $EXIT_ERROR
        elif [[ -n $loader_error ]]; then
                show_verdict INCOMPLETE "the UEFI loader gave up: $loader_error" "$red"
                return $EXIT_NO_RESULT
        elif [[ -z $hang ]] && ((status != 0 && status != STATUS_PASS && status != STATUS_FAIL && \
                status != STATUS_PANIC)); then
                sed 's/^/run-qemu.sh: emulator: /' "$scratch/stderr" >&2
                show_verdict ERROR "the emulator left with status $status" "$red"
                return $EXIT_ERROR
        elif [[ -n $hang && -n $ktap ]]; then
                show_verdict HANG "$hang, the last line was '$last_text'" "$red"
                return $EXIT_HANG
        elif ((status == 0)) && [[ $reason == guest-reset && -z $verdict$panic_cause ]]; then
                [[ -n $ktap || ${#before_ktap[@]} == 0 ]] || last_text=${before_ktap[-1]}
                problem="the guest reset itself, a triple fault most likely"
                show_verdict RESET "$problem; the last line was '$last_text'" "$red"
                return $EXIT_NO_RESULT
        elif [[ -z $ktap ]]; then
                explain_silence "$status"
        elif ((status == STATUS_PANIC)) || [[ $verdict == PANIC* || -n $panic_cause ]]; then
                [[ -n $panic_cause ]] || panic_cause=${verdict#PANIC }
                show_verdict PANIC "${panic_cause:-no cause given}" "$red"
                return $EXIT_PANIC
        elif ((status == STATUS_FAIL || tests_failed > 0)) || [[ $verdict == FAIL* ]]; then
                problem="$tests_failed of $tests_seen tests failed"
                [[ $verdict != FAIL\ * ]] || problem=${verdict#FAIL }
                show_verdict FAIL "$problem" "$red"
                return $EXIT_FAIL
        elif [[ -z $problem ]]; then
                problem=${verdict#PASS}
                show_verdict PASS "${problem# }" "$green"
                return $EXIT_PASS
        else
                show_verdict INCOMPLETE "$problem" "$red"
                return $EXIT_NO_RESULT
        fi
}

run() {
        local status reason=''
        now_us run_start
        [[ -z $vmbus ]] || start_vmbus
        start_emulator
        while next_line; do
                [[ $text != *'KTAP version 1' || -n $ktap ]] || { ktap=1; text='KTAP version 1'; }
                if [[ -z $ktap ]]; then
                        note_early_line
                        [[ -z $loader_error ]] || break
                        continue
                fi
                follow
                last_text=$text
                add_source_line
                if [[ -n $raw ]]; then printf '%s\n' "$text"; else show_line; fi
        done
        if [[ -n $hang ]]; then
                [[ -n $raw ]] || show_kept
                while IFS= read -r text; do
                        add_source_line
                        if [[ -n $raw ]]; then say "${text#'# '}"; else show "  ${text#'# '}"; fi
                done < <(ask_where)
                stop_emulator
        fi
        [[ -z $loader_error ]] || stop_emulator
        wait "$emulator_pid" 2>/dev/null
        status=$?
        emulator_pid=''
        reason=$(shutdown_reason)
        end_vmbus
        [[ -n $raw || -z $panic_cause ]] || show_kept
        decide "$status" "$reason"
}

# ---- main ---------------------------------------------------------------------------------------

parse_options "$@"
check_values
check_contradictions
find_tools
find_image

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
scratch=$(mktemp -d "${TMPDIR:-/tmp}/paravane.XXXXXX") || exit $EXIT_ERROR

choose_accelerator
[[ -z $vmbus ]] || prepare_vmbus
emulator_line
if [[ -n $only_print ]]; then
        [[ -z $vmbus ]] || line=("${vmbus_line[@]}" '&' "${line[@]}")
        print_line
        exit $EXIT_PASS
fi
if [[ -n $gdb ]]; then
        say "the guest waits for:  gdb -x .gdbinit $symbols"
fi
timeout=${timeout:-$TIMEOUT_DEFAULT}
choose_view
show_heading
run
