# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""seeds: the end of each script that writes a seed corpus; NAME_seeds.py DOOR FOLDER."""

import sys
from pathlib import Path


def write(seeds):
    """Writes a file for each of `seeds`, pairs of a name and bytes, into the
    folder of the command line, which is there."""
    folder = Path(sys.argv[2])
    for name, seed in seeds:
        (folder / name).write_bytes(seed)
