# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Packets as the outside sees them: what --pcap captures of a guest with a network card."""

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


@pytest.mark.parametrize("options", [["pvh", "--machine", "q35"], ["pvh", "--machine", "pc"], ["uefi"]],
                         ids=["pvh-q35", "pvh-pc", "uefi"])
def test_capture_has_a_dhcp_exchange(run_name, tmp_path, options):
    capture = tmp_path / "frames.pcap"
    boot.boot_and_pass(run_name, "--boot", *options, "--pcap", capture)
    dhcp = [frame for frame in frames_of(capture) if DHCP_COOKIE in frame]
    ports = {udp_ports(frame) for frame in dhcp}
    assert (DHCP_CLIENT, DHCP_SERVER) in ports, "the guest asked nobody for an address"
    assert (DHCP_SERVER, DHCP_CLIENT) in ports, "nobody answered the guest"
