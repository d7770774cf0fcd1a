"""A slice of `make fuzz`: damaged input of every kind is read, or refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

from benchmarks.fuzz.family import Family, feed
from benchmarks.fuzz.fuzz import FAMILIES, share

INPUTS = 40


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_damaged_input_is_read_or_refused_in_words(family: Family) -> None:
    outcomes = [(number, *feed(family, number, seed=1)) for number in range(INPUTS)]
    failed = [f"input {number} of seed 1: {words}" for number, outcome, words in outcomes if outcome == "failed"]
    assert not failed, "\n".join(failed)
    assert any(outcome == "refused" for _, outcome, _ in outcomes)


def test_what_fails_is_noticed() -> None:
    def fail(given: object, _folder: Path) -> None:
        raise ZeroDivisionError(given)

    def hang(_given: object, _folder: Path) -> None:
        while True:
            pass

    assert feed(Family("fails", lambda rng: rng.random(), fail), 0)[0] == "failed"
    assert "hung" in feed(Family("hangs", lambda rng: rng.random(), hang), 0, limit_s=0.2)[1]
    assert feed(Family("says nothing", lambda rng: rng.random(), fail, (ZeroDivisionError,)), 0)[0] == "refused"


def test_every_family_has_its_share() -> None:
    shares = share(10_000)
    assert min(shares.values()) >= 100 and sum(shares.values()) >= 10_000


def test_a_damaged_name_in_a_bag_is_no_crash() -> None:
    """What `make fuzz` found: bytes of a schema's name that are no UTF-8."""
    from ptad_core.evaluation.salvage import _string

    assert _string(b"\x04\x00\x00\x00ab\xffc", 0) == ("ab\ufffdc", 8)
