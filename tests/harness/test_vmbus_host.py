# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""vmbus-host without QEMU: its ivshmem server, its mailbox, its options;
and with QEMU, by --vmbus."""

import json
import os
import re
import select
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

import answering
import boot
import images
import vmbus_guest
from answering import namespace  # noqa: F401
from vmbus_guest import PAGE, RAM_BYTES, Guest, Host

PROGRAM = boot.BUILD / "peers-asan/vmbus-host"
ECHO, PIPE, NET = (0x5F0A1E70, 1), (0x5F0A1E70, 2), 0xF8615163


@pytest.fixture
def host(tmp_path):
    """host(*options): the program, running; it is ended whatever happens."""
    running = []

    def start(*options):
        running.append(Host(PROGRAM, tmp_path, *options))
        return running[-1]

    yield start
    for one in running:
        one.kill()


def test_server_speaks_protocol_0(host):
    program = host()
    guest = Guest(program)
    numbers = [number for number, _ in guest.messages]
    with_file = [file is not None for _, file in guest.messages]
    assert numbers == [0, 1, -1, 0, 0] + [1] * 9  # version, id, memory, the host's doorbells, ours
    assert with_file == [False, False] + [True] * 12
    assert struct.unpack_from("<QIIIIQ", guest.memory) == (
        vmbus_guest.MAGIC, 2, vmbus_guest.READY, 0, 0, RAM_BYTES)
    guest.close()
    status, stderr = program.end()
    assert (status, stderr) == (0, "")
    assert not program.path.exists()


def test_a_second_emulator_is_turned_away(host):
    program = host()
    guest = Guest(program)
    second = program.connect()
    assert second.recv(8) == b""
    guest.reset(1)
    assert NET in {key[0] for key in guest.connect()}
    guest.close()
    assert "a second emulator wants in" in program.end()[1]


def test_keep_waits_for_the_next_one(host):
    program = host("--keep")
    for _ in range(2):
        guest = Guest(program)
        guest.reset(5)  # the same number: the one before is forgotten
        assert len(guest.connect()) == 3
        guest.close()
    program.process.terminate()
    assert program.end() == (0, "")


def test_a_packet_comes_back_through_guest_memory(host):
    program = host("--echo", "--stats")
    guest = Guest(program)
    guest.reset(3)
    offers = guest.connect()
    assert set(offers) == {ECHO, PIPE}
    channel, connection = offers[ECHO]
    guest.open(channel, 100, 4)
    data = 101 * PAGE
    guest.ram[data:data + 32] = struct.pack("<HHHHQQQ", 6, 2, 3, 1, 0x2A, 0x0807060504030201, 0)
    guest.ram[100 * PAGE:100 * PAGE + 4] = struct.pack("<I", 32)
    guest.event(connection)
    guest.wait(1)
    assert guest.memory[vmbus_guest.EVENTS_TO_GUEST + channel // 8] == 1 << channel % 8
    down = 103 * PAGE
    assert guest.ram[down:down + 32] == struct.pack("<HHHHQQQ", 11, 2, 3, 0, 0x2A,
                                                    0x0807060504030201, 0)
    guest.reset(4)  # the guest begins anew, and gets everything again
    assert set(guest.connect()) == {ECHO, PIPE}
    guest.close()
    status, stderr = program.end()
    assert status == 0
    assert "echo: 1 packets, 8 bytes" in stderr
    assert "resets 2" in stderr


def test_events_go_where_the_guest_wants_them(host):
    """To the processor of the opening, then to that of ModifyChannel, each by its own
    vector; to none that is not."""
    program = host("--echo")
    guest = Guest(program)
    guest.reset(1)
    channel, connection = guest.connect()[ECHO]
    guest.open(channel, 100, 4, processor=3)

    def signalled():
        start = vmbus_guest.EVENTS_TO_GUEST
        sets = [guest.memory[at:at + 256] for at in range(start, start + 8 * 256, 256)]
        guest.memory[start:start + 8 * 256] = bytes(8 * 256)
        return [vp for vp, flags in enumerate(sets) if any(flags)]

    def echo(number, vp):
        at = 32 * number
        guest.ram[101 * PAGE + at:101 * PAGE + at + 32] = struct.pack("<HHHHQQQ", 6, 2, 3, 1,
                                                                      number, 0, at << 32)
        struct.pack_into("<I", guest.ram, 102 * PAGE + 4, 32 * number)  # all read
        struct.pack_into("<I", guest.ram, 100 * PAGE, at + 32)
        guest.event(connection)
        guest.wait(1 + vp)
        assert signalled() == [vp]

    echo(0, 3)
    guest.post(guest.connection, 22, 0, channel, 7)
    assert guest.read() == [24, 0, channel, 0]
    echo(1, 7)
    guest.post(guest.connection, 22, 0, channel, 8)
    assert guest.read() == [24, 0, channel, 0x8000FFFF]
    echo(2, 7)
    guest.close()
    assert "MODIFY_VP" in program.end()[1]


def test_round_trips_lose_nothing(host):
    """VMBUS_ROUND_TRIPS=1000000 makes it a million; the rate is in the output (-s)."""
    count = int(os.environ.get("VMBUS_ROUND_TRIPS", "20000"))
    program = host("--echo", "--stats")
    guest = Guest(program)
    guest.reset(1)
    channel, connection = guest.connect()[ECHO]
    guest.open(channel, 100, 4)
    rate = guest.round_trips(100, connection, count)
    print(f"{count} round trips, {rate:.0f} a second")
    guest.close()
    assert f"echo: {count} packets, {8 * count} bytes" in program.end()[1]


def test_a_broken_mailbox_is_named_and_mended_by_a_reset(host):
    program = host()
    guest = Guest(program)
    slot = vmbus_guest.TO_HOST + 256

    def tail(value):
        guest.put(vmbus_guest.TO_HOST, value)
        guest.ring(0)

    def head():
        guest.put(vmbus_guest.TO_GUEST + 128, 1)
        guest.post(4, 14, 0, 0x50003, 0, 2, 0, 0, 0, 0, 0)

    def length():
        struct.pack_into("<IB", guest.memory, slot, 1, 241)
        tail(1)

    cases = [(lambda: tail(16), "the tail of its messages is 16"),
             (lambda: tail(0xFFFFFFFF), "the tail of its messages is 4294967295"),
             (head, "the head of our messages is 1"),
             (length, "the length of a message is 241"),
             (lambda: guest.post(4, 14), "MESSAGE_BYTES")]
    for generation, (act, sentence) in enumerate(cases, start=1):
        guest.reset(generation)
        act()
        assert sentence in program.process.stderr.readline()
    guest.reset(99)
    assert len(guest.connect()) == 3
    guest.close()
    assert program.end() == (0, "")


def test_a_broken_rule_is_named_once(host):
    program = host()
    guest = Guest(program)
    guest.reset(1)
    guest.connect()
    for _ in range(3):
        guest.post(guest.connection, 3, 0)
    guest.post(guest.connection, 16, 0)
    assert guest.read() == [17, 0]
    guest.close()
    assert program.end()[1].count("OFFERS_TWICE") == 1


def test_an_event_counts_before_the_close_that_follows_it(host):
    """Both are there when the host looks: the guest has broken nothing."""
    program = host("--echo")
    guest = Guest(program)
    guest.reset(1)
    channel, connection = guest.connect()[ECHO]
    guest.open(channel, 100, 4)
    guest.memory[vmbus_guest.EVENTS_TO_HOST + connection // 8] |= 1 << connection % 8
    guest.post(guest.connection, 7, 0, channel)
    guest.post(guest.connection, 16, 0)
    assert guest.read() == [17, 0]
    guest.close()
    assert "broke" not in program.end()[1]


def test_lies_are_told_and_listed(host):
    program = host("--lie", "7", "--lie-rate", "1", "--lie-only", "MESSAGE_TWICE", "--stats")
    guest = Guest(program)
    guest.reset(1)
    guest.post(4, 14, 0, 0x50003, 0, 2, 0, 0, 0, 0, 0)
    assert guest.read() == guest.read()
    guest.close()
    assert "lie: MESSAGE_TWICE 1" in program.end()[1]


class Orders:
    """The control socket of vmbus-host; order("...") does one and insists on its answer."""

    def __init__(self, path):
        deadline = time.monotonic() + vmbus_guest.LIMIT_S
        while not Path(path).exists():
            assert time.monotonic() < deadline, f"no {path}"
            time.sleep(0.01)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(vmbus_guest.LIMIT_S)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("r")

    def ask(self, line):
        """What is said, up to ok or error."""
        self.socket.sendall(line.encode() + b"\n")
        answer = [self.lines.readline().rstrip("\n")]
        while answer[-1] != "ok" and not answer[-1].startswith("error: "):
            assert answer[-1], "the host hung up"
            answer.append(self.lines.readline().rstrip("\n"))
        return answer

    def order(self, line):
        assert self.ask(line) == ["ok"]

    def turns(self):
        """How often the host has woken up so far, and how often the
        guest had no room for frames."""
        said = self.ask("count")
        return tuple(map(int, re.fullmatch(r"turns (\d+), stalls (\d+)", said[0]).groups()))

    def until(self, wanted):
        """Waits until `show` has that line."""
        deadline = time.monotonic() + answering.LIMIT_S
        while wanted not in (shown := self.ask("show")):
            assert time.monotonic() < deadline, f"{shown}, not {wanted}"
            time.sleep(0.02)


def test_orders_take_away_and_give_back(host, short_folder):
    """A device goes, its id comes back, it is offered again under another one or the same."""
    program = host("--control", short_folder / "control")
    guest = Guest(program)
    guest.reset(1)
    offers = guest.connect()
    channel, connection = offers[ECHO]
    orders = Orders(short_folder / "control")
    assert orders.ask("show") == ["net: channel 1, offered", f"echo: channel {channel}, offered",
                                  "pipe: channel 3, offered", "ok"]
    guest.open(channel, 100, 4)
    assert orders.ask("show")[1] == f"echo: channel {channel}, open"
    assert orders.ask("offer echo") == ["error: it is offered already"]
    orders.order("rescind echo")
    assert guest.read() == [2, 0, channel]
    assert orders.ask("rescind echo") == ["error: it is not offered"]
    assert orders.ask("show")[1] == f"echo: channel {channel}, rescinded, not released yet"
    orders.order("offer echo")  # when the guest has let go of the first one
    guest.event(connection)  # too late: nothing comes of it
    guest.post(guest.connection, 7, 0, channel)
    guest.post(guest.connection, 11, 0, channel, 0x99)
    assert guest.read() == [12, 0, 0x99]
    guest.post(guest.connection, 13, 0, channel)
    offer = guest.read()
    assert offer[0] == 1 and (offer[2], offer[5] >> 24) == ECHO
    guest.open(offer[46], 110, 4)
    assert guest.round_trips(110, offer[48], 100) > 0
    assert orders.ask("sit")[0].startswith("error: expected rescind or offer")
    assert orders.ask("rescind netty")[0].startswith("error: expected rescind or offer")
    orders.socket.sendall(b"x" * 80)  # no line: the caller is told and sent away
    assert orders.lines.read() == "error: a line is shorter than that\n"
    assert Orders(short_folder / "control").ask("show")[-1] == "ok"
    guest.close()
    assert program.end() == (0, "")  # none of it broke a rule
    assert not (short_folder / "control").exists()


def test_orders_need_the_device(host, short_folder):
    program = host("--echo", "--control", short_folder / "control")
    orders = Orders(short_folder / "control")
    for line in "offer net", "rescind net", "link down":
        assert orders.ask(line) == ["error: this host has no card (--echo)"]
    Guest(program).close()
    assert program.end() == (0, "")


REFUSALS = [
    ([], "--socket, --ram and --mem are needed"),
    (["--socket", "s", "--ram", "r", "--mem", "3G"], "take less"),
    (["--mem", "0M"], "expected a size"),
    (["--mem", "12"], "expected a size"),
    (["--mac", "53:54:00:00:00:01"], "expected an address"),
    (["--queues", "5"], "expected a number from 1 to 4"),
    (["--vmbus-version", "2.4"], "expected a version"),
    (["--nvsp", "3"], "expected 6.1, 6, 5, 4, 2 or 1"),
    (["--lie", "x"], "expected a number"),
    (["--lie-rate", "0"], "expected a number"),
    (["--lie-only", "NOTHING"], "expected a lie"),
    (["--socket", "s", "--ram", "r", "--mem", "1M", "--lie-only", "LINK"],
     "--lie-only without --lie"),
    (["--nonsense", "1"], "unknown option --nonsense"),
    (["--mem"], "expected a value"),
]


@pytest.mark.parametrize("options, sentence", REFUSALS)
def test_refusals(options, sentence):
    result = subprocess.run([PROGRAM, *options], check=False, capture_output=True, text=True,
                            stdin=subprocess.DEVNULL, timeout=60)
    assert result.returncode == 2
    assert sentence in result.stderr


@pytest.mark.parametrize("options, sentence", [
    (["--net", "nothing"], "expected responder, none, tap=INTERFACE"),
    (["--net", "socket=/nowhere/at/all"], "cannot connect to /nowhere/at/all"),
    (["--net", "socket=localhost"], "expected HOST:PORT"),
    (["--ram", "/nowhere/ram"], "--ram /nowhere/ram"),
    (["--socket", "/nowhere/socket"], "--socket: cannot listen at /nowhere/socket: "),
    (["--socket", "/tmp/" + "x" * 200], "--socket: the path is longer than 96 bytes: /tmp/xxx"),
    (["--control", "/nowhere/control"], "--control: cannot listen at /nowhere/control: "),
    (["--control", "/tmp/" + "x" * 200], "--control: the path is longer than 96 bytes: /tmp/xxx"),
])
def test_what_cannot_be_opened(tmp_path, options, sentence):
    result = subprocess.run([PROGRAM, "--socket", tmp_path / "s", "--ram", tmp_path / "r", "--mem",
                             "1M", *options], check=False, capture_output=True, text=True,
                            stdin=subprocess.DEVNULL, timeout=60)
    assert result.returncode == 1
    assert sentence in result.stderr


def test_help_and_list():
    for option, word in (["--help"], "usage: vmbus-host"), (["--lie-only", "list"], "RNDIS_LENGTH"):
        result = subprocess.run([PROGRAM, *option], check=False, capture_output=True, text=True,
                                timeout=60)
        assert result.returncode == 0
        assert word in result.stdout


def test_a_frame_goes_to_a_socket_network_and_back(host, short_folder):
    """The card itself is tested in C; here, that the program ends cleanly
    with a network behind it."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(short_folder / "net"))
    server.listen(1)
    program = host("--net", f"socket={short_folder}/net")
    network = server.accept()[0]
    guest = Guest(program)
    guest.reset(1)
    guest.connect()
    network.close()
    guest.close()
    assert program.end()[0] == 0


