# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Our guest in a network that returns each frame (tests/boot/all/net_loop_test.c):
lengths, queue pairs, checksums and segments through vhost-user-net, filters, announcements
and link of QEMU's own card."""

import contextlib
import json
import re
import socket
import threading
import time

import pytest

import answering
import boot
import images
import vhost_user as vu
from test_net_matrix import can_have_a_network, emulator_on_a_tap
from test_peers_qemu import card, shared_memory

MEMORY = "128M"
CPUS = 4  # the driver uses a queue pair for each
FRAME_BYTES_MAX = 65536 + 64
MONITOR_PAUSE_S = 0.3
MONITOR_LIMIT_S = 120  # a hang detector


def run_guest(name, tests, emulator_options, words="", env=None):
    elf = images.folder(images.ALL_TESTS) / "paravane.elf"
    return boot.boot_and_pass(name, "--boot", "pvh", "--image", elf, "--mem", MEMORY, "--smp", CPUS,
                              "--net", "none", "--test", tests, "--append",
                              f"cmd=virtio {words}".rstrip(), "--", *emulator_options, env=env)


# ---- a back end that returns frames with what is to be done to them ----

SHAPES = {
    # QEMU's words for the card, queue pairs, the back end's options, frames that are to be cut
    "split": ("", 1, (), 9),
    "packed": (",packed=on", 1, (), 9),
    "split-pairs": (",mq=on", 4, (), 9),
    "packed-pairs": (",mq=on,packed=on", 2, (), 9),
    "nomrg": (",mrg_rxbuf=off", 1, (), 0),
    "nocsum": ("", 1, ("-w", "csum,tso,uso"), 0),
    "notso": ("", 1, ("-w", "tso,uso"), 0),
}


@pytest.mark.parametrize(("device", "pairs", "options", "cut"), SHAPES.values(), ids=SHAPES)
def test_offloads_and_queue_pairs_come_back(run_name, tmp_path, device, pairs, options, cut):
    path = tmp_path / "s"
    with vu.back_end(tmp_path / "back", "-s", path, "-m", "echo", "--stats", *options) as back:
        vu.wait_for_socket(path, back)
        result, _, passed = run_guest(run_name, "net_loop.*come_back*",
                                      [*shared_memory(128), *card(path, device, pairs)])
        stats = back.stats()[str(path)]
    assert passed == 2, result.explain()
    assert f"frames on {pairs} queue pairs" in result.stdout, result.explain()
    left, to_cut = map(int, re.search(r"(\d+) checksums left to the card, (\d+) frames to be cut",
                                      result.stdout).groups())
    uso = "host-uso" in result.stdout
    assert to_cut == (0 if cut == 0 else 9 if uso else 6), result.explain()
    assert left == (0 if "csum" in "".join(options) else 4), result.explain()
    assert stats["frames_in"] == stats["frames_out"] > 0
    assert stats["bad_frames"] == stats["broken_rings"] == stats["dropped_full"] == 0


def test_fewer_queue_pairs_than_the_card_has(run_name, tmp_path):
    """As many as the command line says, of a card with more and on a machine with more CPUs."""
    path = tmp_path / "s"
    with vu.back_end(tmp_path / "back", "-s", path, "-m", "echo", "--stats") as back:
        vu.wait_for_socket(path, back)
        result, _, passed = run_guest(run_name, "net_loop.frames*",
                                      [*shared_memory(128), *card(path, ",mq=on", 4)],
                                      "virtio_net.queue-pairs=3")
    assert passed == 1 and "frames on 3 queue pairs" in result.stdout, result.explain()
    assert re.search(r"virtio: net0 at .*, 3 queue pairs of ", result.stdout), result.explain()


# ---- QEMU's card on a socket of which the other end returns each datagram ----

class Mirror:
    """Returns each datagram; until the end of the `with`."""

    def __init__(self, folder):
        self.ours, self.theirs = f"{folder}/mirror", f"{folder}/qemu"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.ours)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            frame = self.socket.recv(FRAME_BYTES_MAX)
            if not frame:
                return
            # The emulator has ended.
            with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
                self.socket.sendto(frame, self.theirs)

    def card(self, properties=""):
        return ["-netdev", f"dgram,id=n,local.type=unix,local.path={self.theirs},remote.type=unix,"
                           f"remote.path={self.ours}", "-device",
                f"virtio-net-pci,id=card,netdev=n,romfile={properties}"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.ours)
        self.thread.join()
        self.socket.close()


