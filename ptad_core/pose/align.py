"""Mask -> pose: seeds or candidates, contour fit, mask refinement, and the choice among what converged."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from typing import Protocol

import numpy as np

from ptad_core.camera import Camera
from ptad_core.config import PoseConfig
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.pose.choice import CLEAR_LEAD, choose, different, same_pose
from ptad_core.pose.contour_fit import ContourFit, fit_contour
from ptad_core.pose.covariance import covariance
from ptad_core.pose.explore import SECTOR_REACH_PX, is_unsettled, least_known, without_sectors
from ptad_core.pose.query import Query, make_query
from ptad_core.pose.refine import FINAL_REACH_PX, MaskFit, refine_mask
from ptad_core.pose.search import Contest, candidate_poses, cone, ring, whole_sphere
from ptad_core.pose.trust import Agreement, agreement, margin, reasons_against
from ptad_core.reference.build import Reference
from ptad_core.reference.symmetry import symmetric_angle_deg
from ptad_core.types import AlignedPose, Alignment, ColorImage, FloatArray, PoseSeed, Reason, SeedSource, Segmentation

APART_DEG = 14.0
APART_IN_CONE_DEG = 7.0
"""Candidates are this far apart."""
BLIND_REACH_PX = 30.0
"""How far, in crop pixels, the outline of a candidate view may lie from the query's."""
ROUGH_STEPS = 10
EXPLAINED_PX = 1.0
"""A contour that fits as well as this needs no explanation far away."""
NEIGHBOURS_OF = 3
NEIGHBOUR_DEG = 14.0
NEIGHBOUR_IN_CONE_DEG = 10.0
LEAST_DEG, MOST_DEG = 15.0, 20.0
NEIGHBOUR_REACH_PX = 6.0
NEIGHBOUR_STEPS = 8
"""A fit may have stopped short of the pose it was near, at a bolt too far or held by a defect: so the best fits are
turned a little and fitted again; with a seed the best one is turned by as much as the seed may be off."""
COARSE_REACH_PX = (4.0, 8.0)
COARSE_REACH_IN_COSTS = 4.0
"""A contour that settled is not pulled away again; the worse the best one fits, the rougher is the query's outline."""
COARSE_STEPS = 14
MIN_OUTLINE_PX = 12
MIN_CONE_DEG = 12.0
"""Candidate views lie about 8 degrees apart: a narrower cone might hold none."""
SEEDED_HYPOTHESES = 7
FIRST_STEPS = 4
MEETING = 0.25
"""Of the distances at which poses are the same: fits that came so near to one another will meet."""
POSSIBLE_LEAD = 1.0
"""Hypotheses whose contours fit this much worse than the best one are neither fitted further nor refined."""


class PoseDevice(Protocol):
    """Does on another device what the CPU does here; None where it cannot now, and the CPU is to do it."""

    def rank(self, contest: Contest) -> FloatArray | None:
        """Rank candidates; see ``search.Rank``."""

    def fit(self, query: Query, poses: list[FloatArray], start_reach_px: float, iterations: int, stride: int,
            ) -> list[ContourFit] | None:
        """Fit the contour of each pose; see ``contour_fit.fit_contour``."""

    def refine(self, query: Query, poses: list[FloatArray], max_iterations: int) -> list[MaskFit] | None:
        """Refine poses in at most so many steps, best first."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """A chosen fit, its best rival and its lead, how it agrees with the query, and its (6, 6) covariance."""

    fit: MaskFit
    rival: MaskFit | None
    lead: float
    found: Agreement
    covariance: FloatArray


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
    around = [T for fit in different(rough, reference, 1, NEIGHBOURS_OF if seed is None else 1)
              for T in _turned(fit, reference, _turns(seed, fit.cost_px))]
    rough = _best([*rough, *_fit_all(query, reference, around, NEIGHBOUR_REACH_PX, NEIGHBOUR_STEPS, 2, device)])
    contours = _narrowed(query, reference, rough, neighbours, finalists, device)
    fits = _refine(query, reference, [fit.T_camera_part for fit in contours], config.max_iterations, device)
    if not fits:
        words = f"from no candidate ({source}) does the CAD's outline meet the mask's"
        return Alignment(None, (Reason.POSE_NOT_FOUND,), words)
    answer = _answer(query, reference, fits, seed, image_bgr)
    # Not what is followed, from image to image or from one look at an image to the next: it began with such an answer.
    if source != SeedSource.TRACK and is_unsettled(query, reference, answer.fit, answer.found, answer.covariance):
        fits += _second_look(query, reference, config, answer.fit, fits, seed, device)
        answer = _answer(query, reference, sorted(fits, key=_cost), seed, image_bgr)
    return _report(query, config, answer, source)


def _second_look(query: Query, reference: Reference, config: PoseConfig, doubtful: MaskFit, fits: list[MaskFit],
                 seed: PoseSeed | None, device: PoseDevice | None) -> list[MaskFit]:
    """Poses that explain the outline without one of its sectors, and those beside a fit that it tells least apart."""
    starts = [doubtful.T_camera_part]
    starts += (_in_front(seed, reference) if seed is not None else
               [fit.T_camera_part for fit in fits if fit is not doubtful][:1])
    sectors = [fit.T_camera_part for part in without_sectors(query)
               for fit in _fit_all(part, reference, starts, SECTOR_REACH_PX, ROUGH_STEPS, 1, device)
               if np.isfinite(fit.cost_px)]
    rough = _best(_fit_all(query, reference, sectors, NEIGHBOUR_REACH_PX, NEIGHBOUR_STEPS, 2, device))
    contours = _narrowed(query, reference, rough, config.finalists, config.finalists, device)
    poses = [fit.T_camera_part for fit in contours if not same_pose(fit, doubtful, reference)]
    poses += least_known(query, reference, doubtful)
    return _refine(query, reference, poses, config.max_iterations, device)


def _narrowed(query: Query, reference: Reference, rough: list[ContourFit], neighbours: int, finalists: int,
              device: PoseDevice | None) -> list[ContourFit]:
    """Fit the best of rough fits finely; those that are worth refining, best first."""
    kept = [fit.T_camera_part for fit in _possible(different(rough, reference, 2 * neighbours, 2 * finalists))]
    reach_px = float(np.clip(COARSE_REACH_IN_COSTS * rough[0].cost_px, *COARSE_REACH_PX)) if rough else 0.0
    coarse = _best(_fit_all(query, reference, kept, reach_px, COARSE_STEPS, 1, device))
    return _possible(different(coarse, reference, neighbours, finalists))


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
    return _in_front(seed, reference) + around


def _in_front(seed: PoseSeed, reference: Reference) -> list[FloatArray]:
    """The seed's pose, if it puts the part before the camera."""
    T = seed.T_camera_part
    return [T] if (T[:3, :3] @ reference.center_m + T[:3, 3])[2] > 0 else []


