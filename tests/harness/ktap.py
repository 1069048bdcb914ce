# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""ktap: a strict reader of KTAP version 1.

What the kernel's document leaves open is closed here, because the only writer is our own guest:
every stream has a version line first and a plan before its first result, numbers count up from 1, a
test with subtests fails when one of them failed, and a line that is none of the four kinds is an
error. Each complaint names its line. Facts: the Linux kernel's Documentation/dev-tools/ktap.rst.
"""

import re
from dataclasses import dataclass, field

INDENT = 2  # spaces a level
VERSION_LINE = "KTAP version 1"
DIRECTIVES = ("SKIP", "TODO", "XFAIL", "TIMEOUT", "ERROR")
# Directives that only stand behind "not ok".
FAILED_DIRECTIVES = ("TIMEOUT", "ERROR")
DEPTH_MAX = 8

PLAN = re.compile(r"1\.\.(0|[1-9][0-9]*)$")
PLAN_ATTEMPT = re.compile(r"[0-9]*\.\.[0-9]*")
RESULT = re.compile(r"(ok|not ok) ([1-9][0-9]*)(?: (?:- )?([^#]*?))?(?: ?# ?(.*))?$")
RESULT_ATTEMPT = re.compile(r"(?i)(ok|not ok)\b")
BAIL_OUT = re.compile(r"Bail out!(?: (.*))?$")
SUBTEST = re.compile(r"# Subtest: (.*)$")


class KtapError(Exception):
    """What is wrong with a stream: `line` counts from 1 (0: at the end of the stream)."""

    def __init__(self, line, what):
        super().__init__(f"line {line}: {what}" if line else f"end of stream: {what}")
        self.line = line
        self.what = what


@dataclass
class Result:
    """One result line, with the subtests that came before it."""

    number: int
    name: str
    passed: bool
    line: int
    directive: str = ""
    reason: str = ""
    diagnostics: list = field(default_factory=list)
    subtests: "Stream | None" = None

    @property
    def skipped(self):
        return self.directive == "SKIP"

    @property
    def failed(self):
        return not self.passed and self.directive not in ("SKIP", "TODO", "XFAIL")


@dataclass
class Stream:
    """A version line, a plan, and results; `name` from a "# Subtest:" line, where there is one."""

    line: int
    depth: int
    name: str = ""
    planned: "int | None" = None
    skip_all: str = ""
    results: list = field(default_factory=list)
    diagnostics: list = field(default_factory=list)
    bail_out: "str | None" = None

    def leaves(self):
        """All tests without subtests, in order, with their path of names."""
        for result in self.results:
            if result.subtests is None:
                yield (result.name,), result
            else:
                for path, leaf in result.subtests.leaves():
                    yield (result.name, *path), leaf

    def all_diagnostics(self):
        """Every diagnostic line of this stream and those below it, in no promised order."""
        yield from self.diagnostics
        for result in self.results:
            yield from result.diagnostics
            if result.subtests is not None:
                yield from result.subtests.all_diagnostics()

    def counts(self):
        """(passed, failed, skipped) of the leaves."""
        passed = failed = skipped = 0
        for _, leaf in self.leaves():
            if leaf.skipped:
                skipped += 1
            elif leaf.failed:
                failed += 1
            else:
                passed += 1
        return passed, failed, skipped


class _Parser:
    def __init__(self):
        self.stack = []  # open streams, outermost first
        self.pending = []  # diagnostics since the last result, a list for each open stream
        self.finished = None  # a nested stream that waits for its parent's result line
        self.root = None

    def feed(self, number, line):
        if line == "":
            raise KtapError(number, "empty line")
        if "\r" in line or "\x1b" in line:
            raise KtapError(number, "control character in the line")
        text = line.lstrip(" ")
        spaces = len(line) - len(text)
        if spaces % INDENT:
            raise KtapError(number, f"indented by {spaces} spaces, not by a multiple of {INDENT}")
        depth = spaces // INDENT
        if self.root is None:
            if line != VERSION_LINE:
                raise KtapError(number, f'expected "{VERSION_LINE}" first, got "{line}"')
            self.open(number, 0)
            return
        if self.root.bail_out is not None:
            if text.startswith("#"):
                self.root.diagnostics.append(text)
                return
            raise KtapError(number, "a line after Bail out!")
        self.dispatch(number, depth, text)

    def dispatch(self, number, depth, text):
        if text == VERSION_LINE:
            self.open(number, depth)
        elif text.startswith(("KTAP version", "TAP version")):
            raise KtapError(number, f'unknown version "{text}"')
        elif text.startswith("#"):
            self.diagnostic(number, depth, text)
        elif PLAN.match(text) or re.match(r"1\.\.0 # SKIP", text):
            self.plan(number, depth, text)
        elif match := RESULT.match(text):
            self.result(number, depth, match)
        elif match := BAIL_OUT.match(text):
            self.root.bail_out = match.group(1) or ""
        elif PLAN_ATTEMPT.match(text):
            raise KtapError(number, f'"{text}" is no plan: expected 1..N')
        elif RESULT_ATTEMPT.match(text):
            raise KtapError(number, f'"{text}" is no result: expected "ok N name"')
        else:
            raise KtapError(number, f'"{text}" is no KTAP line')

    def open(self, number, depth):
        if depth >= DEPTH_MAX:
            raise KtapError(number, f"nested deeper than {DEPTH_MAX}")
        if depth != len(self.stack):
            raise KtapError(number, f"a version line at depth {depth}, expected {len(self.stack)}")
        if self.finished is not None:
            raise KtapError(number, "subtests twice before one result")
        if self.stack and self.stack[-1].planned is None:
            raise KtapError(number, "subtests before the plan of the level above")
        stream = Stream(line=number, depth=depth)
        self.stack.append(stream)
        self.pending.append([])
        if depth == 0:
            self.root = stream

    def diagnostic(self, number, depth, text):
        # A log line may come from anywhere and stands unindented then; deeper than the open stream
        # it belongs to nothing.
        if depth > len(self.stack):
            raise KtapError(number, f"a diagnostic at depth {depth}, below every open stream")
        level = min(depth, len(self.stack) - 1)
        if match := SUBTEST.match(text):
            if level != depth or self.stack[level].name:
                raise KtapError(number, '"# Subtest:" outside a nested stream, or twice in one')
            self.stack[level].name = match.group(1)
        self.pending[level].append(text)

    def plan(self, number, depth, text):
        if depth != len(self.stack) - 1:
            raise KtapError(number, f"a plan at depth {depth}, expected {len(self.stack) - 1}")
        stream = self.stack[-1]
        if stream.planned is not None:
            raise KtapError(number, f"a second plan; the first said 1..{stream.planned}")
        count, _, why = text.partition(" # SKIP")
        stream.planned = int(count[3:])
        stream.skip_all = why.strip()

    def close_nested(self, number):
        """The stream at the top of the stack ends: its parent's result line has come."""
        stream = self.stack.pop()
        stream.diagnostics += self.pending.pop()
        self.check_complete(number, stream)
        self.finished = stream

    @staticmethod
    def check_complete(number, stream):
        where = f" (the stream of line {stream.line})"
        if stream.planned is None:
            raise KtapError(number, "no plan" + where)
        if len(stream.results) != stream.planned:
            raise KtapError(
                number, f"planned {stream.planned} results, got {len(stream.results)}" + where)

    def result(self, number, depth, match):
        if depth == len(self.stack) - 2:
            self.close_nested(number)
        if depth != len(self.stack) - 1:
            raise KtapError(number, f"a result at depth {depth}, expected {len(self.stack) - 1}")
        stream = self.stack[-1]
        if stream.planned is None:
            raise KtapError(number, "a result before the plan")
        expected = len(stream.results) + 1
        if int(match.group(2)) != expected:
            raise KtapError(number, f"result number {match.group(2)}, expected {expected}")
        if expected > stream.planned:
            raise KtapError(number, f"result {expected} beyond the plan 1..{stream.planned}")
        result = Result(number=expected, name=(match.group(3) or "").strip(),
                        passed=match.group(1) == "ok", line=number,
                        diagnostics=self.pending[-1], subtests=self.finished)
        self.pending[-1] = []
        self.finished = None
        self.directive(number, result, match.group(4) or "")
        self.check_parent(number, result)
        stream.results.append(result)

    @staticmethod
    def directive(number, result, text):
        word, _, reason = text.partition(" ")
        if word.upper() in DIRECTIVES and word not in DIRECTIVES:
            raise KtapError(number, f"the directive {word} is written in capitals")
        if word in DIRECTIVES:
            result.directive, result.reason = word, reason.strip()
            if word == "SKIP" and not result.reason:
                raise KtapError(number, "SKIP without a reason")
        else:
            result.reason = text
        if result.directive in FAILED_DIRECTIVES and result.passed:
            raise KtapError(number, f'{word} behind "ok"')

    @staticmethod
    def check_parent(number, result):
        if result.subtests is None:
            return
        if result.subtests.name and result.subtests.name != result.name:
            raise KtapError(number, f'the subtests are of "{result.subtests.name}",'
                                    f' the result is of "{result.name}"')
        broken = any(child.failed for child in result.subtests.results)
        if broken and not result.failed:
            raise KtapError(number, f'"{result.name}" passes although a subtest failed')
        if not broken and result.failed:
            raise KtapError(number, f'"{result.name}" fails although no subtest did')

    def finish(self):
        if self.root is None:
            raise KtapError(0, "nothing at all: no version line")
        if self.root.bail_out is not None:
            self.root.diagnostics += [line for lines in self.pending for line in lines]
            return self.root
        if len(self.stack) != 1:
            raise KtapError(0, f"the subtests of line {self.stack[-1].line} have no result line")
        self.root.diagnostics += self.pending[0]
        self.check_complete(0, self.root)
        return self.root


def parse(text):
    """Reads a whole stream.

    text      str; lines end in "\\n", the last one too
    returns   the outermost Stream; one that was bailed out of may be incomplete
    raises    KtapError for the first thing that is wrong
    """
    parser = _Parser()
    if text and not text.endswith("\n"):
        raise KtapError(text.count("\n") + 1, "the last line has no end")
    for number, line in enumerate(text.split("\n")[:-1], 1):
        parser.feed(number, line)
    return parser.finish()
