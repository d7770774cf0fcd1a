"""What only an NVIDIA GPU can show: CUDA graphs, the whole search there, memory, and running out of it."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator

import numpy as np
import pytest
from core_parts import CAMERA, as_segmentation, bracket, exact_mask, picture, seen_from, turned_by_deg

from ptad_core.config import InspectorConfig, PoseConfig
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.inspector import Inspector
from ptad_core.pose import align, search
from ptad_core.pose.contour_fit import fit_contour
from ptad_core.pose.query import Query, make_query
from ptad_core.pose.refine import refine_mask
from ptad_core.reference import Reference
from ptad_core.types import FloatArray

torch = pytest.importorskip("torch", reason="needs torch: make learning")
if not torch.cuda.is_available() or importlib.util.find_spec("triton") is None:
    pytest.skip("needs an NVIDIA GPU, and triton", allow_module_level=True)
pytestmark = pytest.mark.gpu

from ptad_core.gpu.masks import device_masks  # noqa: E402 - only where there is a GPU
from ptad_core.gpu.pose_device import TorchPoseDevice  # noqa: E402
from ptad_core.gpu.refine import DeviceRefiner  # noqa: E402
from ptad_core.pose.paper import PaperBaseline, PaperSettings  # noqa: E402

TRUTHS = [seen_from(bracket(), (0.5, -0.6, 0.7), 0.5), seen_from(bracket(), (-0.3, 0.8, 0.4), 0.35)]
RUNS = 300


@pytest.fixture(scope="module")
def device(reference: Reference) -> Iterator[TorchPoseDevice]:
    found = TorchPoseDevice(reference, "cuda")
    assert found.difference_to_cpu() == ""
    yield found
    torch.cuda.synchronize()


def query_at(T: FloatArray, size: int = 256) -> Query:
    segmentation = as_segmentation(exact_mask(bracket(), T))
    assert segmentation.box_px is not None
    return make_query(segmentation.mask, segmentation.box_px, CAMERA, size)


def off(T: FloatArray, angle_deg: float) -> FloatArray:
    centre = T[:3, :3] @ bracket().center_m + T[:3, 3]
    R = rotation_exp(np.radians(angle_deg) * np.array([0.6, -0.48, 0.64])) @ T[:3, :3]
    return make_transform(R, centre - R @ bracket().center_m)


def test_a_cuda_graph_refines_as_steps_sent_one_by_one(reference: Reference, caplog: pytest.LogCaptureFixture) -> None:
    """Also when replayed on other images, and on fewer poses; sums come in any order, so that the last bits differ."""
    with caplog.at_level(logging.WARNING):
        recorded, stepwise = (DeviceRefiner(reference, "cuda", recorded=r) for r in (True, False))
        for T, angles in ((TRUTHS[0], (2.0, -3.0, 1.0, 0.0)), (TRUTHS[1], (-1.0, 3.0, 2.0))) * 2:
            query, starts = query_at(T), [off(T, a) for a in angles]
            found, expected = recorded.refine(query, starts, 12), stepwise.refine(query, starts, 12)
            assert len(found) == len(expected) == len(starts)
            for fit, other in zip(found, expected, strict=True):
                assert turned_by_deg(fit.T_camera_part, other.T_camera_part) < 0.05
    assert "cannot be recorded" not in caplog.text
    assert len(recorded._recordings._kept) == 1 and not stepwise._recordings._kept


def test_poses_are_refined_as_on_the_cpu(reference: Reference, device: TorchPoseDevice) -> None:
    queries = [query_at(T) for T in TRUTHS]
    starts = [[off(T, a) for a in (2.0, -4.0, 0.2)] for T in TRUTHS]
    for query, own, fits in zip(queries, starts, device.refiner.refine_all(queries, starts, 12), strict=True):
        for start, fit in zip(own, fits, strict=True):
            alone = refine_mask(query, reference, start, 12)
            assert alone is not None and turned_by_deg(fit.T_camera_part, alone.T_camera_part) < 0.15
            assert fit.cost_px == pytest.approx(alone.cost_px, abs=0.05)


def test_candidates_and_fits_are_those_of_the_cpu(reference: Reference, device: TorchPoseDevice) -> None:
    for T in TRUTHS:
        query = query_at(T)
        allowed = search.whole_sphere(reference)
        views = np.arange(len(allowed))
        contest = search._contest(query, reference, views, allowed)
        found, expected = device.search.rank(contest), search._rank(contest)
        assert len(found) == len(expected)
        assert (np.abs(expected[:, None] - found).max(axis=2).min(axis=1) < 1e-2).mean() > 0.95
        starts = [off(T, a) for a in (12.0, -5.0, 0.0)]
        for reach, steps, stride in ((30.0, 10, 2), (8.0, 14, 1)):
            for start, fit in zip(starts, device.search.fit(query, starts, reach, steps, stride), strict=True):
                alone = fit_contour(query, reference, start, reach, steps, stride)
                assert fit.cost_px == pytest.approx(alone.cost_px, abs=0.1)
                assert turned_by_deg(fit.T_camera_part, alone.T_camera_part) < 0.3


def test_the_paper_descends_on_the_device(reference: Reference) -> None:
    settings = PaperSettings(steps=60, work_size_px=128)
    queries = [query_at(T, 128) for T in TRUTHS]
    starts = [off(T, 3.0) for T in TRUTHS]
    on_device = PaperBaseline(reference, settings, device_masks(reference.gaussians, "cuda"))
    expected = PaperBaseline(reference, settings).descend_from(queries, starts)
    for (T, loss), (T_cpu, loss_cpu) in zip(on_device.descend_from(queries, starts), expected, strict=True):
        assert turned_by_deg(T, T_cpu) < 1.0 and loss == pytest.approx(loss_cpu, rel=0.1)


def test_memory_does_not_grow(reference: Reference, device: TorchPoseDevice) -> None:
    segmentations = [as_segmentation(exact_mask(bracket(), T)) for T in TRUTHS]

    def run(count: int) -> int:
        for k in range(count):
            found = align(segmentations[k % 2], CAMERA, reference, PoseConfig(), device=device)
            assert found.trusted
        torch.cuda.synchronize()
        return int(torch.cuda.memory_allocated())

    settled = run(20)
    assert run(RUNS) <= settled


def test_a_whole_inspection_is_that_of_the_cpu(reference: Reference, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        on_device, on_cpu = (Inspector(reference, InspectorConfig(), name) for name in ("cuda", "cpu"))
        for T in TRUTHS * 2:  # the second time all is recorded
            image = picture(bracket(), T)
            found, expected = on_device.inspect(image, CAMERA), on_cpu.inspect(image, CAMERA)
            assert found.verdict == expected.verdict and found.detection is not None and expected.detection is not None
            logits = [d.evidence.network_logit for d in (found.detection, expected.detection) if d.evidence is not None]
            assert logits[0] == pytest.approx(logits[1], abs=0.2), "poses differ a little, and so do their pictures"
            assert found.rendering is not None and expected.rendering is not None
            assert (np.abs(found.rendering.mask - expected.rendering.mask) < 0.1).mean() > 0.99
    assert "device: " not in caplog.text, "nothing was left to the CPU"


def test_inspections_keep_no_memory(reference: Reference) -> None:
    inspector = Inspector(reference, InspectorConfig(), "cuda")
    images = [picture(bracket(), T) for T in TRUTHS]

    def run(count: int) -> int:
        for k in range(count):
            assert inspector.inspect(images[k % 2], CAMERA).detection is not None
        torch.cuda.synchronize()
        return int(torch.cuda.memory_allocated())

    settled = run(10)
    assert run(40) <= settled


def test_out_of_memory_leaves_the_image_to_the_cpu(reference: Reference, caplog: pytest.LogCaptureFixture) -> None:
    inspector = Inspector(reference, InspectorConfig(), "cuda")
    image = picture(bracket(), TRUTHS[0])
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        found = inspector.inspect(image, CAMERA)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    pose = found.alignment.pose if found.alignment is not None else None
    assert pose is not None and turned_by_deg(pose.T_camera_part, TRUTHS[0]) < 1.0
    assert found.rendering is not None and found.detection is not None
    assert "out of memory, the CPU takes over for this image" in caplog.text
    caplog.clear()
    inspector.reset()
    assert inspector.inspect(image, CAMERA).verdict == found.verdict and not caplog.text
