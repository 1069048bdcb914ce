# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""answering: our guest in its answering test (net_answer.echo), and who asks it: the host's kernel
through a tap in a network namespace, or this process at the other end of a socket."""

import os
import re
import secrets
import struct
import subprocess
import threading
import time

import pytest

import boot
import images
import vhost_user as vu

LIMIT_S = 120  # a hang detector
ATTEMPTS = 3  # of a single question that a busy machine may be slow to answer
QUEUE_FRAMES = 10000  # that a tap keeps for a guest that is busy
GUEST_ADDRESS, HOST_ADDRESS = "10.0.2.15", "10.0.2.2"
HOST_MAC = bytes.fromhex("025045450002")
END_PORT = 9


class AnsweringGuest:
    """In the background: until it has answered `echoes`, or for 0 until it is told to end."""

    def __init__(self, name, options, emulator_options=(), echoes=0, env=None, seconds=LIMIT_S,
                 words=""):
        elf = images.folder(images.ALL_TESTS) / "paravane.elf"
        self.name = name
        self.result = None
        self.env = env
        self.thread = threading.Thread(target=self._run, args=(
            ["--boot", "pvh", "--image", elf, *options, "--test", "net_answer.echo",
             "--append", f"net_answer.echoes={echoes} net_answer.seconds={seconds} {words}".strip(),
             "--timeout", 2 * seconds, "--", *emulator_options],), daemon=True)
        self.thread.start()

    def _run(self, options):
        self.result = boot.boot(self.name, *options, env=self.env)

    def finish(self):
        """Waits for the guest's end and insists on a pass; its log of the answers."""
        self.thread.join(boot.RUN_LIMIT_S)
        assert self.result is not None and self.result.status == boot.PASS, (
            self.result and self.result.explain())
        return re.search(r"answered (\d+) echoes, (\d+) requests", self.result.stdout)


@pytest.fixture
def namespace(run_name):
    """The name of a network namespace of the test's own; skips where none can be made."""
    for tool, package in (("ip", "iproute2"), ("ping", "iputils-ping"), ("arping", "arping")):
        vu.skip_without(tool, package)
    if "-C" not in subprocess.run(["arping", "--help"], check=False, capture_output=True,
                                  text=True).stdout:
        pytest.skip("this arping is not the one of the package arping")
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        pytest.skip("a tap in a network namespace needs root and /dev/net/tun")
    name = f"paravane-{os.getpid()}-{secrets.token_hex(3)}"
    made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
    try:
        tap = subprocess.run(["ip", "netns", "exec", name, "ip", "tuntap", "add", "try0", "mode",
                              "tap"], check=False,
                             capture_output=True, text=True)
        if tap.returncode != 0:
            pytest.skip(f"no tap can be made here: {tap.stderr.strip()}")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


class TapHost:
    """The host's kernel at the other end of a tap in a namespace."""

    def __init__(self, namespace):
        self.inside = ["ip", "netns", "exec", namespace]
        self.asked = 0  # how often for the guest's address, by arping()

    def run(self, *command, check=False):
        return subprocess.run([*self.inside, *map(str, command)], check=check, capture_output=True,
                              text=True, timeout=LIMIT_S)

    def bring_up(self):
        """Gives the tap its address, when it is there, and waits until the guest answers."""
        vu.wait_until(lambda: self.run("ip", "link", "show", "tap0").returncode == 0, "no tap0")
        self.run("ip", "addr", "replace", f"{HOST_ADDRESS}/24", "dev", "tap0", check=True)
        self.run("ip", "link", "set", "tap0", "up", "txqueuelen", QUEUE_FRAMES, check=True)
        # The first answer ends it.
        self.run("arping", "-C", 1, "-c", 500, "-W", 0.2, "-I", "tap0", GUEST_ADDRESS, check=True)

    def arping(self, count):
        """Asks for the guest's address, and insists on all answers. An answer to
        one question may be late."""
        said = ""
        for _ in range(ATTEMPTS):
            said = self.run("arping", "-c", count, "-W", 0.5, "-I", "tap0", GUEST_ADDRESS).stdout
            self.asked += int(re.search(r"(\d+) packets transmitted", said).group(1))
            if f"{count} packets received" in said:
                return
        raise AssertionError(said)

    def echoes(self):
        """ICMP echoes that left this end, and answers that came, as its kernel
        counts them, late ones too."""
        names, values = re.findall(r"^Icmp: (.*)$",
                                   self.run("cat", "/proc/net/snmp", check=True).stdout,
                                   re.MULTILINE)
        counts = dict(zip(names.split(), map(int, values.split())))
        return counts["OutEchos"], counts["InEchoReps"]

    def ping(self, count, payload_bytes=56):
        """Floods the guest with echoes, and insists on an answer to each. ping itself gives up on
        the last ones two round trips after its end; the kernel goes on counting."""
        sent_before, answers_before = self.echoes()
        said = self.run("ping", "-f", "-q", "-s", payload_bytes, "-c", count, GUEST_ADDRESS).stdout
        assert f"{count} packets transmitted" in said, said
        deadline = time.monotonic() + LIMIT_S
        while self.echoes()[1] - answers_before < count and time.monotonic() < deadline:
            time.sleep(0.05)
        sent, answers = (now - before for now, before in
                         zip(self.echoes(), (sent_before, answers_before)))
        assert sent == answers == count, (
            f"of {count} echoes {sent} left, {answers} answers came, "
            f"{sent - answers} were lost: {said}")

    def end(self, guest):
        """Tells the guest to end, until it does; its log of the answers."""
        for _ in range(LIMIT_S):
            if not guest.thread.is_alive():
                break
            self.run("bash", "-c", f"echo > /dev/udp/{GUEST_ADDRESS}/{END_PORT}")
            guest.thread.join(1)
        answered = guest.finish()
        assert int(answered[2]) >= self.asked
        return answered


