# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""A guest for vmbus-host that is no guest: a client of its ivshmem server, in Python.

It knows lib/vmbus_mailbox and spec/vmbus.md by their words, not by any header.
Memory of the "guest" is a file.
"""

import array
import mmap
import os
import select
import socket
import struct
import subprocess
import time

PAGE = 4096
RAM_BYTES = 16 << 20
MAGIC = 0x42584D5641524150
EVENTS_TO_HOST, EVENTS_TO_GUEST = PAGE, PAGE + 256
TO_HOST, TO_GUEST = 2 * PAGE, 3 * PAGE
SLOTS, SLOT_BYTES = 15, 256
READY, RESET = 1, 2
VECTORS_TO_HOST, VECTORS = 2, 9  # messages and events; messages, then events of 8 processors
LIMIT_S = 20  # hang detector


def receive(client):
    """One message of the server: (number, file descriptor or None)."""
    data, control, _, _ = client.recvmsg(8, socket.CMSG_SPACE(4))
    assert len(data) == 8, "the server closed the connection"
    files = array.array("i")
    for level, kind, content in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            files.frombytes(content[:4])
    return struct.unpack("<q", data)[0], files[0] if files else None


class Host:
    """vmbus-host, running."""

    def __init__(self, program, folder, *options):
        self.path, self.ram_path = folder / "socket", folder / "ram"
        self.process = subprocess.Popen(
            [program, "--socket", self.path, "--ram", self.ram_path, "--mem", "16M", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + LIMIT_S
        while (not self.path.exists() and self.process.poll() is None and
               time.monotonic() < deadline):
            time.sleep(0.01)

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(LIMIT_S)
        client.connect(str(self.path))
        return client

    def end(self):
        """Waits for it; (exit status, standard error)."""
        try:
            _, stderr = self.process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode, stderr

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Guest:
    """The client, its mailbox and its memory."""

    def __init__(self, host):
        self.client = host.connect()
        self.messages = [receive(self.client) for _ in range(3 + VECTORS_TO_HOST + VECTORS)]
        self.memory = mmap.mmap(self.messages[2][1], 65536)
        self.to_host = [file for _, file in self.messages[3:3 + VECTORS_TO_HOST]]
        self.from_host = [file for _, file in self.messages[3 + VECTORS_TO_HOST:]]
        with open(host.ram_path, "r+b") as file:
            self.ram = mmap.mmap(file.fileno(), RAM_BYTES)
        self.tail = self.head = 0

    def word(self, offset):
        return struct.unpack_from("<I", self.memory, offset)[0]

    def put(self, offset, value):
        struct.pack_into("<I", self.memory, offset, value)

    def ring(self, vector):
        os.write(self.to_host[vector], struct.pack("<Q", 1))

    def wait(self, vector):
        """Waits for a doorbell."""
        assert select.select([self.from_host[vector]], [], [], LIMIT_S)[0], "no doorbell"
        os.read(self.from_host[vector], 8)

    def until(self, condition):
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < deadline, "the host does not do it"
            time.sleep(0.002)

    def reset(self, generation):
        self.put(72, generation)
        self.put(64, RESET)
        self.ring(0)
        self.until(lambda: self.word(20) == generation)
        self.put(64, READY)
        self.tail = self.head = 0

    def post(self, connection, *words):
        slot = TO_HOST + 256 + self.tail % SLOTS * SLOT_BYTES
        payload = struct.pack(f"<{len(words)}I", *words)
        struct.pack_into("<IBBHQ", self.memory, slot, 1, len(payload), 0, 0, connection)
        self.memory[slot + 16:slot + 16 + len(payload)] = payload
        self.tail += 1
        self.put(TO_HOST, self.tail)
        self.ring(0)

    def read(self):
        """The next message of the host, as words."""
        self.until(lambda: self.word(TO_GUEST) != self.head)
        slot = TO_GUEST + 256 + self.head % SLOTS * SLOT_BYTES
        kind, count = struct.unpack_from("<IB", self.memory, slot)
        assert kind == 1
        payload = self.memory[slot + 16:slot + 16 + count]
        self.head += 1
        self.put(TO_GUEST + 128, self.head)
        return list(struct.unpack(f"<{count // 4}I", payload[:count // 4 * 4]))

    def connect(self):
        """Version 5.3 and the offers: {class's first word and number: (channel, connection)}."""
        self.post(4, 14, 0, 0x50003, 0, 2, 0, 0, 0, 0, 0)
        answer = self.read()
        assert answer[:3] == [15, 0, 1], answer
        self.connection = answer[3]
        self.post(self.connection, 3, 0)
        offers = {}
        while (message := self.read())[0] != 4:
            assert message[0] == 1
            offers[message[2], message[5] >> 24] = (message[46], message[48])
        return offers

    def open(self, channel, first, pages, processor=0):
        """A channel with two rings of pages / 2 each, from page `first` on; its
        events go to `processor`."""
        self.ram[first * PAGE:(first + pages) * PAGE] = bytes(pages * PAGE)
        numbers = [word for page in range(pages) for word in (first + page, 0)]
        self.post(self.connection, 8, 0, channel, 0x99, (8 + 8 * pages) | 1 << 16, pages * PAGE, 0,
                  *numbers)
        assert self.read() == [10, 0, channel, 0x99, 0]
        self.post(self.connection, 5, 0, channel, 7, 0x99, processor, pages // 2, *[0] * 30)
        assert self.read() == [6, 0, channel, 7, 0]

    def event(self, flag):
        offset = EVENTS_TO_HOST + flag // 8
        self.memory[offset] |= 1 << flag % 8
        self.ring(1)

    def round_trips(self, first, connection, count):
        """Sends `count` requests through rings of two pages each from page `first` on,
        one after the other, each when the one before has come back; checks every
        answer; round trips a second."""
        size, up, down, at, out = PAGE, first * PAGE, (first + 2) * PAGE, 0, 0
        start = time.monotonic()
        for number in range(count):
            for k, word in enumerate((6 | 2 << 16 | 3 << 32 | 1 << 48, number, number * 7,
                                      at << 32)):
                struct.pack_into("<Q", self.ram, up + PAGE + (at + 8 * k) % size, word)
            at = (at + 32) % size
            struct.pack_into("<I", self.ram, up, at)
            self.event(connection)
            while struct.unpack_from("<I", self.ram, down)[0] == out:
                self.wait(1)
            answer = [struct.unpack_from("<Q", self.ram, down + PAGE + (out + 8 * k) % size)[0]
                      for k in range(3)]
            assert answer == [11 | 2 << 16 | 3 << 32, number, number * 7], number
            out = (out + 32) % size
            struct.pack_into("<I", self.ram, down + 4, out)
        return count / (time.monotonic() - start)

    def close(self):
        self.client.close()
