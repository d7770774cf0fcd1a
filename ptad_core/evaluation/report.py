"""The report: one HTML file with everything in it, pictures included, for a person to look at.

Rows are written to disk as the frames come, so a report of a thousand frames needs the memory of one.
"""

from __future__ import annotations

import base64
import html
import json
import math
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ptad_core.advice import NEXT_STEP
from ptad_core.evaluation.bag_reader import Frame
from ptad_core.evaluation.pictures import Picture, pictures_of
from ptad_core.evaluation.report_page import page
from ptad_core.evaluation.truth import Truth, TruthRow, truth_table
from ptad_core.overlay import reason_words, verdict_words
from ptad_core.types import AnomalyRegion, ColorImage, InspectionResult, Reason, Verdict
from ptad_core.version import __version__

_PICTURE_WIDTH_PX = 640  # shown at about half of it; a click shows it in full
_WEBP_QUALITY = 80
_VERDICTS = (Verdict.PASS, Verdict.FAIL, Verdict.CANNOT_INSPECT)


class ReportWriter:
    """Writes a report row by row.

    Args:
        path: the HTML file; its folder must exist.
        title: of the page.
        settings: the resolved configuration (``config.to_dict``), shown in full.
        truth: what is known of the frames, by stamp in nanoseconds; adds the table of truth against verdicts.
        notes: what the reader should know beforehand, such as warnings about the CAD file.
    """

    def __init__(self, path: Path, title: str, settings: Mapping[str, Any], truth: Mapping[int, Truth] | None = None,
                 notes: Sequence[str] = ()) -> None:
        self.path = path
        self._title, self._settings, self._truth, self._notes = title, settings, truth or {}, list(notes)
        self._rows_path = path.with_name(path.name + ".rows")
        self._rows = self._rows_path.open("w", encoding="utf-8")
        self._strip: list[str] = []
        self._verdicts: Counter[Verdict] = Counter()
        self._reasons: Counter[tuple[Verdict, Reason]] = Counter()
        self._pairs: list[tuple[Truth, Verdict]] = []
        self._times: dict[str, list[float]] = defaultdict(list)
        self._parts: dict[tuple[str, str], None] = {}

    def add(self, frame: Frame, result: InspectionResult) -> None:
        """Add a row for one frame; its pictures are encoded now and not kept."""
        self._verdicts[result.verdict] += 1
        self._reasons.update((result.verdict, reason) for reason in result.reasons)
        if result.part_id or result.reference_hash:
            self._parts[result.part_id, result.reference_hash] = None
        for time in result.times:
            self._times[time.stage].append(time.ms)
        if result.times:
            self._times["all stages"].append(sum(time.ms for time in result.times))
        truth = self._truth.get(frame.stamp_ns)
        wrong = truth is not None and truth.expected is not result.verdict
        if truth is not None:
            self._pairs.append((truth, result.verdict))
        self._strip.append(
            f'<a class="{result.verdict.name}{" wrong" if wrong else ""}" href="#f{frame.index}" '
            f'title="{frame.index}: {_reasons_text(result)}"></a>')
        pictures = [] if frame.image_bgr is None else pictures_of(
            frame.image_bgr, result, frame.camera, _PICTURE_WIDTH_PX)
        self._rows.write(_row(frame, result, pictures, truth, wrong))

    def finish(self, loss: str = "") -> None:
        """Put the page together.

        Args:
            loss: what of the input could not be read, in words.
        """
        self._rows.close()
        before, after = page(html.escape(self._title), self._summary(loss), "frames")
        with self.path.open("w", encoding="utf-8") as out:
            out.write(before)
            with self._rows_path.open(encoding="utf-8") as rows:
                shutil.copyfileobj(rows, out)
            out.write(after)
        self._rows_path.unlink()

    def _summary(self, loss: str) -> str:
        total = sum(self._verdicts.values())
        parts = " · ".join(f"part <b>{html.escape(part)}</b>, reference <code>{html.escape(reference[:16])}</code>"
                           for part, reference in self._parts) or "no reference"
        lines = [f"<h1>{html.escape(self._title)}</h1>",
                 f'<p class="sub">{total} frames · {parts} · ptad {__version__}</p>']
        for label, text in [("Loss", loss)] * bool(loss) + [("Note", note) for note in self._notes]:
            lines.append(f'<div class="card loss"><b>{label}:</b> {html.escape(text)}</div>')
        cards = [_verdict_card(self._verdicts, self._reasons)]
        if self._pairs:
            cards.append(_truth_card(truth_table(self._pairs)))
        if self._times:
            cards.append(_times_card(self._times))
        lines.append(f'<div class="cards">{"".join(cards)}</div>')
        lines.append(f'<nav class="strip" aria-label="all frames">{"".join(self._strip)}</nav>')
        settings = html.escape("\n".join(_settings_lines(self._settings)))
        lines.append(f'<details class="card"><summary>Settings as resolved</summary><pre>{settings}</pre></details>')
        lines.append(_filters(self._verdicts, bool(self._pairs)))
        return "\n".join(lines)


