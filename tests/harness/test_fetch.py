# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""lib/picolibc/fetch.sh: three places in order, hashes checked, and a
failure that says what was tried.

The mirror is one of the test's own: a stand-in for apt-get names it.
"""

import hashlib
import os
import subprocess

import pytest

import boot

FETCH = boot.TOP / "lib/picolibc/fetch.sh"
CONTENT = b"an archive\n"
HASH = hashlib.sha256(CONTENT).hexdigest()
POOL_PATH = "pool/main/a/archive.tar.gz"
NOBODY = "http://127.0.0.1:9/archive.tar.gz"  # the discard port: refused at once
LIMIT_S = 120


@pytest.fixture(name="fetch")
def fetch_fixture(tmp_path):
    """Runs fetch.sh with DL_DIR and a mirror in tmp_path; returns the
    process and the target file."""
    bin_folder, mirror, downloads = tmp_path / "bin", tmp_path / "mirror", tmp_path / "dl"
    for folder in (bin_folder, mirror / "pool/main/a", downloads):
        folder.mkdir(parents=True)
    apt_get = bin_folder / "apt-get"
    apt_get.write_text(f"#!/bin/sh\necho \"'file:{mirror}/dists/test/InRelease' InRelease 0\"\n")
    apt_get.chmod(0o755)
    target = tmp_path / "out/archive.tar.gz"

    def run():
        environment = dict(os.environ, PATH=f"{bin_folder}:{os.environ['PATH']}",
                           DL_DIR=str(downloads), FETCH_SECONDS_MAX="20")
        return subprocess.run([FETCH, target, HASH, POOL_PATH, NOBODY], env=environment,
                              check=False, capture_output=True, text=True, timeout=LIMIT_S)

    run.target, run.mirror, run.downloads = target, mirror / POOL_PATH, downloads / "archive.tar.gz"
    return run


def test_a_failure_names_the_three_places(fetch):
    fetch.downloads.write_bytes(b"another archive\n")
    result = fetch()
    assert result.returncode == 1, result.stdout
    tried = result.stderr.partition("Tried:\n")[2]
    assert "DL_DIR=" in tried and "another SHA-256" in tried
    assert f"file:{fetch.mirror.parents[3]}: " in tried
    assert f"{NOBODY}: " in tried
    assert "DL_DIR=FOLDER" in tried  # and what to do about it
    assert list(fetch.target.parent.iterdir()) == []  # nothing half-done


def test_the_folder_comes_first(fetch):
    fetch.downloads.write_bytes(CONTENT)
    fetch.mirror.write_bytes(b"not asked\n")
    result = fetch()
    assert result.returncode == 0, result.stderr
    assert fetch.target.read_bytes() == CONTENT and "dl" in result.stdout


@pytest.mark.skipif(not os.access("/usr/lib/apt/apt-helper", os.X_OK), reason="no apt here")
def test_a_wrong_folder_leads_to_the_mirror(fetch):
    fetch.downloads.write_bytes(b"another archive\n")
    fetch.mirror.write_bytes(CONTENT)
    fetch.mirror.parents[3].chmod(0o755)
    result = fetch()
    assert result.returncode == 0, result.stderr
    assert fetch.target.read_bytes() == CONTENT and "file:" in result.stdout
