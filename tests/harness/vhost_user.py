# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""vhost_user: runs vhost-user-net, and speaks to it as a front end that can do everything wrong.

Facts: the vhost-user protocol of QEMU 7.2, docs/interop/vhost-user.rst;
Virtio 1.3, 2.7 (split ring).
"""

import array
import contextlib
import mmap
import os
import re
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

import boot

PROGRAM = boot.BUILD / "vhost-user-net/vhost-user-net"
PROGRAM_ASAN = boot.BUILD / "vhost-user-net-asan/vhost-user-net"
LIMIT_S = 30  # a hang detector

(GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE, SET_VRING_NUM, SET_VRING_ADDR,
 SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR,
 GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM,
 SET_VRING_ENABLE) = (1, 2, 3, 5, *range(8, 19))
NET_SET_MTU, GET_CONFIG, SET_CONFIG, RESET_DEVICE = 20, 24, 25, 34
GET_MAX_MEM_SLOTS, ADD_MEM_REG, REM_MEM_REG = 36, 37, 38
PROTOCOL_MQ, PROTOCOL_REPLY_ACK, PROTOCOL_MTU, PROTOCOL_CONFIG = 1, 8, 16, 512
PROTOCOL_RESET, PROTOCOL_SLOTS = 1 << 13, 1 << 15
F_PROTOCOL_FEATURES, F_VERSION_1, F_MRG_RXBUF, F_CSUM = 1 << 30, 1 << 32, 1 << 15, 1
F_INDIRECT, F_PACKED = 1 << 28, 1 << 34
VERSION, REPLY, NEED_REPLY, NO_FD = 1, 4, 8, 256
DESC_NEXT, DESC_WRITE, DESC_INDIRECT = 1, 2, 4

MEMORY_BYTES = 1 << 20
USER_BASE = 0x7F0000000000  # what this front end says are its own addresses
QUEUE_SIZE = 64
HEADER_BYTES = 12


class BackEnd:
    """A running vhost-user-net."""

    def __init__(self, process, folder):
        self.process = process
        self.folder = folder

    def stderr(self):
        return (self.folder / "stderr.log").read_text(errors="replace")

    def stdout(self):
        return (self.folder / "stdout.log").read_text(errors="replace")

    def wait_for(self, text, limit_s=LIMIT_S):
        """Waits until the standard error output has `text`."""
        deadline = time.monotonic() + limit_s
        while text not in self.stderr():
            assert self.process.poll() is None, f"it ended: {self.stderr()}"
            assert time.monotonic() < deadline, f"no {text!r} in: {self.stderr()}"
            time.sleep(0.01)

    def stats(self):
        """Counters by port, as of now."""
        seen = self.stdout().count("\n")
        self.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + LIMIT_S
        while self.stdout().count("\n") == seen:
            assert time.monotonic() < deadline, "no counters came"
            time.sleep(0.01)
        time.sleep(0.05)  # all lines are written at once, ports are few
        return parse_stats(self.stdout())

    def open_things(self):
        """(descriptors, mappings of front ends' memory) that the process has open."""
        folder = Path(f"/proc/{self.process.pid}")
        maps = (folder / "maps").read_text()
        return len(list((folder / "fd").iterdir())), maps.count("memfd:")

    def stop(self):
        """Ends it; insists on a good end (under AddressSanitizer also: no leak)."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it does not end: {self.stderr()}") from None
        assert status == 0, f"status {status}: {self.stderr()}"
        return parse_stats(self.stdout())


def parse_stats(text):
    """The last counters of each port in the program's output."""
    ports = {}
    for line in re.findall(r"^stats (.*)$", text, re.M):
        words = dict(word.split("=", 1) for word in line.split(" "))
        name = words.pop("port")
        ports[name] = {key: int(value, 0) for key, value in words.items()}
    return ports


def require_program(program):
    assert program.exists(), f"{program} is not built: make peers builds it"


@contextlib.contextmanager
def back_end(folder, *options, program=PROGRAM_ASAN, command=()):
    """Runs vhost-user-net with `options`; logs go to `folder`. Ends it well, or complains."""
    require_program(program)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Written to by the program alone: its outputs are read while it runs.
    with open(folder / "stdout.log", "wb") as out, open(folder / "stderr.log", "wb") as err:
        process = subprocess.Popen([*command, str(program), *map(str, options)],
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=err)
    running = BackEnd(process, folder)
    try:
        yield running
        if process.poll() is None:
            running.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_until(holds, complaint):
    """Waits until `holds()`."""
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)