# ---- frames of our own ----

def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data[:len(data) // 2 * 2]))
    total += data[-1] << 8 if len(data) % 2 else 0
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def address_bytes(address):
    return bytes(map(int, address.split(".")))


def arp_request():
    return (b"\xff" * 6 + HOST_MAC + bytes.fromhex("08060001080006040001") + HOST_MAC +
            address_bytes(HOST_ADDRESS) +
            bytes(6) + address_bytes(GUEST_ADDRESS)).ljust(60, b"\0")


def resolves(frame):
    """Whether it answers an ARP request."""
    return frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2"


def announces(frame):
    """Whether it is a gratuitous ARP request of the guest: who has our
    address, from our address."""
    address = address_bytes(GUEST_ADDRESS)
    return (frame[:6] == b"\xff" * 6 and frame[12:14] == b"\x08\x06" and
            frame[20:22] == b"\0\1" and frame[6:12] == frame[22:28] and
            frame[28:32] == frame[38:42] == address)


def ip_packet(protocol, payload):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0,
                       address_bytes(HOST_ADDRESS), address_bytes(GUEST_ADDRESS))
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


class SocketHost:
    """This process as the network: `send` and `receive` move one frame each;
    receive(seconds) may give None."""

    def __init__(self, send, receive):
        self.send, self.receive = send, receive
        self.guest_mac = None
        # Sequences of the echoes whose answers echo() and wait_for_echo() met.
        self.answered = set()

    def frames(self, seconds):
        """What comes within so many seconds, however much that is."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and (frame := self.receive(left)) is not None:
            yield frame

    def ask_until(self, wanted):
        """Asks for the guest's MAC until a frame comes that is wanted; that frame."""
        for _ in range(LIMIT_S):
            self.send(arp_request())
            for frame in self.frames(1):
                if wanted(frame):
                    return frame
        raise AssertionError(
            f"the guest is asked for its address, and there is no frame that {wanted.__name__}")

    def resolve(self):
        """The guest's MAC, asked for until it answers."""
        frame = self.ask_until(resolves)
        assert frame[28:32] == address_bytes(GUEST_ADDRESS) and frame[:6] == HOST_MAC
        self.guest_mac = frame[22:28]
        return self.guest_mac

    def send_ip(self, protocol, payload):
        self.send((self.guest_mac + HOST_MAC + b"\x08\0" +
                   ip_packet(protocol, payload)).ljust(60, b"\0"))

    def send_echo(self, sequence, payload):
        head = struct.pack(">BBHHH", 8, 0, 0, 0x5041, sequence)
        self.send_ip(1, head[:2] + struct.pack(">H", checksum(head + payload)) + head[4:] + payload)
        return head

    def echo(self, sequence, payload, seconds=5):
        """One ICMP echo; whether the answer came and has what was sent."""
        head = self.send_echo(sequence, payload)
        for frame in self.frames(seconds):
            icmp = frame[34:34 + 8 + len(payload)]
            if self._answers(frame) and icmp[4:8] == head[4:8]:
                assert checksum(frame[14:34]) == 0 and checksum(icmp) == 0
                return icmp[0] == 0 and icmp[8:] == payload
        return False

    def _answers(self, frame):
        """Whether it is the answer to an echo."""
        if frame[12:14] != b"\x08\0" or frame[23] != 1:
            return False
        self.answered.add(struct.unpack(">H", frame[40:42])[0])
        return True

    def wait_for_echo(self, sequences):
        """Until an answer to one of those that send_echo() sent is here."""
        frames = self.frames(LIMIT_S)
        while not self.answered.intersection(sequences):
            frame = next(frames, None)
            assert frame is not None, f"no answer to any of {sequences}"
            self._answers(frame)

    def end(self, guest):
        for _ in range(LIMIT_S):
            if not guest.thread.is_alive():
                break
            try:
                self.send_ip(17, struct.pack(">HHHH", END_PORT, END_PORT, 12, 0) + b"end.")
            except OSError:
                pass  # its card has gone already, its emulator not yet
            guest.thread.join(1)
        return guest.finish()
