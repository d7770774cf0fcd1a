"""What an inspection stood on, kept as files: the picture with its overlay, the picture itself, and the record."""

from __future__ import annotations

import re
from pathlib import Path

import cv2

from ptad_core.camera import Camera
from ptad_core.evaluation.results import record_of, to_line
from ptad_core.overlay import draw_overlay
from ptad_core.types import ColorImage, InspectionResult

_OURS = re.compile(r"(\d{19}_.*)\.(?:jpg|png|json)")
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")
_MAX_NAME = 60


class EvidenceFolder:
    """Files of the latest inspections; older ones are deleted, and nothing else in the folder is touched.

    Args:
        path: the folder; it is made when the first file is written.
        keep: of how many inspections.
    """

    def __init__(self, path: Path, keep: int) -> None:
        self._path, self._keep = path, keep

    def write(self, image_bgr: ColorImage, result: InspectionResult, camera: Camera | None, stamp_ns: int,
              frame_id: str, viewpoint: str = "") -> list[Path]:
        """Write the files of one inspection and return their paths: overlay as JPEG, image as PNG, record as JSON.

        Args:
            image_bgr: (H, W, 3) rectified, as the result's masks are.
            result: of the inspection.
            camera: of the image.
            stamp_ns: of the image; the names begin with it.
            frame_id: the camera's.
            viewpoint: becomes part of the names, as far as it can.

        Raises:
            OSError: if the files cannot be written.
        """
        self._path.mkdir(parents=True, exist_ok=True)
        names = [f"{stamp_ns:019d}", _safe(result.part_id), _safe(viewpoint), result.verdict.name]
        stem = "_".join(name for name in names if name)
        overlay = cv2.imencode(".jpg", draw_overlay(image_bgr, result, camera))[1].tobytes()
        picture = cv2.imencode(".png", image_bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
        record = to_line(record_of(0, stamp_ns, frame_id, result)).encode()
        written = []
        for suffix, data in ((".jpg", overlay), (".png", picture), (".json", record)):
            path = self._path / f"{stem}{suffix}"
            path.write_bytes(data)
            written.append(path.absolute())
        self._thin_out()
        return written

    def _thin_out(self) -> None:
        files: dict[str, list[Path]] = {}
        for path in self._path.iterdir():
            ours = _OURS.fullmatch(path.name)
            if ours is not None:
                files.setdefault(ours[1], []).append(path)
        for stem in sorted(files)[:-self._keep]:
            for path in files[stem]:
                path.unlink(missing_ok=True)


def _safe(name: str) -> str:
    """Return what of a name can be part of a file's name: no separators, nothing hidden, not too long."""
    return _UNSAFE.sub("-", name)[:_MAX_NAME].strip(".-")
