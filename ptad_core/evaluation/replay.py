"""A bag through the inspector, frame by frame: no play timing, nothing dropped, the same results every time."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import yaml

from ptad_core.config import CellConfig, to_dict
from ptad_core.errors import CameraError, ImageError
from ptad_core.evaluation.bag_reader import BagReader, Frame, FrameOptions
from ptad_core.evaluation.pictures import rectified
from ptad_core.evaluation.report import ReportWriter
from ptad_core.evaluation.results import record_of, times_line, to_line
from ptad_core.evaluation.truth import Truth, TruthRow, truth_table
from ptad_core.inspector import Inspector, cannot_inspect
from ptad_core.overlay import draw_overlay
from ptad_core.reference import Reference, build_reference
from ptad_core.transforms import JumpWatch
from ptad_core.types import InspectionResult, Reason, Verdict
from ptad_core.version import __version__

logger = logging.getLogger(__name__)

OnFrame = Callable[[Frame, InspectionResult], None]


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """What came of a replay.

    Attributes:
        frames: how many images were read; ``expected`` how many were recorded, None where nobody knows.
        verdicts: frames by verdict.
        loss: what of the bag could not be read, in words; '' for a whole bag.
        warnings: what the preflight of the CAD file doubts.
        truth: verdicts by truth; empty where no truth was given.
        out: the folder with results.jsonl, times.jsonl, config.yaml, report.html and evidence/.
    """

    frames: int
    expected: int | None
    verdicts: Mapping[Verdict, int]
    loss: str
    warnings: tuple[str, ...]
    truth: tuple[TruthRow, ...]
    out: Path

    @property
    def exit_code(self) -> int:
        """0 all pass, 1 something failed inspection, 2 something could not be inspected, or was lost."""
        code = exit_code_of(verdict for verdict, count in self.verdicts.items() if count)
        return 2 if code == 0 and self.expected != self.frames else code


def exit_code_of(verdicts: Iterable[Verdict]) -> int:
    """Return 1 if anything failed inspection, else 2 if anything or everything was not inspected, else 0."""
    seen = set(verdicts)
    if Verdict.FAIL in seen:
        return 1
    return 0 if seen == {Verdict.PASS} else 2


def replay(bag: Path, config: CellConfig, out: Path, on_frame: OnFrame | None = None,
           truth: Mapping[int, Truth] | None = None, image_topic: str = "", info_topic: str = "",
           reference: Reference | None = None, title: str = "", device: str = "auto") -> ReplaySummary:
    """Inspect every image of a bag, and write results, evidence and report.

    Args:
        bag: the recording.
        config: what the nodes would run with; ``tf.part_frame`` makes TF the seed.
        out: folder to write to; it is made, files of an earlier run are overwritten.
        on_frame: called after each frame, for progress.
        truth: what is known of the frames, by stamp in nanoseconds.
        image_topic: which images; '' takes the only ones.
        info_topic: which intrinsics; '' takes those beside the images.
        reference: the part, where it is not the file named in the configuration.
        title: of the report; names the bag where empty.
        device: auto, cpu or cuda.

    Raises:
        BagError: if the bag cannot be opened or has no image.
        MeshError, UnitError, ConfigError: if the part cannot be made a reference of.
        DeviceError: if the device cannot be had.
    """
    reader = BagReader(bag, FrameOptions.from_config(config, image_topic, info_topic))
    reference = reference or build_reference(config.part, config.reference)
    inspector = Inspector(reference, config, device)
    evidence = out / "evidence"
    evidence.mkdir(parents=True, exist_ok=True)
    for old in evidence.glob("*.jpg"):
        old.unlink()
    write_config(out / "config.yaml", config)
    title = title or f"Inspection of {'/'.join(bag.resolve().parts[-2:])}"  # most bags are called bag
    report = ReportWriter(out / "report.html", title, to_dict(config), truth,
                          [f"CAD file: {warning}" for warning in reference.warnings])
    verdicts: Counter[Verdict] = Counter()
    pairs: list[tuple[Truth, Verdict]] = []
    time_jumps = JumpWatch()
    with (out / "results.jsonl").open("w", encoding="utf-8") as results, \
            (out / "times.jsonl").open("w", encoding="utf-8") as times:
        for frame in reader:
            if time_jumps.jumped_back("image", frame.stamp_ns):
                inspector.reset()
            result = inspect_frame(inspector, reference, frame)
            results.write(to_line(record_of(frame.index, frame.stamp_ns, frame.frame_id, result)) + "\n")
            times.write(times_line(frame.index, frame.stamp_ns, result) + "\n")
            report.add(frame, result)
            _save_evidence(evidence, frame, result)
            verdicts[result.verdict] += 1
            if truth is not None and frame.stamp_ns in truth:
                pairs.append((truth[frame.stamp_ns], result.verdict))
            if on_frame is not None:
                on_frame(frame, result)
    report.finish(reader.loss)
    return ReplaySummary(sum(verdicts.values()), reader.expected_frames, dict(verdicts), reader.loss,
                         reference.warnings, tuple(truth_table(pairs)), out)


def inspect_frame(inspector: Inspector, reference: Reference, frame: Frame) -> InspectionResult:
    """Inspect one frame; whatever goes wrong becomes a CANNOT_INSPECT that says why."""
    try:
        if frame.failure is None:
            assert frame.image_bgr is not None
            assert frame.camera is not None
            return inspector.inspect(frame.image_bgr, frame.camera, frame.seed)
        reason, message = frame.failure
    except CameraError as error:
        reason, message = Reason.BAD_INTRINSICS, str(error)
    except ImageError as error:
        reason, message = Reason.IMAGE_CORRUPT, str(error)
    except Exception as error:  # one bad frame must not cost the rest of the recording
        logger.exception("frame %d", frame.index)
        reason, message = Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}"
    return cannot_inspect(reason, message, reference.part_id, reference.hash)


def write_config(path: Path, config: CellConfig) -> None:
    """Write down what was resolved, in the layout of ``config/*.yaml``."""
    text = yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)
    path.write_text(f"# resolved by ptad {__version__}\n{text}", encoding="utf-8")


def _save_evidence(folder: Path, frame: Frame, result: InspectionResult) -> None:
    """Keep the picture of every frame that did not pass."""
    if result.verdict is Verdict.PASS or frame.image_bgr is None:
        return
    image, camera = rectified(frame.image_bgr, frame.camera)
    cv2.imwrite(str(folder / f"{frame.index:06d}_{result.verdict.name}.jpg"), draw_overlay(image, result, camera))
