"""Mask -> pose: seeds or candidates, contour fit, mask refinement, and the choice among what converged."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

import numpy as np

from ptad_core.camera import Camera
from ptad_core.config import PoseConfig
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.pose.contour_fit import ContourFit, fit_contour
from ptad_core.pose.interior import interior_support
from ptad_core.pose.query import Query, make_query
from ptad_core.pose.refine import FINAL_REACH_PX, MaskFit, refine_mask
from ptad_core.pose.search import Contest, candidate_poses, cone, ring, whole_sphere
from ptad_core.pose.trust import NOISE_PX, agreement, covariance, margin, reasons_against
from ptad_core.reference.build import Reference
from ptad_core.reference.symmetry import symmetric_angle_deg
from ptad_core.segmentation.mask import to_lab
from ptad_core.types import AlignedPose, Alignment, ColorImage, FloatArray, PoseSeed, Reason, SeedSource, Segmentation

APART_DEG = 14.0
APART_IN_CONE_DEG = 7.0
"""Candidates are this far apart."""
BLIND_REACH_PX = 30.0
"""How far, in crop pixels, the outline of a candidate view may lie from the query's."""
ROUGH_STEPS = 10
NEIGHBOURS_OF = 3
NEIGHBOUR_DEG = 14.0
NEIGHBOUR_REACH_PX = 10.0
NEIGHBOUR_STEPS = 6
"""A fit may have stopped short of the pose it was near, at a bolt too far or held by a defect: so the best fits are
turned by ``NEIGHBOUR_DEG`` both ways about three axes and fitted again."""
COARSE_REACH_PX = 8.0
COARSE_STEPS = 14
MIN_OUTLINE_PX = 12
MIN_CONE_DEG = 12.0
"""Candidate views lie about 8 degrees apart: a narrower cone might hold none."""
SEEDED_HYPOTHESES = 7
SAME_POSE_DEG = 4.0
SAME_POSE_DIAMETERS = 0.04
OTHER_POSE_DEG = 20.0
"""Poses further apart than this are rivals; closer ones are the same answer, more or less exactly."""
OTHER_POSE_DIAMETERS = 0.25
FIRST_STEPS = 4
COARSE_LEAD = 1.0
"""A hypothesis whose contour fits this much worse than the best one is not refined."""
CLEAR_LEAD = 2.0
"""A rival whose outline is this much worse needs no look inside."""
CLOSE_LEAD = 0.5
"""A neighbouring pose of the same view whose outline is this much worse needs none either."""


class PoseDevice(Protocol):
    """Does on another device what the CPU does here; None where it cannot now, and the CPU is to do it."""

    def rank(self, contest: Contest) -> FloatArray | None:
        """Rank candidates; see ``search.Rank``."""

    def fit(self, query: Query, poses: list[FloatArray], start_reach_px: float, iterations: int, stride: int,
            ) -> list[ContourFit] | None:
        """Fit the contour of each pose; see ``contour_fit.fit_contour``."""

    def refine(self, query: Query, poses: list[FloatArray], max_iterations: int) -> list[MaskFit] | None:
        """Refine poses in at most so many steps, best first."""


_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="ptad-pose")


def align(segmentation: Segmentation, camera: Camera, reference: Reference, config: PoseConfig,
          seeds: tuple[PoseSeed, ...] = (), image_bgr: ColorImage | None = None,
          device: PoseDevice | None = None) -> Alignment:
    """Find T_camera_part from the object's mask.

    Seeds are tried in their order; the first that leads to a trusted pose wins. Without seeds, or when none holds
    (and ``search_when_seed_fails``), the whole set of candidate views is searched. Whatever was found is held against
    the pose that TF promised, if it did.

    Args:
        segmentation: the object's mask in the rectified image.
        camera: the rectified image's camera.
        reference: the part.
        config: search and trust settings.
        seeds: first guesses, most trustworthy first.
        image_bgr: (H, W, 3) rectified; what lies inside the outline decides between poses of like outlines. Without
            it only the outline counts.
        device: does ranking, fits and refinement, where that is not the CPU.
    """
    if segmentation.box_px is None:
        return Alignment(None, (Reason.NO_OBJECT,), "there is no mask to align to")
    query = make_query(segmentation.mask, segmentation.box_px, camera, config.work_size_px)
    if len(query.outline) < MIN_OUTLINE_PX:
        return Alignment(None, (Reason.POSE_NOT_FOUND,), "too little of the object's outline is inside the image")
    prior = next((seed for seed in seeds if seed.source == SeedSource.TF), None)
    tried: list[Alignment] = []
    for seed in (*seeds, None) if config.search_when_seed_fails or not seeds else seeds:
        found = _hold_against(prior, _search(query, reference, config, seed, image_bgr, device), reference,
                              config)
        if found.trusted:
            return found
        tried.append(found)
    # Where none is trusted, the first pose tells the operator most: it is the nearest to what was expected.
    return next((found for found in tried if found.pose is not None), tried[0])


