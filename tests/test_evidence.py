"""The files that an inspection leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from result_making import HEIGHT, WIDTH, failed, not_inspected

from ptad_core.evaluation.evidence import EvidenceFolder

IMAGE = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
S = 1_000_000_000


def test_overlay_picture_and_record_are_written(tmp_path: Path) -> None:
    overlay, picture, record = EvidenceFolder(tmp_path / "new" / "folder", 5).write(
        IMAGE, failed(), None, 7 * S, "camera", "left side")
    assert [p.suffix for p in (overlay, picture, record)] == [".jpg", ".png", ".json"]
    assert picture.name == f"0000000007000000000_{failed().part_id}_left-side_FAIL.png" and picture.is_absolute()
    assert np.array_equal(cv2.imread(str(picture)), IMAGE)
    drawn = cv2.imread(str(overlay))
    assert drawn.shape == IMAGE.shape and np.abs(drawn.astype(int) - IMAGE).max() > 100  # something is drawn on it
    said = json.loads(record.read_text())
    assert (said["verdict"], said["stamp_ns"], said["frame_id"]) == ("FAIL", 7 * S, "camera")


@pytest.mark.parametrize("viewpoint", ["../../etc/passwd", "/absolute", "..", ".hidden", "a\0b", "x" * 500, "ä/\n", ""])
def test_a_viewpoint_leads_nowhere(tmp_path: Path, viewpoint: str) -> None:
    folder = tmp_path / "evidence"
    written = EvidenceFolder(folder, 5).write(IMAGE, not_inspected(), None, S, "camera", viewpoint)
    assert {p.parent for p in written} == {folder} and len(list(folder.iterdir())) == 3
    assert list(tmp_path.iterdir()) == [folder]


def test_only_the_newest_inspections_are_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_bytes(b"of somebody else")
    for t in (3, 1, 5, 4, 2):
        EvidenceFolder(tmp_path, 2).write(IMAGE, not_inspected(), None, t * S, "camera")
    kept = sorted(p.name[:19] for p in tmp_path.iterdir() if p.name != "notes.jpg")
    assert kept == [f"{4 * S:019d}"] * 3 + [f"{5 * S:019d}"] * 3
    assert (tmp_path / "notes.jpg").is_file()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        EvidenceFolder(tmp_path / "file" / "evidence", 2).write(IMAGE, not_inspected(), None, S, "camera")
