"""Recordings: the disk is full while one is made, and damaged ones are played to the cell."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.ros.fault import fault
from benchmarks.ros.rig import NotAnsweredError, Rig
from ptad_core.frames import invert
from ptad_core.synthesis.bag_writer import BagWriter
from ptad_core.synthesis.recording import CAMERA_FRAME, CELL_FRAME, PART_FRAME, PERIOD_NS
from ptad_core.types import Verdict

FAMILY = "recording"
FRAMES = 8


@contextmanager
def _process(rig: Rig, module: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    log = rig.out / f"{module.rsplit('.', 1)[1]}.log"
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=file, stderr=file, text=True)
    try:
        yield process, log
    finally:
        process.terminate()
        process.wait(20)


@fault(FAMILY, "the disk is full")
def disk_full(rig: Rig) -> None:
    bag = rig.out / "recorded"
    shutil.rmtree(bag, ignore_errors=True)
    topic = rig.resolve_topic_name("result")
    listeners = rig.count_subscribers(topic)
    with _process(rig, "ptad_ros.recorder", str(bag)) as (recorder, log):
        rig.wait(lambda: rig.count_subscribers(topic) > listeners, 20.0, "the recorder listens")
        time.sleep(0.5)
        for _ in range(3):
            rig.passes()
        # No byte more can be written from here on: what a full disk does, without filling one.
        written = sum(file.stat().st_size for file in bag.iterdir())
        resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (written, written))
        rig.wait(lambda: rig.passes() and recorder.poll() is not None, 60.0, "the recorder ends")
        said = log.read_text(encoding="utf-8")
        if recorder.returncode != 2 or "recording ended" not in said:
            raise NotAnsweredError(f"expected the recorder to say why it ends, got code {recorder.returncode}: {said}")
    rig.passes("recorder: says why, exit code 2; the cell inspects on", )
    rig.words[-1] = re.search("recording ended.*", said)[0]  # type: ignore[index]


def _played(name: str, damage: Callable[[bytearray], None], words: str) -> None:
    """Register a bag that is damaged in the middle: what can be read is played and answered, the loss is stated."""
    @fault(FAMILY, name)
    def played(rig: Rig) -> None:
        bag = rig.out / "damaged"
        shutil.rmtree(bag, ignore_errors=True)
        with BagWriter(bag, CAMERA_FRAME, CELL_FRAME, rig.scene.camera) as writer:
            writer.write_static(rig.now_ns, PART_FRAME, rig.scene.T_cell_part)
            stamps = [rig.now_ns + (i + 1) * PERIOD_NS for i in range(FRAMES)]
            for at_ns in stamps:
                rig.allow(at_ns)
                writer.write_frame(at_ns, rig.scene.good.image, invert(rig.scene.good.T_cell_camera))
        (file,) = bag.glob("*.mcap")
        data = bytearray(file.read_bytes())
        damage(data)
        file.write_bytes(data)
        rig.now_ns = stamps[-1]
        with _process(rig, "ptad_ros.player", str(bag), "--lockstep") as (player, log):
            code = player.wait(60)
            said = log.read_text(encoding="utf-8")
        answered = [at_ns for at_ns in stamps if any(r.verdict == Verdict.PASS for r in rig.answers[at_ns])]
        if code != 0 or not 0 < len(answered) < FRAMES or not re.search(words, said):
            raise NotAnsweredError(f"expected some of {FRAMES} images and {words!r}, got {len(answered)} answers, exit "
                                   f"code {code}: {said}")
        rig.note("player: plays what is readable and says what is lost", re.search(f".*{words}.*", said)[0])  # type: ignore[index]


def _cut(data: bytearray) -> None:
    del data[len(data) // 2:]


def _scratch(data: bytearray) -> None:
    middle = len(data) // 2
    data[middle:middle + 2000] = bytes(2000)


_played("a bag that is cut in the middle", _cut, "lost")
_played("a bag with zeros in the middle", _scratch, "lost")