def _settings_lines(values: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:"
            yield from _settings_lines(value, indent + "  ")
        else:
            yield f"{indent}{key}: {json.dumps(value, ensure_ascii=False)}"


def _verdict_card(verdicts: Counter[Verdict], reasons: Counter[tuple[Verdict, Reason]]) -> str:
    tallies = "".join(f'<div class="tally {verdict.name}"><b>{verdicts[verdict]}</b>{verdict_words(verdict)}</div>'
                      for verdict in _VERDICTS)
    rows = "".join(
        f"<tr><td>{html.escape(reason_words(reason))}</td><td>{verdict_words(verdict)}</td>"
        f'<td class="n">{count}</td></tr>' for (verdict, reason), count in reasons.most_common())
    table = f'<table><tr><th>reason</th><th>verdict</th><th class="n">frames</th></tr>{rows}</table>' if rows else ""
    return f'<div class="card"><h2>Verdicts</h2><div class="tallies">{tallies}</div>{table}</div>'


def _truth_card(rows: list[TruthRow]) -> str:
    header = "".join(f'<th class="n">{verdict_words(verdict).split()[0]}</th>' for verdict in _VERDICTS)
    body = []
    for row in rows:
        cells = []
        for verdict in _VERDICTS:
            count = row.counts.get(verdict, 0)
            look = "zero" if count == 0 else "good" if verdict is row.expected else "bad"
            cells.append(f'<td class="n {look}">{count}</td>')
        body.append(f"<tr><td>{html.escape(row.kind)}</td><td>{verdict_words(row.expected)}</td>{''.join(cells)}"
                    f'<td class="n">{row.right} / {row.frames}</td></tr>')
    right, frames = sum(row.right for row in rows), sum(row.frames for row in rows)
    body.append(f'<tr class="total"><td colspan="5">all</td><td class="n">{right} / {frames}</td></tr>')
    return (f'<div class="card"><h2>Truth against verdict</h2><table><tr><th>truth</th><th>expected</th>{header}'
            f'<th class="n">right</th></tr>{"".join(body)}</table></div>')


def _times_card(times: Mapping[str, list[float]]) -> str:
    rows = []
    for stage in [*(name for name in times if name != "all stages"), "all stages"]:
        values = times[stage]
        cells = "".join(f'<td class="n">{np.percentile(values, q):.1f}</td>' for q in (50, 90, 99, 100))
        total = ' class="total"' if stage == "all stages" else ""
        rows.append(f"<tr{total}><td>{html.escape(stage)}</td>{cells}</tr>")
    return ('<div class="card"><h2>Times, ms</h2><table><tr><th>stage</th><th class="n">median</th>'
            '<th class="n">90 %</th><th class="n">99 %</th><th class="n">worst</th></tr>'
            f'{"".join(rows)}</table></div>')


def _filters(verdicts: Counter[Verdict], with_truth: bool) -> str:
    choices = [("all", ".frame", sum(verdicts.values()))]
    choices += [(verdict_words(verdict), f".is-{verdict.name}", verdicts[verdict]) for verdict in _VERDICTS]
    buttons = [f'<button data-show="{selector}" aria-pressed="{str(i == 0).lower()}">{label} ({count})</button>'
               for i, (label, selector, count) in enumerate(choices)]
    if with_truth:
        buttons.append('<button data-show=".wrong" aria-pressed="false">not as expected</button>')
    return f'<div class="filters"><span>Show</span>{"".join(buttons)}</div>'


def _row(frame: Frame, result: InspectionResult, pictures: list[Picture], truth: Truth | None, wrong: bool) -> str:
    known = "" if truth is None else (
        f'<span class="truth{" wrong" if wrong else ""}">truth: {html.escape(truth.kind)}, '
        f'expected {verdict_words(truth.expected)}</span>')
    figures = "".join(
        f'<figure><img loading="lazy" alt="{picture.name} of frame {frame.index}" src="{_data_uri(picture.image_bgr)}">'
        f"<figcaption><b>{picture.name}</b> {_ramp(picture)}{html.escape(picture.caption)}</figcaption></figure>"
        for picture in pictures)
    advice = [NEXT_STEP[reason] for reason in result.reasons] if result.verdict is Verdict.CANNOT_INSPECT else []
    words = "; ".join([result.message] * bool(result.message) + [f"→ {step}" for step in advice])
    message = f'<div class="words">{html.escape(words)}</div>' if words else ""
    return (
        f'<article class="card frame is-{result.verdict.name}{" wrong" if wrong else ""}" id="f{frame.index}">'
        f'<div class="head"><span class="number">#{frame.index}</span>'
        f'<span class="badge {result.verdict.name}">{verdict_words(result.verdict)}</span>'
        f'<span class="reason">{html.escape(_reasons_text(result))}</span>{known}'
        f'<span class="right mono">{frame.stamp_ns / 1e9:.3f} s · {html.escape(frame.frame_id)}</span></div>'
        f'{message}<div class="pictures">{figures}</div>{_figures(result)}</article>\n')


def _figures(result: InspectionResult) -> str:
    facts: list[tuple[str, str]] = []
    pose = result.pose
    if pose is not None:
        margin = "not tried" if math.isinf(pose.runner_up_margin) else f"{pose.runner_up_margin:.2f}"
        sigma_mm = 1e3 * math.sqrt(max(0.0, float(np.trace(pose.covariance[:3, :3]))))
        sigma_deg = math.degrees(math.sqrt(max(0.0, float(np.trace(pose.covariance[3:, 3:])))))
        x, y, z = 1e3 * pose.T_camera_part[:3, 3]
        facts += [("mask IoU", f"{pose.mask_iou:.3f}"), ("residual", f"{pose.residual_px:.2f} px"),
                  ("runner-up margin", margin), ("seed", pose.seed_source.value),
                  ("1σ", f"{sigma_mm:.2f} mm, {sigma_deg:.2f}°"),
                  ("converged", "yes" if pose.converged else "no")]
        if pose.ambiguous:
            facts.append(("ambiguous", "yes"))
        if math.isfinite(pose.seed_offset_deg):
            facts.append(("off the seed", f"{pose.seed_offset_deg:.1f}°, {1e3 * pose.seed_offset_m:.1f} mm"))
        facts.append(("part at", f"{x:.1f}, {y:.1f}, {z:.1f} mm"))
    if result.times:
        facts.append(("times", ", ".join(f"{time.stage} {time.ms:.0f}" for time in result.times) + " ms"))
    spans = "".join(f'<span><span class="k">{name}</span> <b>{html.escape(value)}</b></span>' for name, value in facts)
    regions = () if result.detection is None else result.detection.regions
    return "".join(f'<div class="figures">{part}</div>' for part in (spans, _regions_table(regions)) if part)


def _regions_table(regions: tuple[AnomalyRegion, ...]) -> str:
    if not regions:
        return ""
    rows = []
    for region in regions:
        box = region.box_px
        place = ", ".join(f"{1e3 * c:.1f}" for c in region.centroid_part_m)
        extent = " × ".join(f"{1e3 * c:.1f}" for c in region.extent_part_m)
        rows.append(
            f'<tr><td>{region.kind.name.lower()}</td><td class="n">{region.size_mm:.1f} mm</td>'
            f'<td class="n">{region.score:.2f}</td><td class="n">{box.width} × {box.height} at {box.x}, {box.y}</td>'
            f'<td class="n">{place}</td><td class="n">{extent}</td></tr>')
    return ('<table><tr><th>region</th><th class="n">reaches</th><th class="n">score</th><th class="n">box, px</th>'
            '<th class="n">on the part, mm</th><th class="n">extent, mm</th></tr>' + "".join(rows) + "</table>")


def _reasons_text(result: InspectionResult) -> str:
    return ", ".join(reason_words(reason) for reason in result.reasons)


def _ramp(picture: Picture) -> str:
    return '<span class="ramp"></span>' if picture.name == "depth" else ""


def _data_uri(image_bgr: ColorImage) -> str:
    done, data = cv2.imencode(".webp", image_bgr, [cv2.IMWRITE_WEBP_QUALITY, _WEBP_QUALITY])
    kind = "webp"
    if not done:  # an OpenCV built without WebP
        kind, data = "jpeg", cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"
