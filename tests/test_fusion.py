"""Network and geometry become one score with regions; what is hidden is not missing."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from core_parts import (
    CAMERA,
    PIECES,
    altered,
    as_segmentation,
    box_mm,
    bracket,
    exact_mask,
    join,
    picture,
    renderer,
    seen_from,
)

from ptad_core.config import DetectionConfig, ReferenceConfig
from ptad_core.detection import detect, load_judge
from ptad_core.detection.learned import Examiner
from ptad_core.detection.network.inputs import MASK, SIZE_PX, Pair
from ptad_core.errors import NetworkError
from ptad_core.frames import transform_points
from ptad_core.reference import PartMesh, Reference, reference_from_mesh
from ptad_core.rendering.view import look
from ptad_core.types import Box, ColorImage, Detection, MaskImage, Reason, RegionKind

CONFIG = DetectionConfig(tolerance_mm=3.0)
SIDE = (0.35, -0.9, 0.15)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("cache")
    return reference_from_mesh(bracket(), "bracket", ReferenceConfig(gaussians=8000, views=100, cache_dir=str(folder)))


def run(reference: Reference, image: ColorImage, mask: MaskImage, judge: object = None,
        threshold: float = 1.0) -> Detection:
    T = seen_from(bracket(), SIDE)
    view = look(reference.gaussians, CAMERA, T, mask)
    examiner = None if judge is None else Examiner(judge, renderer(reference.mesh))  # type: ignore[arg-type]
    return detect(image, as_segmentation(mask), view, reference.diameter_m, CONFIG, examiner, threshold)


def peg_box() -> Box:
    """Around the upper half of the peg in the picture."""
    T = seen_from(bracket(), SIDE)
    corners = np.array([[x, y, z] for x in (0.029, 0.043) for y in (-0.025, -0.011) for z in (0.024, 0.046)])
    px = CAMERA.project(transform_points(T, corners))
    (x0, y0), (x1, y1) = np.floor(px.min(0)).astype(int), np.ceil(px.max(0)).astype(int)
    return Box(int(x0) - 25, int(y0) - 10, int(x1 - x0) + 60, int(y1 - y0) + 10)


def painted(image: ColorImage, box: Box, factor: float, colour: tuple[int, int, int]) -> ColorImage:
    out = image.copy()
    part = out[box.y:box.y + box.height, box.x:box.x + box.width]
    part[:] = (part * factor + np.array(colour)).clip(0, 255)
    return out


def outside(mask: MaskImage, box: Box) -> MaskImage:
    out = mask.copy()
    out[box.y:box.y + box.height, box.x:box.x + box.width] = False
    return out


def test_what_something_else_hides_is_not_missing(reference: Reference) -> None:
    T, box = seen_from(bracket(), SIDE), peg_box()
    image = painted(picture(bracket(), T), box, 0.05, (150, 60, 20))
    found = run(reference, image, outside(exact_mask(bracket(), T), box))
    assert found.reasons == (Reason.OCCLUDED,) and found.regions == ()


@pytest.mark.parametrize("light", [1.0, 0.55])
def test_what_is_gone_is_missing_in_shadow_too(light: float, reference: Reference) -> None:
    T = seen_from(bracket(), SIDE)
    part = bracket(without="peg")
    image = painted(picture(part, T), peg_box(), light, (0, 0, 0))
    found = run(reference, image, exact_mask(part, T))
    assert not found.reasons and {r.kind for r in found.regions} == {RegionKind.MISSING}


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_what_the_background_nearly_swallows_is_neither_missing_nor_good(share: float, reference: Reference) -> None:
    """The peg shows through by this share, too little for the mask: not judged where it is seen, missing where not."""
    T = seen_from(bracket(), SIDE)
    part = bracket(without="peg")
    image = ((1 - share) * picture(part, T) + share * picture(bracket(), T).astype(np.float64)).astype(np.uint8)
    found = run(reference, image, exact_mask(part, T))
    if share:
        assert found.reasons == (Reason.MASK_UNRELIABLE,) and found.regions == ()
    else:
        assert not found.reasons and {r.kind for r in found.regions} == {RegionKind.MISSING}


@pytest.fixture(scope="module")
def pin(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """The bracket with a pin of 3 mm, five pixels, for a peg."""
    cache = str(tmp_path_factory.mktemp("pin"))
    return reference_from_mesh(altered("peg", box_mm((3, 3, 30), (36, -18, 31))), "pin",
                               ReferenceConfig(gaussians=8000, views=100, cache_dir=cache))


@pytest.mark.parametrize("blur_px", [1, 9])
def test_what_is_thinner_than_the_edges_are_wide_is_neither_missing_nor_good(
        blur_px: int, pin: Reference) -> None:
    """A pin that the mask lacks: missing in a sharp picture, and nobody's guess in a blurred one."""
    found = seen_blurred(bracket(without="peg"), pin, blur_px)
    if blur_px > 5:
        assert found.reasons == (Reason.MASK_UNRELIABLE,) and "blurred" in found.message and found.regions == ()
    else:
        assert not found.reasons and {r.kind for r in found.regions} == {RegionKind.MISSING}