# ---- with a guest: ./run-qemu.sh --vmbus ----

WITH_ASAN = {"VMBUS_HOST": str(PROGRAM)}
MACHINES = {"pvh-q35": ["pvh", "--machine", "q35"],
            "pvh-pc": ["pvh", "--machine", "pc", "--smp", "1"],
            "uefi": ["uefi", "--mem", "512M", "--smp", "4"]}


@pytest.fixture
def folder():
    """Where the guest's memory is, with a short name; it must be empty afterwards."""
    with tempfile.TemporaryDirectory(prefix="vmbus.", dir="/dev/shm") as name:
        yield name
        assert not list(Path(name).iterdir())


def numbers(stderr, word):
    """The numbers in the line of --stats that begins with `word`."""
    line = next(line for line in stderr.splitlines() if line.startswith(f"vmbus-host: {word}:"))
    return [int(number) for number in re.findall(r"\d+", line)]


@pytest.mark.parametrize("options", MACHINES.values(), ids=MACHINES)
def test_a_guest_connects(run_name, folder, options):
    result, _, _ = boot.boot_and_pass(run_name, "--vmbus", "--vmbus-args", "--stats --verbose",
                                      "--test", "base.*", "--append", "cmd=vmbus", "--boot",
                                      *options, env=WITH_ASAN | {"VMBUS_FOLDER": folder})
    assert "vmbus: version 6.0 over shared pages" in result.stdout
    assert re.search(r"vmbus: connected, version 6.0, features 0x20, over shared pages, "
                     r"\d+ messages in, \d+ out, 0 pages leaked\n"
                     r".*channel 1.0, f8615163-df3e-46c5-913f-f2d2f965ed0e, open, driver netvsc, "
                     r"\d+ events in, \d+ out\n"
                     r".* out: (\d+) bytes, in (\d+), out \d+, \d+ used, mask [01], pending 0, "
                     r"VMBUS_OK\n"
                     r".* in: \1 bytes, in \d+, out \d+, 0 used, mask 1, pending 0, VMBUS_OK\n"
                     r".*channel 2.0, 5f0a1e70-6c3b-4d0a-9b1e-000000000001, offered, "
                     r"driver none, 0 events in, 0 out\n"
                     r".*channel 3.0, 5f0a1e70-6c3b-4d0a-9b1e-000000000002, offered, "
                     r"driver none, 0 events in, 0 out\n",
                     result.stdout), result.explain()
    assert "the guest broke" not in result.stderr
    messages_in, messages_out = numbers(result.stderr, "messages")[:2]
    # Contact, request; answer, offers, end.
    assert messages_in >= 2 and messages_out >= 5, result.stderr


