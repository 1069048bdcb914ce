# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""vhost-user-net and DPDK: virtio-user floods it, and what went in comes out."""

import time

import pytest

import testpmd
import vhost_user as vu

pytestmark = pytest.mark.xdist_group("dpdk")  # two CPUs each
FLOOD_S = 2
BURSTS = 8  # of 32 frames, which then go round and round


@pytest.mark.parametrize("options", ["", ",packed_vq=1", ",in_order=1", ",packed_vq=1,in_order=1",
                                     ",mrg_rxbuf=0", ",packed_vq=1,vectorized=1", ",queue_size=64"])
def test_frames_in_are_frames_out(tmp_path, options):
    """Frames circle between testpmd and macswap: none may get lost, and none may come twice."""
    testpmd.skip_without("virtio")
    path = tmp_path / "s"
    with vu.back_end(tmp_path / "back", "-s", path, "-m", "macswap", "--stats") as back:
        vu.wait_for_socket(path, back)
        with testpmd.run(tmp_path, "driver", f"net_virtio_user0,path={path}{options}",
                         "--forward-mode=io") as driver:
            driver.command(f"start tx_first {BURSTS}", "packet forwarding")
            time.sleep(FLOOD_S)
            received, sent, _ = driver.stop()
            time.sleep(0.1)
            stats = back.stats()[str(path)]
        assert back.stderr() == ""
    assert sent > 32 * BURSTS * 10, "nothing circled"
    assert stats["frames_in"] == sent == stats["frames_out"]
    assert sent - 32 * BURSTS <= received <= sent
    assert stats["bytes_in"] == stats["bytes_out"] == 64 * sent


def test_queue_pairs(tmp_path):
    """Four pairs: each has traffic of its own."""
    testpmd.skip_without("virtio")
    path = tmp_path / "s"
    with vu.back_end(tmp_path / "back", "-s", path, "-m", "macswap", "--stats") as back:
        vu.wait_for_socket(path, back)
        with testpmd.run(tmp_path, "driver", f"net_virtio_user0,path={path},queues=4",
                         "--forward-mode=io", "--rxq=4", "--txq=4") as driver:
            driver.command(f"start tx_first {BURSTS}", "packet forwarding")
            time.sleep(FLOOD_S)
            text = driver.command("stop", r"Done\.")
            stats = back.stats()[str(path)]
            assert stats["rings"] == 8
    for queue in range(4):
        assert f"RX Port= 0/Queue= {queue} -> TX Port= 0/Queue= {queue}" in text
    assert stats["frames_in"] == stats["frames_out"] > 32 * BURSTS * 4


def test_front_end_comes_back(tmp_path):
    """Three drivers one after the other, on one back end."""
    testpmd.skip_without("virtio")
    path = tmp_path / "s"
    with vu.back_end(tmp_path / "back", "-s", path, "-m", "macswap", "--stats") as back:
        vu.wait_for_socket(path, back)
        for i in range(3):
            options = ",packed_vq=1" if i == 1 else ""
            with testpmd.run(tmp_path, f"driver{i}", f"net_virtio_user0,path={path}{options}",
                             "--forward-mode=io") as driver:
                driver.command("start tx_first 1", "packet forwarding")
                time.sleep(0.3)
                received, _, _ = driver.stop()
                assert received > 0
        assert back.stats()[str(path)]["sessions"] == 3


def test_two_drivers_through_the_switch(tmp_path):
    """One floods, the other receives, over the switch: what arrives is what was
    sent, less what it counts."""
    testpmd.skip_without("virtio")
    one, two = tmp_path / "1", tmp_path / "2"
    with vu.back_end(tmp_path / "back", "-s", one, "-s", two, "--stats") as back:
        vu.wait_for_socket(two, back)
        with testpmd.run(tmp_path, "receiver", f"net_virtio_user0,path={two}",
                         "--forward-mode=rxonly") as receiver, \
                testpmd.run(tmp_path, "sender", f"net_virtio_user0,path={one}",
                            "--forward-mode=txonly") as sender:
            receiver.command("start", "packet forwarding")
            sender.command("start", "packet forwarding")
            time.sleep(FLOOD_S)
            _, sent, _ = sender.stop()
            time.sleep(0.3)
            received, _, _ = receiver.stop()
            stats = back.stats()
    assert stats[str(one)]["frames_in"] == sent > 1000
    assert stats[str(two)]["frames_out"] == received
    assert received + stats[str(two)]["dropped_full"] == sent
