# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""vhost-user-net behind QEMU's vhost-user netdev: our guest's own network tests against it.

The card has no MSI-X (vectors=0): without KVM, QEMU 7.2 dereferences a null pointer when a guest unmasks a
vector of a vhost-user device, whatever the guest is.
"""

import pytest

import boot
import images
import vhost_user as vu

MEMORY_MB = 64
GUEST_TESTS = "*net.*"


def card(path, device="", queues=1, number=0):
    """QEMU's options for one card whose back end is at `path`."""
    many = f",queues={queues}" if queues > 1 else ""
    return ["-chardev", f"socket,id=c{number},path={path}",
            "-netdev", f"vhost-user,id=n{number},chardev=c{number}{many}",
            "-device", f"virtio-net-pci,netdev=n{number},vectors=0{device}"]


def shared_memory(megabytes=MEMORY_MB):
    """The guest's memory, shared with back ends."""
    return ["-object", f"memory-backend-memfd,id=shared,size={megabytes}M,share=on",
            "-machine", "memory-backend=shared"]


def boot_guest(name, cards, *options, test=GUEST_TESTS):
    return boot.boot_and_pass(name, "--boot", "pvh", "--mem", f"{MEMORY_MB}M", "--net", "none", "--test", test,
                              *options, "--", *shared_memory(), *cards)


def passed_without_skip(stream):
    """How many tests passed; a missing card would skip them all."""
    skipped = [leaf.name for _, leaf in stream.leaves() if leaf.skipped]
    passed = stream.counts()[0]
    assert set(skipped) <= {"interrupts_announce_frames"}, skipped
    return passed


@pytest.mark.parametrize(("device", "options"), [
    ("", ()),
    (",packed=on", ()),
    (",event_idx=off,indirect_desc=off", ()),
    (",mrg_rxbuf=off", ()),
    (",host_mtu=1400", ()),
    (",rx_queue_size=1024,tx_queue_size=1024", ()),
    ("", ("-w", "mrg,csum,event-idx,indirect,in-order,packed,mem-slots,reply-ack,mq,mtu")),
    (",disable-legacy=on", ("-b",)),
], ids=["split", "packed", "plain", "nomrg", "mtu", "1024", "without", "polled"])
def test_guest_meets_the_responder(run_name, tmp_path, device, options):
    """DHCP, ARP, echoes of all lengths, bursts, restart: all answered by the built-in host."""
    images.folder(images.RELEASE)
    path = tmp_path / "s"
    with vu.back_end(tmp_path / "back", "-s", path, "-r", "10.0.2.2/24", "--stats", *options) as back:
        vu.wait_for_socket(path, back)
        _, stream, _ = boot_guest(run_name, card(path, device))
        stats = back.stats()
    assert passed_without_skip(stream) >= 6
    assert back.stderr() == ""
    mine, answers = stats[str(path)], stats["respond:10.0.2.2/24"]
    assert mine["frames_in"] == answers["frames_out"] > 400
    # An answer may find the guest in the middle of its restart.
    assert answers["frames_in"] == mine["frames_out"] + mine["dropped_down"] > 400
    assert mine["dropped_down"] <= 4
    assert mine["bad_frames"] == mine["dropped_full"] == mine["broken_rings"] == 0


def test_capture_has_what_the_guest_said(run_name, tmp_path):
    """Question and answer of DHCP, as both ports handed them in."""
    images.folder(images.RELEASE)
    path, capture = tmp_path / "s", tmp_path / "frames.pcap"
    with vu.back_end(tmp_path / "back", "-s", path, "-r", "10.0.2.2/24", "-p", capture) as back:
        vu.wait_for_socket(path, back)
        boot_guest(run_name, card(path), test="net.dhcp_offer")
    data = capture.read_bytes()
    assert data[:4] == bytes.fromhex("4d3cb2a1")
    assert data.count(bytes([99, 130, 83, 99])) == 2
