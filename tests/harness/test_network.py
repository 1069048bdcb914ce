# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Packets as the outside sees them: what --pcap captures of a guest with a network card."""

import re
import struct

import pytest

import boot

PCAP_MAGIC = 0xA1B2C3D4
ETHERTYPE_IPV4, PROTOCOL_UDP = 0x0800, 17
DHCP_SERVER, DHCP_CLIENT = 67, 68
DHCP_COOKIE = bytes([99, 130, 83, 99])


def frames_of(path):
    """The frames in a capture file. Facts: the libpcap file format, version 2.4."""
    data = path.read_bytes()
    magic = struct.unpack_from("<I", data)[0]
    assert magic == PCAP_MAGIC, hex(magic)
    at, frames = 24, []
    while at < len(data):
        stored = struct.unpack_from("<IIII", data, at)[2]
        frames.append(data[at + 16:at + 16 + stored])
        at += 16 + stored
    return frames


def udp_ports(frame):
    """(source, destination) of a UDP datagram over IPv4, else None."""
    if len(frame) < 42 or struct.unpack_from(">H", frame, 12)[0] != ETHERTYPE_IPV4:
        return None
    header_bytes = (frame[14] & 15) * 4
    if frame[23] != PROTOCOL_UDP:
        return None
    return struct.unpack_from(">HH", frame, 14 + header_bytes)


@pytest.mark.parametrize("options", [["pvh", "--machine", "q35"], ["pvh", "--machine", "pc"],
                                     ["uefi"], ["microvm"]],
                         ids=["pvh-q35", "pvh-pc", "uefi", "microvm"])
def test_capture_has_a_dhcp_exchange(run_name, tmp_path, options):
    capture = tmp_path / "frames.pcap"
    boot.boot_and_pass(run_name, "--boot", *options, "--pcap", capture)
    dhcp = [frame for frame in frames_of(capture) if DHCP_COOKIE in frame]
    ports = {udp_ports(frame) for frame in dhcp}
    assert (DHCP_CLIENT, DHCP_SERVER) in ports, "the guest asked nobody for an address"
    assert (DHCP_SERVER, DHCP_CLIENT) in ports, "nobody answered the guest"


# How a virtio-mmio device is found, and how its line works, by what is added to microvm's line.
MMIO_MACHINES = {
    "acpi": ([], "0xfeb02e00"),                              # second I/O APIC, level, from the DSDT
    "one-ioapic": (["-machine", "ioapic2=off"], "0xfeb00e00"),
    "command-line": (["-machine", "acpi=off"], "0xfeb00e00"),  # QEMU appends the word; an edge
}


@pytest.mark.parametrize("options, place", MMIO_MACHINES.values(), ids=MMIO_MACHINES)
def test_mmio_device_is_found_and_interrupts(run_name, options, place):
    result, stream, passed = boot.boot_and_pass(run_name, "--boot", "microvm", "--test", "*net.*",
                                                "--", *options)
    assert f"virtio: net0 at {place}, " in result.stdout and "an interrupt line" in result.stdout
    assert passed > 0 and "# SKIP" not in result.stdout, result.explain()


def test_mmio_devices_named_twice_or_not_there(run_name):
    """The slot of ACPI's device again, an empty slot, an address where
    nothing is: one card is found."""
    words = "virtio_mmio.device=512@0xfeb02e00:5 virtio_mmio.device=512@0xfeb00000:5 " \
            "virtio_mmio.device=4K@0xd0000000:6"
    result, _, passed = boot.boot_and_pass(run_name, "--boot", "microvm", "--test", "*net.*",
                                           "--append", words)
    assert passed > 0 and "# SKIP" not in result.stdout, result.explain()
    assert result.stdout.count("virtio: net0 at ") == 1 and "net1" not in result.stdout
    assert "virtio: 0xd0000000 has registers that cannot be used" in result.stdout, result.explain()
    assert "0xfeb00000 has" not in result.stdout, "an empty slot is no complaint"


LEGACY = {
    "mmio": (["--boot", "microvm", "--", "-global", "virtio-mmio.force-legacy=true"], "0xfeb02e00",
             "-global virtio-mmio.force-legacy=false"),
    "pci": (["--boot", "pvh", "--net", "none", "--", "-device",
             "virtio-net-pci,disable-modern=on,romfile="],
            "00:01.0", "disable-modern=off"),
}