def test_a_thick_portion_is_missing_in_a_blurred_picture_too(pin: Reference) -> None:
    """So is a strip of twelve pixels at the end of a plate: the part is thicker there than edges are wide."""
    for lacking in ("wall", "rib"):
        found = seen_blurred(bracket(without=lacking), pin, 9)
        assert not found.reasons and RegionKind.MISSING in {r.kind for r in found.regions}, lacking
    narrow = join(PIECES | {"peg": box_mm((3, 3, 30), (36, -18, 31)), "plate": box_mm((92, 60, 8), (-4, 0, 4))})
    found = seen_blurred(narrow, pin, 9)
    assert not found.reasons and RegionKind.MISSING in {r.kind for r in found.regions}


def seen_blurred(part: PartMesh, reference: Reference, blur_px: int) -> Detection:
    """Another part where the reference is expected, with its true mask, in a picture blurred by a box."""
    T = seen_from(reference.mesh, SIDE)
    image, mask = np.asarray(cv2.blur(picture(part, T), (blur_px, blur_px)), np.uint8), exact_mask(part, T)
    view = look(reference.gaussians, CAMERA, T, mask)
    return detect(image, as_segmentation(mask), view, reference.diameter_m, CONFIG)


torch = pytest.importorskip("torch")

from ptad_core.detection.network.judge import Fusion, Judge, Opinion  # noqa: E402  only where torch is
from ptad_core.detection.network.weights import Form, save_weights  # noqa: E402


class Says:
    """A network that always says the same, with the given cells of 40 x 40 missing and surplus."""

    size_px = SIZE_PX
    digest = "said"

    def __init__(self, logit: float, missing: Box | None = None, surplus: Box | None = None,
                 fusion: Fusion | None = None) -> None:
        self.fusion = fusion or Fusion()
        self.opinion = Opinion(logit, *(self.cells(box) for box in (missing, surplus)))
        self.asked: list[Pair] = []

    @staticmethod
    def cells(box: Box | None) -> np.ndarray:
        cells = np.full((40, 40), 0.01, np.float32)
        if box is not None:
            cells[box.y:box.y + box.height, box.x:box.x + box.width] = 0.9
        return cells

    def __call__(self, pair: Pair) -> Opinion:
        self.asked.append(pair)
        return self.opinion


@pytest.fixture
def intact() -> tuple[ColorImage, MaskImage]:
    T = seen_from(bracket(), SIDE)
    return picture(bracket(), T), exact_mask(bracket(), T)


def test_score_is_the_odds_relative_to_the_limit(reference: Reference, intact: tuple[ColorImage, MaskImage]) -> None:
    judge = Says(2.0, Box(18, 18, 4, 4), fusion=Fusion(bias=-0.5, network=1.5, limit=1.0))
    found = run(reference, *intact, judge)
    assert found.score == pytest.approx(math.exp(1.5 * 2.0 - 0.5 - 1.0), rel=1e-6)
    assert found.evidence is not None
    assert (found.evidence.network_logit, found.evidence.geometric_score) == (2.0, 0.0)
    (region,) = found.regions
    assert region.kind is RegionKind.MISSING and region.score == pytest.approx(found.score)
    (pair,) = judge.asked
    assert pair.shape == (9, SIZE_PX, SIZE_PX) and (pair[MASK] > 127).mean() > 0.2