@pytest.mark.parametrize("version", ["3.0", "4.0", "4.1", "5.0", "5.1", "5.2", "5.3"])
def test_a_guest_takes_an_older_host(run_name, version):
    """Its echo and its card are in use."""
    for tests, count in ("vmbus_client.echoes*", 1), ("net.*", 4):
        result, _, passed = boot.boot_and_pass(f"{run_name}.{count}", "--vmbus", "--vmbus-args",
                                               f"--vmbus-version {version} --stats", "--test",
                                               tests, "--boot", "pvh",
                                               "--append", "cmd=vmbus", env=WITH_ASAN)
        assert f"vmbus: version {version} over shared pages" in result.stdout
        assert "netvsc: net0 on channel " in result.stdout, result.explain()
        assert passed == count and "# SKIP" not in result.stdout, result.explain()
        assert "broke" not in result.stderr


@pytest.mark.parametrize("seed", range(12))
def test_a_guest_survives_a_lying_host(run_name, seed):
    """Whatever the host says: no crash, no hang, the other tests pass."""
    boot.boot_and_pass(run_name, "--vmbus", "--vmbus-args",
                       f"--lie {seed} --lie-rate {2 + seed % 4 * 4} --stats",
                       "--test", "base.*", "--boot", "pvh", env=WITH_ASAN)


