"""Overlay and report: what a person sees says what the result says, and the file stands alone."""

from __future__ import annotations

import base64
import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from result_making import HEIGHT, PART_BOX, WIDTH, failed, not_inspected, passed

from ptad_core.camera import Camera
from ptad_core.config import CellConfig, to_dict
from ptad_core.errors import PtadError
from ptad_core.evaluation.bag_reader import Frame
from ptad_core.evaluation.pictures import close_up_window, depth_picture, pictures_of, zoom_result
from ptad_core.evaluation.report import ReportWriter
from ptad_core.evaluation.truth import Truth, format_table, read_truth, truth_table
from ptad_core.overlay import VERDICT_COLORS, draw_outline, draw_overlay, reason_words, subpixel_contours
from ptad_core.types import Box, ColorImage, InspectionResult, Reason, Verdict

CAMERA = Camera(90.0, 90.0, 31.5, 23.5, WIDTH, HEIGHT)


def grey(width: int = WIDTH, height: int = HEIGHT) -> ColorImage:
    return np.full((height, width, 3), 128, np.uint8)


def test_outline_runs_where_coverage_passes_one_half() -> None:
    x, y = np.meshgrid(np.arange(200), np.arange(160))
    distance = np.hypot(x - 90.3, y - 70.6)
    coverage = np.clip(40.0 - distance + 0.5, 0, 1).astype(np.float32)  # a disk of radius 40, antialiased
    (contour,) = subpixel_contours(coverage)
    radii = np.hypot(contour[:, 0] - 90.3, contour[:, 1] - 70.6)
    assert abs(radii.mean() - 40.0) < 0.2
    assert np.abs(radii - 40.0).max() < 0.5


def test_outline_has_holes_and_may_be_empty() -> None:
    coverage = np.zeros((60, 60), np.float32)
    assert subpixel_contours(coverage) == []
    coverage[10:50, 10:50] = 1
    coverage[25:35, 25:35] = 0
    assert len(subpixel_contours(coverage)) == 2
    picture = grey(60, 60)
    draw_outline(picture, coverage)
    drawn = (picture != 128).any(2)
    assert drawn[10, 20] and drawn[25, 30]  # the outer line and the hole's
    assert not drawn[17, 17] and not drawn[5, 5] and not drawn[30, 30]


@pytest.mark.parametrize("result", [passed(), failed(), not_inspected()])
def test_overlay_shows_the_verdict_and_leaves_the_image_alone(result: InspectionResult) -> None:
    image = grey()
    picture = draw_overlay(image, result, CAMERA)
    assert (image == 128).all()
    assert picture.shape == image.shape
    assert (picture[2, 2] == VERDICT_COLORS[result.verdict]).all()
    plain = draw_overlay(image, result, CAMERA, banner=False)
    assert (plain == image).all() == (result.rendering is None)


def test_overlay_shows_both_poses_where_they_are_ambiguous() -> None:
    sure = failed()
    assert sure.pose is not None and sure.alignment is not None
    turned = sure.pose.T_camera_part @ np.diag([-1.0, -1.0, 1.0, 1.0])
    pose = dataclasses.replace(sure.pose, ambiguous=True, runner_up_T_camera_part=turned, runner_up_margin=0.02)
    unsure = dataclasses.replace(sure, alignment=dataclasses.replace(sure.alignment, pose=pose))
    image = grey()
    assert (draw_overlay(image, unsure, CAMERA) != draw_overlay(image, sure, CAMERA)).any()


def test_close_up_holds_part_and_regions_in_the_shape_of_the_image() -> None:
    result = failed()
    window = close_up_window(WIDTH, HEIGHT, result)
    assert window.x <= PART_BOX.x and window.x + window.width >= 38
    assert window.width / window.height == pytest.approx(WIDTH / HEIGHT, rel=0.1)
    assert window.width < WIDTH
    near = zoom_result(result, window, 4.0)
    assert near.rendering is not None and near.detection is not None
    assert near.rendering.mask.shape == (4 * window.height, 4 * window.width)
    assert near.detection.regions[0].box_px == Box(4 * (30 - window.x), 4 * (20 - window.y), 32, 24)
    assert close_up_window(WIDTH, HEIGHT, not_inspected()) == Box(0, 0, WIDTH, HEIGHT)


