"""`make faults`: which kinds there are, and that the documentation says what the cell says to each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

from benchmarks.ros.fault import Fault
from benchmarks.ros.faults import BEGIN, END, Outcome, load, page, table, write_page

PAGE = Path(__file__).resolve().parent.parent / "docs" / "integrator.md"


def outcome(problem: str = "", recovery_s: float | None = 0.5, wrong: int = 0) -> Outcome:
    fault = Fault("image", "is upside down", lambda _rig: None)
    return Outcome(fault, ("`IMAGE_CORRUPT`", "diagnostics: no image|nothing"), ("words",), problem, recovery_s, wrong)


def test_there_are_kinds_of_each_family() -> None:
    faults = load()
    assert len(faults) >= 25
    assert {f.family for f in faults} == {"image", "CameraInfo", "TF", "clock", "transport", "parameter", "CAD file",
                                          "process", "recording"}


def test_the_documented_table_is_of_these_kinds() -> None:
    (made,) = re.findall(f"{BEGIN}(.*?){END}", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    rows = [line.split(" | ") for line in made.strip().splitlines()[2:]]
    assert [row[0].removeprefix("| ") for row in rows] == [f"{f.family}: {f.name}" for f in load()]
    assert all(row[1].removesuffix(" |").strip() for row in rows)


def test_only_an_answer_a_recovery_and_no_wrong_pass_are_right() -> None:
    assert outcome().right
    assert not outcome(problem="it said nothing").right
    assert not outcome(recovery_s=None).right
    assert not outcome(wrong=1).right
    assert "NOT ANSWERED" in table([outcome(problem="it said nothing")])


def test_the_table_is_written_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    write_page(path, page([outcome()]))
    text = path.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "| image: is upside down | `IMAGE_CORRUPT`; diagnostics: no image or nothing |" in text