@pytest.mark.parametrize("lie", ["MAILBOX_HEAD", "MAILBOX_TAIL", "MAILBOX_TYPE", "MAILBOX_BYTES",
                                 "MAILBOX_ZERO"])
def test_a_guest_notices_pages_that_lie(run_name, lie):
    """The first lie ends the connection with its name; the rest of the guest goes on."""
    result, _, _ = boot.boot_and_pass(run_name, "--vmbus", "--vmbus-args",
                                      f"--lie 1 --lie-rate 1 --lie-only {lie} "
                                      "--stats", "--test", "base.*", "--boot", "pvh", env=WITH_ASAN)
    assert "vmbus: the host broke a rule: VMBUS_FAULT_TRANSPORT" in result.stdout, result.explain()
    assert f"lie: {lie} " in result.stderr


@pytest.mark.parametrize("options", [[], ["--append", "netvsc.copy-break=4096"],
                                     ["--append", "netvsc.mtu=9000", "--smp", "1"]],
                         ids=["pages", "sections", "jumbo"])
def test_a_guest_talks_through_its_card(run_name, options):
    """An address by DHCP, ARP, echoes of all lengths and a burst, over netvsc."""
    result, _, passed = boot.boot_and_pass(run_name, "--vmbus", "--vmbus-args", "--stats", "--boot",
                                           "pvh", "--test", "net.*", *options, env=WITH_ASAN)
    assert "netvsc: net0 on channel " in result.stdout, result.explain()
    assert passed > 0 and "# SKIP" not in result.stdout
    assert "the guest broke" not in result.stderr


