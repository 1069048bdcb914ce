# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""vhost-user-net by itself: its command line, front ends that do everything right or one
thing wrong, and drivers that break their rings. It runs under AddressSanitizer and UBSan,
which also count leaks at its end."""

import os
import socket
import struct
import subprocess
import time

import pytest

import vhost_user as vu


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s"


def run_program(*options):
    vu.require_program(vu.PROGRAM_ASAN)
    return subprocess.run([vu.PROGRAM_ASAN, *map(str, options)], check=False, capture_output=True,
                          text=True, timeout=vu.LIMIT_S)


# ---- the command line ----

def test_help_names_every_option():
    result = run_program("--help")
    assert result.returncode == 0 and result.stderr == ""
    for word in ("--socket", "--connect", "--tap", "--respond", "--mode", "--pcap", "--when-full",
                 "--queues", "--without", "--mac", "--busy-poll", "--stats", "--once", "--verbose",
                 "Exit status"):
        assert word in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


@pytest.mark.parametrize(("options", "complaint"), [
    ([], "no port"),
    (["-s", "x"], "nobody to talk to"),
    (["-s", "x", "-m", "bridge"], "expected switch, echo, macswap, discard"),
    (["-s", "x", "-q", "65"], "expected a number from 1 to 64"),
    (["-s", "x", "-q", "0"], "expected a number from 1 to 64"),
    (["-s", "x", "-q", "1x"], "expected a number"),
    (["-s", "x", "-w", "mrg,speed"], "names of features"),
    (["-s", "x", "-a", "01:00:00:00:00:00"], "an address such as"),
    (["-s", "x", "-f", "maybe"], "expected auto, wait, drop"),
    (["-s", "x", "word"], "not an option"),
    (["-s", "x"] * 17, "more than 16 ports"),
])
def test_wrong_usage(options, complaint):
    result = run_program(*options)
    assert result.returncode == 2
    assert complaint in result.stderr


@pytest.mark.parametrize(("options", "complaint"), [
    (["-s", "/nonexistent/s", "-m", "echo"], "cannot listen"),
    (["-s", "/" + "x" * 200, "-m", "echo"], "at most"),
    (["-r", "10.0.2.2/33", "-m", "echo"], "expected an address"),
    (["-r", "10.0.2.2/24", "-m", "echo", "-p", "/nonexistent/p"], "/nonexistent/p"),
])
def test_cannot_start(options, complaint):
    result = run_program(*options)
    assert result.returncode == 1
    assert complaint in result.stderr


def test_a_socket_in_use_is_left_alone_and_a_stale_one_is_replaced(tmp_path, path):
    with vu.back_end(tmp_path / "1", "-s", path, "-m", "echo") as first:
        vu.wait_for_socket(path, first)
        assert run_program("-s", path, "-m", "echo").returncode == 1
        first.process.kill()
        first.process.wait()
    assert path.exists()
    with vu.back_end(tmp_path / "2", "-s", path, "-m",
                     "echo") as second, vu.FrontEnd(path) as front:
        front.ask(vu.GET_FEATURES)
        second.stop()
    assert not path.exists()


# ---- a good front end ----

@pytest.fixture
def swap(tmp_path, path):
    with vu.back_end(tmp_path / "logs", "-s", path, "-m", "macswap", "--stats") as back:
        vu.wait_for_socket(path, back)
        yield back


def exchange(front, count=3):
    """Sends frames and expects each back, addresses exchanged."""
    first = front.used_index(0)
    front.give_receive_buffers(count)
    front.kick(0)
    for i in range(count):
        frame = vu.a_frame(60 + 100 * i, i)
        front.send_frame(frame)
        header, back = front.receive_frame((first + i) & 0xFFFF)
        assert back == vu.swapped(frame)
        assert header == struct.pack("<BBHHHHH", 0, 0, 0, 0, 0, 0, 1)


def test_frames_come_back(swap, path):
    with vu.FrontEnd(path) as front:
        front.set_up()
        exchange(front)
        assert os.eventfd_read(front.calls[0]) >= 1
        stats = swap.stats()[str(path)]
        assert (stats["frames_in"], stats["frames_out"]) == (3, 3)
        assert stats["bytes_in"] == stats["bytes_out"] == 60 + 160 + 260


def test_indices_wrap(swap, path):
    """A ring that begins just before its indices wrap at 65536."""
    with vu.FrontEnd(path) as front:
        front.negotiate()
        front.share_memory()
        for ring in (0, 1):
            _, avail, used = front.ring_at(ring)
            front.put(avail + 2, struct.pack("<H", 65534))
            front.put(used + 2, struct.pack("<H", 65534))
            front.start_ring(ring, base=65534)
        exchange(front, 5)
        assert front.used_index(0) == 3


def test_base_is_handed_back_and_taken_up(swap, path):
    """Stopped and started again, by the same front end and by the next, whose ring goes on."""
    with vu.FrontEnd(path) as front:
        front.set_up()
        exchange(front)
        front.send(vu.GET_VRING_BASE, struct.pack("=II", 1, 0))
        assert struct.unpack("=II", front.reply(vu.GET_VRING_BASE)) == (1, 3)
        os.close(front.kicks[1]), os.close(front.calls[1]), os.close(front.errors[1])
        front.start_ring(1, base=3)
        exchange(front)
        memory = bytes(front.memory)
    with vu.FrontEnd(path) as front:
        front.memory[:] = memory
        front.negotiate()
        front.share_memory()
        front.start_ring(0, base=6)
        front.start_ring(1, base=6)
        exchange(front)
        assert front.used_index(1) == 9


def test_a_killed_predecessor_loses_nothing(swap, path):
    """The base says that two chains were taken which the used ring does not
    have: they are taken again."""
    with vu.FrontEnd(path) as front:
        front.negotiate()
        front.share_memory()
        front.start_ring(0)
        front.give_receive_buffers(2)
        frames = [vu.a_frame(64, i) for i in range(2)]
        for i, frame in enumerate(frames):
            front.put(0x80000 + i * 4096, bytes(12) + frame)
            front.describe(1, i, 0x80000 + i * 4096, 12 + len(frame))
        front.put(front.ring_at(1)[1], struct.pack("<HHHH", 0, 2, 0, 1))
        front.start_ring(1, base=2)
        for i, frame in enumerate(frames):
            assert front.receive_frame(i)[1] == vu.swapped(frame)


@pytest.mark.parametrize("base,lap,count",
                         [(0x8000, 1, 3), (0x80038003, 1, 0), (0x0005, 0, 5),
                          (0x8000, 0, vu.QUEUE_SIZE)],
                         ids=["only one position", "nothing new", "nothing used",
                              "a whole lap, nothing used"])
def test_packed_ring_goes_on_where_it_was_used(swap, path, base, lap, count):
    """A base of two positions, the second of which is 0: not told, or offset 0 of an even lap.
    Chains that a predecessor took and did not give back are taken again."""
    avail, used = 1 << 7, 1 << 15
    with vu.FrontEnd(path) as front:
        front.negotiate(features=vu.F_VERSION_1 | vu.F_MRG_RXBUF | vu.F_PACKED)
        front.share_memory()
        for i in range(count):
            front.put(0x80000 + i * 512, bytes(12) + vu.a_frame(64, i))
            # Id before flags.
            front.describe(1, i, 0x80000 + i * 512, 76, i, avail if lap else used)
        front.start_ring(1, base=base)
        for i in range(count):
            at = front.ring_at(1)[0] + 16 * i + 14
            deadline = time.monotonic() + vu.LIMIT_S
            while front.get16(at) & (avail | used) != (avail | used if lap else 0):
                assert time.monotonic() < deadline, f"descriptor {i} was not used"
                time.sleep(0.002)
        stats = swap.stats()[str(path)]
        assert stats["frames_in"] + stats["discarded"] == count
        assert stats["broken_rings"] == 0


def test_receive_buffers_are_merged(swap, path):
    with vu.FrontEnd(path) as front:
        front.set_up()
        front.give_receive_buffers(4, size=256)
        front.kick(0)
        frame = vu.a_frame(900)
        front.send_frame(frame)
        front.wait_used(0, 4)
        pieces = []
        for i in range(4):
            index, count = front.used_entry(0, i)
            pieces.append(bytes(front.memory[0x40000 + index * 2048:][:count]))
        assert [len(piece) for piece in pieces] == [256, 256, 256, 912 - 768]
        assert struct.unpack_from("<H", pieces[0], 10)[0] == 4
        assert b"".join(pieces)[12:] == vu.swapped(frame)


def test_a_frame_waits_for_buffers(swap, path):
    """With too few receive buffers the frame waits, and no buffer is lost meanwhile."""
    with vu.FrontEnd(path) as front:
        front.set_up()
        front.give_receive_buffers(1, size=256)
        front.send_frame(vu.a_frame(400))
        front.wait_used(1, 1)
        assert front.used_index(0) == 0
        front.give_receive_buffers(1, size=256)
        front.kick(0)
        front.wait_used(0, 2)


def test_without_merging_a_frame_too_large_is_dropped(swap, path):
    with vu.FrontEnd(path) as front:
        front.set_up(features=vu.F_VERSION_1)
        front.give_receive_buffers(1, size=256)
        front.send_frame(vu.a_frame(400))
        front.send_frame(vu.a_frame(100))
        assert front.receive_frame(0)[1] == vu.swapped(vu.a_frame(100))
        assert swap.stats()[str(path)]["dropped_large"] == 1


def test_partial_checksum_is_passed_on_or_made(swap, path):
    frame = bytearray(vu.a_frame(64))
    frame[40:42] = b"\x12\x34"
    header = struct.pack("<BBHHHHH", 1, 0, 0, 0, 34, 6, 0)
    with vu.FrontEnd(path) as front:
        front.set_up(features=vu.F_VERSION_1 | vu.F_CSUM | 2)
        front.give_receive_buffers(1)
        front.send_frame(bytes(frame), header)
        got, data = front.receive_frame(0)
        assert got == struct.pack("<BBHHHHH", 1, 0, 0, 0, 34, 6, 1)
        assert data == vu.swapped(bytes(frame))
    with vu.FrontEnd(path) as front:
        front.set_up(features=vu.F_VERSION_1 | vu.F_CSUM)
        front.give_receive_buffers(1)
        front.send_frame(bytes(frame), header)
        got, data = front.receive_frame(0)
        assert got == struct.pack("<BBHHHHH", 0, 0, 0, 0, 0, 0, 1)
        words = sum(struct.unpack(">15H", data[34:64])) - struct.unpack(">H", data[40:42])[0]
        total = words + 0x1234 + struct.unpack(">H", data[40:42])[0]
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        assert total == 0xFFFF


@pytest.mark.parametrize(("header", "size"), [
    (struct.pack("<BBHHHHH", 1, 0, 0, 0, 60, 6, 0), 64),   # the checksum's place is outside
    (struct.pack("<BBHHHHH", 2, 0, 0, 0, 0, 0, 0), 64),    # DATA_VALID is not a driver's to say
    (struct.pack("<BBHHHHH", 1, 1, 0, 100, 34, 6, 0), 64),  # segmentation was not negotiated
    (bytes(12), 13),                                        # shorter than an Ethernet header
    (bytes(5), 0),                                          # shorter than its own
])
def test_a_bad_frame_is_not_let_in(swap, path, header, size):
    with vu.FrontEnd(path) as front:
        front.set_up(features=vu.F_VERSION_1 | vu.F_CSUM)
        front.give_receive_buffers(2)
        front.send_frame(vu.a_frame(64)[:size], header)
        front.send_frame(vu.a_frame(70))
        assert front.receive_frame(0)[1] == vu.swapped(vu.a_frame(70))
        assert swap.stats()[str(path)]["bad_frames"] == 1


def test_a_disabled_ring_is_emptied_and_nothing_comes(swap, path):
    with vu.FrontEnd(path) as front:
        front.set_up()
        front.give_receive_buffers(1)
        front.send(vu.SET_VRING_ENABLE, struct.pack("=II", 1, 0))
        assert front.acknowledged(vu.SET_VRING_ENABLE, struct.pack("=II", 1, 0))
        front.send_frame(vu.a_frame())
        front.wait_used(1, 1)
        assert front.used_index(0) == 0
        assert swap.stats()[str(path)]["discarded"] == 1


def test_memory_slots(swap, path):
    """Memory region by region; rings go on where they stood when their region comes back."""
    with vu.FrontEnd(path) as front:
        front.negotiate(protocol=vu.PROTOCOL_REPLY_ACK | vu.PROTOCOL_SLOTS)
        assert front.ask(vu.GET_MAX_MEM_SLOTS) >= 8
        single = bytes(8) + front.region()
        assert front.acknowledged(vu.ADD_MEM_REG, single, [front.memory_fd])
        front.start_ring(0)
        front.start_ring(1)
        exchange(front)
        assert front.acknowledged(vu.REM_MEM_REG, single)
        front.give_receive_buffers(1)
        front.send_frame(vu.a_frame(77))
        assert front.acknowledged(vu.ADD_MEM_REG, single, [front.memory_fd])
        assert front.receive_frame(3)[1] == vu.swapped(vu.a_frame(77))


def test_a_memory_slot_has_as_many_holders_as_added_it(swap, path):
    """QEMU 7.2 adds each region once for every queue pair; it is there
    until each has removed it."""
    with vu.FrontEnd(path) as front:
        front.negotiate(protocol=vu.PROTOCOL_REPLY_ACK | vu.PROTOCOL_SLOTS)
        single = bytes(8) + front.region()
        for _ in range(3):
            assert front.acknowledged(vu.ADD_MEM_REG, single, [front.memory_fd])
        front.start_ring(0)
        front.start_ring(1)
        exchange(front)
        assert front.acknowledged(vu.REM_MEM_REG, single)
        assert front.acknowledged(vu.REM_MEM_REG, single)
        front.give_receive_buffers(1)
        front.send_frame(vu.a_frame(77))
        assert front.receive_frame(3)[1] == vu.swapped(vu.a_frame(77))
        assert front.acknowledged(vu.REM_MEM_REG, single)
        front.send(vu.REM_MEM_REG, single)
        assert front.is_closed()
    assert "there is no region" in swap.stderr()


def test_configuration(tmp_path, path):
    with vu.back_end(tmp_path / "logs", "-s", path, "-m", "echo", "-a",
                     "52:54:00:01:02:03") as back:
        vu.wait_for_socket(path, back)
        with vu.FrontEnd(path) as front:
            front.negotiate(protocol=vu.PROTOCOL_CONFIG)
            front.send(vu.GET_CONFIG, struct.pack("=III", 0, 8, 0) + bytes(8))
            assert front.reply(vu.GET_CONFIG)[12:] == bytes.fromhex("5254000102030000")


def test_back_end_connects(tmp_path, path):
    """--connect: the front end listens, and the back end comes back after it has gone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(vu.LIMIT_S)
        with vu.back_end(tmp_path / "logs", "-c", path, "-m", "echo"):
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(struct.pack("=III", vu.GET_FEATURES, 1, 0))
                    assert struct.unpack("=III", connection.recv(20)[:12]) == (1, 5, 8)


