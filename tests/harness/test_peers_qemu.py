# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""vhost-user-net behind QEMU's vhost-user netdev: our guest's own network tests against it.

The card has no MSI-X (vectors=0): without KVM, QEMU 7.2 dereferences a null pointer when a guest
unmasks a vector of a vhost-user device, whatever the guest is.
"""

import os
import re
import subprocess
import threading

import pytest

import boot
import images
import linux_guest
import testpmd
import vhost_user as vu
from answering import (  # noqa: F401
    ATTEMPTS, GUEST_ADDRESS, HOST_ADDRESS, AnsweringGuest, TapHost, namespace)

MEMORY_MB = 64
GUEST_TESTS = "*net.*"
LINUX_LIMIT_S = 600  # a hang detector


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


def guest_options(cards, test, words=""):
    return ["--boot", "pvh", "--mem", f"{MEMORY_MB}M", "--net", "none", "--test", test,
            *(["--append", words] if words else []), "--", *shared_memory(), *cards]


def boot_guest(name, cards, test=GUEST_TESTS, words=""):
    return boot.boot_and_pass(name, *guest_options(cards, test, words))


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
    with vu.back_end(tmp_path / "back", "-s", path, "-r", "10.0.2.2/24", "--stats",
                     *options) as back:
        vu.wait_for_socket(path, back)
        size = 1024 if "1024" in device else 256
        result, stream, _ = boot_guest(run_name, card(path, device),
                                       words=f"virtio_net.queue-size={size}")
        stats = back.stats()
    assert passed_without_skip(stream) >= 6
    assert f"queue pairs of {size} and {size}" in result.stdout, result.explain()
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


# ---- our guest answers ----

def answering(name, cards, echoes=0, shared=True, **more):
    memory = shared_memory() if shared else []
    return AnsweringGuest(name, ["--mem", f"{MEMORY_MB}M", "--net", "none"], [*memory, *cards],
                          echoes, **more)


@pytest.mark.parametrize("device", ["", ",packed=on"], ids=["split", "packed"])
def test_host_pings_the_guest_through_qemus_own_tap(run_name, tmp_path, namespace, device):
    """arping, then ping -f, with QEMU's own card between the two: none lost."""
    echoes = 2000
    host = TapHost(namespace)
    emulator = boot.program_in(tmp_path, "qemu", *host.inside, "qemu-system-x86_64")
    guest = answering(run_name, ["-netdev", "tap,id=n,ifname=tap0,script=no,downscript=no",
                                 "-device", f"virtio-net-pci,netdev=n,romfile={device}"],
                      shared=False, env={"QEMU": emulator})
    host.bring_up()
    host.arping(5)
    host.ping(echoes, 300)
    assert int(host.end(guest)[1]) == echoes


@pytest.mark.parametrize("device", ["", ",packed=on"], ids=["split", "packed"])
def test_host_pings_the_guest_through_a_tap(run_name, tmp_path, namespace, device):
    """arping, then ping -f from the host's kernel: none lost."""
    path, echoes = tmp_path / "s", 2000
    host = TapHost(namespace)
    with vu.back_end(tmp_path / "back", "-s", path, "-t", "tap0", "--stats",
                     command=host.inside) as back:
        vu.wait_for_socket(path, back)
        guest = answering(run_name, card(path, device))
        host.bring_up()
        host.arping(5)
        host.ping(echoes, 300)
        assert int(host.end(guest)[1]) == echoes
        stats = back.stats()
    assert stats[str(path)]["bad_frames"] == stats[str(path)]["broken_rings"] == 0


def test_back_end_goes_and_comes_back(run_name, tmp_path, namespace):
    """The back end is killed under a running guest and started again: QEMU connects anew, the rings
    go on where the used rings stand, and the guest, which knows nothing of it, answers on."""
    path, echoes = tmp_path / "s", 200
    host = TapHost(namespace)
    guest_card = card(path)
    guest_card[1] += ",reconnect=1"

    def serve(folder):
        return vu.back_end(tmp_path / folder, "-s", path, "-t", "tap0", "--stats", "-v",
                           command=host.inside)

    def ping():
        host.bring_up()
        host.ping(echoes)

    with serve("first") as first:
        vu.wait_for_socket(path, first)
        guest = answering(run_name, guest_card)
        ping()
        first.process.kill()
        first.process.wait()
    with serve("second") as second:
        ping()
        assert second.stats()[str(path)]["broken_rings"] == 0
        assert int(host.end(guest)[1]) == 2 * echoes


# ---- a Linux guest ----

def run_linux(tmp_path, cards, commands):
    """Boots Linux with these cards, and returns what it wrote."""
    vu.skip_without("qemu-system-x86_64", "qemu-system-x86")
    initramfs = linux_guest.make_initramfs(tmp_path / "initramfs.gz", commands)
    line = linux_guest.emulator_line(initramfs)
    line += ["-object", "memory-backend-memfd,id=shared,size=256M,share=on", "-machine",
             "memory-backend=shared"]
    run = subprocess.run([*line, *cards], check=False, capture_output=True, text=True,
                         errors="replace", stdin=subprocess.DEVNULL, timeout=LINUX_LIMIT_S)
    (tmp_path / "linux.log").write_text(run.stdout + run.stderr)
    assert "guest: end" in run.stdout, run.stdout[-3000:] + run.stderr
    return run.stdout


@pytest.mark.parametrize(("device", "bits"), [("", 0), (",packed=on", vu.F_PACKED)],
                         ids=["split", "packed"])
