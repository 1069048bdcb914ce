# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""What the models of tests/model have in common: build the sources as they are, in
which nothing may be found, and then mutants, each with one order taken away, in each of
which something must be found.

The last lines of a model's main script are `sys.exit(orders.main(...))`, and its exit status is 0:
all as it must be; 77: no relacy here.
"""

import argparse
import re
import shutil
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
RELACY = Path("/usr/include/relacy/relacy.hpp")
RUN_SECONDS_MAX = 600

# How an order stands in a source, and what is left without it. Anything atomic whose order is not
# named is no order that could be taken away, and is refused.
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
ORDERS = [(re.compile(pattern), without) for pattern, without in (
    (r"\bshared_load_acquire_", "shared_load_"),
    (r"\bshared_store_(?:release|seq_cst)_", "shared_store_"),
    (r"\bshared_fence_\w+\(\)", "(void)0"),
    (r"\bmemory_order_(?!relaxed\b)\w+", "memory_order_relaxed"))]
UNNAMED = re.compile(r"\b(?:__atomic_|__sync_|atomic_(?!init\b|uint\b)\w+(?<!_explicit)\()")


def every_order(part, elsewhere=()):
    """A mutant for each order in the sources of lib/PART: {place and line:
    (file, (start, end), without)}. The files ELSEWHERE are held by other means."""
    mutants = {}
    for path in sorted((TOP / "lib" / part).glob("*.[ch]")):
        if path.name in elsewhere:
            continue
        text = path.read_text()
        code = COMMENT.sub(lambda comment: re.sub(r"[^\n]", " ", comment.group()), text)
        assert not UNNAMED.search(
            code), f"{path.name}: an order without a name: {UNNAMED.search(code).group()}"
        for pattern, without in ORDERS:
            for found in pattern.finditer(code):
                number = code.count("\n", 0, found.start())
                name = f"{path.name}:{number + 1}: {text.splitlines()[number].strip()}"
                assert name not in mutants, f"two orders in one line: {name}"
                mutants[name] = (path.name, found.span(), without)
    return mutants


def copy_sources(work, part, shim, mutant):
    """lib/PART and lib/base in WORK, with SHIM for base/shared.h and the mutant's text replaced."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(TOP / "lib" / part, work / part)
    shutil.copytree(TOP / "lib/base", work / "base")
    shutil.copy(shim, work / "base/shared.h")
    if mutant is not None:
        file, old, new = mutant
        text = (work / part / file).read_text()
        if isinstance(old, str):
            assert text.count(old) == 1, f"{file} has {text.count(old)} times: {old}"
            old = (text.index(old), text.index(old) + len(old))
        (work / part / file).write_text(text[:old[0]] + new + text[old[1]:])


def run(program, *arguments):
    """Whether nothing was found, and the line that says what was."""
    result = subprocess.run([program, *arguments], check=False, capture_output=True, text=True,
                            timeout=RUN_SECONDS_MAX)
    lines = [line for line in result.stdout.splitlines() if line.startswith("scenario ")]
    return result.returncode == 0, lines[-1] if lines else f"exit status {result.returncode}"


def main(build, mutants):
    """build(folder, name, mutant) gives (program, arguments)."""
    parser = argparse.ArgumentParser(description="Holds memory orders against relacy.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where it builds")
    parser.add_argument("wanted", nargs="?", default="", metavar="MUTANT",
                        help="a part of the names of those to try (all)")
    words = parser.parse_args()
    folder, wanted = words.folder, words.wanted
    if not RELACY.exists():
        print("relacy is not installed (Debian: relacy-dev)")
        return 77
    if not any(wanted in name for name in mutants):
        print(f"no mutant has in its name: {wanted}")
        return 2
    good, what = run(*build(folder, "as-it-is", None))
    print(f"as it is: {what}", flush=True)
    failures = 0 if good else 1
    for number, (name, mutant) in enumerate(mutants.items()):
        if wanted not in name:
            continue
        holds, what = run(*build(folder, f"mutant-{number}", mutant))
        print(f"without {name}: {'NOTHING FOUND' if holds else 'found: ' + what}", flush=True)
        failures += holds
    print("all as it must be" if failures == 0 else f"{failures} not as they must be")
    return 0 if failures == 0 else 1
