# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""bench_results: the file that `make bench` leaves, an array of rows {"name", "unit", "min",
"median", "yardstick", "ratio"} as tests/bench/bench.c writes them, times in nanoseconds."""

import json


def add(path, rows):
    """Writes `rows` into the array in `path`, in place of those with the same names."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    names = {row["name"] for row in rows}
    known = [row for row in known if row["name"] not in names]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(map(json.dumps, known + rows)) + "\n]\n", encoding="utf-8")
