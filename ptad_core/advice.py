"""What the operator should do about each reason; one source for diagnostics, reports and the doctor."""

from __future__ import annotations

from ptad_core.types import Reason

NEXT_STEP: dict[Reason, str] = {
    Reason.NO_OBJECT: "check that the part is in view and lit, and that segmentation.method suits the background",
    Reason.MASK_UNRELIABLE: "look at the mask topic; improve focus and contrast, or choose another segmentation.method",
    Reason.CUT_BY_BORDER: "move the camera back or the part to the middle, or set segmentation.allow_cut",
    Reason.POSE_NOT_FOUND: "check that part.cad and part.unit are those of the part in view",
    Reason.POSE_NOT_CONVERGED: "give a better seed by TF (tf.part_frame), or raise pose.max_iterations",
    Reason.POSE_UNTRUSTED: "look at the overlay: wrong mask, wrong CAD or bad calibration; calibrate the camera",
    Reason.POSE_AMBIGUOUS: "choose a viewpoint that tells the poses apart, or give a seed by TF (tf.part_frame)",
    Reason.OUT_OF_VIEW: "point the camera at the part, or correct the nominal pose",
    Reason.SEED_CONTRADICTED: "check the fixture and the hand-eye calibration: the part is not where TF says",
    Reason.TF_MISSING: "check that every transform from the camera frame to tf.part_frame is published",
    Reason.TF_STALE: "check the clocks of camera and robot, and that transforms keep coming; or raise tf.timeout_s",
    Reason.BAD_INTRINSICS: "calibrate the camera; its CameraInfo is unusable",
    Reason.SIZE_MISMATCH: "load the calibration of the resolution that the camera is set to",
    Reason.BAD_ENCODING: "set the camera driver to bgr8, rgb8, mono8 or a Bayer encoding",
    Reason.CAMERA_INFO_MISSING: "check that CameraInfo is published with the frame_id of the images",
    Reason.IMAGE_CORRUPT: "check cable, bandwidth and driver: image data do not fit their header",
    Reason.NO_REFERENCE: "set part.cad and part.unit, then configure and activate the node",
    Reason.NO_IMAGE: "check that the camera runs, and that the clocks of camera and cell agree",
    Reason.INTERNAL_ERROR: "keep the log and the recording and report this fault",
    Reason.IMAGE_TOO_LARGE: "lower the camera's resolution, or raise input.max_megapixels",
    Reason.TIMED_OUT: "allow more time, or see in /diagnostics which stage is slow or what images wait for",
    Reason.CANCELLED: "nothing: whoever asked took the request back",
    Reason.NOT_ACTIVE: "configure and activate the node (ros2 lifecycle set), then ask again",
    Reason.OCCLUDED: "clear the view of the part",
    Reason.TOO_COARSE: "move the camera closer, use a higher resolution, or raise detection.tolerance_mm",
    Reason.MATERIAL_MISSING: "look at the marked region: material of the CAD is missing",
    Reason.MATERIAL_SURPLUS: "look at the marked region: there is material that the CAD does not have",
    Reason.DISPLACED: "look at the marked region: it is not where the CAD has it",
}
