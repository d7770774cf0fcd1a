"""From images of good parts to a threshold with a promised share of false rejects: split-conformal calibration.

With n scores of good parts, a new good part's score is equally likely to fall at any rank among them. So the part is
failed where p = (1 + #{good scores >= s}) / (n + 1) is at most the chosen false-reject rate, and no more than that
share of good parts is failed on average, whatever the scores mean and however they are distributed. It holds for
images that are drawn as those of the calibration were: the same part, camera, light and settings.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptad_core.config import InspectorConfig, to_dict
from ptad_core.errors import CalibrationError
from ptad_core.reference.build import cache_folder
from ptad_core.types import InspectionResult, Verdict

SCHEMA = 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a detector says of good parts, and the threshold that follows.

    Attributes:
        part_id: name of the part.
        reference_hash: of the reference that the images were inspected with.
        detector: fingerprint of the settings and weights that the scores depend on, see :func:`fingerprint`.
        false_reject_rate: the promised share 0..1 of good parts that is failed.
        scores: those of the good parts, ascending.
        threshold: scores above it are failed.
        not_inspected: how many images of good parts gave no score.
    """

    part_id: str
    reference_hash: str
    detector: str
    false_reject_rate: float
    scores: tuple[float, ...]
    threshold: float
    not_inspected: int = 0

    def p_value(self, score: float) -> float:
        """Return the share of good parts that look at least as bad, 1/(n + 1)..1."""
        at_least = len(self.scores) - int(np.searchsorted(self.scores, score, side="left"))
        return (1 + at_least) / (len(self.scores) + 1)

    def save(self, path: Path) -> None:
        """Write a JSON file, in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f".{path.name}.half")
        half.write_text(json.dumps({"schema": SCHEMA, **dataclasses.asdict(self)}, indent=1) + "\n", encoding="utf-8")
        half.replace(path)

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read what :meth:`save` wrote.

        Raises:
            CalibrationError: if it is no such file.
        """
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if values.pop("schema") != SCHEMA:
                raise CalibrationError(f"{path}: expected a calibration of schema {SCHEMA}, got another one")
            scores = tuple(sorted(float(s) for s in values.pop("scores")))
            loaded = cls(scores=scores, **values)
            if loaded.threshold != threshold_of(scores, loaded.false_reject_rate):
                raise CalibrationError(f"{path}: the threshold does not follow from the scores; calibrate anew")
        except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise CalibrationError(f"{path}: expected a calibration as `ptad calibrate` writes it: {error}") from error
        return loaded


def calibrate(results: Iterable[InspectionResult], detector: str, false_reject_rate: float = 0.01) -> Calibration:
    """Return the calibration from inspections of good parts.

    Args:
        results: of good parts, all with the same reference. Those that could not be inspected are counted, not used.
        detector: :func:`fingerprint` of the inspector that made them.
        false_reject_rate: share 0..1 of good parts that may be failed.

    Raises:
        CalibrationError: if there are too few images for the rate (1 % needs 99), or of several references.
    """
    scores, references, without = [], set(), 0
    for result in results:
        references.add((result.part_id, result.reference_hash))
        if result.detection is None or result.verdict is Verdict.CANNOT_INSPECT:
            without += 1
        else:
            scores.append(result.detection.score)
    if len(references) != 1:
        raise CalibrationError(f"expected images of one part, got {len(references)} parts")
    scores.sort()
    (part_id, reference_hash), = references
    return Calibration(part_id, reference_hash, detector, false_reject_rate, tuple(scores),
                       threshold_of(tuple(scores), false_reject_rate), without)


def threshold_of(scores: tuple[float, ...], false_reject_rate: float) -> float:
    """Return the score that a good part exceeds with at most the given chance; ``scores`` ascend.

    Raises:
        CalibrationError: if the scores are too few, or the rate is not between 0 and 1.
    """
    if not 0.0 < false_reject_rate < 1.0:
        raise CalibrationError(f"expected a false-reject rate between 0 and 1, got {false_reject_rate}")
    rank = math.ceil((len(scores) + 1) * (1 - false_reject_rate) - 1e-9)
    if rank > len(scores):
        needed = math.ceil(1 / false_reject_rate - 1 - 1e-9)
        raise CalibrationError(f"expected at least {needed} inspected images of good parts for a false-reject rate of "
                               f"{100 * false_reject_rate:g} %, got {len(scores)}")
    return scores[rank - 1]


def fingerprint(config: InspectorConfig, weights_digest: str = "") -> str:
    """Return a digest of all that scores depend on besides the picture, the reference and the precision of the CPU."""
    values = {name: section for name, section in to_dict(config).items()
              if name in ("reference", "segmentation", "pose", "detection")}
    values["reference"].pop("cache_dir")
    for name in ("network", "calibration"):  # where files lie; what is in the weights has a digest of its own
        values["detection"].pop(name, None)
    return hashlib.sha256(json.dumps([values, weights_digest], sort_keys=True).encode()).hexdigest()[:16]


def calibration_path(config: InspectorConfig, reference_hash: str) -> Path:
    """Return the file that keeps the calibration: beside the reference, or where the settings say."""
    if config.detection.calibration in ("auto", "none"):
        return cache_folder(config.reference) / f"{reference_hash}.calibration.json"
    return Path(config.detection.calibration).expanduser()


def stored_calibration(config: InspectorConfig, reference_hash: str, detector: str) -> Calibration | None:
    """Return the calibration that an inspector starts with.

    One that is kept beside the reference is left aside, with a warning, where it was made by another detector; one
    that the settings name is returned as it is, for the inspector to refuse.

    Raises:
        CalibrationError: if the file that the settings name cannot be used.
    """
    path = calibration_path(config, reference_hash)
    if config.detection.calibration == "none" or (config.detection.calibration == "auto" and not path.exists()):
        return None
    if config.detection.calibration != "auto":
        return Calibration.load(path)
    try:
        found = Calibration.load(path)
    except CalibrationError as error:
        logger.warning("not used: %s", error)
        return None
    if (found.reference_hash, found.detector) != (reference_hash, detector):
        logger.warning("%s is not used: it was made with other settings or another network; calibrate anew", path)
        return None
    return found