def _turns(seed: PoseSeed | None, cost_px: float) -> list[FloatArray]:
    """Rotations whose vectors form a cubic grid, without the one that turns nothing."""
    step_deg = NEIGHBOUR_DEG if seed is None else NEIGHBOUR_IN_CONE_DEG
    most_deg = step_deg
    if seed is not None and cost_px > EXPLAINED_PX:
        most_deg = min(max(2 * seed.sigma_rotation_deg, LEAST_DEG), MOST_DEG)
    count = int(most_deg / step_deg)
    vectors = [step_deg * np.array(v, dtype=np.float64) for v in product(range(-count, count + 1), repeat=3)]
    return [rotation_exp(np.radians(v)) for v in vectors if 0 < np.linalg.norm(v) <= most_deg]


def _turned(fit: ContourFit, reference: Reference, turns: list[FloatArray]) -> list[FloatArray]:
    """A pose turned about the part's centre, in the camera's axes."""
    T = fit.T_camera_part
    centre = T[:3, :3] @ reference.center_m + T[:3, 3]
    turned = [turn @ T[:3, :3] for turn in turns]
    return [make_transform(R, centre - R @ reference.center_m) for R in turned]


def _refine(query: Query, reference: Reference, poses: list[FloatArray], max_iterations: int,
            device: PoseDevice | None) -> list[MaskFit]:
    """Refine poses, best first."""
    fits = device.refine(query, poses, max_iterations) if device is not None else None
    return _refine_all(query, reference, poses, max_iterations) if fits is None else fits


def _refine_all(query: Query, reference: Reference, poses: list[FloatArray], max_iterations: int) -> list[MaskFit]:
    """Refine poses, best first. A few steps show which will meet, and which are far behind: these take no more."""
    first = min(FIRST_STEPS, max_iterations)
    tried = _threads.map(lambda T: refine_mask(query, reference, T, first), poses)
    begun = sorted((f for f in tried if f is not None), key=_cost)
    if not begun or first == max_iterations:
        return begun
    begun = [fit for k, fit in enumerate(begun)
             if not any(same_pose(fit, better, reference, MEETING) for better in begun[:k])]
    least = begun[0].cost_px

    def end(fit: MaskFit) -> MaskFit | None:
        if fit.converged or margin(least, fit.cost_px) > CLEAR_LEAD:
            return fit
        return refine_mask(query, reference, fit.T_camera_part, max_iterations - first, FINAL_REACH_PX)

    return sorted((f for f in _threads.map(end, begun) if f is not None), key=_cost)


def _cost(fit: MaskFit) -> float:
    return fit.cost_px


def _possible(sorted_fits: list[ContourFit]) -> list[ContourFit]:
    """Fits that the best one does not leave too far behind."""
    return [fit for fit in sorted_fits if margin(sorted_fits[0].cost_px, fit.cost_px) < POSSIBLE_LEAD]


def _best(fits: Iterable[ContourFit]) -> list[ContourFit]:
    """The fits that hold, best first."""
    return sorted((f for f in fits if np.isfinite(f.cost_px)), key=lambda f: f.cost_px)


def _answer(query: Query, reference: Reference, fits: list[MaskFit], seed: PoseSeed | None,
            image_bgr: ColorImage | None) -> _Answer:
    """Choose among refined poses, best first, and say how far the choice may be off."""
    fit, rival, lead = choose(fits, query, reference, seed, image_bgr)
    found = agreement(query, fit)
    spread = covariance(query, reference, fit, found.offset_px, found.distance_px)
    return _Answer(fit, rival, lead, found, spread)


def _report(query: Query, config: PoseConfig, answer: _Answer, source: SeedSource) -> Alignment:
    fit, rival, lead, found = answer.fit, answer.rival, answer.lead, answer.found
    reasons, words = reasons_against(fit, found, config)
    ambiguous = bool(lead < config.min_margin)
    if ambiguous and not config.ambiguous_is_inspectable:
        reasons += (Reason.POSE_AMBIGUOUS,)
        doubt = f"another pose explains the picture as well (margin {lead:.2f}, expected {config.min_margin:g})"
        words = "; ".join(filter(None, [words, doubt]))
    pose = AlignedPose(
        T_camera_part=fit.T_camera_part, mask_iou=found.iou, covariance=answer.covariance,
        residual_px=found.residual_px / query.scale, seed_source=source, runner_up_margin=float(lead),
        runner_up_T_camera_part=rival.T_camera_part if rival is not None else None, ambiguous=ambiguous,
        converged=fit.converged)
    return Alignment(pose, reasons, words)
