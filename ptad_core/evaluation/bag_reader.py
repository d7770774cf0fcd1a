"""Frames out of a ROS 2 bag: image, camera and pose seed that belong together, or why they do not.

No play timing, no threads: the same bag gives the same frames. TF and CameraInfo are small and read up front, so a
lookup does not depend on the order in which messages were written: what a node would wait for is there. What a node
refuses is refused here, for the same reason.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptad_core.camera import Camera
from ptad_core.config import CellConfig
from ptad_core.errors import BagError, CameraError, TransformError
from ptad_core.evaluation.messages import (
    UnusableImageError,
    decode_camera,
    decode_image,
    feed_transforms,
    stamp_ns,
)
from ptad_core.evaluation.recording import Recording, deserialize
from ptad_core.evaluation.salvage import RawMessage
from ptad_core.transforms import TransformBuffer, TransformMissingError, TransformStaleError
from ptad_core.types import ColorImage, PoseSeed, Reason, SeedSource

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
INFO_TYPE = "sensor_msgs/msg/CameraInfo"
TF_TYPE = "tf2_msgs/msg/TFMessage"


@dataclass(frozen=True, slots=True)
class FrameOptions:
    """What to read from a bag.

    Attributes:
        image_topic: raw or compressed images; '' takes the only one that the bag has.
        info_topic: the camera's intrinsics; '' takes the one beside the images, or the only one.
        compressed: which kind is meant where the bag has both.
        rectified: the images are rectified, so P of the CameraInfo holds.
        part_frame: TF frame of the part's nominal pose; '' asks for no seed.
        seed_required: a frame without a known nominal pose cannot be inspected; else it comes without a seed.
        sigma_rotation_deg: how far such a seed may be off (one sigma).
        sigma_translation_m: the same for its position.
        max_gap_s: transforms further apart than this are not interpolated between; 0 is no limit.
        max_megapixels: larger images are refused.
    """

    image_topic: str = ""
    info_topic: str = ""
    compressed: bool = False
    rectified: bool = False
    part_frame: str = ""
    seed_required: bool = True
    sigma_rotation_deg: float = 5.0
    sigma_translation_m: float = 0.01
    max_gap_s: float = 1.0
    max_megapixels: float = math.inf

    @classmethod
    def from_config(cls, config: CellConfig, image_topic: str = "", info_topic: str = "") -> FrameOptions:
        """Return what the nodes would do with the same configuration."""
        return cls(image_topic, info_topic, config.input.compressed, config.input.rectified, config.tf.part_frame,
                   config.tf.required, config.pose.seed_sigma_deg, config.pose.seed_sigma_m, config.tf.max_gap_s,
                   config.input.max_megapixels)


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of a recording with what belongs to it.

    Attributes:
        index: counts the images of the recording from 0.
        stamp_ns: of the image's header; the time it was logged at where that is zero.
        frame_id: the camera's optical frame.
        image_bgr: (H, W, 3) as recorded (lens distortion still in it), None where it cannot be decoded.
        camera: intrinsics of this image, None where they are missing or unusable.
        seed: nominal T_camera_part from TF at the image's stamp, None where none was asked for or none is known.
        failure: why this frame cannot be inspected, None where it can. Where several things are wrong, it is what the
            nodes say first: transforms, then the image, then its CameraInfo.
    """

    index: int
    stamp_ns: int
    frame_id: str
    image_bgr: ColorImage | None
    camera: Camera | None
    seed: PoseSeed | None = None
    failure: tuple[Reason, str] | None = None


class _InfoMissingError(CameraError):
    """The camera of an image has not said how it is calibrated."""


