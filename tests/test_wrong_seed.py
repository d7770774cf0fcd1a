"""Seeds that are turned and shifted on purpose: what is counted as put right, as refused, and as taken for good."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from core_parts import CAMERA, bracket, picture, seen_from

from ptad_core.config import CellConfig, DetectionConfig, PoseConfig
from ptad_core.evaluation import wrong_seed
from ptad_core.evaluation.bag_reader import Frame
from ptad_core.evaluation.wrong_seed import wrong_seeds
from ptad_core.inspector import Inspector
from ptad_core.reference import Reference
from ptad_core.types import InspectionResult, PoseSeed, SeedSource, Verdict


@pytest.fixture
def frame() -> Frame:
    T = seen_from(bracket(), (0.35, -0.9, 0.3), 0.5)
    return Frame(0, 0, "camera", picture(bracket(), T), CAMERA, PoseSeed(T, SeedSource.TF, 5.0, 0.01))


def settings(max_seed_sigmas: float) -> CellConfig:
    return CellConfig(pose=PoseConfig(max_seed_sigmas=max_seed_sigmas), detection=DetectionConfig(network="none"))


@pytest.mark.parametrize(("max_seed_sigmas", "word"), [(4.0, "refused"), (0.0, "recovered")])
def test_a_pose_far_from_the_seed_is_refused_or_else_the_right_one(max_seed_sigmas: float, word: str, frame: Frame,
                                                                   reference: Reference) -> None:
    """5 cm are more than 4 sigma of 1 cm; without that limit the part is found all the same."""
    without = replace(frame, seed=None)
    counts = wrong_seeds([frame, without], reference, settings(max_seed_sigmas))
    assert counts == {"recovered": 0, "refused": 0, "wrong": 0} | {word: 1}


def test_a_wrong_pose_that_is_taken_for_good_is_counted_so(frame: Frame, reference: Reference,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    inspect = wrong_seed.inspect_frame

    def believe(inspector: Inspector, part: Reference, asked: Frame) -> InspectionResult:
        """Answer with the seed."""
        result = inspect(inspector, part, replace(asked, seed=None))
        assert result.alignment is not None and result.pose is not None and asked.seed is not None
        pose = replace(result.pose, T_camera_part=np.array(asked.seed.T_camera_part))
        return replace(result, verdict=Verdict.PASS, alignment=replace(result.alignment, pose=pose))

    monkeypatch.setattr(wrong_seed, "inspect_frame", believe)
    assert wrong_seeds([frame], reference, settings(4.0)) == {"recovered": 0, "refused": 0, "wrong": 1}
