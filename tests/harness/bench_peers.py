# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""bench_peers: how fast strangers are served, and how fast our guest answers
them, each beside somebody else.

Usage: bench_peers.py RESULTS_JSON

    vhost_user.macswap.mpps   vhost-user-net in macswap mode, 64-byte frames from DPDK's
                              virtio-user; the yardstick is DPDK's own vhost device doing the same
    net.echo.window32         ICMP echoes into our guest under TCG through -netdev
                              dgram, 32 under way; the yardstick is a Linux guest that
                              answers the same, under the same QEMU
    net.echo.round_trip       the median round trip, one under way; same yardstick
    net.frame.*               instructions of our guest for a received and a
                              sent frame, by step (-icount)

Adds rows to the array in RESULTS_JSON like those of tests/bench/bench.c: {"name", "unit", "min",
"median", "yardstick", "ratio"}, in ns for one unit, so that less is better; rates stand beside them
("mpps", "per_second"). The machine may be busy: each figure is the best of short stretches, and
both sides take turns. What cannot be measured here gets a row with "skipped" and why.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import boot
import linux_guest
import testpmd
import vhost_user as vu

ROUNDS, SAMPLES, SAMPLE_S, BURSTS = 2, 30, 0.05, 8
ECHOES_WINDOW, ECHOES_ALONE = 20000, 2000
ECHO_CLIENT = boot.BUILD / "echo-client/echo-client"
GUEST = boot.BUILD / "release-alltests/paravane.elf"
ICOUNT_ECHOES = 2000
STATUS_PASS = 33
LIMIT_S = 300  # a hang detector
BAR_MPPS = 4.0


# ---- frames through vhost-user ----

def sample(driver):
    """Frames a second that the driver received, over short stretches."""
    rates, last = [], None
    for _ in range(SAMPLES):
        received, now = driver.counters()[0], time.monotonic()
        if last is not None:
            rates.append((received - last[0]) / (now - last[1]))
        last = (received, now)
        time.sleep(SAMPLE_S)
    return rates


def flood(folder, path, options):
    with testpmd.run(folder, "driver", f"net_virtio_user0,path={path}{options}",
                     "--forward-mode=io", cpus=testpmd.CPUS) as driver:
        driver.command(f"start tx_first {BURSTS}", "packet forwarding")
        return sample(driver)


def ours(folder, options):
    path = folder / "ours"
    with vu.back_end(folder, "-s", path, "-m", "macswap", "-b", program=vu.PROGRAM,
                     command=["taskset", "-c", str(testpmd.CPUS[0])]) as back:
        vu.wait_for_socket(path, back)
        return flood(folder, path, options)


def our_cpu_ns(folder, options):
    """CPU time of vhost-user-net for a frame, when it sleeps instead of polling: the
    least of short stretches."""
    path, found = folder / "cpu", []
    with vu.back_end(folder, "-s", path, "-m", "macswap", program=vu.PROGRAM,
                     command=["taskset", "-c", str(testpmd.CPUS[0])]) as back:
        vu.wait_for_socket(path, back)
        with testpmd.run(folder, "driver", f"net_virtio_user0,path={path}{options}",
                         "--forward-mode=io") as driver:
            driver.command(f"start tx_first {BURSTS}", "packet forwarding")
            last = None
            for _ in range(SAMPLES):
                frames = back.stats()[str(path)]["frames_out"]
                cpu = int(Path(f"/proc/{back.process.pid}/schedstat").read_text().split()[0])
                if last is not None and frames > last[0]:
                    found.append((cpu - last[1]) / (frames - last[0]))
                last = (frames, cpu)
                time.sleep(SAMPLE_S)
    if not found:
        sys.exit(f"bench_peers: no frame came through in {SAMPLES} stretches of {SAMPLE_S} s")
    return min(found)


def dpdks(folder, options):
    path = folder / "dpdk"
    with testpmd.run(folder, "device", f"net_vhost0,iface={path}", "--forward-mode=macswap",
                     cpus=testpmd.CPUS[::-1]) as device:
        device.command("start", "packet forwarding")
        return flood(folder, path, options)


