"""The inspection, as one readable page: segment, align, render, detect, decide."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ptad_core.calibration import Calibration, fingerprint, stored_calibration
from ptad_core.camera import Camera
from ptad_core.config import InspectorConfig
from ptad_core.detection import THRESHOLD, detect, examiner_of, load_judge
from ptad_core.errors import CalibrationError, ImageError
from ptad_core.frames import is_rigid
from ptad_core.gpu.device import choose_device
from ptad_core.pose import align
from ptad_core.reference import Reference, build_reference
from ptad_core.rendering.view import View, look, part_window
from ptad_core.segmentation import Background, segment, segment_around
from ptad_core.types import (
    AlignedPose,
    Alignment,
    ColorImage,
    Detection,
    InspectionResult,
    PoseSeed,
    Reason,
    RegionKind,
    Rendering,
    SeedSource,
    Segmentation,
    StageTime,
    Verdict,
)

if TYPE_CHECKING:  # needs torch, which an inspection by geometry alone does without
    from ptad_core.detection.network.judge import Opinion

TRACK_SIGMA_DEG = 8.0
TRACK_SIGMA_M_PER_DIAMETER = 0.1
"""How far a part may move from one frame to the next and still be tracked."""

LOOKS = ((3.0, 0.06), (2.0, 0.04), (1.0, 0.02))
"""How far off, in degrees and diameters, the pose is taken to be around which a mask is cut out anew."""

REASON_OF_KIND = {RegionKind.MISSING: Reason.MATERIAL_MISSING, RegionKind.SURPLUS: Reason.MATERIAL_SURPLUS,
                  RegionKind.DISPLACED: Reason.DISPLACED}


class Inspector:
    """Inspects images of one part. Keeps the last trusted pose, so that a sequence is tracked.

    ``device`` is auto, cpu or cuda; ``DeviceError`` where it cannot be had.
    """

    def __init__(self, reference: Reference, config: InspectorConfig, device: str = "auto") -> None:
        self.reference = reference
        self.config = config
        self._background = (Background.load(config.segmentation.background)
                            if config.segmentation.background else None)
        self._track: PoseSeed | None = None
        self._device = choose_device(device, reference, load_judge(config.detection.network))
        self._examiner = examiner_of(self._device.judge, reference.mesh)
        self._calibration: Calibration | None = None
        self.use_calibration(stored_calibration(config, reference.hash, self.detector))

    @classmethod
    def from_config(cls, config: InspectorConfig, device: str = "auto") -> Inspector:
        """Build or load the reference that a configuration names."""
        return cls(build_reference(config.part, config.reference), config, device)

    def inspect(self, image_bgr: ColorImage, camera: Camera, seed: PoseSeed | None = None,
                begins: Callable[[str], None] = lambda _stage: None) -> InspectionResult:
        """Inspect one image.

        Args:
            image_bgr: (H, W, 3) uint8, as the camera gave it; lens distortion is taken out here.
            camera: intrinsics of the image.
            seed: first guess of T_camera_part, from TF.
            begins: told each stage's name when it begins.

        Raises:
            ImageError: if the image is not (H, W, 3) uint8, or the seed is no rigid transform.
            CameraError: if image and camera do not have the same size.
        """
        clock = _Clock(begins)
        with clock.stage("rectify"):
            image, camera = self.rectify(image_bgr, camera)
        with clock.stage("segment"):
            segmentation = self.segment(image, camera, seed)
        alignment, rendering, detection = None, None, None
        if segmentation.reasons and not self._looks_again(segmentation):
            self.reset()
        else:
            with clock.stage("align"):
                alignment = self.align(image, camera, segmentation, seed)
                segmentation, alignment = self._look_again(image, camera, seed, segmentation, alignment)
            if segmentation.reasons:
                self.reset()  # a pose that no good mask confirms is not followed into the next image
            if alignment.pose is not None:
                judged = alignment.trusted and not segmentation.reasons
                with clock.stage("render"):
                    asked = self._ask(image, camera, segmentation, alignment.pose) if judged else None
                    view = self._look(camera, alignment.pose, segmentation)
                    rendering = view.in_image() if view is not None else None
                if judged:
                    with clock.stage("detect"):
                        detection = self._detect(image, segmentation, view, asked)
        return replace(self.decide(segmentation, alignment, detection), rendering=rendering, times=clock.times)

    @property
    def detector(self) -> str:
        """Fingerprint of all that the scores depend on; a calibration holds for one detector only."""
        return fingerprint(self.config, "" if self._examiner is None else self._examiner.judge.digest)

    @property
    def device(self) -> str:
        """Where the heavy stages run, and why there."""
        return self._device.words

    @property
    def calibration(self) -> Calibration | None:
        """What the verdicts are held against; None: the tolerance alone decides."""
        return self._calibration

    def use_calibration(self, calibration: Calibration | None) -> None:
        """Judge by a calibration from now on, or by the tolerance alone again (None).

        Raises:
            CalibrationError: if it was made with another reference or another detector.
        """
        if calibration is not None:
            for what, expected, got in (("reference", self.reference.hash, calibration.reference_hash),
                                        ("detector", self.detector, calibration.detector)):
                if expected != got:
                    raise CalibrationError(f"expected a calibration of {what} {expected}, got one of {got}: "
                                           "calibrate anew")
        self._calibration = calibration

    def rectify(self, image_bgr: ColorImage, camera: Camera) -> tuple[ColorImage, Camera]:
        """Check an image against its camera and take the lens distortion out of it."""
        if image_bgr.ndim != 3 or image_bgr.shape[2] != 3 or image_bgr.dtype != np.uint8:
            raise ImageError(f"expected a (H, W, 3) uint8 image, got {image_bgr.shape} {image_bgr.dtype}")
        camera.require_size(image_bgr)
        return camera.rectify(image_bgr)

    def segment(self, image: ColorImage, camera: Camera, seed: PoseSeed | None = None) -> Segmentation:
        """Find the object's mask in a rectified image."""
        first_guess = next(iter(self._seeds(seed)), None)
        return segment(image, camera, self.reference, self.config.segmentation, first_guess, self._background)

    def align(self, image: ColorImage | None, camera: Camera, segmentation: Segmentation,
              seed: PoseSeed | None = None) -> Alignment:
        """Find the pose that explains a mask, and remember it when it can be trusted."""
        return self._align(image, camera, segmentation, self._seeds(seed))

    def _align(self, image: ColorImage | None, camera: Camera, segmentation: Segmentation,
               seeds: tuple[PoseSeed, ...]) -> Alignment:
        found = align(segmentation, camera, self.reference, self.config.pose, seeds, image,
                      self._device.pose)
        if found.trusted and found.pose is not None and self.config.pose.track:
            self._track = PoseSeed(found.pose.T_camera_part, SeedSource.TRACK, TRACK_SIGMA_DEG,
                                   TRACK_SIGMA_M_PER_DIAMETER * self.reference.diameter_m)
        else:
            self._track = None
        return found

    def render(self, camera: Camera, pose: AlignedPose, segmentation: Segmentation | None = None) -> Rendering | None:
        """Return what the camera would see of an intact part at a pose; None where it is out of view."""
        view = self._look(camera, pose, segmentation)
        return view.in_image() if view is not None else None

    def detect(self, image: ColorImage, camera: Camera, segmentation: Segmentation, alignment: Alignment) -> Detection:
        """Judge a rectified image at its aligned pose."""
        if alignment.pose is None:
            raise ImageError("expected an aligned pose, got none: the detector cannot judge without it")
        return self._detect(image, segmentation, self._look(camera, alignment.pose, segmentation))

    def decide(self, segmentation: Segmentation, alignment: Alignment | None,
               detection: Detection | None) -> InspectionResult:
        """Turn what the stages said into a verdict. Whatever any stage could not do means CANNOT_INSPECT."""
        stages = (segmentation, alignment, detection)
        against = tuple(reason for stage in stages if stage is not None for reason in stage.reasons)
        words = "; ".join(stage.message for stage in stages if stage is not None and stage.message)
        if against or detection is None or alignment is None or alignment.pose is None:
            verdict, reasons = Verdict.CANNOT_INSPECT, against or (Reason.INTERNAL_ERROR,)
            words = words or "a stage gave no result"
        elif detection.score > detection.threshold:
            bad = [r for r in detection.regions if r.score > detection.threshold]
            verdict = Verdict.FAIL
            reasons = tuple(dict.fromkeys(REASON_OF_KIND[r.kind] for r in bad))
            worst = bad[0]
            count = f"{len(bad)} regions" if len(bad) > 1 else "1 region"
            words = f"{count} out of tolerance, the worst {worst.kind.name.lower()} by {worst.size_mm:.1f} mm"
        else:
            verdict, reasons, words = Verdict.PASS, (), ""
        return InspectionResult(verdict, reasons, words, self.reference.part_id, self.reference.hash,
                                segmentation=segmentation, alignment=alignment, detection=detection)

    def reset(self) -> None:
        """Forget the tracked pose: time jumped, or another scene begins."""
        self._track = None

    def _looks_again(self, segmentation: Segmentation) -> bool:
        """Whether a mask was cut out around a guess: then it, and what is said against it, is provisional."""
        return self.config.segmentation.method == "grabcut" and segmentation.box_px is not None

    def _look_again(self, image: ColorImage, camera: Camera, seed: PoseSeed | None, segmentation: Segmentation,
                    alignment: Alignment) -> tuple[Segmentation, Alignment]:
        """Cut the mask out anew around the pose found, where it was cut out around a guess.

        GrabCut is only as good as the outline that it starts from: around a seed that is centimetres off, it cuts
        corners and leaves gaps closed. What TF promised is not forgotten: the pose is held against it each time.
        """
        source = alignment.pose.seed_source if alignment.pose is not None else SeedSource.BLIND
        for angle_deg, diameters in LOOKS if self._looks_again(segmentation) else ():
            if alignment.pose is None:
                break
            guess = PoseSeed(alignment.pose.T_camera_part, SeedSource.TRACK, angle_deg,
                             diameters * self.reference.diameter_m, from_image=True)
            segmentation = segment_around(image, camera, self.reference, self.config.segmentation, guess)
            if segmentation.box_px is None:
                break
            alignment = self._align(image, camera, segmentation, (guess, *self._seeds(seed)))
            if alignment.pose is not None and alignment.pose.seed_source == guess.source:
                alignment = replace(alignment, pose=replace(alignment.pose, seed_source=source))
        return segmentation, alignment

    def _look(self, camera: Camera, pose: AlignedPose, segmentation: Segmentation | None) -> View | None:
        seen = segmentation.mask if segmentation is not None else None
        return look(self.reference.gaussians, camera, pose.T_camera_part, seen, self._device.render)

    def _ask(self, image: ColorImage, camera: Camera, segmentation: Segmentation,
             pose: AlignedPose) -> Future[Opinion] | None:
        """Ask the network as soon as the pose is known, beside the rendering; None without one."""
        if self._examiner is None:
            return None
        means = self.reference.gaussians.means.astype(np.float64)
        window = part_window(means, camera, pose.T_camera_part, segmentation.mask)
        return None if window is None else self._examiner.begin(
            image, segmentation.mask, window.camera(camera), pose.T_camera_part, window, self.reference.diameter_m)

    def _detect(self, image: ColorImage, segmentation: Segmentation, view: View | None,
                asked: Future[Opinion] | None = None) -> Detection:
        threshold = THRESHOLD if self._calibration is None else self._calibration.threshold
        found = detect(image, segmentation, view, self.reference.diameter_m, self.config.detection, self._examiner,
                       threshold, asked)
        if self._calibration is None or found.reasons:
            return found
        return replace(found, p_value=self._calibration.p_value(found.score))

    def _seeds(self, seed: PoseSeed | None) -> tuple[PoseSeed, ...]:
        """First guesses, best first: TF says where this part is now, the track where it was."""
        if seed is not None and not is_rigid(seed.T_camera_part, tolerance=1e-4):
            raise ImageError(f"expected the seed to be a rigid (4, 4) transform, got {seed.T_camera_part.tolist()}")
        return tuple(s for s in (seed, self._track) if s is not None)


def cannot_inspect(reason: Reason, message: str, part_id: str, reference_hash: str) -> InspectionResult:
    """Return the answer for an image that never reached the inspector."""
    return InspectionResult(Verdict.CANNOT_INSPECT, (reason,), message, part_id, reference_hash)


class _Clock:
    """Wall time per stage."""

    def __init__(self, begins: Callable[[str], None]) -> None:
        self._begins = begins
        self._times: list[StageTime] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._begins(name)
        start = time.perf_counter()
        yield
        self._times.append(StageTime(name, 1000 * (time.perf_counter() - start)))

    @property
    def times(self) -> tuple[StageTime, ...]:
        return tuple(self._times)
