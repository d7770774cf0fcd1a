"""Rows -> tables and the one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.pose.conditions import DEFECTS, Condition
from benchmarks.pose.errors import FLIP_DEG, SUCCESS_DEG, SUCCESS_DIAMETERS
from benchmarks.pose.run import PAPER, Row

DEFINITIONS = f"""\
Success: less than {SUCCESS_DEG:g} degrees to the true rotation or a declared symmetric copy of it, and the part's \
centre within {100 * SUCCESS_DIAMETERS:g} % of its diameter. Medians are over all answers, wrong ones included.
Flips: more than {FLIP_DEG:g} degrees off, among objects without symmetry. Ambiguous: reported so. Untrusted: not \
trusted for other reasons. Wrong and trusted: neither, and yet no success.
NEES: median, 95th percentile and mean of the squared error normalised by the reported covariance, over 6; successes \
only, without parts that turn freely. 0.89, 2.1 and 1 would be exact.
Times are of one call, after a warm-up; CPU is the processor time of all threads together.
"""

Rows = Sequence[Row]


def write_report(rows: Rows, headline: dict[str, float | None]) -> str:
    """Return the whole report as Markdown, the JSON line last."""
    modes = list(dict.fromkeys(row.mode for row in rows))
    parts = [DEFINITIONS]
    parts += [f"### {mode}\n\n{_by_condition([r for r in rows if r.mode == mode])}" for mode in modes]
    against = _against_paper(rows)
    if against:
        parts.append("### ring20 against the paper's recipe, same pairs (ours / paper)\n\n" + against)
    parts.append("### success by object, all conditions\n\n" + _by_object(rows, modes))
    parts.append("### margin to the runner-up, quantiles\n\n" + _margins(rows, [m for m in modes if m != PAPER.name]))
    parts.append(json.dumps({"pose": headline}))
    return "\n\n".join(parts)


def headline_of(rows: Rows) -> dict[str, float | None]:
    """Return the figures of the JSON line; None where a mode was not run."""
    def of(mode: str, *conditions: Condition) -> Rows:
        return [r for r in rows if r.mode == mode and r.condition in {c.value for c in conditions}]

    intact = of("ring20", Condition.INTACT)
    blind = [*intact, *of("sphere", Condition.INTACT)]
    seeded = of("seeded", Condition.INTACT, *DEFECTS)
    paper = of(PAPER.name, Condition.INTACT)
    pairs_of_paper = {r.pair for r in paper}
    same = [r for r in intact if r.pair in pairs_of_paper]
    defects = [_mean(of("ring20", kind), "success") for kind in DEFECTS if of("ring20", kind)]
    figures = {
        "blind20_intact_success": _mean(intact, "success"),
        "blind20_intact_median_deg": _median(intact, "rotation_deg"),
        "blind20_defect_success": min(defects, default=np.nan),
        "sphere_intact_success": _mean(of("sphere", Condition.INTACT), "success"),
        "seeded_success": _mean(seeded, "success"),
        "flip_rate": _mean([r for r in blind if r.asymmetric], "flipped"),
        "translation_median_pct": _median(intact, "centre_pct_distance"),
        "blind_ms": 1e3 * _median(intact, "seconds"),
        "seeded_ms": 1e3 * _median(seeded, "seconds"),
        "speedup_vs_paper": _median(paper, "seconds") / _median(same, "seconds"),
    }
    return {name: float(f"{value:.4g}") if np.isfinite(value) else None for name, value in figures.items()}


def _by_condition(rows: Rows) -> str:
    head = ("condition", "n", "success", "median deg", "median % of distance", "flips", "ambiguous", "untrusted",
            "wrong and trusted", "median ms", "p95 ms", "CPU ms", "NEES")
    present = [c for c in Condition if any(r.condition == c.value for r in rows)]
    groups: list[tuple[str, Rows]] = [(c.value, [r for r in rows if r.condition == c.value]) for c in present]
    defects = [r for r in rows if r.condition in {d.value for d in DEFECTS}]
    if defects and len(present) > 2:
        groups.append(("all defects", defects))
    return _table(head, [_line(name, group) for name, group in groups])


def _line(name: str, rows: Rows) -> tuple[str, ...]:
    paper = rows[0].mode == PAPER.name
    untrusted = [bool(set(r.reasons) - {"POSE_AMBIGUOUS"}) or not (r.trusted or r.ambiguous) for r in rows]
    wrong = [r.trusted and not r.success for r in rows]
    known = np.array([r.nees for r in rows if np.isfinite(r.nees)])
    milliseconds = 1e3 * np.array([r.seconds for r in rows])
    return (name, str(len(rows)), f"{_mean(rows, 'success'):.3f}", f"{_median(rows, 'rotation_deg'):.2f}",
            f"{_median(rows, 'centre_pct_distance'):.2f}", _pct([r.flipped for r in rows if r.asymmetric]),
            "-" if paper else _pct([r.ambiguous for r in rows]), "-" if paper else _pct(untrusted),
            "-" if paper else _pct(wrong), f"{np.median(milliseconds):.0f}", f"{np.quantile(milliseconds, 0.95):.0f}",
            f"{1e3 * _median(rows, 'cpu_seconds'):.0f}",
            f"{np.median(known):.2f} / {np.quantile(known, 0.95):.1f} / {known.mean():.1f}" if len(known) else "-")


def _against_paper(rows: Rows) -> str:
    """Both on the pairs that the baseline was run on: ours / paper."""
    lines = []
    for condition in Condition:
        paper = [r for r in rows if r.mode == PAPER.name and r.condition == condition.value]
        pairs = {r.pair for r in paper}
        ours = [r for r in rows if r.mode == "ring20" and r.condition == condition.value and r.pair in pairs]
        if ours:
            both = (ours, paper)
            lines.append((
                condition.value, str(len(paper)), " / ".join(f"{_mean(g, 'success'):.3f}" for g in both),
                " / ".join(f"{_median(g, 'rotation_deg'):.2f}" for g in both),
                " / ".join(f"{_median(g, 'centre_pct_distance'):.2f}" for g in both),
                *(f"{_median(paper, name) / _median(ours, name):.1f}" for name in ("seconds", "cpu_seconds"))))
    head = ("condition", "n", "success", "median deg", "median % of distance", "times faster", "times less CPU")
    return _table(head, lines) if lines else ""


def _by_object(rows: Rows, modes: list[str]) -> str:
    names = list(dict.fromkeys(r.object for r in rows))
    lines = [(name, *(_share([r.success for r in rows if r.object == name and r.mode == mode]) for mode in modes))
             for name in names]
    return _table(("object", *modes), lines)


def _margins(rows: Rows, modes: list[str]) -> str:
    """Margins of right and wrong answers: what a limit on them would let through, and what it would cost."""
    quantiles = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    lines = []
    for mode in modes:
        for name, test in (("right", _right), ("wrong", _wrong)):
            group = [r.margin for r in rows if r.mode == mode and test(r) and not np.isnan(r.margin)]
            known = np.array([m for m in group if np.isfinite(m)])
            if len(known):
                lines.append((f"{mode}, {name}", str(len(group)), str(len(group) - len(known)),
                              *(f"{q:.2f}" for q in np.quantile(known, quantiles))))
    return _table(("answers", "n", "no runner-up", *(f"{100 * q:.0f} %" for q in quantiles)), lines)


def _right(row: Row) -> bool:
    return row.success


def _wrong(row: Row) -> bool:
    return not row.success


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[k]) for line in [head, *lines]) for k in range(len(head))]
    pad: Callable[[Sequence[str]], str] = lambda line: (  # noqa: E731
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |")
    return "\n".join([pad(head), "|" + "|".join("-" * (w + 2) for w in widths) + "|", *map(pad, lines)])


def _mean(rows: Rows, name: str) -> float:
    return float(np.mean([getattr(r, name) for r in rows])) if rows else float("nan")


def _median(rows: Rows, name: str) -> float:
    return float(np.median([getattr(r, name) for r in rows])) if rows else float("nan")


def _pct(flags: Sequence[bool]) -> str:
    return f"{100 * float(np.mean(flags)):.1f} %" if flags else "-"


def _share(flags: Sequence[bool]) -> str:
    return f"{float(np.mean(flags)):.3f}" if flags else "-"
