"""An inspection cell at work: ``python -m ptad_ros.demo --out DIR``.

Makes a recording of a cell (a part on a table, intact and with defects), starts the cell as a process of its own, plays
the recording to it over DDS, records what it answers, writes a report of recording and answers, and holds the answers
against what is known to be true.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ptad_core.config import CellConfig, from_dict, load_yaml, to_dict
from ptad_core.errors import PtadError
from ptad_core.evaluation.bag_reader import BagReader, FrameOptions
from ptad_core.evaluation.replay import write_config
from ptad_core.evaluation.report import ReportWriter
from ptad_core.evaluation.results import record_of, times_line, to_line
from ptad_core.evaluation.truth import TruthRow, format_table, read_truth, truth_table
from ptad_core.types import Verdict

FRAMES, SHORT_FRAMES = 64, 20
START_TIMEOUT_S, ANSWER_TIMEOUT_S = 180.0, 60.0
MIN_DEFECTS_SEEN = 0.8
RULE = (f"The exit code is 0 where every image was answered, every intact, empty or cut one is judged right, and "
        f"{MIN_DEFECTS_SEEN:.0%} of those with a defect FAIL; else 1.")


class DemoError(PtadError):
    """The cell did not do its part."""


class Progress:
    """One line that is written over on a terminal; every so often a line elsewhere."""

    def __init__(self, label: str) -> None:
        self._label, self._started_s, self._live = label, time.monotonic(), sys.stdout.isatty()

    def __call__(self, done: int, total: int, words: str = "") -> None:
        text = f"{self._label}: {done}/{total} {words}"
        if done == total:
            text = f"{self._label}: {total} images in {time.monotonic() - self._started_s:.1f} s"
        if self._live:
            print(f"\r\033[K{text}", end="\n" if done == total else "", flush=True)
        elif done == total or done % 16 == 0:
            print(text, flush=True)


def run(out: Path, frames: int = FRAMES, seed: int = 0) -> int:
    """Run the demonstration; return the exit code as ``RULE`` says.

    Raises:
        DemoError: if the cell does not start.
    """
    from ptad_core.synthesis.recording import generate_demo

    out.mkdir(parents=True, exist_ok=True)
    for old in (out / "bag", out / "results"):
        shutil.rmtree(old, ignore_errors=True)
    generate_demo(out, frames, seed, progress=Progress("1/3 recording of a cell"))
    unanswered = _through_the_cell(out)
    rows = _report(out)
    lost = frames - sum(row.frames for row in rows)
    problems = [f"{len(unanswered)} images were not answered"] * bool(unanswered)
    problems += [f"{lost} answers were not recorded"] * bool(lost)
    problems += misjudged(rows)
    for problem in problems:
        print(f"demo: {problem}", file=sys.stderr)
    return 1 if problems else 0


def misjudged(rows: Sequence[TruthRow]) -> list[str]:
    """Return in words where the verdicts fall short of ``RULE``."""
    problems = [f"{row.frames - row.right} of {row.frames} {row.kind} images are not {row.expected.name}"
                for row in rows if row.expected is not Verdict.FAIL and row.right < row.frames]
    defects = [row for row in rows if row.expected is Verdict.FAIL]
    seen, total = sum(row.right for row in defects), sum(row.frames for row in defects)
    if seen < MIN_DEFECTS_SEEN * total:
        problems.append(f"{seen} of {total} images with a defect FAIL, fewer than {MIN_DEFECTS_SEEN:.0%}")
    return problems


def _through_the_cell(out: Path) -> list[int]:
    """Play the recording to a cell; return the stamps that got no answer."""
    import rclpy

    from ptad_ros.player import Player
    from ptad_ros.recorder import Recorder
    from ptad_ros.spinning import spinning

    context = rclpy.context.Context()
    rclpy.init(context=context)
    player, recorder = Player(out / "bag", context=context), Recorder(out / "results", context=context)
    try:
        with spinning(player, recorder, context=context), _cell(out) as cell:
            if not player.wait_for_cell(START_TIMEOUT_S, alive=lambda: cell.poll() is None):
                log = (out / "inspection_node.log").read_text(encoding="utf-8", errors="replace")
                raise DemoError(f"the cell did not start; the end of its log:\n{log[-2000:]}")
            progress, total = Progress("2/3 inspection over DDS"), player.images
            played = player.play(lockstep_s=ANSWER_TIMEOUT_S, on_answer=lambda _, result: progress(
                len(player.played.sent), total, "no answer" if result is None else Verdict(result.verdict).name))
            recorder.wait_until_quiet()
        return played.unanswered
    finally:
        recorder.close()
        rclpy.shutdown(context=context)


@contextmanager
def _cell(out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the cell's node as a process."""
    # A camera's images are heard best-effort, for most cameras offer no more; large ones are then lost now and then.
    # The player offers more, and here every image counts.
    command = [sys.executable, "-m", "ptad_ros.inspection_node", "--ros-args", "--params-file", str(out / "cell.yaml"),
               "--param", "qos_overrides./image_raw.subscription.reliability:=reliable"]
    with (out / "inspection_node.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _report(out: Path) -> list[TruthRow]:
    """Write the report of recording and recorded answers; return the table of truth against verdicts."""
    from ptad_ros.collect import read_results

    config = from_dict(CellConfig, load_yaml(out / "cell.yaml"))
    results, truth = read_results(out / "results"), read_truth(out / "truth.jsonl")
    reader = BagReader(out / "bag", FrameOptions.from_config(config))
    report = ReportWriter(out / "report.html", "An inspection cell at work", to_dict(config), truth)
    write_config(out / "config.yaml", config)
    progress, pairs = Progress("3/3 report"), []
    with (out / "results.jsonl").open("w", encoding="utf-8") as lines, \
            (out / "times.jsonl").open("w", encoding="utf-8") as times:
        for frame in reader:
            progress(frame.index + 1, reader.expected_frames or 0)
            result = results.get(frame.stamp_ns)
            if result is None:
                continue
            lines.write(to_line(record_of(frame.index, frame.stamp_ns, frame.frame_id, result)) + "\n")
            times.write(times_line(frame.index, frame.stamp_ns, result) + "\n")
            report.add(frame, result)
            pairs.append((truth[frame.stamp_ns], result.verdict))
    report.finish(reader.loss)
    rows = truth_table(pairs)
    right, total = sum(row.right for row in rows), sum(row.frames for row in rows)
    print(f"\n{format_table(rows)}\n\n{right} of {total} verdicts as expected")
    print(f"report:  {out / 'report.html'}\nresults: {out / 'results.jsonl'}, as a bag: {out / 'results'}")
    return rows


def main() -> None:
    """Run the demonstration from the command line."""
    parser = argparse.ArgumentParser(prog="demo", description="An inspection cell at work.", epilog=RULE)
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for all that is made")
    parser.add_argument("--frames", type=int, default=FRAMES, help=f"images to take (default {FRAMES})")
    parser.add_argument("--short", action="store_true", help=f"{SHORT_FRAMES} images only")
    parser.add_argument("--seed", type=int, default=0, help="of everything random in the recording")
    options = parser.parse_args()
    # Alone on this machine, unless the caller has arranged for that.
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randint(1, 101)))
    try:
        code = run(options.out, SHORT_FRAMES if options.short else options.frames, options.seed)
    except (PtadError, ValueError, OSError) as error:
        sys.exit(f"demo: {error}")
    sys.exit(code)


if __name__ == "__main__":
    main()
