# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""A moment of the proofs that can go on for hours: the fuzz targets of tests/fuzz on random inputs,
the same in every run, and the models of tests/model, as they are and with an order or two weakened.
In each something must be found when a check is taken away. `make fuzz` (clang's libFuzzer, guided)
and `make model` are the long ones."""

import os
import re
import subprocess
import sys

import pytest

import boot

FUZZERS = sorted(path.name.removesuffix("_fuzz.c")
                 for path in (boot.TOP / "tests/fuzz").glob("*_fuzz.c"))
SMOKE = boot.BUILD / "fuzz-smoke"
FUZZ_SECONDS, FUZZ_INPUTS_MIN = 2, 100
LIMIT_S = 600  # a hang detector

# Checks that are taken away: the fuzz target that must notice, the source,
# what stands there, what instead.
HOLES = {
    "a head beyond the ring": (
        "virtqueue_device", "lib/virtqueue/virtqueue_device_split_chains.c",
        "virtqueue_split_head_good(device->slots, ring->size, begun->head)",
        "(device->slots[begun->head].word == 0)"),
    "a used id beyond the ring": (
        "virtqueue_driver", "lib/virtqueue/virtqueue_split_driver.c", "UNLIKELY(id >= size) ||",
        ""),
    "a part of the receive buffer handed up twice": (
        "netvsc_host", "drivers/hyperv/netvsc_receive.c", "if (netvsc->held[k] != 0)",
        "if (false)"),
    "a packet beyond what its producer published": (
        "vmbus_ring_producer", "lib/vmbus_ring/vmbus_receiver.c", "if (total > available)",
        "if (false)"),
    "a consumer's index beyond the ring": (
        "vmbus_ring_consumer", "lib/vmbus_ring/vmbus_sender.c", "if (out >= data_bytes)",
        "if (false)"),
    "a channel id that no offer has": (
        "vmbus_client", "drivers/hyperv/vmbus_message.c",
        "if (message.channel_id == 0 || message.channel_id > VMBUS_CHANNEL_ID_MAX)", "if (false)"),
    "per-packet info longer than its list": (
        "rndis_message", "drivers/hyperv/rndis.c", "header.size > bytes ||", ""),
    "a frame longer than the MTU": (
        "virtio_net_device", "drivers/virtio/virtio_net_receive.c",
        "} else if (bytes > net->receive_limit_bytes) {", "} else if (false) {"),
    "a notification register outside its region": (
        "virtio_transport", "drivers/virtio/virtio_pci_ops.c",
        "offset + NOTIFY_BYTES > virtio->notify.bytes ||", ""),
}

MODEL_ITERATIONS = 300
# The mutants of each model that are tried here, by a part of their names.
MODELS = {"virtqueue": "used->index", "vmbus_ring": "c.5, 6"}


def run(*words, **environment):
    return subprocess.run(words, cwd=boot.TOP, env=dict(os.environ, **environment), check=False,
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          errors="replace", timeout=LIMIT_S)


def seeds_of(name, folder):
    """Made by tests/fuzz/<part>_seeds.py, where there is one; the door is
    the last word of the name."""
    part, _, door = name.rpartition("_")
    maker = boot.TOP / f"tests/fuzz/{part}_seeds.py"
    if not maker.exists():
        return []
    folder.mkdir()
    result = run(sys.executable, "-B", maker, door, folder)
    assert result.returncode == 0, result.stdout
    seeds = sorted(folder.iterdir())
    assert seeds, f"{maker.name} made no seeds for {door}"
    return seeds


def linked_with(name):
    """The objects that this target is linked with beside the archive, and the row of its
    part: it may be on a machine."""
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    said = subprocess.run(["make", "--no-print-directory", f"print-FUZZ_SMOKE_WITH_{name}"],
                          cwd=boot.TOP, check=True, env=environment, text=True,
                          stdout=subprocess.PIPE, timeout=LIMIT_S).stdout.split()
    return said, "machine" if said else "host-test"


def smoke(program, seeds=()):
    result = run(program, "--seconds", str(FUZZ_SECONDS), *seeds)
    found = re.search(r"^smoke: (\d+) inputs, \d+ seeds, nothing found$", result.stdout,
                      re.MULTILINE)
    return result, int(found.group(1)) if found else 0


def test_every_target_and_model_is_here():
    models = {path.name.removesuffix("_orders.py")
              for path in (boot.TOP / "tests/model").glob("*_orders.py")}
    assert FUZZERS and models == set(MODELS)


@pytest.mark.parametrize("name", FUZZERS)
def test_fuzz_target_finds_nothing(name, tmp_path):
    assert (SMOKE / name).exists(), "make fuzz-smoke builds it"
    result, inputs = smoke(SMOKE / name, seeds_of(name, tmp_path / "seeds"))
    assert result.returncode == 0, result.stdout
    assert inputs >= FUZZ_INPUTS_MIN, result.stdout


@pytest.mark.parametrize("hole", HOLES)
def test_fuzz_target_finds_a_hole(hole, tmp_path):
    name, source, old, new = HOLES[hole]
    text = (boot.TOP / source).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{source} has {text.count(old)} times: {old}"
    (tmp_path / "hole.c").write_text(text.replace(old, new), encoding="utf-8")
    objects, row = linked_with(name)
    others = [path for path in objects if not path.endswith(f"/{source}.o")]
    assert len(others) == len(objects) - bool(objects)
    # Its definitions come before those of the archive.
    result = run("gcc", "-std=gnu17", "-O1", "-g", "-fno-strict-aliasing", "-DPARAVANE_DEBUG=1",
                 "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined",
                 f"-I{boot.BUILD}/include/{row}", "-o", tmp_path / "hole", tmp_path / "hole.c",
                 *others, SMOKE / f"obj/tests/fuzz/{name}_fuzz.o", SMOKE / "obj/tests/fuzz/smoke.o",
                 SMOKE / "parts.a")
    assert result.returncode == 0, result.stdout
    result, _ = smoke(tmp_path / "hole", seeds_of(name, tmp_path / "seeds"))
    assert result.returncode != 0 and "smoke: failed at input" in result.stdout, result.stdout


@pytest.mark.parametrize("name", MODELS)
def test_model_holds_and_finds_weakened_orders(name, tmp_path):
    result = run(sys.executable, "-B", f"tests/model/{name}_orders.py", tmp_path, MODELS[name],
                 MODEL_ITERATIONS=str(MODEL_ITERATIONS))
    if result.returncode == 77:
        pytest.skip(result.stdout.strip())
    assert result.returncode == 0, result.stdout
    assert "as it is: " in result.stdout and "found: " in result.stdout, result.stdout