@pytest.mark.parametrize("seed", range(100, 106))
def test_a_guest_talks_to_a_lying_host(run_name, seed):
    """Frames may be lost, and then tests fail; the guest neither falls nor hangs."""
    result = boot.boot(run_name, "--vmbus", "--vmbus-args", f"--lie {seed} --lie-rate 40", "--boot",
                       "pvh", "--test", "net.*", env=WITH_ASAN)
    assert result.status in (boot.PASS, boot.FAIL), result.explain()


@pytest.mark.parametrize(("window", "packets"), [(1, 5000), (64, 50000)])
def test_no_packet_is_lost_on_the_way_round(run_name, window, packets):
    """Each comes back, in its turn, with what it had; `make bench` sends a million."""
    result, _, _ = boot.boot_and_pass(
        run_name, "--vmbus", "--vmbus-args", "--stats", "--boot", "pvh", "--image",
        images.folder(images.ALL_TESTS) / "paravane.elf", "--test", "vmbus_echo.round_trips",
        "--append", f"vmbus_echo.packets={packets} vmbus_echo.window={window}", env=WITH_ASAN)
    assert f"# {packets} round trips, {window} under way" in result.stdout
    assert f"vmbus-host: echo: {packets} packets" in result.stderr


# ---- the networks behind the card ----

