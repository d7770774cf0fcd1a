"""The weights in the box: there, small enough, usable, and with their card."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ptad_core.detection.loading import PACKAGED

torch = pytest.importorskip("torch")

from safetensors import safe_open  # noqa: E402  only where torch is

from ptad_core.detection import load_judge  # noqa: E402
from ptad_core.detection.network.bfloat16 import MULTIPLIES_BFLOAT16, multiplies_bfloat16  # noqa: E402
from ptad_core.detection.network.inputs import CHANNELS, SIZE_PX  # noqa: E402
from ptad_core.detection.network.judge import Judge  # noqa: E402

MOST_BYTES = 40_000_000


def test_weights_come_along_with_card_recipe_log_and_fusion() -> None:
    assert PACKAGED.stat().st_size < MOST_BYTES
    folder = PACKAGED.parent
    assert {"README.md", "curves.csv", "recipe.json", PACKAGED.with_suffix(".json").name} <= {
        p.name for p in folder.iterdir()}
    recipe = json.loads((folder / "recipe.json").read_text())
    with safe_open(PACKAGED, framework="pt") as file:
        about = file.metadata()
        assert {file.get_tensor(name).dtype for name in file.keys()} <= {torch.float16, torch.int64}  # noqa: SIM118
    assert (about["form"], int(about["width"])) == (recipe["form"]["name"], recipe["form"]["width"])


def test_weights_are_loaded_by_default_and_answer() -> None:
    judge = load_judge("auto")
    assert isinstance(judge, Judge)
    assert "validation" in judge.fusion.fitted_on
    assert judge.fusion.network > 0, "a picture that the network doubts is more likely defective"
    rng = np.random.default_rng(0)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    opinion = judge(rng.integers(0, 256, (CHANNELS, SIZE_PX, SIZE_PX)).astype(np.uint8))
    assert torch.get_num_threads() == 3, "what else the process does with torch stays as it was set"
    torch.set_num_threads(before)
    assert np.isfinite(opinion.logit) and opinion.missing.shape == (SIZE_PX // 4, SIZE_PX // 4)
    assert opinion.surplus.min() >= 0 and opinion.surplus.max() <= 1


def test_mixed_precision_says_the_same() -> None:
    """On pictures with structure, on any CPU: where it has no instructions for bfloat16 they are imitated."""
    judge = load_judge("auto")
    assert judge is not None
    rng, logits = np.random.default_rng(4), []
    for size in (7, 28, 112):
        blocks = rng.integers(0, 256, (CHANNELS, SIZE_PX // size, SIZE_PX // size)).astype(np.uint8)
        pair = np.kron(blocks, np.ones((1, size, size), np.uint8))
        (exact, cells), (mixed, cells_mixed) = judge.answer(pair, mixed=False), judge.answer(pair, mixed=True)
        assert mixed != exact and mixed == pytest.approx(exact, abs=0.03 * max(1.0, abs(exact)))
        assert judge(pair).logit == (mixed if MULTIPLIES_BFLOAT16 else exact)
        np.testing.assert_allclose(cells_mixed, cells, atol=0.05)
        assert cells_mixed.dtype == np.float32
        logits.append(exact)
    assert np.ptp(logits) > 0.3, "pictures that all look alike would show nothing"


def test_what_a_cpu_says_of_bfloat16(tmp_path: Path) -> None:
    for words, expected in (("flags\t\t: fpu avx512f avx512_bf16 vaes", True), ("Features\t: fp asimd bf16", True),
                            ("flags\t\t: fpu avx512f avx512bw", False), ("", False)):
        (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{words}\n")
        assert multiplies_bfloat16(tmp_path / "cpuinfo") is expected
    assert multiplies_bfloat16(tmp_path / "absent") is False


def test_the_network_sees_a_missing_leg() -> None:
    """On a picture of a training family: a chair against its own CAD, and against one with a leg less, and more."""
    from ptad_core.synthesis.defects import DefectKind
    from ptad_core.synthesis.families import FAMILIES
    from ptad_core.training.pairs import GOOD, scene_pairs

    judge = load_judge("auto")
    assert judge is not None
    good, bad = [], []
    for seed in range(6):
        rng = np.random.default_rng([9, seed])
        for pair in scene_pairs(FAMILIES["chair"](rng), DefectKind.MISSING, rng):
            (good if pair.kind == GOOD else bad).append(judge(pair.pair).logit)
    assert np.mean([b > g for b in bad for g in good]) > 0.7