def test_depth_states_its_range() -> None:
    rendering = failed().rendering
    assert rendering is not None
    picture, nearest, farthest = depth_picture(rendering.depth)
    assert (nearest, farthest) == pytest.approx((0.40, 0.41))
    assert (picture[0, 0] == picture[0, 0, 0]).all()  # paper, not a colour
    assert len(np.unique(picture[rendering.mask > 0.5], axis=0)) == 2


def test_pictures_as_far_as_the_inspection_got() -> None:
    names = [picture.name for picture in pictures_of(grey(), failed(), CAMERA, 640)]
    assert names == ["image", "mask", "outline", "depth", "anomaly"]
    assert [picture.name for picture in pictures_of(grey(), not_inspected(), None, 640)] == ["image"]


class Page(HTMLParser):
    """Collects what a page shows and what it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def having(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.tags if name in (attrs.get("class") or "").split()]


def write_report(path: Path, loss: str = "") -> str:
    truth = {0: Truth("intact", Verdict.PASS), 1: Truth("swapped", Verdict.FAIL), 2: Truth("intact", Verdict.PASS)}
    report = ReportWriter(path, "Bag <one>", to_dict(CellConfig()), truth, ["CAD file: is it millimetres?"])
    for index, result in enumerate((passed(), failed(), failed(), not_inspected())):
        report.add(Frame(index, index, "camera", grey(), CAMERA), result)
    report.add(Frame(4, 4, "camera", None, None), not_inspected())
    report.finish(loss)
    return path.read_text(encoding="utf-8")


def test_report_shows_every_frame_and_the_table_of_truth(tmp_path: Path) -> None:
    text = write_report(tmp_path / "report.html", loss="3 of 8 images lost")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert [len(page.having(f"is-{verdict.name}")) for verdict in Verdict] == [2, 1, 2]
    assert len([tag for tag, attrs in page.tags if tag == "article" and "wrong" in str(attrs["class"])]) == 1
    assert "Bag &lt;one&gt;" in text and "<one>" not in text
    assert "no transform &lt;to&gt; the part" in text
    for words in ("3 of 8 images lost", "is it millimetres?", "swapped", "TF missing", "material surplus",
                  "tolerance_mm", "0123456789abcdef", "7.5 mm", "mask IoU", "400 to 410 mm", "median"):
        assert words in text, words
    assert list(tmp_path.iterdir()) == [tmp_path / "report.html"]


def test_report_needs_no_network(tmp_path: Path) -> None:
    text = write_report(tmp_path / "report.html")
    page = Page()
    page.feed(text)
    sources = [attrs["src"] for tag, attrs in page.tags if tag == "img" and "src" in attrs]
    assert len(sources) == 5 + 5 + 5 + 1
    for source in sources:
        assert source is not None
        kind, data = source.split(";base64,")
        assert kind in ("data:image/webp", "data:image/jpeg")
        assert cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR) is not None
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", re.sub(r"base64,[^\"]*", "", text))


def test_truth_table() -> None:
    intact, empty = Truth("intact", Verdict.PASS), Truth("empty", Verdict.CANNOT_INSPECT)
    rows = truth_table([(intact, Verdict.PASS), (empty, Verdict.CANNOT_INSPECT), (intact, Verdict.FAIL)])
    assert [(row.kind, row.right, row.frames) for row in rows] == [("intact", 1, 2), ("empty", 1, 1)]
    assert "intact        PASS" in format_table(rows)


def test_truth_file(tmp_path: Path) -> None:
    file = tmp_path / "truth.jsonl"
    file.write_text('{"stamp_ns": 7, "truth": "broken", "expected": "FAIL"}\n', encoding="utf-8")
    assert read_truth(file) == {7: Truth("broken", Verdict.FAIL)}
    file.write_text('{"stamp_ns": 7}\n', encoding="utf-8")
    with pytest.raises(PtadError, match="expected lines with stamp_ns"):
        read_truth(file)


def test_every_reason_reads_well() -> None:
    assert reason_words(Reason.TF_MISSING) == "TF missing"
    assert reason_words(Reason.MATERIAL_MISSING) == "material missing"