@pytest.mark.parametrize("options, place, remedy", LEGACY.values(), ids=LEGACY)
def test_legacy_device_is_refused_with_a_sentence(run_name, options, place, remedy):
    result, _, _ = boot.boot_and_pass(run_name, "--test", "*net.*", *options)
    assert f"virtio: {place} is a legacy device: " in result.stdout, result.explain()
    assert f"(QEMU: {remedy})" in result.stdout
    assert "virtio: net0" not in result.stdout


# Interrupts and registers of a card on PCI: the mode that the console
# names, by what the card lacks.
NO_VECTORS = ["--net", "none", "--", "-netdev", "user,id=net0", "-device",
              "virtio-net-pci,netdev=net0,vectors=0,romfile="]
PCI_CARDS = {
    "line-q35": (["--machine", "q35", *NO_VECTORS], "an interrupt line"),
    "line-pc": (["--machine", "pc", *NO_VECTORS], "an interrupt line"),
    "window-q35": (["--machine", "q35", "--append", "virtio.pci-window"], "an interrupt line"),
    "window-pc": (["--machine", "pc", "--append", "virtio.pci-window"], "an interrupt line"),
    "vectors": ([], "an MSI-X vector a queue"),
}


@pytest.mark.parametrize("options, mode", PCI_CARDS.values(), ids=PCI_CARDS)
def test_pci_card_interrupts(run_name, options, mode):
    result, _, passed = boot.boot_and_pass(run_name, "--boot", "pvh", "--test", "*net.*", *options)
    net0 = re.search(r"virtio: net0 at .*", result.stdout)
    assert net0 and net0.group().endswith(mode), result.explain()
    assert passed > 0 and "# SKIP" not in result.stdout, result.explain()


def test_cards_share_a_line(run_name):
    """Four slots apart on pc the pins of two cards are wired together."""
    result, _, passed = boot.boot_and_pass(
        run_name, "--boot", "pvh", "--machine", "pc", "--net", "none", "--test", "*net.*",
        "--append", "cmd=irq", "--", "-netdev", "user,id=a", "-netdev", "user,id=b",
        "-device", "virtio-net-pci,netdev=a,vectors=0,addr=4,romfile=",
        "-device", "virtio-net-pci,netdev=b,vectors=0,addr=8,romfile=")
    assert re.search(r"virtio: net0 at 00:04\.0.*an interrupt line",
                     result.stdout), result.explain()
    assert re.search(r"virtio: net1 at 00:08\.0.*an interrupt line",
                     result.stdout), result.explain()
    assert len(re.findall(r"irq: vector \S+ virtio, GSI", result.stdout)) == 1, result.explain()
    assert passed > 0 and "# SKIP" not in result.stdout, result.explain()


def test_registers_above_4_gib(run_name):
    """OVMF places 64-bit BARs there."""
    result, _, passed = boot.boot_and_pass(run_name, "--boot", "uefi", "--test", "*net.*",
                                           "--append", "cmd=pci")
    card = result.stdout.partition("1af4:1000")[2].partition("capability")[0]
    bar = re.search(r"BAR4 memory (0x[0-9a-f]+), 0x4000 bytes, 64-bit", card)
    assert bar and int(bar.group(1), 16) >= 1 << 32, result.explain()
    assert passed > 0 and "# SKIP" not in result.stdout, result.explain()


# What virtio_net.features leaves alone, and what goes with it.
LEFT_ALONE = {
    "some": ("-packed,-mrg-rxbuf", {"packed", "mrg-rxbuf"}, ()),
    "with-dependants": ("-ctrl-vq", {"ctrl-vq", "ctrl-rx", "ctrl-vlan", "ctrl-mac-addr",
                                     "guest-announce"}, ()),
    "wrong-names": ("-nonsense,packed,-status,-version-1,-", {"status"},
                    ("-nonsense", "packed", "-version-1", "-")),
}


PCI_CARD = (["--boot", "pvh"], ["-device", "virtio-net-pci,netdev=net0,packed=on,romfile="])
MMIO_CARD = (["--boot", "microvm"], ["-machine", "acpi=off", "-device",
                                     "virtio-net-device,netdev=net0"])


