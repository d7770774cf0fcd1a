"""Results as JSON Lines: every field survives, nothing depends on the clock, other schemas are refused."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from result_making import failed, not_inspected

from ptad_core.errors import PtadError
from ptad_core.evaluation.results import (
    SCHEMA_VERSION,
    from_line,
    read_results,
    record_of,
    times_line,
    to_line,
    write_results,
)
from ptad_core.types import Box, Reason, RegionKind, SeedSource, StageTime, Verdict


def test_a_record_survives_the_file(tmp_path: Path) -> None:
    records = [record_of(0, 123, "camera", failed()), record_of(1, 456, "camera", not_inspected())]
    write_results(tmp_path / "results.jsonl", records)
    first, second = read_results(tmp_path / "results.jsonl")
    assert (first.index, first.stamp_ns, first.frame_id) == (0, 123, "camera")
    assert first.verdict is Verdict.FAIL
    assert first.reasons == (Reason.MATERIAL_SURPLUS,)
    assert first.mask_area_px == 12 * 14
    pose, expected = first.pose, failed().pose
    assert pose is not None and expected is not None
    np.testing.assert_allclose(pose.T_camera_part, expected.T_camera_part, rtol=1e-6)
    np.testing.assert_allclose(pose.covariance, expected.covariance, rtol=1e-6, atol=0)
    assert pose.seed_source is SeedSource.TRACK and pose.converged and not pose.ambiguous
    assert pose.runner_up_margin == math.inf and pose.runner_up_T_camera_part is None
    assert math.isnan(pose.seed_offset_deg)
    (region,) = first.regions
    assert region.box_px == Box(30, 20, 8, 6) and region.kind is RegionKind.SURPLUS
    assert second.verdict is Verdict.CANNOT_INSPECT and second.reasons == (Reason.TF_MISSING,)
    assert second.pose is None and second.score is None and second.regions == ()


def test_lines_do_not_depend_on_the_clock_nor_on_the_last_bits() -> None:
    result = failed()
    pose = result.pose
    assert pose is not None and result.alignment is not None
    jitter = dataclasses.replace(pose, T_camera_part=pose.T_camera_part * (1 + 1e-12), residual_px=-0.0)
    still = dataclasses.replace(pose, residual_px=0.0)
    lines = [to_line(record_of(0, 1, "c", dataclasses.replace(
        result, alignment=dataclasses.replace(result.alignment, pose=p), times=(StageTime("align", ms),))))
        for p, ms in ((still, 5.0), (jitter, 7.0))]
    assert lines[0] == lines[1]
    assert "\n" not in lines[0]


def test_keys_are_sorted_and_nothing_is_NaN() -> None:
    line = to_line(record_of(0, 1, "c", failed()))
    values = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert list(values) == sorted(values)
    assert values["schema"] == SCHEMA_VERSION
    assert values["pose"]["runner_up_margin"] is None


def test_times_have_a_file_of_their_own() -> None:
    result = dataclasses.replace(failed(), times=(StageTime("segment", 1.23456), StageTime("align", 2.0)))
    assert json.loads(times_line(3, 9, result)) == {
        "schema": SCHEMA_VERSION, "index": 3, "stamp_ns": 9, "times_ms": {"segment": 1.235, "align": 2.0}}
    assert "times" not in json.loads(to_line(record_of(3, 9, "c", result)))


@pytest.mark.parametrize("line", ["", "[]", "no json", "{}", '{"schema": 1}'])
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises(PtadError, match=r"expected a line of results\.jsonl"):
        from_line(line)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    values = json.loads(to_line(record_of(0, 1, "c", not_inspected())))
    with pytest.raises(PtadError, match="expected results of schema"):
        from_line(json.dumps({**values, "schema": SCHEMA_VERSION + 1}))
    with pytest.raises(PtadError, match=r"expected a results\.jsonl"):
        read_results(tmp_path / "absent.jsonl")