RINGS = {"split": "", "packed": ",packed=on"}


@pytest.mark.parametrize("properties", RINGS.values(), ids=RINGS)
def test_filters_of_qemus_card(run_name, short_folder, properties):
    with Mirror(short_folder) as mirror:
        result, _, passed = run_guest(run_name, "net_loop.f*", mirror.card(properties))
    assert passed == 2, result.explain()


class Monitor(threading.Thread):
    """Says the same words to the emulator's monitor, over and over, until it is gone."""

    def __init__(self, path, words):
        super().__init__(daemon=True)
        self.path, self.words = path, words

    def run(self):
        deadline = time.monotonic() + MONITOR_LIMIT_S
        while time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                try:
                    line.connect(self.path)
                    self._say(line)
                except OSError:  # not there yet, or not any more
                    time.sleep(MONITOR_PAUSE_S)

    def _say(self, line):
        line.sendall(b'{"execute":"qmp_capabilities"}')
        while True:
            for word in self.words:
                line.sendall(json.dumps(word).encode())
                time.sleep(MONITOR_PAUSE_S)


@pytest.mark.parametrize("properties", ["", ",vectors=0"], ids=["msix", "intx"])
def test_announcement_and_link(run_name, short_folder, properties):
    """`announce-self` asks the driver to announce; a link that goes is told, and one that comes."""
    announce = {"initial": 10, "max": 10, "rounds": 1, "step": 10}
    path = f"{short_folder}/monitor"
    Monitor(path, [{"execute": "announce-self", "arguments": announce},
                   {"execute": "set_link", "arguments": {"name": "card", "up": False}},
                   {"execute": "set_link", "arguments": {"name": "card", "up": True}}]).start()
    with Mirror(short_folder) as mirror:
        result, _, passed = run_guest(run_name, "net_loop.announces*",
                                      [*mirror.card(properties), "-qmp",
                                       f"unix:{path},server=on,wait=off"])
    assert passed == 1, result.explain()
    assert re.search(r"announced [1-9]\d*, down [1-9]\d*, up [1-9]",
                     result.stdout), result.explain()


def test_a_guest_announces_itself(run_name, short_folder):
    """`announce-self` makes the answering guest send gratuitous ARP, from its own
    address, and it answers on."""
    path, ours, theirs = (f"{short_folder}/{name}" for name in ("monitor", "here", "qemu"))
    announce = {"initial": 10, "max": 10, "rounds": 1, "step": 10}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind(ours)
        wire.settimeout(MONITOR_LIMIT_S)
        guest = answering.AnsweringGuest(run_name, ["--mem", MEMORY, "--net", "none"], [
            "-netdev",
            f"dgram,id=n,local.type=unix,local.path={theirs},remote.type=unix,remote.path={ours}",
            "-device", "virtio-net-pci,id=card,netdev=n,romfile=", "-qmp",
            f"unix:{path},server=on,wait=off"])
        Monitor(path, [{"execute": "announce-self", "arguments": announce}]).start()
        frame = wire.recv(FRAME_BYTES_MAX)
        while not answering.announces(frame):
            frame = wire.recv(FRAME_BYTES_MAX)

        def receive(seconds):
            wire.settimeout(seconds)
            try:
                return wire.recv(FRAME_BYTES_MAX)
            except TimeoutError:
                return None

        host = answering.SocketHost(lambda data: wire.sendto(data, theirs), receive)
        assert host.resolve() == frame[6:12]
        assert any(host.echo(sequence, b"x" * 64) for sequence in range(answering.ATTEMPTS))
        answered = host.end(guest)
        assert int(answered[1]) >= 1
        assert int(re.search(r"announced (\d+) times", guest.result.stdout)[1]) >= 1


# ---- this machine's kernel, behind a tap ----

@pytest.mark.parametrize("properties", RINGS.values(), ids=RINGS)
def test_a_kernel_takes_what_is_left_to_it(run_name, tmp_path, properties):
    if not can_have_a_network():
        pytest.skip("no network namespace with a tap can be made here")
    result, _, passed = run_guest(
        run_name, "net_stack.*",
        ["-netdev", "tap,id=n,ifname=tap0,script=no,downscript=no",
         "-device", f"virtio-net-pci,netdev=n,romfile={properties}"], "net.peer=host",
        emulator_on_a_tap(tmp_path))
    assert passed == 2, result.explain()
