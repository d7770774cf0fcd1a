"""Mask -> pose: seeds or candidates, contour fit, mask refinement, and the choice among what converged."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ptad_core.camera import Camera
from ptad_core.config import PoseConfig
from ptad_core.pose.contour_fit import ContourFit, fit_contour
from ptad_core.pose.interior import interior_support
from ptad_core.pose.query import Query, make_query
from ptad_core.pose.refine import FINAL_REACH_PX, MaskFit, refine_mask
from ptad_core.pose.search import Cone, candidate_poses
from ptad_core.pose.trust import agreement, covariance, margin, reasons_against
from ptad_core.reference.build import Reference
from ptad_core.reference.symmetry import symmetric_angle_deg
from ptad_core.reference.views import ring_directions
from ptad_core.segmentation.mask import to_lab
from ptad_core.types import AlignedPose, Alignment, ColorImage, FloatArray, PoseSeed, Reason, SeedSource, Segmentation

BLIND_REACH_PX = 30.0
"""How far, in crop pixels, the outline of a candidate view may lie from the query's."""
ROUGH_STEPS = 10
COARSE_REACH_PX = 12.0
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
CLEAR_LEAD = 2.0
"""A rival whose outline is this much worse needs no look inside."""

_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="ptad-pose")


def align(segmentation: Segmentation, camera: Camera, reference: Reference, config: PoseConfig,
          seeds: tuple[PoseSeed, ...] = (), image_bgr: ColorImage | None = None) -> Alignment:
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
    """
    if segmentation.box_px is None:
        return Alignment(None, (Reason.NO_OBJECT,), "there is no mask to align to")
    query = make_query(segmentation.mask, segmentation.box_px, camera, config.work_size_px)
    if len(query.outline) < MIN_OUTLINE_PX:
        return Alignment(None, (Reason.POSE_NOT_FOUND,), "too little of the object's outline is inside the image")
    prior = next((seed for seed in seeds if seed.source == SeedSource.TF), None)
    tried: list[Alignment] = []
    for seed in (*seeds, None) if config.search_when_seed_fails or not seeds else seeds:
        found = _hold_against(prior, _search(query, reference, config, seed, image_bgr), reference, config)
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
            image_bgr: ColorImage | None) -> Alignment:
    """Candidates, each fitted roughly; the best of them finely; then the choice. A seed narrows the candidates."""
    source = seed.source if seed is not None else SeedSource.BLIND
    # Far from the seed nothing is looked for, so there are no rivals to refine.
    finalists = config.finalists
    neighbours = (finalists + 1) // 2 if seed is None else finalists
    first = _candidates(query, reference, config, seed)
    rough = _best(_threads.map(lambda T: fit_contour(query, reference, T, BLIND_REACH_PX, ROUGH_STEPS, 2), first))
    kept = _finalists(rough, reference, 2 * neighbours, 2 * finalists)
    coarse = _best(_threads.map(lambda c: fit_contour(query, reference, c.T_camera_part, COARSE_REACH_PX), kept))
    last = _finalists(coarse, reference, neighbours, finalists)
    fits = _refine_all(query, reference, [c.T_camera_part for c in last], config.max_iterations)
    if not fits:
        words = f"from no candidate ({source}) does the CAD's outline meet the mask's"
        return Alignment(None, (Reason.POSE_NOT_FOUND,), words)
    best, rival, lead = _choose(fits, query, reference, image_bgr)
    return _report(query, config, best, rival, lead, source)


def _candidates(query: Query, reference: Reference, config: PoseConfig, seed: PoseSeed | None) -> list[FloatArray]:
    """First guesses: the seed and the views around it, or views from everywhere."""
    if seed is None:
        return candidate_poses(query, reference, _view_choice(reference, config), config.hypotheses)
    cone = Cone(seed.T_camera_part[:3, :3], max(MIN_CONE_DEG, 2 * seed.sigma_rotation_deg))
    around = candidate_poses(query, reference, np.arange(len(reference.views.directions)), SEEDED_HYPOTHESES, cone)
    in_front = (seed.T_camera_part[:3, :3] @ reference.center_m + seed.T_camera_part[:3, 3])[2] > 0
    return ([seed.T_camera_part] if in_front else []) + around


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

    Outlines of opposite views are alike, so a rival whose outline is nearly as good is also judged by its inner edges.
    """
    best = fits[0]
    rival = next((f for f in fits[1:] if _rivals(best, f, reference)), None)
    if rival is None:
        return best, None, np.inf
    lead = margin(best.cost_px, rival.cost_px)
    if image_bgr is None or lead > CLEAR_LEAD:
        return best, rival, lead
    lab = query.window.crop(to_lab(image_bgr))
    support, rival_support = (interior_support(lab, query.camera, reference, f.T_camera_part) for f in (best, rival))
    lead = (1 + lead) * support / rival_support - 1
    return (best, rival, lead) if lead >= 0 else (rival, best, 1 / (1 + lead) - 1)


def _view_choice(reference: Reference, config: PoseConfig) -> NDArray[np.int64]:
    directions = reference.views.directions
    if config.preset == "ring20":
        return np.unique(np.argmax(directions @ ring_directions(20).T, axis=0))
    return np.arange(len(directions))


def _finalists(sorted_fits: list[ContourFit], reference: Reference, neighbours: int, count: int) -> list[ContourFit]:
    """The fits worth refining: the best ``neighbours``, and up to ``count`` the best that are rivals of all others."""
    kept: list[ContourFit] = []
    for fit in sorted_fits:
        if all(not _closer(fit.T_camera_part, k.T_camera_part, reference, SAME_POSE_DEG, SAME_POSE_DIAMETERS)
               if len(kept) < neighbours else _rivals(fit, k, reference) for k in kept):
            kept.append(fit)
        if len(kept) == count:
            break
    return kept


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