CONNECT_LIMIT_S = 60
STUCK_S = 1  # without room for a frame: it is not only slow
STALL_S = 1
IDLE_MS = 50  # vmbus-host's, between two looks without a doorbell
# By when a guest has looked at its card; a link down and up between two looks is no change.
LINK_SEEN_S = 5


class Stream:
    """QEMU's `-netdev stream`: each frame behind its length, four bytes, the highest first."""

    def __init__(self, server):
        self.server, self.network, self.gathered = server, None, b""

    def connect(self):
        self.server.settimeout(CONNECT_LIMIT_S)
        self.network = self.server.accept()[0]

    def send(self, frame):
        self.network.sendall(struct.pack(">I", len(frame)) + frame)

    def receive(self, seconds):
        self.network.settimeout(seconds)
        try:
            while (len(self.gathered) < 4 or
                   len(self.gathered) < 4 + struct.unpack(">I", self.gathered[:4])[0]):
                more = self.network.recv(65536)
                assert more, "the network was closed"
                self.gathered += more
        except TimeoutError:
            return None
        end = 4 + struct.unpack(">I", self.gathered[:4])[0]
        frame, self.gathered = self.gathered[4:end], self.gathered[end:]
        return frame


def execute(monitor, said, word):
    """One order to QEMU's monitor, up to its answer."""
    monitor.sendall(json.dumps({"execute": word}).encode())
    while (line := said.readline()):
        assert "error" not in (answer := json.loads(line)), answer
        if "return" in answer:
            return
    raise AssertionError(f"no answer to {word}")


def flood_until_it_is_stuck(network):
    """Sends frames as long as the other end of the stream takes them; how many, and
    what is left of one more."""
    # A type for experiments: nobody answers.
    frame = b"\xff" * 6 + answering.HOST_MAC + b"\x88\xb5" + bytes(1000)
    frame = struct.pack(">I", len(frame)) + frame
    whole, rest = 0, frame
    while select.select([], [network.network], [], STUCK_S)[1]:
        network.network.setblocking(False)
        rest = rest[network.network.send(rest):]
        if not rest:
            whole, rest = whole + 1, frame
    return whole, rest


class Datagrams:
    """QEMU's `-netdev dgram` over Unix sockets: a frame is a datagram."""

    def __init__(self, server, peer):
        self.server, self.peer = server, peer

    def connect(self):
        deadline = time.monotonic() + CONNECT_LIMIT_S
        while not Path(self.peer).exists():
            assert time.monotonic() < deadline, f"no {self.peer}"
            time.sleep(0.01)

    def send(self, frame):
        try:
            self.server.sendto(frame, self.peer)
        except FileNotFoundError:
            pass  # the guest has ended

    def receive(self, seconds):
        self.server.settimeout(seconds)
        try:
            return self.server.recv(65536)
        except TimeoutError:
            return None


