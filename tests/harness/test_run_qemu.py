# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""run-qemu.sh over a stand-in emulator: options, the emulator's line, refusals, views, verdicts.

What real guests make of it is in test_runner_itself.py and test_boot_matrix.py.
"""

import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

import boot
import ktap

GOOD = """\
KTAP version 1
# Paravane release, booted by PVH
1..2
  KTAP version 1
  # Subtest: pmm
  1..2
  # a note of a test that passes
  ok 1 alloc
  ok 2 free
ok 1 pmm
  KTAP version 1
  # Subtest: pci
  1..1
  ok 1 probe # SKIP no such device
ok 2 pci
# verdict: PASS 2 tests passed, 1 skipped
"""
FAILED = GOOD.replace("  ok 2 free\nok 1 pmm",
                      "  # pmm_test.c:7: expected 1 == 2\n  not ok 2 free\n"
                      "not ok 1 pmm").replace("PASS 2 tests passed", "FAIL 1 of 3 tests failed")
VERDICT_LINE = "# verdict: PASS 2 tests passed, 1 skipped\n"
STARTED = "KTAP version 1\n# Paravane release\n1..1\n  KTAP version 1\n  # Subtest: crash\n  1..1\n"
PANICKED = STARTED + """\
# panic: page fault: write to unmapped 0x10 (not present)
#   at 0xffffffff80201234 crash_null_write+0x12
# verdict: PANIC page fault: write to unmapped 0x10 (not present)
"""


def emulator_line(name, *options, env=None):
    """The words that -n prints."""
    result = boot.run(name, "-n", *options, env={"QEMU": str(boot.FAKE_QEMU)} | (env or {}))
    assert result.status == boot.PASS, result.explain()
    return shlex.split(result.stdout)


def values_of(line, option):
    return [line[i + 1] for i, word in enumerate(line) if word == option]


# ---- the emulator's line ----

LINES = [
    ("defaults", [], [("-M", "q35"), ("-accel", "tcg"), ("-cpu", "max"), ("-smp", "2"),
                      ("-m", "256M"),
                      ("-netdev", "user,id=net0"), ("-serial", "stdio"),
                      ("-device", "isa-debug-exit,iobase=0xf4,iosize=4")]),
    ("machine", ["--machine", "pc"], [("-M", "pc")]),
    ("microvm", ["--boot", "microvm"], [("-M", "microvm"),
                                        ("-global", "virtio-mmio.force-legacy=false"),
                                        ("-netdev", "user,id=net0"),
                                        ("-device", "virtio-net-device,netdev=net0")]),
    ("card", [], [("-device", "virtio-net-pci,netdev=net0,romfile=")]),
    ("smp", ["--smp", "4"], [("-smp", "4")]),
    # Room for another, or TCG orders nothing.
    ("smp_one", ["--smp", "1"], [("-smp", "1,maxcpus=2")]),
    ("smp_one_kvm", ["--smp", "1", "--boot", "pvh", "--accel", "kvm"], [("-smp", "1")]),
    ("mem", ["--mem", "4G"], [("-m", "4G")]),
    ("cpu", ["--cpu", "Nehalem"], [("-cpu", "Nehalem")]),
    ("equals", ["--cpu=Nehalem,+x2apic", "--mem=64M"],
     [("-cpu", "Nehalem,+x2apic"), ("-m", "64M")]),
    ("kvm", ["--boot", "pvh", "--accel", "kvm"],
     [("-accel", "kvm"), ("-cpu", "host,-arch-capabilities")]),
    ("flavour", ["--boot", "pvh", "--flavour", "debug"], [("-kernel", "build/debug/paravane.elf")]),
    ("pvh_words", ["--boot", "pvh", "--test", "a,b.*", "--append", "x=1 y", "--append", "z"],
     [("-append", "test=a,b.* x=1 y z"), ("-kernel", "build/release/paravane.elf")]),
    ("vmbus", ["--vmbus", "--boot", "pvh", "--mem", "64M"],
     [("-M", "q35,memory-backend=ram"), ("-device", "ivshmem-doorbell,chardev=vmbus,vectors=9"),
      ("--mem", "64M"), ("--net", "responder")]),
    ("vmbus_none", ["--vmbus", "--net", "none", "--vmbus-args", "--stats --lie 7"],
     [("--lie", "7"), ("--stats", "--lie")]),
    ("vmbus_tap", ["--vmbus", "--net", "tap=tap3"], [("--net", "tap=tap3")]),
    ("uefi_words", ["--test", "a,b.*", "--append", "x=1"],
     [("-fw_cfg", "name=opt/paravane/cmdline,string=test=a,,b.* x=1")]),
    ("tap", ["--net", "tap=vm0"], [("-netdev", "tap,id=net0,ifname=vm0,script=no,downscript=no")]),
    ("socket", ["--net", "socket=localhost:99"],
     [("-netdev", "socket,id=net0,connect=localhost:99")]),
    ("unix", ["--net", "socket=/tmp/s"],
     [("-netdev", "stream,id=net0,server=off,addr.type=unix,addr.path=/tmp/s")]),
    ("pcap", ["--pcap", "/tmp/x,y"],
     [("-object", "filter-dump,id=dump0,netdev=net0,file=/tmp/x,,y")]),
    ("rest", ["--smp", "2", "--", "--smp", "3", "-name", "a b"], [("-smp", "2"), ("-name", "a b")]),
]


@pytest.mark.parametrize("options, expected", [case[1:] for case in LINES],
                         ids=[case[0] for case in LINES])
def test_option_reaches_the_emulator(run_name, options, expected):
    line = emulator_line(run_name, *options)
    for option, value in expected:
        assert value in values_of(line, option)


@pytest.mark.parametrize("options", [["--net", "none"],
                                     ["--boot", "microvm", "--net", "none"]])
def test_without_a_card(run_name, options):
    line = emulator_line(run_name, *options)
    assert "-netdev" not in line
    assert not [device for device in values_of(line, "-device") if "net" in device]


def test_uefi_boots_from_firmware_and_pvh_does_not(run_name):
    uefi = values_of(emulator_line(run_name), "-drive")
    assert [drive for drive in uefi if "readonly=on" in drive and "OVMF" in drive]
    assert [drive for drive in uefi if "id=esp" in drive and "snapshot=on" in drive]
    assert "-kernel" not in emulator_line(run_name)
    assert "-drive" not in emulator_line(run_name, "--boot", "pvh")


def test_gdb_stops_the_guest_at_once(run_name):
    line = emulator_line(run_name, "--gdb")
    assert "-s" in line and "-S" in line


def test_gdb_says_the_line_that_connects(run_name, tmp_path):
    result = boot.run(run_name, "--boot", "pvh", "--gdb", "--no-build",
                      env=boot.fake_guest(tmp_path, GOOD + "@exit 33\n"))
    said = re.search(r"gdb -x (\S+) (\S+)$", result.stderr + result.stdout, re.MULTILINE)
    assert said, result.explain()
    assert (boot.TOP / said.group(1)).exists() and (boot.TOP / said.group(2)).exists()


def test_prints_one_line_and_starts_nothing(run_name, tmp_path):
    record = tmp_path / "argv"
    result = boot.run(run_name, "-n", env=boot.fake_guest(tmp_path, GOOD, FAKE_ARGV=str(record)))
    assert result.stdout.count("\n") == 1
    assert not record.exists()


def test_what_is_printed_is_what_is_started(fake, tmp_path):
    record = tmp_path / "argv"
    options = ["--append", "it's a 'word'", "--", "-name", "a b"]
    printed = fake("", "-n", *options).stdout
    fake(GOOD + "@exit 33\n", *options, FAKE_ARGV=str(record))
    started = record.read_text().splitlines()
    assert started[:len(started) - 4] == shlex.split(printed)[1:]
    assert started[-4] == "-chardev" and started[-2:] == ["-mon", "chardev=qmp,mode=control"]


# ---- refusals ----

REFUSED = [
    (["--bogus"], "unknown option --bogus"),
    (["word"], "unknown option word"),
    (["--smp"], "--smp needs a value"),
    (["--smp", ""], "not empty"),
    (["--smp", "0"], "a number from 1 to 64"),
    (["--smp", "65"], "a number from 1 to 64"),
    (["--smp", "two"], "a number from 1 to 64"),
    (["--mem", "0M"], "expected a size"),
    (["--mem", "64X"], "expected a size"),
    (["--boot", "bios"], "expected one of: uefi pvh microvm"),
    (["--machine", "isapc"], "expected one of: q35 pc"),
    (["--accel", "hvf"], "expected one of: tcg kvm auto"),
    (["--flavour", "fast"], "expected one of: release debug"),
    (["--net", "bridge"], "expected user, none"),
    (["--net", "tap="], "expected user, none"),
    (["--net", "socket=nowhere"], "expected user, none"),
    (["--timeout", "0"], "whole seconds"),
    (["--timeout", "1.5"], "whole seconds"),
    (["--test", "a b"], "has no spaces"),
    (["--append", "a\nb"], "printable"),
    (["--boot", "microvm", "--machine", "q35"], "machine of its own"),
    (["--accel", "kvm"], "--accel kvm with --boot uefi"),
    (["--boot", "microvm", "--net", "none", "--pcap", "x"], "no card to capture"),
    (["--gdb", "--timeout", "5"], "--gdb with --timeout"),
    (["--net", "none", "--pcap", "x"], "no card to capture"),
    (["--image", "x", "--flavour", "debug"], "--image with --flavour"),
    (["--test", "a.*", "--append", "b test=c"], "say it once"),
    (["--image", "/nonexistent"], "cannot read it"),
    (["--vmbus", "--boot", "microvm"], "--vmbus with --boot microvm"),
    (["--vmbus", "--net", "user"], "--vmbus with --net user"),
    (["--vmbus", "--pcap", "x"], "--vmbus with --pcap"),
    (["--vmbus", "--mem", "2816M"], "take less than 2816M"),
    (["--vmbus", "--mem", "3G"], "take less than 2816M"),
    (["--vmbus-args", "--stats"], "--vmbus-args without --vmbus"),
    (["--vmbus-args"], "--vmbus-args needs a value"),
]


@pytest.mark.parametrize("options, sentence", REFUSED, ids=[" ".join(case[0]) for case in REFUSED])
def test_refuses(run_name, options, sentence, tmp_path):
    result = boot.run(run_name, *options, env=boot.fake_guest(tmp_path, GOOD))
    assert result.status == boot.USAGE, result.explain()
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_an_image_of_the_wrong_kind(run_name, tmp_path):
    env = boot.fake_guest(tmp_path, GOOD)
    text = tmp_path / "text"
    text.write_text("hello")
    result = boot.run(run_name, "--boot", "pvh", "--image", text, env=env)
    assert (result.status, "no ELF file" in result.stderr) == (boot.USAGE, True)
    result = boot.run(run_name, "--image", boot.empty_elf(tmp_path), env=env)
    assert (result.status, "starts a disk image" in result.stderr) == (boot.USAGE, True)


def test_missing_emulator_and_firmware(run_name):
    result = boot.run(run_name, "--boot", "pvh", "--no-build", env={"QEMU": "/nonexistent/qemu"})
    assert (result.status, "/nonexistent/qemu" in result.stderr) == (boot.MISSING, True)
    result = boot.run(run_name, "--no-build", env={"OVMF_CODE": "/nonexistent/code"})
    assert (result.status, "/nonexistent/code" in result.stderr) == (boot.MISSING, True)


def test_missing_tools_are_named_with_their_packages(run_name, tmp_path):
    """A PATH in which the shell's tools are, but neither the emulator nor a package manager."""
    for tool in ("bash", "env", "cat", "sed", "paste", "dirname", "head", "tr", "grep", "mktemp",
                 "rm"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    result = boot.run(run_name, "--boot", "pvh", "-n", env={"PATH": str(tmp_path)})
    assert result.status == boot.MISSING
    assert "qemu-system-x86_64 (package qemu-system-x86)" in result.stderr
    assert "make (package make)" in result.stderr
    assert "sudo apt-get install qemu-system-x86 make" in result.stderr


def test_help_names_every_option(run_name):
    result = boot.run(run_name, "--help")
    assert result.status == boot.PASS
    for option in (
        "--boot --machine --smp --mem --cpu --accel --net --pcap --gdb --test --append --timeout"
                   " --flavour --image --no-build --raw -n --help").split():
        assert f"  {option} " in result.stdout or f"  {option}\n" in result.stdout


def test_runs_from_another_folder(fake, tmp_path):
    env = boot.fake_guest(tmp_path, GOOD + "@exit 33\n")
    boot.empty_elf(tmp_path)
    result = boot.run("another_folder", "--boot", "pvh", "--image", "fake.elf", env=env,
                      cwd=tmp_path)
    assert result.status == boot.PASS, result.explain()


# ---- verdicts ----

VERDICTS = [
    ("pass", GOOD + "@exit 33\n", boot.PASS, "PASS", "2 tests passed, 1 skipped"),
    ("pass_by_power_off", GOOD + "@shutdown guest-shutdown\n@exit 0\n", boot.PASS, "PASS", ""),
    ("pass_by_reset", GOOD + "@shutdown guest-reset\n@exit 0\n", boot.PASS, "PASS", ""),
    ("nothing_to_run",
     "KTAP version 1\n1..0 # SKIP test=none\n# verdict: PASS test=none\n@exit 33\n",
     boot.PASS, "PASS", "test=none"),
    ("fail", FAILED + "@exit 35\n", boot.FAIL, "FAIL", "1 of 3 tests failed"),
    ("fail_by_power_off", FAILED + "@exit 0\n", boot.FAIL, "FAIL", "1 of 3 tests failed"),
    ("nothing_matches",
     "KTAP version 1\n1..0 # SKIP nothing\n# verdict: FAIL no self-test matches 'x'\n"
     "@exit 35\n", boot.FAIL, "FAIL", "no self-test matches 'x'"),
    ("status_fail_verdict_pass", GOOD + "@exit 35\n", boot.FAIL, "FAIL", "0 of 3 tests failed"),
    ("status_pass_verdict_fail", FAILED + "@exit 33\n", boot.FAIL, "FAIL", "1 of 3"),
    ("hidden_failure", FAILED.replace("FAIL 1 of", "PASS 1 of") + "@exit 33\n", boot.FAIL, "FAIL",
     ""),
    ("panic", PANICKED + "@exit 37\n", boot.PANIC, "PANIC", "write to unmapped 0x10 (not present)"),
    ("panic_by_reset", PANICKED + "@shutdown guest-reset\n@exit 0\n", boot.PANIC, "PANIC",
     "unmapped"),
    ("panic_cut_short", STARTED + "# panic: double\n@shutdown guest-reset\n@exit 0\n",
     boot.PANIC, "PANIC", "double"),
    ("status_panic_alone", STARTED + "@exit 37\n", boot.PANIC, "PANIC", "no cause given"),
    ("status_panic_verdict_pass", GOOD + "@exit 37\n", boot.PANIC, "PANIC", ""),
    ("reset", STARTED + "  # last words\n@shutdown guest-reset\n@exit 0\n",
     boot.NO_RESULT, "RESET", "triple fault most likely; the last line was '  # last words'"),
    ("reset_before_ktap", "firmware\n@shutdown guest-reset\n@exit 0\n", boot.NO_RESULT, "RESET",
     "firmware"),
    ("silent", "@exit 0\n", boot.NO_RESULT, "SILENT", "no serial output, QEMU left with status 0"),
    ("silent_success", "@exit 33\n", boot.NO_RESULT, "SILENT", "status 33"),
    ("firmware_only", "\x1b[2J\x1b[01;01HUEFI Shell\n@exit 0\n", boot.NO_RESULT, "SILENT",
     "the last line was 'UEFI Shell'"),
    ("loader_gives_up", "\x1b[2J# efi: memory: no room: Out of Resources\nShell>\n@forever\n",
     boot.NO_RESULT, "INCOMPLETE", "the UEFI loader gave up: memory: no room: Out of Resources"),
    ("no_verdict", GOOD.replace(VERDICT_LINE, "") + "@exit 33\n", boot.NO_RESULT, "INCOMPLETE",
     "no verdict line"),
    ("powered_off_in_a_suite", STARTED + "@shutdown guest-shutdown\n@exit 0\n", boot.NO_RESULT,
     "INCOMPLETE", "no verdict line"),
    ("suite_missing", GOOD.replace("1..2\n  KTAP", "1..3\n  KTAP", 1) + "@exit 33\n",
     boot.NO_RESULT, "INCOMPLETE", "2 of 3 suites ended"),
    ("test_missing", GOOD.replace("  1..2", "  1..3") + "@exit 33\n", boot.NO_RESULT, "INCOMPLETE",
     "suite 'pmm' planned 3 and ran 2"),
    ("test_number_wrong", GOOD.replace("ok 2 free", "ok 3 free") + "@exit 33\n", boot.NO_RESULT,
     "INCOMPLETE", "test 3 of suite 'pmm' came as number 2"),
    ("suite_number_wrong", GOOD.replace("ok 2 pci", "ok 3 pci") + "@exit 33\n", boot.NO_RESULT,
     "INCOMPLETE", "result 3 came as number 2"),
    ("no_plan", "KTAP version 1\n# verdict: PASS\n@exit 33\n", boot.NO_RESULT, "INCOMPLETE",
     "no plan"),
    ("verdict_not_last", GOOD + "# more\n@exit 33\n", boot.NO_RESULT, "INCOMPLETE",
     "after the verdict"),
    ("verdict_twice", GOOD + VERDICT_LINE + "@exit 33\n", boot.NO_RESULT, "INCOMPLETE",
     "two verdict lines"),
    ("verdict_word_unknown", GOOD.replace(": PASS", ": PASSED") + "@exit 33\n", boot.NO_RESULT,
     "INCOMPLETE", "the verdict is 'PASSED 2"),
    ("suite_fails_alone", GOOD.replace("\nok 1 pmm", "\nnot ok 1 pmm") + "@exit 33\n",
     boot.NO_RESULT, "INCOMPLETE", "suite 'pmm' failed without a failed test"),
    ("cut_in_a_line", GOOD.replace(VERDICT_LINE, "") + "@part # verdict: PA\n@exit 33\n",
     boot.NO_RESULT, "INCOMPLETE", "the verdict is 'PA'"),
    ("emulator_refuses", "@stderr fake: no such machine\n@exit 1\n", boot.ERROR, "ERROR",
     "the emulator left with status 1"),
    ("emulator_odd_status", GOOD + "@exit 3\n", boot.ERROR, "ERROR", "status 3"),
]


@pytest.mark.parametrize("script, status, word, detail", [case[1:] for case in VERDICTS],
                         ids=[case[0] for case in VERDICTS])
def test_verdict(fake, script, status, word, detail):
    result = fake(script)
    assert (result.status, result.word) == (status, word), result.explain()
    assert detail in result.detail, result.explain()


def test_the_emulator_s_complaint_is_shown(fake):
    assert "fake: no such machine" in fake("@stderr fake: no such machine\n@exit 1\n").stderr


def test_hang_names_the_last_line_and_the_place(fake):
    result = fake(STARTED + "  # almost\n@forever\n", "--timeout", "1", FAKE_RIP="ffffffff80201234")
    assert (result.status, result.word) == (boot.HANG, "HANG"), result.explain()
    assert result.detail == "no line for 1 s, the last line was '  # almost'"
    assert "at 0xffffffff80201234" in result.stderr


def test_hang_in_the_middle_of_a_line(fake):
    result = fake(STARTED + "@part   # half\n@forever\n", "--timeout", "1")
    assert (result.status, result.word) == (boot.HANG, "HANG"), result.explain()


def test_silence_without_end(fake):
    result = fake("@forever\n", "--timeout", "1")
    assert (result.status, result.word) == (boot.NO_RESULT, "SILENT"), result.explain()
    assert result.detail == "no serial output, no line for 1 s"


def test_a_guest_that_says_pass_and_stays_is_a_hang(fake):
    result = fake(GOOD + "@forever\n", "--timeout", "1")
    assert (result.status, result.word) == (boot.HANG, "HANG"), result.explain()


SYMBOLS = """\
        .text
        .globl _start
_start: .loc 1 10
        nop
        call helper
        .loc 1 20
        nop
helper: .loc 1 30
        ud2
"""


def test_backtraces_gain_source_lines(run_name, tmp_path):
    """A return address is looked up inside its call, the address of the trap itself exactly."""
    source = tmp_path / "words.s"
    source.write_text('.file 1 "kernel/words.c"\n' + SYMBOLS)
    elf = tmp_path / "words.elf"
    subprocess.run(["gcc", "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x80000000", "-o", elf,
                    source],
                   check=True)
    # 0x80000006 is the byte behind the call: line 20, while the call is on line 10.
    script = STARTED + """\
# panic: invalid opcode
#   rip 0x0000000080000007  rflags 0x2
#   at 0x0000000080000007 helper+0x0
#   at 0x0000000080000006 _start+0x6
#   at 0x00000000deadbeef nowhere+0x1
# verdict: PANIC invalid opcode
@exit 37
"""
    result = boot.run(run_name, "--boot", "pvh", "--image", elf,
                      env=boot.fake_guest(tmp_path, script))
    lines = result.stdout.splitlines()
    assert "#   at 0x0000000080000007 helper+0x0 (kernel/words.c:30)" in lines, result.explain()
    assert "#   at 0x0000000080000006 _start+0x6 (kernel/words.c:10)" in lines, result.explain()
    assert "#   at 0x00000000deadbeef nowhere+0x1" in lines


# ---- signals, leftovers ----

@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_nothing_behind(tmp_path, number, status):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    record = tmp_path / "argv"
    env = os.environ | boot.fake_guest(tmp_path, "@deaf\nKTAP version 1\n@forever\n",
                                       TMPDIR=str(scratch), FAKE_ARGV=str(record))
    # A shell gives what it starts with & an ignored SIGINT, which no shell below can trap.
    with subprocess.Popen(["env", "--default-signal=INT", str(boot.RUNNER), "--boot", "pvh",
                           "--image", str(boot.empty_elf(tmp_path))],
                          env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          start_new_session=True) as process:
        assert process.stdout.readline() == "KTAP version 1\n"  # it runs
        assert list(scratch.iterdir())
        process.send_signal(number)
        assert process.wait(timeout=boot.RUN_LIMIT_S) == status
    assert not list(scratch.iterdir())
    for _ in range(1000):  # the whole session is gone, the stand-in too
        if not session_members(process.pid):
            return
        time.sleep(0.01)
    raise AssertionError(f"left behind: {session_members(process.pid)}")


def session_members(session):
    """The processes of a session that are not zombies, from /proc: a bare system has no ps."""
    members = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # pid (name) state ppid pgrp session ...; the name may hold anything, so look behind it.
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            command = (folder / "cmdline").read_text(errors="replace").replace("\0", " ")
        except OSError:
            continue  # gone meanwhile
        if fields[3] == str(session) and fields[0] != "Z":
            members.append(f"{folder.name} {fields[0]} {command}")
    return members


# ---- views ----

def test_a_pipe_gets_the_bare_stream(fake):
    result = fake("\x1b[2Jfirmware\n" + GOOD.replace("\n", "\r\n", 3) + "@exit 33\n")
    assert result.stdout == GOOD
    assert ktap.parse(result.stdout).counts() == (2, 0, 1)
    assert result.stderr == "PASS (2 tests passed, 1 skipped)\n"


def test_firmware_without_a_newline_before_the_stream(fake):
    assert fake("@part BdsDxe: starting\n" + GOOD + "@exit 33\n").stdout == GOOD


def terminal(name, tmp_path, script, *options, **more):
    env = boot.fake_guest(tmp_path, script, **more)
    return boot.run_on_terminal(name, "--boot", "pvh", "--image", str(boot.empty_elf(tmp_path)),
                                *options, env=env)


def test_terminal_view_of_a_success(run_name, tmp_path):
    status, output = terminal(run_name, tmp_path, GOOD + "@exit 33\n")
    lines = boot.screen_lines(output)
    assert status == boot.PASS
    assert lines[0] == "paravane  pvh on q35, 2 CPUs, 256M, max (tcg)"
    assert "  Paravane release, booted by PVH" in lines
    assert "  ok     pmm                  2 tests" in lines
    assert "  skip   pci.probe # SKIP no such device" in lines
    assert "  ok     pci                  1 test, 1 skipped" in lines
    assert not [line for line in lines if "a note of a test that passes" in line]
    assert lines[-2].startswith("PASS (2 tests passed, 1 skipped)  ")
    # Coloured, and the running test was there.
    assert "\x1b[32m" in output and "1/2 alloc" in output


def test_terminal_view_of_a_failure(run_name, tmp_path):
    status, output = terminal(run_name, tmp_path, FAILED + "@exit 35\n")
    lines = boot.screen_lines(output)
    assert status == boot.FAIL
    at = lines.index("  FAIL   pmm.free")
    assert lines[at + 1] == "         pmm_test.c:7: expected 1 == 2"
    assert "  FAIL   pmm                  2 tests, 1 failed" in lines
    assert lines[-2].startswith("FAIL (1 of 3 tests failed, 1 skipped)  ")


def test_terminal_view_of_a_panic(run_name, tmp_path):
    status, output = terminal(run_name, tmp_path, PANICKED + "@exit 37\n")
    lines = boot.screen_lines(output)
    assert status == boot.PANIC
    assert "  panic: page fault: write to unmapped 0x10 (not present)" in lines
    assert "    at 0xffffffff80201234 crash_null_write+0x12" in lines
    assert lines[-2].startswith("PANIC (page fault: write to unmapped 0x10 (not present))  ")


def test_raw_on_a_terminal(run_name, tmp_path):
    _, output = terminal(run_name, tmp_path, GOOD + "@exit 33\n", "--raw")
    assert output.replace("\r\n", "\n") == GOOD


@pytest.mark.parametrize("more", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_terminal_without_colours(run_name, tmp_path, more):
    _, output = terminal(run_name, tmp_path, GOOD + "@exit 33\n", **more)
    assert "\x1b[3" not in output
    assert ("\x1b" in output) == ("NO_COLOR" in more)
    assert "  ok     pmm                  2 tests" in boot.screen_lines(output)