def measure_macswap(folder):
    testpmd.skip_without("virtio")
    testpmd.skip_without("vhost")
    vu.skip_without("taskset", "util-linux")
    rows = []
    for name, options in (("vhost_user.macswap.mpps", ""),
                          ("vhost_user.macswap.packed.mpps", ",packed_vq=1")):
        rates = {ours: [], dpdks: []}
        for _ in range(ROUNDS):
            for side, found in rates.items():
                found += side(folder, options)
        best = {side: max(found) for side, found in rates.items()}
        if min(best.values()) == 0:
            sys.exit(f"bench_peers: no frame came through in {SAMPLES} stretches of {SAMPLE_S} s")
        middle = statistics.median(rates[ours])
        rows.append({"name": name, "unit": "frame", "min": round(1e9 / best[ours], 2),
                     "median": round(1e9 / middle, 2) if middle else None,
                     "yardstick": round(1e9 / best[dpdks], 2),
                     "ratio": round(best[dpdks] / best[ours], 3),
                     "mpps": round(best[ours] / 1e6, 3),
                     "yardstick_mpps": round(best[dpdks] / 1e6, 3), "bar_mpps": BAR_MPPS,
                     "device_cpu_ns": round(our_cpu_ns(folder, options), 1)})
    return rows


# ---- echoes into a guest ----

def dgram_card(folder):
    return ["-netdev", f"dgram,id=n,local.type=unix,local.path={folder}/qemu,remote.type=unix,"
                       f"remote.path={folder}/client", "-device", "virtio-net-pci,netdev=n"]


def our_line(words, cpu="max"):
    return ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", cpu, "-m", "64",
            "-smp", "1,maxcpus=2", "-nodefaults", "-display", "none", "-serial", "stdio",
            "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", str(GUEST),
            "-append", f"test=net_answer.echo net_answer.seconds=200 {words}"]


def ask(folder, line, runs):
    """Starts a guest, asks it (window, echoes) for each of `runs`, and ends it:
    (answers of the client, its log)."""
    log = folder / "guest.log"
    with open(log, "wb") as out:
        guest = subprocess.Popen([*line, *dgram_card(folder)], stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=out)
    try:
        answers = []
        for window, echoes in runs:
            said = subprocess.run([ECHO_CLIENT, folder / "client", folder / "qemu", "10.0.2.15",
                                   str(window), str(echoes)], check=False, capture_output=True,
                                  text=True, timeout=LIMIT_S)
            if said.returncode != 0:
                sys.exit(f"bench_peers: window {window}: {said.stderr}"
                         f"{log.read_text(errors='replace')[-2000:]}")
            answers.append({key: float(value) for key, value in
                            re.findall(r"(\w+)=([0-9.]+)", said.stdout)})
        if str(GUEST) in line and guest.wait(timeout=LIMIT_S) != STATUS_PASS:  # ours ends by itself
            sys.exit(f"bench_peers: {log.read_text(errors='replace')[-2000:]}")
        return answers, log.read_text(errors="replace")
    finally:
        guest.kill()
        guest.wait()


def linux_line(folder):
    initramfs = linux_guest.make_initramfs(folder / "initramfs.gz",
                                           "ip addr add 10.0.2.15/24 dev eth0; sleep 100000")
    return linux_guest.emulator_line(initramfs, memory_mb=256)


