"""Training pairs and the training: labels, misplacement, what is on disk, what goes on after an interruption."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from core_parts import bracket, seen_from

torch = pytest.importorskip("torch")

from benchmarks import ablations  # noqa: E402  only where torch is
from ptad_core.config import DetectionConfig, InspectorConfig, ReferenceConfig, SegmentationConfig  # noqa: E402
from ptad_core.detection.learned import Examiner  # noqa: E402
from ptad_core.detection.network.inputs import CHANNELS, MASK, SIZE_PX, Pair  # noqa: E402
from ptad_core.detection.network.weights import Form, load_weights, save_weights  # noqa: E402
from ptad_core.errors import NetworkError, PtadError  # noqa: E402
from ptad_core.frames import rotation_angle_deg  # noqa: E402
from ptad_core.inspector import Inspector  # noqa: E402
from ptad_core.reference import check_mesh, reference_from_mesh  # noqa: E402
from ptad_core.rendering.exact import ExactRenderer  # noqa: E402
from ptad_core.rendering.view import look, part_window  # noqa: E402
from ptad_core.synthesis.appearance import Look  # noqa: E402
from ptad_core.synthesis.defects import DefectKind  # noqa: E402
from ptad_core.synthesis.families import FAMILIES, SPLIT  # noqa: E402
from ptad_core.synthesis.samples import draw_sample  # noqa: E402
from ptad_core.training.optimizers import Muon, optimizers_of, orthogonal  # noqa: E402
from ptad_core.training.pairs import (  # noqa: E402
    GOOD,
    STRIDE,
    Shown,
    TrainingPair,
    pair_of,
    scene_pairs,
    segmented,
    shape_pairs,
)
from ptad_core.training.pose_errors import draw_aligned  # noqa: E402
from ptad_core.training.shards import open_pairs, write_shards  # noqa: E402
from ptad_core.training.train import Recipe, _scale, train  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small are sooner done by one thread than more of them are woken."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scene() -> list[TrainingPair]:
    rng = np.random.default_rng(4)
    return scene_pairs(FAMILIES["chair"](rng), DefectKind.MISSING, rng)


def test_a_scene_makes_two_good_and_two_bad_pairs(scene: list[TrainingPair]) -> None:
    assert [p.kind for p in scene] == [GOOD, "missing", "missing", GOOD]
    assert all(p.pair.shape == (CHANNELS, SIZE_PX, SIZE_PX) and p.pair.dtype == np.uint8 for p in scene)
    assert [bool(p.target.any()) for p in scene] == [False, True, True, False]
    intact_on_variant, variant_on_intact = scene[1], scene[2]
    # the picture of the intact part has more than the defective reference, and the other way round
    assert intact_on_variant.target[1].sum() > 10 * max(intact_on_variant.target[0].sum(), 1)
    assert variant_on_intact.target[0].sum() > 10 * max(variant_on_intact.target[1].sum(), 1)


def test_the_truth_lies_on_what_is_missing(scene: list[TrainingPair]) -> None:
    bad = scene[2]
    cells = bad.target[0] > 200
    at = np.kron(cells, np.ones((STRIDE, STRIDE))) > 0
    assert (bad.pair[MASK][at] > 127).mean() > 0.7, "the reference has the missing material"


def test_every_family_of_training_yields_pairs() -> None:
    """A quick look at a few: the families take turns, and the same seed makes the same pairs."""
    again = [list(shape_pairs([3, k], k, SPLIT["train"])) for k in (1, 1)]
    assert {p.family for p in again[0]} == {SPLIT["train"][1]}
    assert len(again[0]) == len(again[1]) > 0
    assert all(np.array_equal(a.pair, b.pair) for a, b in zip(*again, strict=True))


def test_test_families_are_in_no_training() -> None:
    assert set(SPLIT["train"]) & (set(SPLIT["test"]) | set(SPLIT["validation"])) == set()


def test_poses_are_misplaced_as_the_aligner_errs() -> None:
    """Quantiles of what is drawn are those of the table, and the part's centre moves with the error."""
    T, center = seen_from(bracket(), (0.3, -0.5, 0.8)), np.array([0.01, 0.02, 0.03])
    table = json.loads((Path(__file__).parents[1] / "ptad_core/training/pose_errors.json").read_text())
    rng = np.random.default_rng(0)
    for name in ("intact", "defective"):
        drawn = [draw_aligned(T, center, 0.1, name == "defective", rng) for _ in range(600)]
        angles = [rotation_angle_deg(found[:3, :3], T[:3, :3]) for found in drawn]
        measured = np.linalg.norm(np.array(table[name])[:, :3], axis=1)
        for q in (0.5, 0.75, 0.9):
            assert np.quantile(angles, q) == pytest.approx(np.quantile(measured, q), rel=0.35, abs=0.02)
        shift = [np.linalg.norm((found @ np.append(center, 1) - T @ np.append(center, 1))[:3]) for found in drawn]
        assert 0 < np.median(shift) < 0.01