def wait_for_socket(path, back):
    deadline = time.monotonic() + LIMIT_S
    while not Path(path).exists():
        assert back.process.poll() is None, f"it ended: {back.stderr()}"
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.01)


class Closed(Exception):
    """The back end has closed the connection."""


class FrontEnd:
    """One connection. Memory: a memfd of MEMORY_BYTES, guest address 0, user address USER_BASE."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(LIMIT_S)
        self.connect(str(path))
        self.memory_fd = os.memfd_create("guest", os.MFD_CLOEXEC)
        os.ftruncate(self.memory_fd, MEMORY_BYTES)
        self.memory = mmap.mmap(self.memory_fd, MEMORY_BYTES)
        self.kicks, self.calls, self.errors = {}, {}, {}
        self.avail, self.used = {}, {}

    def connect(self, path):
        """Tries for a while: the socket of a back end that is just
        starting may not be there yet."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            try:
                self.socket.connect(path)
                return
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def close(self):
        self.socket.close()
        self.memory.close()
        os.close(self.memory_fd)
        for fds in (self.kicks, self.calls, self.errors):
            for fd in fds.values():
                os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- messages ----

    def send_bytes(self, data, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([data], rights)

    def send(self, request, payload=b"", fds=(), flags=VERSION):
        self.send_bytes(struct.pack("=III", request, flags, len(payload)) + payload, fds)

    def receive_bytes(self, count):
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionResetError:
                piece = b""
            if not piece:
                raise Closed()
            data += piece
        return data

    def reply(self, request):
        """The payload of the reply to `request`, whose header is checked."""
        number, flags, count = struct.unpack("=III", self.receive_bytes(12))
        assert (number, flags) == (request, VERSION | REPLY)
        return self.receive_bytes(count)

    def ask(self, request, payload=b"", fds=()):
        """A word that the back end answers with."""
        self.send(request, payload, fds)
        return struct.unpack("=Q", self.reply(request))[0]

    def acknowledged(self, request, payload=b"", fds=()):
        """Whether the back end says that it did what was asked."""
        self.send(request, payload, fds, VERSION | NEED_REPLY)
        return struct.unpack("=Q", self.reply(request))[0] == 0

    def is_closed(self):
        try:
            self.receive_bytes(1)
        except Closed:
            return True
        return False

    # ---- set-up, as a good front end does it ----

    def negotiate(self, features=F_VERSION_1 | F_MRG_RXBUF,
                  protocol=PROTOCOL_MQ | PROTOCOL_REPLY_ACK):
        offered = self.ask(GET_FEATURES)
        assert offered & F_PROTOCOL_FEATURES
        self.send(SET_PROTOCOL_FEATURES,
                  struct.pack("=Q", protocol & self.ask(GET_PROTOCOL_FEATURES)))
        self.send(SET_OWNER)
        self.send(SET_FEATURES, struct.pack("=Q", (features | F_PROTOCOL_FEATURES) & offered))
        self.features = (features | F_PROTOCOL_FEATURES) & offered
        return offered

    def region(self, guest=0, size=MEMORY_BYTES, user=USER_BASE, offset=0):
        return struct.pack("=QQQQ", guest, size, user, offset)

    def share_memory(self):
        self.send(SET_MEM_TABLE, struct.pack("=II", 1, 0) + self.region(), [self.memory_fd])

    def ring_at(self, ring):
        """Guest addresses of descriptors, avail and used ring."""
        base = 0x1000 + ring * 0x3000
        return base, base + 0x1000, base + 0x2000

    def start_ring(self, ring, size=QUEUE_SIZE, base=0):
        descriptors, avail, used = self.ring_at(ring)
        self.kicks[ring] = os.eventfd(0, os.EFD_NONBLOCK)
        self.calls[ring] = os.eventfd(0, os.EFD_NONBLOCK)
        self.errors[ring] = os.eventfd(0, os.EFD_NONBLOCK)
        self.avail[ring] = self.used[ring] = base
        self.send(SET_VRING_NUM, struct.pack("=II", ring, size))
        self.send(SET_VRING_BASE, struct.pack("=II", ring, base))
        self.send(SET_VRING_ADDR, struct.pack("=IIQQQQ", ring, 0, USER_BASE + descriptors,
                                              USER_BASE + used, USER_BASE + avail, 0))
        self.send(SET_VRING_ERR, struct.pack("=Q", ring), [self.errors[ring]])
        self.send(SET_VRING_CALL, struct.pack("=Q", ring), [self.calls[ring]])
        # As QEMU does it: what a ring that runs and is not enabled holds is discarded.
        self.send(SET_VRING_ENABLE, struct.pack("=II", ring, 1))
        self.send(SET_VRING_KICK, struct.pack("=Q", ring), [self.kicks[ring]])

    def set_up(self, **features):
        self.negotiate(**features)
        self.share_memory()
        self.start_ring(0)
        self.start_ring(1)

    # ---- a split ring's driver ----

    def put(self, at, data):
        self.memory[at:at + len(data)] = data

    def get16(self, at):
        return struct.unpack_from("<H", self.memory, at)[0]

    def describe(self, ring, index, address, size, flags=0, following=0):
        self.put(self.ring_at(ring)[0] + 16 * index,
                 struct.pack("<QIHH", address, size, flags, following))

    def make_available(self, ring, head):
        avail = self.ring_at(ring)[1]
        self.put(avail + 4 + 2 * (self.avail[ring] % QUEUE_SIZE), struct.pack("<H", head))
        self.avail[ring] = (self.avail[ring] + 1) & 0xFFFF
        self.put(avail + 2, struct.pack("<H", self.avail[ring]))

    def kick(self, ring):
        os.eventfd_write(self.kicks[ring], 1)

    def used_index(self, ring):
        return self.get16(self.ring_at(ring)[2] + 2)

    def wait_used(self, ring, index, limit_s=LIMIT_S):
        """Waits until the used index is `index`, or has passed it."""
        deadline = time.monotonic() + limit_s
        while (self.used_index(ring) - index) & 0xFFFF >= 0x8000:
            assert time.monotonic() < deadline, f"used index {self.used_index(ring)}, not {index}"
            time.sleep(0.002)

    def used_entry(self, ring, index):
        return struct.unpack_from("<II", self.memory,
                                  self.ring_at(ring)[2] + 4 + 8 * (index % QUEUE_SIZE))

    def give_receive_buffers(self, count, size=2048):
        for i in range(count):
            index = (self.avail[0] + i) % QUEUE_SIZE
            self.describe(0, index, 0x40000 + index * 2048, size, DESC_WRITE)
        for i in range(count):
            self.make_available(0, self.avail[0] % QUEUE_SIZE)

    def send_frame(self, frame, header=bytes(HEADER_BYTES)):
        index = self.avail[1] % QUEUE_SIZE
        at = 0x80000 + index * 4096
        self.put(at, header + frame)
        self.describe(1, index, at, len(header) + len(frame))
        self.make_available(1, index)
        self.kick(1)

    def receive_frame(self, at_index):
        """(header, frame) of the used entry `at_index` of the receive ring, one buffer."""
        self.wait_used(0, at_index + 1)
        index, count = self.used_entry(0, at_index)
        at = 0x40000 + index * 2048
        data = bytes(self.memory[at:at + count])
        return data[:HEADER_BYTES], data[HEADER_BYTES:]


def a_frame(size=64, fill=0):
    """An Ethernet frame from 02:..:01 to 02:..:02."""
    return (bytes.fromhex("020000000002") + bytes.fromhex("020000000001") + b"\x88\xb5" +
            bytes((fill + i) & 255 for i in range(size - 14)))


def swapped(frame):
    return frame[6:12] + frame[:6] + frame[12:]


def skip_without(tool, package):
    """Skips the test when a command is not installed."""
    import shutil
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed (Debian: {package})")
