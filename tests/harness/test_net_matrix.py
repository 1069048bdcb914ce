# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""The virtio network card against QEMU's device in all its shapes, with real traffic each time
(DHCP, ARP, ICMP echoes of all lengths, bursts, a restart), on QEMU's user network.

What was asked for is not taken for granted: the guest's console says what was negotiated. By
default a set of shapes is run in which every pair of values occurs together; `make test
FULL_MATRIX=1` runs them all.
"""

import itertools
import re
import shutil
import subprocess

import pytest

import boot
import images
from test_boot_matrix import covering_set, pairs_of

# Dimension: its values.
DIMENSIONS = {
    "machine": ("q35", "pc", "microvm"),
    "ring": ("split", "packed"),
    "event_idx": ("on", "off"),
    "indirect_desc": ("on", "off"),
    "mrg_rxbuf": ("on", "off"),
    # Entries of the receive queue; QEMU's transmit queue ends at 256.
    "queue": (64, 128, 256, 512, 1024),
    "disable-legacy": ("on", "off"),
    "iommu_platform": ("on", "off"),
    "mtu": (0, 1280, 1500, 3000),        # 0: the device says nothing
}
RX_MIN, TX_MAX = 256, 256
# microvm's device has the registers for any size, and knows no legacy.
MMIO_QUEUE_MAX = 1024


def shapes():
    every = itertools.product(*DIMENSIONS.values())
    # A device on microvm has no legacy face; one with ACCESS_PLATFORM must not have one.
    return [shape for shape in every
            if not (shape[0] == "microvm" and shape[6] == "on") and
            not (shape[0] != "microvm" and shape[6] == "off" and shape[7] == "on")]


def pytest_generate_tests(metafunc):
    if "shape" in metafunc.fixturenames:
        chosen = shapes() if metafunc.config.getoption("--full-matrix") else covering_set(shapes())
        metafunc.parametrize("shape", chosen, ids=["-".join(map(str, shape)) for shape in chosen])
    if "queues" in metafunc.fixturenames:
        chosen = MULTIQUEUE_ALL if metafunc.config.getoption("--full-matrix") else MULTIQUEUE
        metafunc.parametrize("queues", chosen,
                             ids=["-".join(map(str, queues)) for queues in chosen])


def card_of(shape):
    """The -device word of a shape."""
    machine, ring, event_idx, indirect, mrg, queue, legacy, iommu, mtu = shape
    word = ("virtio-net-device" if machine == "microvm"
            else f"virtio-net-pci,romfile=,disable-legacy={legacy}")
    word += f",netdev=net0,packed={'on' if ring == 'packed' else 'off'},event_idx={event_idx}"
    word += f",indirect_desc={indirect},mrg_rxbuf={mrg},iommu_platform={iommu}"
    word += f",rx_queue_size={max(queue, RX_MIN)}"
    return word + (f",host_mtu={mtu}" if mtu else "")


def negotiated(stdout):
    """What the guest says of its card: accepted features, sizes of both queues, MTU."""
    accepted = re.search(r"virtio:     accepted (.*)", stdout).group(1).split()
    shown = re.search(r"virtio: net0 at .*, mtu (\d+), \d+ queue pairs of (\d+) and (\d+)", stdout)
    return accepted, [int(shown.group(i)) for i in (2, 3)], int(shown.group(1))


def test_negotiates_and_moves_frames(run_name, shape):
    machine, ring, event_idx, indirect, mrg, queue, _, iommu, mtu = shape
    options = ["--boot", "microvm"] if machine == "microvm" else ["--boot", "pvh", "--machine",
                                                                  machine]
    result, _, passed = boot.boot_and_pass(
        run_name, *options, "--net", "none", "--test", "*net.*", "--append",
        f"cmd=virtio,net virtio_net.queue-size={queue}", "--", "-netdev", "user,id=net0", "-device",
        card_of(shape))
    assert passed > 0 and "# SKIP" not in result.stdout, result.explain()
    accepted, sizes, said_mtu = negotiated(result.stdout)
    wanted = {"packed": ring == "packed", "event-idx": event_idx == "on",
              "indirect": indirect == "on",
              "mrg-rxbuf": mrg == "on", "access-platform": iommu == "on", "mtu": mtu != 0,
              "version-1": True,
              # Offered there, but its registers have no queue reset.
              "ring-reset": machine != "microvm"}
    for feature, on in wanted.items():
        assert (feature in accepted) == on, f"{feature}: {result.explain()}"
    assert sizes == [queue, queue if machine == "microvm" else min(queue, TX_MAX)], result.explain()
    assert said_mtu == (mtu or 1500), result.explain()
    expect_console(result, set(accepted), ring, sizes)


def expect_console(result, accepted, ring, sizes):
    """What the words virtio and net say, before any traffic."""
    offered = set(re.search(r"virtio:     offered  (.*)", result.stdout).group(1).split())
    assert accepted < offered, result.explain()
    for number, which, size in (0, "receive", sizes[0]), (1, "transmit", sizes[1]):
        line = re.search(rf"virtio:     queue {number}, {which}, (.*)", result.stdout).group(1)
        numbers = {name: int(value) for name, value in
                   re.findall(r"(size|free|added|published|taken) (\d+)", line)}
        assert line.startswith(ring) and line.endswith("fault: none"), line
        assert numbers["size"] == size and numbers["added"] == numbers["published"], line
        assert numbers["free"] + numbers["added"] - numbers["taken"] == size, line
    assert re.search(
        r"net: net0: [0-9a-f:]{17}, mtu \d+, link up, by interrupts, \d+ of \d+ queue pairs",
        result.stdout)
    assert re.search(r"net: net0: can .*promiscuous", result.stdout), result.explain()
    assert ("net: net0: received 0 frames, 0 bytes, 0 parts; 0 dropped, 0 times starved"
            in result.stdout)
    assert "net: net0: sent 0 frames, 0 bytes; 0 done, 0 failed, 0 times full; " in result.stdout
    assert re.search(
        r"net: net0: \d+ interrupts, 0 faults, 0 restarts, 0 link changes, 0 pages leaked",
        result.stdout)


def test_the_covering_set_covers():
    chosen = covering_set(shapes())
    assert set().union(*map(pairs_of, chosen)) == set().union(*map(pairs_of, shapes()))
    assert len(chosen) <= 32


# ---- several queue pairs: QEMU has them on a tap only, and its other end
# is this machine's kernel ----

MULTIQUEUE_ALL = list(itertools.product((1, 2, 4), ("split", "packed"), ("q35", "microvm")))
MULTIQUEUE = [(1, "split", "microvm"), (2, "packed", "q35"), (4, "split", "q35"),
              (4, "packed", "microvm")]
# A network of its own for each run; the address is the one that the guest's tests ask.
WIRE = """ip link set lo up; ip tuntap add tap0 mode tap vnet_hdr $0 &&
ip addr add 10.0.2.2/16 dev tap0 &&
ip link set tap0 up && exec qemu-system-x86_64 "$@" """


def emulator_on_a_tap(folder, mode=""):
    """The environment in which run-qemu.sh starts the emulator inside the
    namespace, with tap0 for its card.

    mode  what `ip tuntap add` is told beyond that: multi_queue
    """
    return {"QEMU": boot.program_in(folder, "qemu", "unshare", "-n", "sh", "-c", WIRE, mode)}


def can_have_a_network():
    return shutil.which("unshare") and shutil.which("ip") and subprocess.run(
        ["unshare", "-n", "sh", "-c", "ip tuntap add t mode tap"], check=False,
        capture_output=True).returncode == 0


def test_queue_pairs_on_a_tap(run_name, tmp_path, queues):
    pairs, ring, machine = queues
    if not can_have_a_network():
        pytest.skip("no network namespace with a tap can be made here")
    image = images.folder(images.ALL_TESTS) / "paravane.elf"
    card = ("virtio-net-device" if machine == "microvm"
            else f"virtio-net-pci,romfile=,vectors={2 * pairs + 2}")
    options = ["--boot", "microvm"] if machine == "microvm" else ["--boot", "pvh", "--machine",
                                                                  machine]
    result, _, passed = boot.boot_and_pass(
        run_name, *options, "--image", image, "--mem", "1G", "--smp", 4, "--net", "none", "--test",
        "virtio_net*", "--append", "cmd=virtio net.peer=host", "--",
        "-netdev", f"tap,id=net0,ifname=tap0,script=no,downscript=no,queues={pairs}",
        "-device", f"{card},netdev=net0,mq=on,packed={'on' if ring == 'packed' else 'off'}",
        env=emulator_on_a_tap(tmp_path, "multi_queue" if pairs > 1 else ""))
    skipped = re.findall(r"ok \d+ (\w+) # SKIP", result.stdout)
    alone = pairs == 1 or machine == "microvm"  # one line for all queues
    assert skipped == (["burst_of_520_wraps_the_rings"] +
                       ["interrupts_come_on_their_cpus"] * alone), result.explain()
    accepted, _, _ = negotiated(result.stdout)
    assert "mq" in accepted and ("packed" in accepted) == (ring == "packed"), result.explain()
    assert "csum" in accepted and "host-tso4" in accepted, "a tap with vnet headers has offloads"
    assert f", {pairs} queue pairs of" in result.stdout, result.explain()


# Features of the card, queue pairs, whether flows follow their hash, whether the hash is told.
HASHES = {"rss-hash": (",rss=on,hash=on", 4, True, True),
          "rss-packed": (",rss=on,packed=on", 2, True, False),
          "hash": (",hash=on,mrg_rxbuf=off", 2, False, True)}


@pytest.mark.parametrize(("device", "pairs", "steered", "reports"), HASHES.values(), ids=HASHES)
def test_flows_follow_their_hash_on_a_tap(run_name, tmp_path, device, pairs, steered, reports):
    """RSS and hash reports of QEMU's own card: each flow comes on the queue pair that its Toeplitz
    hash names, and the hash that is told is the one that the guest computes itself."""
    if not can_have_a_network():
        pytest.skip("no network namespace with a tap can be made here")
    image = images.folder(images.ALL_TESTS) / "paravane.elf"
    result, _, passed = boot.boot_and_pass(
        run_name, "--boot", "pvh", "--image", image, "--mem", "256M", "--smp", pairs, "--net",
        "none", "--test", "net_hash.*", "--append", "cmd=virtio net.peer=host", "--",
        "-netdev", f"tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=off,queues={pairs}",
        "-device", f"virtio-net-pci,netdev=net0,romfile=,mq=on,vectors={2 * pairs + 2}{device}",
        env=emulator_on_a_tap(tmp_path, "multi_queue"))
    accepted, _, _ = negotiated(result.stdout)
    assert ("rss" in accepted) == steered and ("hash-report" in
                                               accepted) == reports, result.explain()
    assert passed == 1, result.explain()
    flows, used, of, told = map(int, re.search(
        r"(\d+) flows on (\d+) of (\d+) queue pairs, (\d+) hashes reported",
        result.stdout).groups())
    assert flows == 28 and of == pairs and told == (flows if reports else 0), result.explain()
    assert used == pairs or not steered, result.explain()