@pytest.mark.parametrize("look_of", [Look.CELL, Look.TRAIN])
def test_training_and_inspection_show_the_network_the_same(look_of: Look) -> None:
    """Of one picture and pose both make the same input, byte by byte, and their windows agree to a pixel or two."""
    rng = np.random.default_rng(7)
    assembly = FAMILIES["stool"](rng)
    sample = draw_sample(assembly, None, rng, look=look_of, backdrop=True)
    mesh = check_mesh(assembly.solid.vertices, assembly.solid.faces, "stool")
    reference = reference_from_mesh(mesh, "stool", ReferenceConfig(gaussians=4000, views=20))
    inspector = Inspector(reference, InspectorConfig(segmentation=SegmentationConfig(shadows=False),
                                                     detection=DetectionConfig(network="none")))
    seen = inspector.segment(sample.image_bgr, sample.camera)
    cad = ExactRenderer(assembly.solid.vertices, assembly.solid.faces)
    photo = Shown(assembly, cad, sample.image_bgr, segmented(sample.image_bgr, sample.mask, shadows=False))
    assert not seen.reasons and np.array_equal(photo.seen, seen.mask)
    T = draw_aligned(sample.T_camera_part, assembly.solid.centre, assembly.diameter_m, False,
                     np.random.default_rng(1))
    trained = pair_of(photo, photo, GOOD, assembly, sample.camera, sample.T_camera_part, np.random.default_rng(1))
    asked: list[Pair] = []

    class Judge:
        size_px = SIZE_PX

        def __call__(self, pair: Pair) -> None:
            asked.append(pair)

    view = look(reference.gaussians, sample.camera, T, seen.mask)
    window = part_window(assembly.solid.vertices, sample.camera, T, seen.mask)
    assert view is not None and window is not None
    corners = np.array([[w.x, w.y, w.x + w.size / w.scale, w.y + w.size / w.scale] for w in (view.window, window)])
    assert np.abs(corners[0] - corners[1]).max() <= 2.0, "bounded by Gaussians here, by the CAD's vertices there"
    view = replace(view, window=window, camera=window.camera(sample.camera))
    cad_of_reference = ExactRenderer(reference.mesh.vertices, reference.mesh.faces)
    Examiner(Judge(), cad_of_reference).ask(  # type: ignore[arg-type]
        sample.image_bgr, seen.mask, view, reference.diameter_m)
    assert np.array_equal(asked[0], trained.pair)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, scene: list[TrainingPair]) -> Path:
    """Return two shards of one scene's pairs."""
    folder = tmp_path_factory.mktemp("pairs")
    for shard in range(2):
        np.save(folder / f"{shard:05d}.pairs.npy", np.stack([p.pair for p in scene]))
        np.save(folder / f"{shard:05d}.targets.npy", np.stack([p.target for p in scene]))
        (folder / f"{shard:05d}.json").write_text(json.dumps([{"kind": p.kind, "family": p.family} for p in scene]))
    return folder


def test_pairs_come_back_from_disk(data: Path, scene: list[TrainingPair], tmp_path: Path) -> None:
    pairs = open_pairs(data)
    assert len(pairs) == 8 and pairs.kinds[5] == "missing" and pairs.defective.sum() == 4
    assert np.array_equal(pairs[6][0], scene[2].pair) and np.array_equal(pairs[6][1], scene[2].target)
    assert len(open_pairs(data, ratio=0.5)) == 4
    with pytest.raises(PtadError, match="found none"):
        open_pairs(tmp_path)


def test_shards_that_are_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "00000.json").write_text("[]")
    said: list[str] = []
    write_shards(tmp_path, "train", 16, 1, said.append)
    assert said == [] and (tmp_path / "00000.json").read_text() == "[]"


@pytest.mark.parametrize("shape", [(8, 40), (40, 8)])
def test_a_step_of_muon_goes_as_far_in_all_directions(shape: tuple[int, int]) -> None:
    """Singular values up to thirty times apart come out between 0.6 and 1.3, their vectors as they were."""
    u, _, v = torch.linalg.svd(torch.randn(shape, generator=torch.Generator().manual_seed(0)), full_matrices=False)
    found = orthogonal(u @ torch.diag(torch.logspace(0, -1.5, 8)) @ v)
    singular = torch.diagonal(u.T @ found @ v.T)
    assert ((singular > 0.6) & (singular < 1.3)).all()
    assert torch.allclose(u @ torch.diag(singular) @ v, found, atol=0.05)