# ---- front ends that are wrong ----

def word(value):
    return struct.pack("=Q", value)


def state(index, value):
    return struct.pack("=II", index, value)


def addresses(ring, flags, descriptors, used, avail):
    return struct.pack("=IIQQQQ", ring, flags, vu.USER_BASE + descriptors, vu.USER_BASE + used,
                       vu.USER_BASE + avail, 0)


def table(front, *regions):
    return (vu.SET_MEM_TABLE, struct.pack("=II", len(regions), 0) + b"".join(regions),
            [front.memory_fd] * len(regions))


# Name, what the front end does after the negotiation, what is said of it.
WRONG = {
    "version": (lambda f: f.send(vu.SET_OWNER, flags=2), "is of version 2"),
    "reply": (lambda f: f.send(vu.SET_OWNER, flags=5), "is a reply"),
    "long_message": (lambda f: f.send_bytes(struct.pack("=III", 5, 1, 1 << 30)), "the longest has"),
    "unknown": (lambda f: f.send(99), "message 99 is unknown"),
    "message_zero": (lambda f: f.send(0), "message 0 is unknown"),
    "half_a_message": (lambda f: (f.send_bytes(b"\x01\x00\x00"), f.socket.shutdown(socket.SHUT_WR)),
                       "ended after 3 bytes"),
    "short_payload": (lambda f: f.send(vu.SET_FEATURES, b"1234"), "SET_FEATURES: 4 bytes"),
    "features": (lambda f: f.send(vu.SET_FEATURES, word(1 << 63)), "were not offered"),
    "protocol_features": (lambda f: f.send(vu.SET_PROTOCOL_FEATURES, word(2)), "were not offered"),
    "not_negotiated": (
        lambda f: f.send(vu.GET_MAX_MEM_SLOTS), "protocol feature 15 was not negotiated"),
    "fds_where_none": (lambda f: f.send(vu.SET_OWNER, fds=[f.memory_fd]), "1 descriptors, 0 to 0"),
    "too_many_fds": (lambda f: f.send(vu.SET_OWNER,
                                      fds=[f.memory_fd] * 20), "more than 8 descriptors"),
    "regions_count": (lambda f: f.send(vu.SET_MEM_TABLE, struct.pack("=II", 9, 0),
                                       [f.memory_fd] * 8),
                      "9 regions, at most 8"),
    "regions_bytes": (lambda f: f.send(vu.SET_MEM_TABLE, struct.pack("=II", 2, 0) + f.region(),
                                       [f.memory_fd] * 2), "bytes for 2 regions"),
    "regions_fds": (lambda f: f.send(vu.SET_MEM_TABLE, struct.pack("=II", 1, 0) + f.region()),
                    "0 descriptors for 1 regions"),
    "region_empty": (lambda f: f.send(*table(f, f.region(size=0))), "a region of 0 bytes"),
    "region_wraps": (lambda f: f.send(*table(f, f.region(guest=(1 << 64) - 4096,
                                                         size=8192))), "wraps"),
    "region_offset_wraps": (lambda f: f.send(*table(f,
                                                    f.region(offset=(1 << 64) - 4096))), "wraps"),
    "region_beyond_file": (lambda f: f.send(*table(f, f.region(offset=4096))), "of a file of"),
    "region_no_file": (lambda f: f.send(vu.SET_MEM_TABLE, struct.pack("=II", 1, 0) + f.region(),
                                        [f.socket.fileno()]), "is no file"),
    "regions_overlap": (lambda f: f.send(*table(f, f.region(size=8192),
                                                f.region(guest=4096, user=vu.USER_BASE + 65536,
                                                         size=4096))),
                        "overlaps region"),
    "regions_twice": (lambda f: f.send(*table(f, f.region(),
                                              f.region())), "2 regions, 1 of them different"),
    "regions_overlap_user": (lambda f: f.send(*table(f, f.region(size=8192),
                                                     f.region(guest=65536, user=vu.USER_BASE + 4096,
                                                              size=4096))), "overlaps region"),
    "ring_number": (lambda f: f.send(vu.SET_VRING_NUM, state(16, 64)), "ring 16, there are 16"),
    "ring_size": (lambda f: f.send(vu.SET_VRING_NUM, state(0, 100)), "a split ring of 100 entries"),
    "ring_size_zero": (lambda f: f.send(vu.SET_VRING_NUM,
                                        state(0, 0)), "a split ring of 0 entries"),
    "ring_size_huge": (lambda f: f.send(vu.SET_VRING_NUM, state(0, 65536)), "of 65536 entries"),
    "ring_runs": (lambda f: (f.share_memory(), f.start_ring(0),
                             f.send(vu.SET_VRING_NUM, state(0, 64))),
                  "ring 0 runs"),
    "base_too_large": (lambda f: (f.share_memory(), f.start_ring(0, base=0x10000)), "is no index"),
    "ring_unmapped": (lambda f: f.start_ring(0), "in no memory region"),
    "ring_logs": (lambda f: f.send(vu.SET_VRING_ADDR, addresses(0, 1, 0, 0, 0)), "logging"),
    "ring_misaligned": (lambda f: (f.share_memory(), f.start_ring(0),
                                   f.send(vu.SET_VRING_ADDR,
                                          addresses(0, 0, 0x1008, 0x3000, 0x2000))),
                        "not aligned"),
    "ring_leaves_region": (lambda f: (f.share_memory(), f.start_ring(0),
                                      f.send(vu.SET_VRING_ADDR,
                                             addresses(0, 0, vu.MEMORY_BYTES - 16, 0x3000,
                                                       0x2000))),
                           "not in one region"),
    "kick_both": (lambda f: f.send(vu.SET_VRING_KICK, word(vu.NO_FD),
                                   [f.memory_fd]), "1 descriptors with"),
    "kick_neither": (lambda f: f.send(vu.SET_VRING_KICK, word(0)), "0 descriptors with"),
    "kick_no_event": (lambda f: f.send(vu.SET_VRING_KICK, word(0),
                                       [f.memory_fd]), "cannot be waited for"),
    "call_no_eventfd": (lambda f: f.send(vu.SET_VRING_CALL, word(0),
                                         [f.memory_fd]), "is no eventfd"),
    "enable_what": (lambda f: f.send(vu.SET_VRING_ENABLE, state(0, 7)), "neither 0 nor 1"),
    "features_while_running": (lambda f: (f.share_memory(), f.start_ring(0),
                                          f.send(vu.SET_FEATURES, word(vu.F_PROTOCOL_FEATURES))),
                               "features change while rings run"),
    "no_reading": (lambda f: [f.send(vu.GET_FEATURES)
                              for _ in range(100000)], "reply could not be sent"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_front_end_is_disconnected(swap, path, case):
    """It is told why, everything of it is given back, and the next front end finds all in order."""
    action, complaint = WRONG[case]
    with vu.FrontEnd(path) as good:
        good.set_up()
        exchange(good, 1)
    with vu.FrontEnd(path) as probe:
        probe.ask(vu.GET_FEATURES)
        before = swap.open_things()
    with vu.FrontEnd(path) as front:
        front.negotiate()
        try:
            action(front)
        except (BrokenPipeError, ConnectionResetError):
            pass
        swap.wait_for("the connection is closed")
    assert complaint in swap.stderr()
    with vu.FrontEnd(path) as probe:
        probe.ask(vu.GET_FEATURES)
        assert swap.open_things() == before
    with vu.FrontEnd(path) as good:
        good.set_up()
        exchange(good)


def test_a_refusal_is_acknowledged_as_such(swap, path):
    with vu.FrontEnd(path) as front:
        front.negotiate()
        assert not front.acknowledged(vu.SET_VRING_NUM, state(0, 100))
        assert front.is_closed()


def test_memory_that_is_cut_off(swap, path):
    """The file shrinks under the back end: no crash, and the front end is told to go."""
    with vu.FrontEnd(path) as front:
        front.set_up()
        exchange(front)
        os.ftruncate(front.memory_fd, 0)
        os.eventfd_write(front.kicks[1], 1)
        swap.wait_for("memory was cut off")
        assert front.is_closed()
    with vu.FrontEnd(path) as front:
        front.set_up()
        exchange(front)


def test_a_second_front_end_is_turned_away(swap, path):
    with vu.FrontEnd(path) as front:
        front.set_up()
        with vu.FrontEnd(path) as second:
            assert second.is_closed()
        assert "turned away" in swap.stderr()
        exchange(front)


# ---- drivers that are wrong ----

def break_index(front):
    front.put(front.ring_at(1)[1] + 2, struct.pack("<H", 1000))


def break_head(front):
    front.make_available(1, 5000)


def break_address(front):
    front.describe(1, 0, 1 << 40, 100)
    front.make_available(1, 0)


def break_loop(front):
    front.describe(1, 0, 0x80000, 64, vu.DESC_NEXT, 1)
    front.describe(1, 1, 0x80000, 64, vu.DESC_NEXT, 0)
    front.make_available(1, 0)


def break_indirect(front):
    front.describe(1, 0, 0x80000, 64, vu.DESC_INDIRECT)
    front.make_available(1, 0)


def break_wrap(front):
    front.describe(1, 0, (1 << 64) - 16, 64)
    front.make_available(1, 0)


@pytest.mark.parametrize(("action", "complaint"), [
    (break_index, "avail index jumped"),
    (break_head, "head outside the ring"),
    (break_address, "not the driver's memory"),
    (break_loop, "chain longer than the ring"),
    (break_indirect, "indirect was not negotiated"),
    (break_wrap, "range of addresses wraps"),
], ids=lambda value: getattr(value, "__name__", ""))
def test_a_driver_breaks_its_ring(swap, path, action, complaint):
    """That ring stops and the error descriptor says so; stopped and set up anew it works again."""
    with vu.FrontEnd(path) as front:
        front.set_up()
        exchange(front)
        action(front)
        front.kick(1)
        swap.wait_for(f"ring 1 is broken by its driver: {complaint}")
        assert os.eventfd_read(front.errors[1]) == 1
        front.send(vu.GET_VRING_BASE, state(1, 0))
        assert struct.unpack("=II", front.reply(vu.GET_VRING_BASE)) == (1, 3)
        os.close(front.kicks[1]), os.close(front.calls[1]), os.close(front.errors[1])
        front.put(front.ring_at(1)[1] + 2, struct.pack("<H", 3))
        front.start_ring(1, base=3)
        exchange(front)
        assert swap.stats()[str(path)]["broken_rings"] == 1


def test_a_receive_buffer_without_room_for_the_header(swap, path):
    with vu.FrontEnd(path) as front:
        front.set_up()
        front.give_receive_buffers(1, size=8)
        front.send_frame(vu.a_frame())
        swap.wait_for("ring 0 is broken by its driver: refused by the device")