def unix_stream(folder):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "net"))
    server.listen(1)
    return Stream(server), ["--net", f"socket={folder}/net"]


def tcp_stream(_folder):
    server = socket.create_server(("127.0.0.1", 0))
    return Stream(server), ["--net", f"socket=127.0.0.1:{server.getsockname()[1]}"]


def unix_datagrams(folder):
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(str(folder / "net"))
    return Datagrams(server, f"{folder}/net.vmbus-host"), ["--vmbus-args",
                                                           f"--net dgram={folder}/net"]


def test_a_wait_for_an_answer_ends_among_other_frames():
    """However many come, one deadline holds for all of them."""
    start = time.monotonic()

    def receive(_seconds):
        assert time.monotonic() < start + answering.LIMIT_S, "it waits for ever"
        return bytes(60)

    host = answering.SocketHost(lambda frame: None, receive)
    host.guest_mac = bytes(6)
    assert not host.echo(1, b"", seconds=0.1)


@pytest.mark.parametrize("make", [unix_stream, tcp_stream, unix_datagrams])
def test_a_guest_is_pinged_over_a_socket(run_name, short_folder, make):
    """ARP and echoes of all lengths, asked by this process at the other
    end of the card's network."""
    network, options = make(short_folder)
    guest = answering.AnsweringGuest(run_name, ["--vmbus", *options], env=WITH_ASAN)
    network.connect()
    host = answering.SocketHost(network.send, network.receive)
    assert host.resolve()[0] & 1 == 0
    for sequence, length in enumerate([0, 1, 56, 1000, 1471, 1472] * 10):
        payload = bytes((sequence + i) % 256 for i in range(length))
        assert any(host.echo(sequence, payload) for _ in
                   range(answering.ATTEMPTS)), f"{length} bytes"
    assert int(host.end(guest)[1]) >= 60


@pytest.mark.parametrize("nvsp", ["6.1", "6", "5", "4", "2", "1"])
def test_a_guest_is_pinged_over_each_version_of_its_card(run_name, short_folder, nvsp):
    network, options = unix_stream(short_folder)
    guest = answering.AnsweringGuest(run_name, ["--vmbus", *options, "--vmbus-args",
                                                f"--nvsp {nvsp}"], env=WITH_ASAN)
    network.connect()
    host = answering.SocketHost(network.send, network.receive)
    host.resolve()
    for sequence, length in enumerate([0, 56, 1472]):
        assert any(host.echo(sequence, bytes(length))
                   for _ in range(answering.ATTEMPTS)), f"{length} bytes"
    assert int(host.end(guest)[1]) >= 3
    version = {"1": 0x2, "2": 0x30002}.get(nvsp, int(float(nvsp)) << 16 | (nvsp == "6.1"))
    assert f"NVSP {version:#x}," in guest.result.stdout
    assert "broke" not in guest.result.stderr


def under_orders(run_name, folder, emulator_options=(), **rest):
    """A guest behind a vmbus-host that takes orders: (guest, network, host, orders)."""
    network, options = unix_stream(folder)
    guest = answering.AnsweringGuest(
        run_name, ["--vmbus", *options, "--vmbus-args", f"--control {folder}/control"],
        emulator_options, env=WITH_ASAN, **rest)
    network.connect()
    return (guest, network, answering.SocketHost(network.send, network.receive),
            Orders(folder / "control"))