def test_every_parameter_has_one_optimizer_and_the_published_form_the_published_one() -> None:
    network = Form("comparer", 16).build()
    muon, adam = optimizers_of(network, "comparer", 1e-3, 0.0)
    taken = [p for optimizer in (muon, adam) for group in optimizer.param_groups for p in group["params"]]
    assert isinstance(muon, Muon) and isinstance(adam, torch.optim.AdamW)
    assert sorted(map(id, taken)) == sorted(map(id, network.parameters()))
    assert all(p.ndim >= 2 for p in muon.param_groups[0]["params"])
    assert [type(o) for o in optimizers_of(Form("mmpdn").build(), "mmpdn", 1e-3, 0.0)] == [torch.optim.AdamW]
    with pytest.raises(TypeError):
        muon.step(lambda: 0.0)


@pytest.mark.parametrize("epochs", [1, 2, 3, 7])
def test_the_last_crops_are_the_largest(epochs: int) -> None:
    scales = [_scale((k + 1) / epochs) for k in range(epochs)]
    assert scales == sorted(scales) and scales[-1] == 1.0


@pytest.mark.parametrize("form", [Form("comparer", 16), Form("mmpdn")])
def test_training_goes_on_where_it_stopped(form: Form, data: Path, tmp_path: Path) -> None:
    recipe = Recipe(form, epochs=1, pairs_per_epoch=8, batch=4, workers=0, learning_rate=1e-4)
    said: list[str] = []
    train(data, data, tmp_path, recipe, said.append)
    figures = train(data, data, tmp_path, Recipe(**{**vars_of(recipe), "epochs": 2}), said.append)
    assert any("goes on after epoch 1" in line for line in said)
    with (tmp_path / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"] and 0 <= figures["auc"] <= 1
    network, loaded, _ = load_weights(tmp_path / "weights.safetensors")
    assert loaded == form
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["step"] == 4
    kept = network.state_dict()["backbone.conv1.weight"]
    assert torch.allclose(kept.float(), saved["mean"]["backbone.conv1.weight"], atol=1e-3)


def test_training_begins_with_given_weights(data: Path, tmp_path: Path) -> None:
    """With next to no learning rate the network stays what it began with; weights of another form are refused."""
    form = Form("comparer", 16, size_px=96)  # for crops of another size than those at hand
    torch.manual_seed(5)
    given = form.build()
    given.score_head[2].bias.data.fill_(3.0)
    save_weights(given, form, tmp_path / "given.safetensors")
    recipe = Recipe(Form("comparer", 16), epochs=1, pairs_per_epoch=4, batch=4, workers=0, learning_rate=1e-9,
                    init=str(tmp_path / "given.safetensors"))
    train(data, data, tmp_path / "out", recipe, str)
    network, _, _ = load_weights(tmp_path / "out" / "weights.safetensors")
    for name, value in given.named_parameters():
        assert torch.allclose(network.get_parameter(name), value, atol=1e-3)
    with pytest.raises(NetworkError, match="expected weights of"):
        train(data, data, tmp_path / "other", Recipe(Form("query", 16), init=recipe.init), str)


def test_ablations_are_one_command(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                   capsys: pytest.CaptureFixture[str], reference_config: ReferenceConfig) -> None:
    (tmp_path / "train").symlink_to(data)
    (tmp_path / "validation").symlink_to(data)
    monkeypatch.setattr(ablations, "ReferenceConfig", lambda: replace(reference_config, gaussians=1500, views=20))
    monkeypatch.setattr("sys.argv", [
        "ablations", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--images", "5", "--split", "validation",
        "--forms", "query", "--ratios", "1", "0.5", "--width", "16", "--epochs", "1", "--pairs-per-epoch", "4",
        "--workers", "0"])
    ablations.main()
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])["ablations"]
    assert list(figures) == ["fused", "network", "geometry", "no_refine", "query", "ratio_1", "ratio_0.5"]
    assert all(value is not None and 0 <= value <= 1 for value in figures.values())
    pairs = {name: json.loads((tmp_path / "out" / name / "recipe.json").read_text()) for name in ("query", "ratio_0.5")}
    assert pairs["query"]["form"]["name"] == "query" and pairs["ratio_0.5"]["ratio"] == 0.5


def vars_of(recipe: Recipe) -> dict[str, object]:
    return {name: getattr(recipe, name) for name in Recipe.__dataclass_fields__}