def test_below_the_threshold_there_is_no_region(reference: Reference, intact: tuple[ColorImage, MaskImage]) -> None:
    assert run(reference, *intact, Says(-1.0, Box(18, 18, 4, 4))).regions == ()
    assert len(run(reference, *intact, Says(-1.0, Box(18, 18, 4, 4)), threshold=0.1).regions) == 1
    assert run(reference, *intact, Says(1.0, Box(18, 18, 4, 4)), threshold=10.0).regions == ()


@pytest.mark.parametrize(("missing", "surplus", "kinds"), [
    (None, Box(18, 18, 5, 4), {RegionKind.SURPLUS}), (Box(16, 18, 3, 4), Box(19, 18, 3, 4), {RegionKind.DISPLACED}),
    (Box(12, 18, 3, 3), Box(24, 20, 3, 3), {RegionKind.MISSING, RegionKind.SURPLUS})])
def test_kinds_of_learned_regions(missing: Box | None, surplus: Box, kinds: set[RegionKind], reference: Reference,
                                  intact: tuple[ColorImage, MaskImage]) -> None:
    found = run(reference, *intact, Says(3.0, missing, surplus))
    assert {r.kind for r in found.regions} == kinds
    for region in found.regions:
        assert np.isfinite(region.centroid_part_m).all() and np.abs(region.centroid_part_m).max() < 0.08


def test_a_tolerance_is_a_tolerance_whatever_the_network_says(reference: Reference) -> None:
    T = seen_from(bracket(), SIDE)
    part = bracket(without="peg")
    found = run(reference, picture(part, T), exact_mask(part, T), Says(-8.0))
    assert found.score > 3 and found.regions[0].kind is RegionKind.MISSING
    alone = run(reference, picture(part, T), exact_mask(part, T))
    assert found.score == alone.score


def test_one_place_is_one_region(reference: Reference) -> None:
    """Measured and learned: where the network draws it, with what was measured, and the higher score."""
    T = seen_from(bracket(), SIDE)
    part = bracket(without="peg")
    image, mask = picture(part, T), exact_mask(part, T)
    (measured,) = run(reference, image, mask).regions
    view = look(reference.gaussians, CAMERA, T, mask)
    assert view is not None
    s = 40 * view.window.scale / view.window.size
    box = measured.box_px
    cells = Box(round((box.x - view.window.x) * s), round((box.y - view.window.y) * s), max(round(box.width * s), 1),
                max(round(box.height * s), 1))
    (region,) = run(reference, image, mask, Says(6.0, cells)).regions
    assert (region.kind, region.size_mm) == (measured.kind, measured.size_mm)
    (alone,) = run(reference, picture(bracket(), T), exact_mask(bracket(), T), Says(6.0, cells)).regions
    assert region.box_px == alone.box_px
    assert region.score == pytest.approx(math.exp(6.0))


def test_judge_comes_from_a_file(tmp_path: Path, reference: Reference, intact: tuple[ColorImage, MaskImage]) -> None:
    torch.manual_seed(0)
    path = tmp_path / "it.safetensors"
    form = Form("comparer", 16)
    network = form.build().eval()
    save_weights(network, form, path)
    judge = load_judge(str(path))
    assert isinstance(judge, Judge) and judge.fusion == Fusion() and load_judge("none") is None
    found = run(reference, *intact, judge)
    assert found.evidence is not None and math.isfinite(found.evidence.network_logit)
    pair = np.random.default_rng(0).integers(0, 256, (9, SIZE_PX, SIZE_PX)).astype(np.uint8)
    with torch.inference_mode():
        expected, cells = network(torch.from_numpy(pair)[None].float() / 255)
    logit, (missing, _) = judge.answer(pair, mixed=False)  # normalisations are folded in, weights were halved
    assert logit == pytest.approx(float(expected), abs=0.02)
    assert np.allclose(missing, torch.sigmoid(cells[0, 0]).numpy(), atol=0.01)
    path.with_suffix(".json").write_text('{"fusion": {"bias": 1}}')
    with pytest.raises(NetworkError, match="fusion"):
        Judge(path)
    published = tmp_path / "published.safetensors"
    save_weights(Form("mmpdn").build(), Form("mmpdn"), published)
    with pytest.raises(NetworkError, match="baseline"):
        Judge(published)
