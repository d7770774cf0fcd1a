"""Candidates and contour fit as the device computes them, in torch on the CPU, against the CPU's own."""

from __future__ import annotations

import numpy as np
import pytest
from core_parts import CAMERA, as_segmentation, bracket, exact_mask, seen_from, turned_by_deg

from ptad_core.frames import make_transform, rotation_exp
from ptad_core.pose import search
from ptad_core.pose.contour_fit import fit_contour
from ptad_core.pose.query import Query, make_query
from ptad_core.reference import Reference
from ptad_core.types import FloatArray

torch = pytest.importorskip("torch", reason="needs torch: make learning")

from ptad_core.gpu.search import DeviceSearch  # noqa: E402 - torch first

pytestmark = pytest.mark.usefixtures("one_thread")
T_SEEN = [seen_from(bracket(), (0.5, -0.6, 0.7), 0.5), seen_from(bracket(), (-0.3, 0.8, 0.2), 0.35, 25.0, (0.03, 0.02))]


@pytest.fixture(scope="module")
def device(reference: Reference) -> DeviceSearch:
    return DeviceSearch(reference, "cpu")


def query_at(T: FloatArray) -> Query:
    segmentation = as_segmentation(exact_mask(bracket(), T))
    assert segmentation.box_px is not None
    return make_query(segmentation.mask, segmentation.box_px, CAMERA, 256)


def off(T: FloatArray, angle_deg: float, shift_m: float) -> FloatArray:
    centre = T[:3, :3] @ bracket().center_m + T[:3, 3]
    R = rotation_exp(np.radians(angle_deg) * np.array([0.6, -0.48, 0.64])) @ T[:3, :3]
    return make_transform(R, centre + shift_m * np.array([1.0, -0.5, 1.5]) - R @ bracket().center_m)


@pytest.mark.parametrize("T", T_SEEN)
@pytest.mark.parametrize("where", ["everywhere", "ring", "cone"])
def test_candidates_are_ranked_as_on_the_cpu(reference: Reference, device: DeviceSearch, T: FloatArray, where: str,
                                             ) -> None:
    """The same candidates in nearly the same order: costs that differ in the last bits may change places."""
    query = query_at(T)
    allowed = {"everywhere": search.whole_sphere(reference), "ring": search.ring(reference),
               "cone": search.cone(query, reference, T[:3, :3], 20.0)}[where]
    views = np.flatnonzero(allowed.any(axis=1))
    contest = search._contest(query, reference, views, allowed[views])
    expected, found = search._rank(contest), device.rank(contest)
    assert len(found) == len(expected) > 20
    assert (np.abs(expected[:, None] - found).max(axis=2).min(axis=1) < 1e-3).mean() > 0.98
    np.testing.assert_allclose(found[:3], expected[:3], atol=1e-3)
    places = [np.abs(row - expected).max(axis=1).argmin() for row in found]
    assert np.median(np.abs(places - np.arange(len(places)))) <= 1

    poses, of_device = (search.candidate_poses(query, reference, allowed, 12, 14.0, r) for r in (None, device.rank))
    same = [min(np.abs(a - b).max() for b in of_device) < 1e-3 for a in poses]
    assert len(of_device) == len(poses) and np.mean(same) >= 0.9


def test_nothing_is_ranked_that_is_not_allowed(reference: Reference, device: DeviceSearch) -> None:
    query = query_at(T_SEEN[0])
    allowed = np.zeros_like(search.whole_sphere(reference))
    allowed[[3, 40], [2, 11]] = True
    views = np.flatnonzero(allowed.any(axis=1))
    contest = search._contest(query, reference, views, allowed[views])
    found = device.rank(contest)
    assert len(found) == len(search._rank(contest)) <= 10
    pairs = {(view, round(roll * search.ROLLS / (2 * np.pi))) for view, roll in found[:, :2]}
    assert pairs == {(0, 2), (1, 11)}


@pytest.mark.parametrize(("reach", "steps", "stride"), [(30.0, 10, 2), (10.0, 6, 2), (8.0, 14, 1)])
def test_contours_are_fitted_as_on_the_cpu(reference: Reference, device: DeviceSearch, reach: float, steps: int,
                                           stride: int) -> None:
    """The three fits of the search. Pairs that are equally near may be made otherwise: poses meet to 0.3 degrees."""
    for T in T_SEEN:
        query = query_at(T)
        starts = [off(T, 12.0 * reach / 30, 0.0), off(T, -5.0, 0.004), off(T, 2.0, -0.002), T]
        found = device.fit(query, starts, reach, steps, stride)
        for start, fit in zip(starts, found, strict=True):
            alone = fit_contour(query, reference, start, reach, steps, stride)
            assert fit.cost_px == pytest.approx(alone.cost_px, abs=0.1)
            assert turned_by_deg(fit.T_camera_part, alone.T_camera_part) < 0.3
            R = fit.T_camera_part[:3, :3]
            np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
            centres = [t[:3, :3] @ reference.center_m + t[:3, 3] for t in (fit.T_camera_part, alone.T_camera_part)]
            assert np.linalg.norm(centres[0] - centres[1]) < 2e-3 * np.linalg.norm(centres[1])
        assert turned_by_deg(found[-1].T_camera_part, T) < 2.0


def test_a_pose_around_the_camera_is_lost_and_harms_no_other(device: DeviceSearch) -> None:
    query = query_at(T_SEEN[0])
    within = make_transform(T_SEEN[0][:3, :3], -T_SEEN[0][:3, :3] @ bracket().center_m + [0.0, 0.0, 0.01])
    behind = make_transform(T_SEEN[0][:3, :3], T_SEEN[0][:3, 3] * [1, 1, -1])
    alone, beside = (device.fit(query, poses, 8.0, 6, 2) for poses in ([T_SEEN[0]], [within, T_SEEN[0], behind]))
    assert np.isinf(beside[0].cost_px) and np.isinf(beside[2].cost_px)
    np.testing.assert_allclose(beside[1].T_camera_part, alone[0].T_camera_part, atol=1e-6)
    assert device.fit(query, [], 8.0, 6, 2) == []