def boot_with_features(run_name, word, machine=PCI_CARD):
    """What the guest says, and the names of what its card offered and of what it
    accepted; real traffic has passed."""
    boot_options, emulator_options = machine
    result, _, passed = boot.boot_and_pass(
        run_name, *boot_options, "--net", "none", "--test", "*net.*", "--append",
        f"cmd=virtio virtio_net.features={word}", "--", "-netdev", "user,id=net0",
        *emulator_options)
    assert passed > 0 and "# SKIP" not in result.stdout, result.explain()
    offered, accepted = (set(re.search(rf"virtio:     {which} +(.*)",
                                       result.stdout).group(1).split())
                         for which in ("offered", "accepted"))
    return result, offered, accepted


@pytest.mark.parametrize("word, absent, wrong", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_features_are_left_alone(run_name, word, absent, wrong):
    result, offered, accepted = boot_with_features(run_name, word)
    assert absent < offered and not absent & accepted, result.explain()
    everything = {"packed", "mrg-rxbuf", "ctrl-vq", "ctrl-rx", "status", "event-idx", "indirect",
                  "version-1", "mac"}
    assert everything - absent < accepted, result.explain()
    complaints = re.findall(
        r"virtio_net\.features: '(.*)' is none to leave alone; expected -NAME,-NAME... or none",
                            result.stdout)
    assert complaints == list(wrong), result.explain()


@pytest.mark.parametrize("machine", [PCI_CARD, MMIO_CARD], ids=["pci", "mmio"])
def test_a_card_works_without_any_feature(run_name, machine):
    """Without a control queue, as small hypervisors have theirs, too."""
    result, _, accepted = boot_with_features(run_name, "none", machine)
    assert accepted == {"version-1"}, result.explain()
    assert "mtu 1500, 1 queue pairs" in result.stdout, result.explain()


NOT_DRIVEN = re.compile(
    r"virtio: the device of type (\d+) at (\S+) is not driven: only network cards are, 4 at most")


def test_devices_that_are_no_cards_are_named(run_name):
    """One before the card and one behind it: the card works all the same."""
    result, _, passed = boot.boot_and_pass(
        run_name, "--boot", "pvh", "--machine", "q35", "--net", "none", "--test", "*net.*", "--",
        "-device", "virtio-rng-pci,addr=4", "-netdev", "user,id=net0",
        "-device", "virtio-net-pci,netdev=net0,addr=5,romfile=", "-device",
        "virtio-balloon-pci,addr=6")
    assert NOT_DRIVEN.findall(result.stdout) == [("4", "00:04.0"),
                                                 ("5", "00:06.0")], result.explain()
    assert "virtio: net0 at 00:05.0, " in result.stdout
    assert passed > 0 and "# SKIP" not in result.stdout, result.explain()


def test_more_cards_than_there_is_room_for(run_name):
    cards = [word for i in range(5) for word in (
        "-netdev", f"user,id=n{i}", "-device", f"virtio-net-pci,netdev=n{i},addr={i + 4},romfile=")]
    result, _, passed = boot.boot_and_pass(run_name, "--boot", "pvh", "--machine", "q35", "--net",
                                           "none", "--test", "*net.*", "--", *cards)
    assert re.findall(r"virtio: (net\d) at (\S+),", result.stdout) == \
        [(f"net{i}", f"00:0{i + 4}.0") for i in range(4)], result.explain()
    assert NOT_DRIVEN.findall(result.stdout) == [("1", "00:08.0")], result.explain()
    assert passed > 0 and "# SKIP" not in result.stdout, result.explain()


# QEMU says on its standard error what our test did to its card, and goes on.
FAULT_MACHINES = {"q35": ["pvh", "--machine", "q35"], "microvm": ["microvm"]}


@pytest.mark.parametrize("options", FAULT_MACHINES.values(), ids=FAULT_MACHINES)
def test_a_card_that_fails_is_brought_up_again(run_name, options):
    """DEVICE_NEEDS_RESET of QEMU's own, and a used index that jumps: reset, and
    the network answers again."""
    result, _, passed = boot.boot_and_pass(run_name, "--boot", *options, "--test",
                                           "virtio_net_fault.*")
    assert passed == 2 and "# SKIP" not in result.stdout, result.explain()
    # QEMU's broken device holds its line up whatever the driver says; what
    # was brought up again does not.
    assert result.stdout.count("interrupts without end") <= 1, result.explain()