class BagReader:
    """The frames of a bag; iterate over it, as often as needed.

    Attributes:
        recording: the bag itself, with its damage.
        image_topic, info_topic: the topics chosen.
        notes: what else was left out (unusable transforms), in words.

    Raises:
        BagError: if the bag cannot be opened, or the choice of a topic is not clear; it lists the candidates.
    """

    def __init__(self, bag: Path, options: FrameOptions | None = None) -> None:
        self._options = options or FrameOptions()
        self.recording = Recording(bag, keep_types=(INFO_TYPE, TF_TYPE))
        self.image_topic = self._choose_images()
        infos = self.recording.topics_of(INFO_TYPE)
        beside = _camera_info_beside(self.image_topic)
        self.info_topic = _choose("camera_info", self._options.info_topic, infos, prefer=beside)
        self.notes: list[str] = []
        self._transforms = TransformBuffer(math.inf, self._options.max_gap_s)
        self._infos: dict[str, list[tuple[int, Any]]] = {}
        for raw in self.recording.kept:
            self._keep(raw)
        for of_a_camera in self._infos.values():
            of_a_camera.sort(key=lambda item: item[0])

    def _choose_images(self) -> str:
        images = self.recording.topics_of(*IMAGE_TYPES)
        if not self._options.image_topic and len(images) > 1:
            images = self.recording.topics_of(IMAGE_TYPES[self._options.compressed]) or images
        return _choose("image", self._options.image_topic, images)

    def _keep(self, raw: RawMessage) -> None:
        if raw.msgtype == INFO_TYPE and raw.topic != self.info_topic:
            return
        try:
            message = deserialize(raw)
        except BagError as error:
            self.notes.append(str(error))
            return
        if raw.msgtype == INFO_TYPE:
            infos = self._infos.setdefault(str(message.header.frame_id), [])
            infos.append((stamp_ns(message.header), message))
        else:
            self.notes += feed_transforms(self._transforms, message, static=raw.topic.endswith("tf_static"))

    @property
    def expected_frames(self) -> int | None:
        """How many images were recorded; None where the bag no longer says."""
        lost = self.recording.lost(self.image_topic)
        return None if lost is None else self.recording.read[self.image_topic] + lost

    @property
    def loss(self) -> str:
        """What of the recording could not be read, in words; '' for a whole bag."""
        read, lost = self.recording.read[self.image_topic], self.recording.lost(self.image_topic)
        parts = []
        if lost is None:
            parts.append(f"{read} images read; how many were recorded is not known")
        elif lost or self.recording.damage:
            parts.append(f"{read} of {read + lost} recorded images read, {lost} lost")
        return "; ".join(parts + self.recording.damage + sorted(set(self.notes)))

    def __iter__(self) -> Iterator[Frame]:
        for index, raw in enumerate(self.recording.messages([self.image_topic])):
            yield self._frame(index, raw)

    def _frame(self, index: int, raw: RawMessage) -> Frame:
        try:
            message = deserialize(raw)
        except BagError as error:
            return Frame(index, raw.log_ns, "", None, None, failure=(Reason.IMAGE_CORRUPT, str(error)))
        stamp, frame_id = stamp_ns(message.header) or raw.log_ns, str(message.header.frame_id)
        image, camera, seed = None, None, None
        failures: list[tuple[Reason, str]] = []
        try:
            seed = self._seed(frame_id, stamp)
        except (TransformMissingError, TransformStaleError) as error:
            failures.append((error.reason, str(error)))
        try:
            image = decode_image(message, self._options.max_megapixels)
        except UnusableImageError as error:
            failures.append((error.reason, str(error)))
        try:
            camera = self._camera(frame_id, stamp)
        except _InfoMissingError as error:
            failures.append((Reason.CAMERA_INFO_MISSING, str(error)))
        except CameraError as error:
            failures.append((Reason.BAD_INTRINSICS, str(error)))
        try:
            if image is not None and camera is not None:
                camera.require_size(image)
        except CameraError as error:
            failures.append((Reason.SIZE_MISMATCH, str(error)))
        return Frame(index, stamp, frame_id, image, camera, seed, failures[0] if failures else None)

    def _camera(self, frame_id: str, stamp: int) -> Camera:
        """Return the camera of the CameraInfo with this frame and stamp, else of the last one before it, else of the
        first: one that was published once, or late, holds for all images of its camera.
        """
        infos = self._infos.get(frame_id)
        if not infos:
            others = ", ".join(map(repr, sorted(self._infos))) or "none"
            raise _InfoMissingError(f"no CameraInfo on {self.info_topic} has the image's frame_id {frame_id!r}; those "
                                    f"that are there: {others}")
        newer = bisect_right(infos, stamp, key=lambda item: item[0])
        return decode_camera(infos[max(0, newer - 1)][1], self._options.rectified)

    def _seed(self, camera_frame: str, stamp: int) -> PoseSeed | None:
        if not self._options.part_frame:
            return None
        try:
            T_camera_part = self._transforms.lookup(camera_frame, self._options.part_frame, stamp)
        except TransformError:
            if self._options.seed_required:
                raise
            return None
        return PoseSeed(T_camera_part, SeedSource.TF, self._options.sigma_rotation_deg,
                        self._options.sigma_translation_m)


def read_frames(bag: Path, options: FrameOptions | None = None) -> Iterator[Frame]:
    """Yield the frames of a bag; ``BagReader`` also tells what was lost."""
    yield from BagReader(bag, options)


def _choose(kind: str, wanted: str, candidates: list[str], prefer: str = "") -> str:
    listed = ", ".join(candidates) or "none"
    if wanted:
        if wanted not in candidates:
            raise BagError(f"expected {kind} messages on {wanted}; topics that have them: {listed}")
        return wanted
    if prefer in candidates:
        return prefer
    if len(candidates) != 1:
        raise BagError(f"expected one topic with {kind} messages, got {len(candidates)} ({listed}); name the one meant")
    return candidates[0]


def _camera_info_beside(image_topic: str) -> str:
    """Return the topic where ROS expects the intrinsics of an image topic: ``camera_info`` in the same namespace."""
    base = image_topic.removesuffix("/compressed")
    return base.rsplit("/", 1)[0] + "/camera_info"