def _hold_against(prior: PoseSeed | None, found: Alignment, reference: Reference, config: PoseConfig) -> Alignment:
    """Measure how far a pose lies from the one that TF promised, and refuse it when that is too far.

    A part that lies elsewhere, a camera or fixture that moved and a CAD file in the wrong unit all look like this.
    """
    if prior is None or found.pose is None:
        return found
    T, T_prior = found.pose.T_camera_part, prior.T_camera_part
    angle_deg = symmetric_angle_deg(T_prior[:3, :3], T[:3, :3], reference.symmetries)
    shift_m = float(np.linalg.norm((T - T_prior)[:3, :3] @ reference.center_m + (T - T_prior)[:3, 3]))
    pose = replace(found.pose, seed_offset_deg=angle_deg, seed_offset_m=shift_m)
    sigmas = config.max_seed_sigmas
    limit_deg, limit_m = sigmas * prior.sigma_rotation_deg, sigmas * prior.sigma_translation_m
    if not sigmas or (angle_deg <= limit_deg and shift_m <= limit_m):
        return replace(found, pose=pose)
    doubt = (f"the part lies {1000 * shift_m:.0f} mm and {angle_deg:.0f} degrees from where TF says, expected at most "
             f"{1000 * limit_m:.0f} mm and {limit_deg:.0f} degrees")
    return Alignment(pose, (*found.reasons, Reason.SEED_CONTRADICTED), "; ".join(filter(None, [found.message, doubt])))


def _search(query: Query, reference: Reference, config: PoseConfig, seed: PoseSeed | None,
            image_bgr: ColorImage | None, device: PoseDevice | None) -> Alignment:
    """Candidates, each fitted roughly; the best of them finely; then the choice. A seed narrows the candidates."""
    source = seed.source if seed is not None else SeedSource.BLIND
    # Far from the seed nothing is looked for, so there are no rivals to refine.
    finalists = config.finalists
    neighbours = (finalists + 1) // 2 if seed is None else finalists
    first = _candidates(query, reference, config, seed, device)
    rough = _best(_fit_all(query, reference, first, BLIND_REACH_PX, ROUGH_STEPS, 2, device))
    around = [T for fit in _finalists(rough, reference, 1, NEIGHBOURS_OF) for T in _turned(fit, reference)]
    rough = _best([*rough, *_fit_all(query, reference, around, NEIGHBOUR_REACH_PX, NEIGHBOUR_STEPS, 2, device)])
    kept = [fit.T_camera_part for fit in _finalists(rough, reference, 2 * neighbours, 2 * finalists)]
    coarse = _best(_fit_all(query, reference, kept, COARSE_REACH_PX, COARSE_STEPS, 1, device))
    last = _finalists(coarse, reference, neighbours, finalists)
    last = [c for c in last if margin(last[0].cost_px, c.cost_px) < COARSE_LEAD]
    poses = [c.T_camera_part for c in last]
    fits = device.refine(query, poses, config.max_iterations) if device is not None else None
    if fits is None:
        fits = _refine_all(query, reference, poses, config.max_iterations)
    if not fits:
        words = f"from no candidate ({source}) does the CAD's outline meet the mask's"
        return Alignment(None, (Reason.POSE_NOT_FOUND,), words)
    best, rival, lead = _choose(fits, query, reference, image_bgr)
    return _report(query, config, best, rival, lead, source)


def _fit_all(query: Query, reference: Reference, poses: list[FloatArray], start_reach_px: float, steps: int,
             stride: int, device: PoseDevice | None) -> Iterable[ContourFit]:
    """Fit contours from all poses."""
    fits = device.fit(query, poses, start_reach_px, steps, stride) if device is not None else None
    if fits is not None:
        return fits
    return _threads.map(lambda T: fit_contour(query, reference, T, start_reach_px, steps, stride), poses)


def _candidates(query: Query, reference: Reference, config: PoseConfig, seed: PoseSeed | None,
                device: PoseDevice | None) -> list[FloatArray]:
    """First guesses: the seed and the views around it, or views from everywhere."""
    rank = device.rank if device is not None else None
    if seed is None:
        allowed = ring(reference) if config.preset == "ring20" else whole_sphere(reference)
        return candidate_poses(query, reference, allowed, config.hypotheses, APART_DEG, rank)
    angle_deg = max(MIN_CONE_DEG, 2 * seed.sigma_rotation_deg)
    allowed = cone(query, reference, seed.T_camera_part[:3, :3], angle_deg)
    around = candidate_poses(query, reference, allowed, SEEDED_HYPOTHESES, APART_IN_CONE_DEG, rank)
    in_front = (seed.T_camera_part[:3, :3] @ reference.center_m + seed.T_camera_part[:3, 3])[2] > 0
    return ([seed.T_camera_part] if in_front else []) + around


def _turned(fit: ContourFit, reference: Reference) -> list[FloatArray]:
    """A pose turned both ways about three axes through the part's centre."""
    T = fit.T_camera_part
    centre = T[:3, :3] @ reference.center_m + T[:3, 3]
    angle = np.radians(NEIGHBOUR_DEG)
    turns = [rotation_exp(sign * angle * axis) @ T[:3, :3] for axis in np.eye(3) for sign in (-1, 1)]
    return [make_transform(R, centre - R @ reference.center_m) for R in turns]


