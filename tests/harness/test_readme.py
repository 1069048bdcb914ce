# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""README.md keeps its word: its two commands, and what it says one should now see.

In the block under "What you should now see" an ellipsis (…) stands for any text, as numbers and
times differ; a line of an ellipsis alone stands for any lines.
"""

import re

import boot

README = boot.TOP / "README.md"
HEADING = "What you should now see"


def fenced_blocks(text):
    return [block.strip("\n").split("\n")
            for block in re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]


def promised_lines():
    _, found, after = README.read_text(encoding="utf-8").partition(HEADING)
    assert found, f'README.md has no heading "{HEADING}"'
    blocks = fenced_blocks(after)
    assert blocks, "no fenced block under it"
    return [line.rstrip() for line in blocks[0] if line.strip() not in ("", "…")]


def matches(pattern, line):
    return re.fullmatch(r".*?".join(map(re.escape, pattern.split("…"))), line.rstrip()) is not None


def missing_line(promised, shown):
    """The first promised line that does not come in its turn, or None."""
    at = 0
    for pattern in promised:
        while at < len(shown) and not matches(pattern, shown[at]):
            at += 1
        if at == len(shown):
            return pattern
        at += 1
    return None


def test_the_comparison_itself():
    shown = ["a 12 ms", "  ok pmm", "noise", "PASS (3 tests)"]
    assert missing_line(["a … ms", "PASS (… tests)"], shown) is None
    assert missing_line(["PASS (… tests)", "a … ms"], shown) == "a … ms"
    assert missing_line(["ok pmm"], shown) == "ok pmm"
    assert missing_line(["a 1… ms", "  ok …", "PASS (… test)"], shown) == "PASS (… test)"


def test_two_commands():
    blocks = [block for block in fenced_blocks(README.read_text(encoding="utf-8"))
              if any("./run-qemu.sh" in line for line in block)]
    assert blocks, "README.md never says ./run-qemu.sh"
    commands = [line.partition("#")[0].strip() for line in blocks[0]]
    assert [command for command in commands if command] == ["./run-qemu.sh", "make test"]


def test_what_you_should_now_see():
    promised = promised_lines()
    status, output = boot.run_on_terminal("readme")
    shown = boot.screen_lines(output)
    assert status == boot.PASS, output[-4000:]
    missing = missing_line(promised, shown)
    assert missing is None, f"not shown, or not in this order: {missing}\n" + "\n".join(shown)


def test_every_option_it_names_exists():
    help_text = boot.run("readme_help", "--help").stdout
    for line in README.read_text(encoding="utf-8").splitlines():
        if "run-qemu.sh " in line:
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", line.split("run-qemu.sh ", 1)[1]):
                assert f"  {option}" in help_text, f"{option} in: {line}"