def test_a_card_goes_while_it_is_in_use_and_another_comes(run_name, short_folder):
    """Rescinded with echoes under way, twice; each time it is offered again and answers.
    Then its cable is pulled."""
    guest, _, host, orders = under_orders(run_name, short_folder, words="net_answer.cards=3")
    host.resolve()

    def answers(first, payload):
        """Whether the guest answers, by now; each sequence is asked for once in this test."""
        return any(host.echo(first + i, payload) for i in range(answering.LIMIT_S // 5))

    for turn in 1, 2:
        assert answers(1000 * turn, b"up")
        flood = range(1000 * turn + 100, 1000 * turn + 140)
        for sequence in flood:  # the answers to most are still under way when the card goes
            host.send_echo(sequence, bytes(1000))
        host.wait_for_echo(flood)
        orders.order("rescind net")
        orders.order("offer net")
        orders.until("net: channel 1, open")
    assert answers(5000, b"again")
    orders.order("link down")
    assert not host.echo(6000, b"into the void", seconds=LINK_SEEN_S)
    orders.order("link up")
    assert answers(7000, b"back")
    assert 6000 not in host.answered  # what came to a pulled cable is lost, not late
    assert int(host.end(guest)[1]) >= 4
    assert guest.result.stdout.count("is gone after") == 2, guest.result.explain()
    assert "# net2: link up, 3 link changes" in guest.result.stdout, guest.result.explain()
    assert "broke" not in guest.result.stderr


def test_an_answer_meets_a_card_that_is_gone(run_name, short_folder):
    """The card goes when the guest has looked at it for the last time before it sends: what it has
    to send is refused, it takes the memory of all of it back, and answers on the next card."""
    guest, _, host, orders = under_orders(run_name, short_folder,
                                          words="net_answer.cards=2 net_answer.until-gone")
    host.ask_until(answering.announces)
    orders.order("rescind net")
    orders.order("offer net")
    host.resolve()
    assert any(host.echo(1 + i, b"again") for i in range(answering.LIMIT_S // 5))
    host.end(guest)
    assert re.search(r"# net0 is gone with [1-9]\d* answers to send: ZX_ERR_BAD_STATE",
                     guest.result.stdout), \
        guest.result.explain()
    assert guest.result.stdout.count("is gone after") == 1, guest.result.explain()
    assert "broke" not in guest.result.stderr


def test_the_host_sleeps_while_the_guest_has_no_room(run_name, short_folder):
    """The guest is stopped under a flood. When its buffers are full the frames that are left wait
    in the socket, and do not keep vmbus-host awake; when it goes on, so do they."""
    guest, network, host, orders = under_orders(
        run_name, short_folder, ["-qmp", f"unix:{short_folder}/qmp,server=on,wait=off"])
    host.resolve()
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(answering.LIMIT_S)
        monitor.connect(str(short_folder / "qmp"))
        said = monitor.makefile("r")
        for word in "qmp_capabilities", "stop":
            execute(monitor, said, word)
        flooded, rest = flood_until_it_is_stuck(network)
        turns, stalls = orders.turns()
        time.sleep(STALL_S)
        more = orders.turns()[0] - turns
        assert stalls == 1
        # Each look at the guest's state words is one, and this order.
        assert more <= 4 * STALL_S * 1000 / IDLE_MS, (
            f"{more} turns in {STALL_S} s with {flooded} frames sent")
        execute(monitor, said, "cont")
    network.network.settimeout(answering.LIMIT_S)
    network.network.sendall(rest)
    assert any(host.echo(1 + i, b"again") for i in range(answering.LIMIT_S // 5))
    host.end(guest)
    assert "broke" not in guest.result.stderr


def test_the_host_pings_the_guest_through_a_tap(run_name, tmp_path, namespace):
    """arping, then ping -f from the host's kernel: none lost."""
    echoes = 1000
    host = answering.TapHost(namespace)
    program = boot.program_in(tmp_path, "vmbus-host", *host.inside, PROGRAM)
    guest = answering.AnsweringGuest(run_name, ["--vmbus", "--net", "tap=tap0"],
                                     env={"VMBUS_HOST": program})
    host.bring_up()
    host.arping(5)
    host.ping(echoes, 300)
    assert int(host.end(guest)[1]) >= echoes


def test_the_host_goes_first(run_name, folder, tmp_path):
    """A host that dies is told of, and nothing is left over."""
    program = tmp_path / "host"
    program.write_text("#!/bin/sh\necho gone >&2\nexit 3\n")
    program.chmod(0o755)
    result = boot.boot(run_name, "--vmbus", "--boot", "pvh",
                       env={"VMBUS_HOST": str(program), "VMBUS_FOLDER": folder})
    assert result.status == boot.ERROR
    assert "the VMBus host did not start" in result.stderr
