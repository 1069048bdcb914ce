# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Two guests, their cards tied together: every frame that one sends reaches the other,
once, in order and unchanged (tests/boot/all/net_pair_test.c). `make test
FULL_MATRIX=1` exchanges a million."""

import concurrent.futures
import re
import time

import pytest

import boot
import images

FRAMES, FRAMES_FULL = 20_000, 1_000_000
LISTEN_LIMIT_S = 120  # a hang detector
SILENCE_S = 800       # another one: a guest says nothing while it exchanges frames

# What each side's card is told, beside its network: (machine options, card,
# properties, words for the guest)
SPLIT = (["--boot", "pvh"], "virtio-net-pci", "", "")
PACKED = (["--boot", "pvh"], "virtio-net-pci", ",packed=on", "")
MMIO = (["--boot", "microvm"], "virtio-net-device", "", "")
MMIO_PACKED = (["--boot", "microvm"], "virtio-net-device", ",packed=on,mrg_rxbuf=off", "")
PLAIN = (["--boot", "pvh", "--machine", "pc"], "virtio-net-pci",
         ",vectors=0,event_idx=off,indirect_desc=off,mrg_rxbuf=off", "virtio_net.queue-size=64")
LARGE = (["--boot", "pvh", "--smp", "1"], "virtio-net-pci",
         ",rx_queue_size=1024,iommu_platform=on,disable-legacy=on", "virtio_net.queue-size=1024")
PAIRS = {"split-mmio": (SPLIT, MMIO), "packed-plain": (PACKED, PLAIN),
         "large-mmio_packed": (LARGE, MMIO_PACKED)}


def guest(name, side, netdev, number, frames):
    """One of the two; returns its stream."""
    options, card, properties, words = side
    words = f"net_pair.frames={frames} cmd=virtio {words}".rstrip()
    image = images.folder(images.ALL_TESTS) / "paravane.elf"
    return boot.boot_and_pass(name, *options, "--image", image, "--mem", "256M", "--net", "none",
                              "--test", "net_pair.exchange", "--append", words, "--timeout",
                              SILENCE_S, "--", "-netdev", netdev,
                              "-device",
                              f"{card},netdev=n,mac=52:54:00:00:00:{number:02x}{properties}")


def exchange(run_name, folder, sides, frames):
    """Starts the listening guest, then the one that connects; both results."""
    path = folder / "wire"
    wire = f"stream,id=n,addr.type=unix,addr.path={path},server="
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(guest, f"{run_name}.first", sides[0], wire + "on", 1, frames)
        deadline = time.monotonic() + LISTEN_LIMIT_S
        while not path.exists() and not first.done() and time.monotonic() < deadline:
            time.sleep(0.05)
        second = pool.submit(guest, f"{run_name}.second", sides[1], wire + "off", 2, frames)
        return first.result(), second.result()


@pytest.mark.parametrize("sides", PAIRS.values(), ids=PAIRS)
def test_no_frame_is_lost(request, run_name, short_folder, sides):
    frames = FRAMES_FULL if request.config.getoption("--full-matrix") else FRAMES
    for side, (result, _, passed) in zip(sides, exchange(run_name, short_folder, sides, frames)):
        assert passed == 1, result.explain()
        assert f"sent {frames} and received {frames} frames" in result.stdout, result.explain()
        accepted = re.search(r"virtio:     accepted (.*)", result.stdout).group(1).split()
        assert ("packed" in accepted) == ("packed=on" in side[2]), result.explain()
        assert ("event-idx" in accepted) == ("event_idx=off" not in side[2]), result.explain()
        assert ("mrg-rxbuf" in accepted) == ("mrg_rxbuf=off" not in side[2]), result.explain()