def test_linux_gets_an_address_and_pings(tmp_path, device, bits):
    path = tmp_path / "s"
    linux_guest.prepare()
    with vu.back_end(tmp_path / "back", "-s", path, "-r", f"{HOST_ADDRESS}/24", "--stats",
                     "-v") as back:
        vu.wait_for_socket(path, back)
        said = run_linux(tmp_path, card(path, device),
                         "udhcpc -i eth0 -n -q -t 10 -s /udhcpc; "
                         f"ping -c 20 -i 0.05 -s 1400 {HOST_ADDRESS}")
        stats = back.stats()[str(path)]
    assert f"guest: address {GUEST_ADDRESS} router {HOST_ADDRESS}" in said
    linux_guest.insist_on_answers(said, 20)
    assert stats["broken_rings"] == stats["bad_frames"] == 0
    features = [int(word, 16) for word in re.findall(r"SET_FEATURES (0x[0-9a-f]+)", back.stderr())]
    assert features[-1] & vu.F_PACKED == bits and features[-1] & vu.F_CSUM


def test_linux_and_our_guest_through_the_switch(run_name, tmp_path):
    """Two guests on one switch, of two kinds: one asks, one answers."""
    linux_path, path, echoes = tmp_path / "l", tmp_path / "s", 20
    linux_guest.prepare()
    with vu.back_end(tmp_path / "back", "-s", linux_path, "-s", path, "--stats") as back:
        vu.wait_for_socket(path, back)
        guest = answering(run_name, card(path, ",mac=52:54:00:aa:bb:cc"), echoes,
                          seconds=LINUX_LIMIT_S)
        said = run_linux(tmp_path, card(linux_path),
                         f"ip addr add {HOST_ADDRESS}/24 dev eth0; "
                         f"ping -c {echoes} -i 0.05 {GUEST_ADDRESS}")
        assert guest.finish()[1] == str(echoes)
        assert back.stderr() == ""
    linux_guest.insist_on_answers(said, echoes)


# ---- DPDK's device ----

@pytest.mark.xdist_group("dpdk")
@pytest.mark.parametrize("device", ["", ",packed=on", ",mrg_rxbuf=off"],
                         ids=["split", "packed", "nomrg"])
def test_dpdks_device_serves_our_guest(run_name, tmp_path, device):
    """Our driver before DPDK's vhost device, whose other port is a front end of our back
    end's responder: testpmd carries frames between the two, and guests' own tests run over
    all of it, one after the other. (Not the longest burst: testpmd drops frames for which a
    guest has no buffer yet.)"""
    testpmd.skip_without("vhost")
    testpmd.skip_without("virtio")
    images.folder(images.RELEASE)
    path, other = tmp_path / "s", tmp_path / "o"
    with vu.back_end(tmp_path / "back", "-s", other, "-r", f"{HOST_ADDRESS}/24", "--stats") as back:
        vu.wait_for_socket(other, back)
        with testpmd.run(tmp_path, "device", f"net_vhost0,iface={path}", "--forward-mode=io",
                         more=[f"net_virtio_user0,path={other}"]) as device_side:
            device_side.command("start", "packet forwarding")
            for test in ("dhcp_offer", "icmp_echo_of_all_lengths", "burst_of_100"):
                runs = (boot.boot(f"{run_name}.{test}",
                                  *guest_options(card(path, device), f"net.{test}"))
                        for _ in range(ATTEMPTS))
                passed = next((run for run in runs if run.status == boot.PASS), None)
                assert passed is not None, f"{test} failed {ATTEMPTS} times"
                assert passed_without_skip(passed.stream()) == 1
            received, sent, _ = device_side.stop()
    assert received >= sent >= 2 * (1 + 10 + 100)  # both ways


@pytest.mark.xdist_group("dpdk")
@pytest.mark.parametrize("device", ["", ",packed=on"], ids=["split", "packed"])
def test_dpdk_answers_our_guest(run_name, tmp_path, device):
    """testpmd itself answers ARP and echoes (icmpecho), in the memory in which they came."""
    testpmd.skip_without("vhost")
    images.folder(images.RELEASE)
    path = tmp_path / "s"
    with testpmd.run(tmp_path, "device", f"net_vhost0,iface={path}",
                     "--forward-mode=icmpecho") as device_side:
        device_side.command("start", "packet forwarding")
        for test in ("arp_of_the_router", "icmp_echo_of_all_lengths"):
            _, stream, _ = boot.boot_and_pass(
                f"{run_name}.{test}", *guest_options(card(path, device), f"net.{test}",
                                                     "net.peer=host"))
            assert passed_without_skip(stream) == 1
        received, sent, lost = device_side.stop()
    assert received >= sent >= 10 and lost == 0


@pytest.mark.xdist_group("dpdk")
@pytest.mark.parametrize("device", ["", ",packed=on"], ids=["split", "packed"])
def test_dpdk_returns_our_guests_frames(run_name, tmp_path, device):
    """testpmd exchanges the addresses of each frame (macswap) and sends it back: of our
    own to ourselves, the same."""
    testpmd.skip_without("vhost")
    path = tmp_path / "s"
    elf = images.folder(images.ALL_TESTS) / "paravane.elf"
    with testpmd.run(tmp_path, "device", f"net_vhost0,iface={path}",
                     "--forward-mode=macswap") as device_side:
        device_side.command("start", "packet forwarding")
        boot.boot_and_pass(run_name, "--image", elf,
                           *guest_options(card(path, device), "net_loop.frames*"))
        received, sent, lost = device_side.stop()
    assert received == sent and lost == 0 and sent >= 2 * 16