def _refine_all(query: Query, reference: Reference, poses: list[FloatArray], max_iterations: int) -> list[MaskFit]:
    """Refine poses, best first. Those that a few steps leave far behind are not driven to convergence."""
    first = min(FIRST_STEPS, max_iterations)
    tried = _threads.map(lambda T: refine_mask(query, reference, T, first), poses)
    begun = sorted((f for f in tried if f is not None), key=_cost)
    if not begun or first == max_iterations:
        return begun
    least = begun[0].cost_px

    def end(fit: MaskFit) -> MaskFit | None:
        if fit.converged or margin(least, fit.cost_px) > CLEAR_LEAD:
            return fit
        return refine_mask(query, reference, fit.T_camera_part, max_iterations - first, FINAL_REACH_PX)

    return sorted((f for f in _threads.map(end, begun) if f is not None), key=_cost)


def _cost(fit: MaskFit) -> float:
    return fit.cost_px


def _best(fits: Iterable[ContourFit]) -> list[ContourFit]:
    """The fits that hold, best first."""
    return sorted((f for f in fits if np.isfinite(f.cost_px)), key=lambda f: f.cost_px)


def _choose(fits: list[MaskFit], query: Query, reference: Reference, image_bgr: ColorImage | None,
            ) -> tuple[MaskFit, MaskFit | None, float]:
    """The best fit, its best rival, and by how much it leads. ``fits`` are sorted by their outline cost.

    Outlines of opposite views are alike, and a portion that moved may carry the outline along with it; so fits whose
    outlines are nearly as good as the best one's are also judged by their inner edges.
    """
    cost = [f.cost_px + NOISE_PX for f in fits]
    if image_bgr is not None:
        limits = [CLEAR_LEAD if _rivals(fits[0], f, reference) else CLOSE_LEAD for f in fits]
        close = [k for k, f in enumerate(fits) if cost[k] < (1 + limits[k]) * cost[0]
                 and not any(_same(f, other, reference) for other in fits[:k])]
        if len(close) > 1:
            lab = to_lab(query.window.crop(image_bgr.astype(np.float32)).clip(0, 255).astype(np.uint8))
            for k in close:
                cost[k] /= interior_support(lab, query.camera, reference, fits[k].T_camera_part)
    order = np.argsort(cost, kind="stable")
    best = int(order[0])
    rival = next((int(k) for k in order[1:] if _rivals(fits[best], fits[k], reference)), None)
    if rival is None:
        return fits[best], None, np.inf
    return fits[best], fits[rival], cost[rival] / cost[best] - 1


def _finalists(sorted_fits: list[ContourFit], reference: Reference, neighbours: int, count: int) -> list[ContourFit]:
    """The fits worth refining: the best ``neighbours``, and up to ``count`` the best that are rivals of all others."""
    kept: list[ContourFit] = []
    for fit in sorted_fits:
        if all(not _same(fit, k, reference) if len(kept) < neighbours else _rivals(fit, k, reference) for k in kept):
            kept.append(fit)
        if len(kept) == count:
            break
    return kept


def _same(a: ContourFit | MaskFit, b: ContourFit | MaskFit, reference: Reference) -> bool:
    return _closer(a.T_camera_part, b.T_camera_part, reference, SAME_POSE_DEG, SAME_POSE_DIAMETERS)


def _rivals(a: ContourFit | MaskFit, b: ContourFit | MaskFit, reference: Reference) -> bool:
    return not _closer(a.T_camera_part, b.T_camera_part, reference, OTHER_POSE_DEG, OTHER_POSE_DIAMETERS)


def _closer(T_a: FloatArray, T_b: FloatArray, reference: Reference, angle_deg: float, diameters: float) -> bool:
    shift = (T_a[:3, :3] - T_b[:3, :3]) @ reference.center_m + T_a[:3, 3] - T_b[:3, 3]
    return bool(np.linalg.norm(shift) < diameters * reference.diameter_m
                and symmetric_angle_deg(T_a[:3, :3], T_b[:3, :3], reference.symmetries) < angle_deg)


def _report(query: Query, config: PoseConfig, fit: MaskFit, rival: MaskFit | None,
            lead: float, source: SeedSource) -> Alignment:
    found = agreement(query, fit)
    reasons, words = reasons_against(fit, found, config)
    ambiguous = bool(lead < config.min_margin)
    if ambiguous and not config.ambiguous_is_inspectable:
        reasons += (Reason.POSE_AMBIGUOUS,)
        doubt = f"another pose explains the picture as well (margin {lead:.2f}, expected {config.min_margin:g})"
        words = "; ".join(filter(None, [words, doubt]))
    pose = AlignedPose(
        T_camera_part=fit.T_camera_part, covariance=covariance(fit, query.scale), mask_iou=found.iou,
        residual_px=found.residual_px / query.scale, seed_source=source, runner_up_margin=float(lead),
        runner_up_T_camera_part=rival.T_camera_part if rival is not None else None, ambiguous=ambiguous,
        converged=fit.converged)
    return Alignment(pose, reasons, words)