def measure_echoes(folder):
    vu.require_program(ECHO_CLIENT)
    runs = [(32, ECHOES_WINDOW), (1, ECHOES_ALONE)]
    total = sum(echoes for _, echoes in runs)
    lines = {"ours": our_line(f"net_answer.echoes={total}"),
             "polling": our_line(f"net_answer.echoes={total} net_answer.spin=1")}
    try:
        lines["linux"] = linux_line(folder)
    except pytest.skip.Exception as why:
        print(f"bench_peers: no Linux guest to compare with: {why}")
    found = {name: [] for name in lines}
    for _ in range(ROUNDS):
        for name, line in lines.items():
            found[name].append(ask(folder, line, runs)[0])
    rows = []
    for suffix, side in (("", "ours"), (".polling", "polling")):
        best = {name: max(answers[0]["best_rate"] for answers in runs)
                for name, runs in found.items()}
        trip = {name: min(answers[1]["median_us"] for answers in runs)
                for name, runs in found.items()}
        rate = statistics.median(answers[0]["rate"] for answers in found[side])
        middle = statistics.median(answers[1]["median_us"] for answers in found[side])
        rows += [{"name": f"net.echo.window32{suffix}", "unit": "echo",
                  "min": round(1e9 / best[side]),
                  "median": round(1e9 / rate), "yardstick": None, "ratio": None,
                  "per_second": round(best[side])},
                 {"name": f"net.echo.round_trip{suffix}", "unit": "echo",
                  "min": round(1000 * trip[side]),
                  "median": round(1000 * middle), "yardstick": None, "ratio": None}]
        if "linux" in found:
            rows[-2] |= {"yardstick": round(1e9 / best["linux"]),
                         "ratio": round(best["linux"] / best[side], 3),
                         "yardstick_per_second": round(best["linux"])}
            rows[-1] |= {"yardstick": round(1000 * trip["linux"]),
                         "ratio": round(trip[side] / trip["linux"], 3)}
    return rows


def measure_instructions(folder):
    """With -icount shift=0 the guest's clock counts its instructions."""
    rows = []
    for window in (1, 32):
        line = our_line(f"net_answer.echoes={ICOUNT_ECHOES} net_answer.steps net_answer.spin=1")
        _, log = ask(folder, [*line, "-icount", "shift=0,sleep=off"], [(window, ICOUNT_ECHOES)])
        match = re.search(
            r"steps in ns: receive (\d+), answer (\d+), send (\d+), clock (\d+), rounds (\d+)", log)
        if match is None:
            sys.exit(f"bench_peers: no steps in {log[-2000:]}")
        receive, answer, send, clock, rounds = map(int, match.groups())
        for step, total in (("receive", receive), ("answer", answer), ("send", send)):
            cost = (total - rounds * clock) / ICOUNT_ECHOES
            rows.append({"name": f"net.frame.{step}.window{window}", "unit": "frame",
                         "instructions": round(cost),
                         "min": round(cost), "median": round(cost), "yardstick": None,
                         "ratio": None})
    return rows


# ---- results ----

SKIPPED = {measure_macswap: ["vhost_user.macswap.mpps"],
           measure_echoes: ["net.echo.window32", "net.echo.round_trip"],
           measure_instructions: ["net.frame.receive.window1"]}


def collect(measure):
    """The rows of one measure, or rows that say why there are none."""
    with tempfile.TemporaryDirectory(prefix="paravane-bench-") as folder:
        try:
            return measure(Path(folder))
        except pytest.skip.Exception as why:
            return [{"name": name, "skipped": str(why)} for name in SKIPPED[measure]]


BESIDE = ("mpps", "yardstick_mpps", "device_cpu_ns", "per_second", "yardstick_per_second")


def print_rows(rows):
    for row in rows:
        if "skipped" in row:
            print(f"{row['name']:<36} skipped: {row['skipped']}")
            continue
        more = "  ".join(f"{key} {row[key]}" for key in BESIDE if key in row)
        print(f"{row['name']:<36} {row['min']:>9} {row['median'] or '-':>9} "
              f"{row['yardstick'] or '-':>9} {row['ratio'] or '-':>6}  "
              f"{'instructions' if 'instructions' in row else 'ns'}  {more}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("--only", choices=["macswap", "echoes", "instructions"])
    arguments = parser.parse_args()
    if shutil.which("qemu-system-x86_64") is None or not os.path.exists(GUEST):
        sys.exit("bench_peers: make bench builds what this needs")
    rows = []
    for measure in (measure_macswap, measure_echoes, measure_instructions):
        if arguments.only is None or measure.__name__ == f"measure_{arguments.only}":
            rows += collect(measure)
    known = json.loads(arguments.results.read_text()) if arguments.results.exists() else []
    names = {row["name"] for row in rows}
    known = [row for row in known if row["name"] not in names]
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    arguments.results.write_text("[\n" + ",\n".join(map(json.dumps, known + rows)) + "\n]\n",
                                 encoding="utf-8")
    print_rows(rows)


if __name__ == "__main__":
    main()
