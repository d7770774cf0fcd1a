"""What is known to be true of the frames of a recording, to hold verdicts against."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ptad_core.errors import PtadError
from ptad_core.types import Verdict


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth of one frame: what there is to see, and the verdict that is right."""

    kind: str
    expected: Verdict


def read_truth(path: Path) -> dict[int, Truth]:
    """Read a truth.jsonl (``stamp_ns``, ``truth``, ``expected`` per line); return it by stamp in nanoseconds.

    Raises:
        PtadError: if the file cannot be read, or a line lacks a field.
    """
    try:
        lines = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
        return {int(line["stamp_ns"]): Truth(str(line["truth"]), Verdict[line["expected"]]) for line in lines}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PtadError(f"{path}: expected lines with stamp_ns, truth and expected: {error!r}") from error


@dataclass(frozen=True, slots=True)
class TruthRow:
    """One row of the table of truth against verdicts.

    Attributes:
        kind: what there was to see.
        expected: the right verdict.
        counts: frames by verdict.
    """

    kind: str
    expected: Verdict
    counts: Mapping[Verdict, int]

    @property
    def frames(self) -> int:
        return sum(self.counts.values())

    @property
    def right(self) -> int:
        return self.counts.get(self.expected, 0)


def truth_table(pairs: Iterable[tuple[Truth, Verdict]]) -> list[TruthRow]:
    """Count verdicts by truth, in the order in which the kinds first appear."""
    table: dict[Truth, Counter[Verdict]] = {}
    for truth, verdict in pairs:
        table.setdefault(truth, Counter())[verdict] += 1
    return [TruthRow(truth.kind, truth.expected, dict(counts)) for truth, counts in table.items()]


def format_table(rows: list[TruthRow]) -> str:
    """Return the table as text of fixed width, for a terminal."""
    header = f"{'truth':<14}{'expected':<16}{'frames':>7}{'PASS':>7}{'FAIL':>7}{'CANNOT':>8}{'right':>7}"
    lines = [header, "-" * len(header)]
    for row in rows:
        counts = [row.counts.get(verdict, 0) for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.CANNOT_INSPECT)]
        lines.append(f"{row.kind:<14}{row.expected.name:<16}{row.frames:>7}{counts[0]:>7}{counts[1]:>7}{counts[2]:>8}"
                     f"{row.right:>7}")
    return "\n".join(lines)
