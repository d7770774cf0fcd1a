"""The detection networks: their size, their names, their files, what they are taught and what they are shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors import safe_open  # noqa: E402  only where torch is
from safetensors.torch import save_file  # noqa: E402

from ptad_core.detection.network.comparer import Comparer  # noqa: E402
from ptad_core.detection.network.inputs import CHANNELS, DEPTH, IMAGE, MASK, NORMAL, SEEN  # noqa: E402
from ptad_core.detection.network.mmpdn import Mmpdn  # noqa: E402
from ptad_core.detection.network.weights import (  # noqa: E402
    FIRST,
    Form,
    load_backbone,
    load_weights,
    parameters_in,
    save_weights,
)
from ptad_core.errors import NetworkError  # noqa: E402
from ptad_core.training.augment import _paint, _shift_rim, _stick, as_input, augment, resized  # noqa: E402
from ptad_core.training.losses import boxes_of, comparer_loss, generalised_iou, mmpdn_loss  # noqa: E402

PUBLISHED_PARAMETERS = 17.62e6
RESNET18_PARAMETERS = 11_176_512
"""Of the encoder without its classifier, as everybody has it."""


def test_published_form_has_the_published_size():
    network = Mmpdn()
    assert parameters_in(network) == pytest.approx(PUBLISHED_PARAMETERS, rel=0.02)
    assert parameters_in(network.backbone) == RESNET18_PARAMETERS


def test_encoder_has_the_usual_names(tmp_path: Path):
    names = set(Mmpdn().backbone.state_dict())
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer2.0.downsample.0.weight",
            "layer2.0.downsample.1.bias", "layer4.1.bn2.num_batches_tracked"} <= names
    assert len(names) == 120
    usual = {name: torch.randn_like(value) if value.is_floating_point() else value
             for name, value in Mmpdn().backbone.state_dict().items()}
    save_file({**usual, "fc.weight": torch.zeros(1000, 512)}, tmp_path / "resnet18.safetensors")
    network = Mmpdn()
    assert load_backbone(network, tmp_path / "resnet18.safetensors") == 120
    assert torch.equal(network.backbone.layer3[0].conv2.weight, usual["layer3.0.conv2.weight"])
    save_file({"other": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(NetworkError, match="named as those of ResNet18"):
        load_backbone(network, tmp_path / "other.safetensors")


def test_equal_features_have_no_distance():
    """Where the query is the reference, all that the heads see is zero, whatever the weights."""
    network = Mmpdn().eval()
    x = torch.rand(2, CHANNELS, 64, 64)
    x[:, IMAGE] = x[:, DEPTH:DEPTH + 1]
    y = torch.rand(2, CHANNELS, 64, 64)
    y[:, IMAGE] = y[:, DEPTH:DEPTH + 1]
    with torch.inference_mode():
        assert torch.allclose(network(x)[0], network(y)[0], atol=1e-4)
        y[:, IMAGE] = torch.rand(2, 3, 64, 64)
        assert not torch.allclose(network(x)[0], network(y)[0], atol=1e-4)


@pytest.mark.parametrize("form", [Form("comparer", 16), Form("mmpdn")])
def test_weights_come_back(form: Form, tmp_path: Path):
    torch.manual_seed(1)
    network = form.build().eval()
    x = torch.rand(2, CHANNELS, 96, 96)
    path = tmp_path / "weights.safetensors"
    save_weights(network, form, path, {"seed": "1"})
    loaded, loaded_form, about = load_weights(path)
    assert (loaded_form, about) == (form, {"seed": "1"})
    with torch.inference_mode():
        for before, after in zip(network(x), loaded(x), strict=True):
            assert torch.allclose(before, after, atol=2e-2)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(NetworkError):
        load_weights(path)
    with pytest.raises(NetworkError):
        load_weights(tmp_path / "none.safetensors")


def test_weights_of_before_the_light_was_fitted_say_what_they_said(tmp_path: Path):
    """They have no kernels for what the light explains: zeros take their place."""
    torch.manual_seed(2)
    form = Form("comparer", 16)
    network = form.build().eval()
    path = tmp_path / "weights.safetensors"
    network.backbone.conv1.weight.data[:, CHANNELS:] = 0
    save_weights(network, form, path)
    with safe_open(path, framework="pt") as file:
        state, about = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118  no mapping
    save_file({**state, FIRST: state[FIRST][:, :CHANNELS].contiguous()}, path, about)
    x = torch.rand(2, CHANNELS, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(load_weights(path)[0](x)[0], network(x)[0], atol=1e-2)
    save_file({**state, FIRST: state[FIRST][:, :3].contiguous()}, path, about)
    with pytest.raises(NetworkError, match="as `ptad train` writes them"):
        load_weights(path)


@pytest.mark.parametrize("width", [0, 8, 40])
def test_a_width_that_brings_torch_down_is_refused(width: int):
    with pytest.raises(NetworkError, match=f"multiple of 16, got {width}"):
        Form("comparer", width).build()


def test_comparer_learns_to_see_a_difference():
    """A few steps on squares that are or are not where the reference has them."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = Comparer(16)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        x, y = torch.zeros(16, CHANNELS, 64, 64), torch.zeros(16, 2, 16, 16)
        bad = torch.from_numpy(rng.random(16) < 0.5)
        for k in range(16):
            row, column = (4 * int(v) for v in rng.integers(0, 11, 2))
            x[k, MASK, row:row + 20, column:column + 20] = 1
            if bad[k]:
                y[k, 0, row // 4:row // 4 + 5, column // 4:column // 4 + 5] = 1
            else:
                x[k, IMAGE, row:row + 20, column:column + 20] = 0.5
        loss = comparer_loss(network(x), y, bad.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < 0.25 * np.mean(losses[:5])


def test_boxes_enclose_what_differs():
    target = torch.zeros(3, 2, 40, 40)
    target[0, 0, 10:14, 20:30] = 1
    target[0, 1, 30, 5] = 0.5
    target[1, 1, 0, 39] = 0.3
    boxes, known = boxes_of(target)
    assert known.tolist() == [True, True, False]
    assert torch.allclose(boxes[0] * 40, torch.tensor([17.5, 20.5, 25.0, 21.0]))
    assert torch.allclose(boxes[1] * 40, torch.tensor([39.5, 0.5, 1.0, 1.0]))


def test_generalised_iou():
    a = torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.2, 0.2, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2]])
    b = torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.8, 0.8, 0.2, 0.2], [0.6, 0.5, 0.2, 0.2]])
    assert torch.allclose(generalised_iou(a, b), torch.tensor([1.0, -(0.64 - 0.08) / 0.64, 1 / 3]), atol=1e-5)


def test_published_form_is_taught_boxes_where_there_are_any():
    target = torch.zeros(2, 2, 40, 40)
    target[0, 0, 5:20, 5:20] = 1
    logits, boxes = torch.zeros(2), torch.full((2, 4), 0.5)
    right, _ = boxes_of(target)
    good = mmpdn_loss((logits, boxes), torch.zeros_like(target), torch.zeros(2))
    assert float(good) == pytest.approx(np.log(2), rel=1e-5)
    defective = torch.tensor([1.0, 0.0])
    assert float(mmpdn_loss((logits, right), target, defective)) == pytest.approx(np.log(2), rel=1e-4)
    assert float(mmpdn_loss((logits, boxes), target, defective)) > 1.5


def sphere_pair(size: int = 96) -> np.ndarray:
    """Return the input of a ball: its normals follow from its pixels, so turning it must give a ball again."""
    pair = np.zeros((CHANNELS, size, size), np.uint8)
    y, x = (np.mgrid[0:size, 0:size] - (size - 1) / 2) / (0.4 * size)
    inside = x**2 + y**2 < 1
    normal = np.stack([x, y, -np.sqrt(np.clip(1 - x**2 - y**2, 0, 1))])
    pair[NORMAL] = np.where(inside, np.rint(128 + 127 * normal), 0)
    pair[MASK] = pair[SEEN] = 255 * inside
    return pair


def test_normals_turn_with_the_picture():
    pair = torch.from_numpy(sphere_pair())[None]
    seen = set()
    for seed in range(24):
        x, _ = augment(pair, torch.zeros(1, 2, 24, 24, dtype=torch.uint8), np.random.default_rng(seed))
        assert torch.allclose(x[0, NORMAL], pair[0, NORMAL] / 255.0, atol=1.01 / 255)
        seen.add(x[0, IMAGE].mean().item())
    assert len(seen) > 12


def test_picture_and_truth_turn_together():
    pair = np.zeros((1, CHANNELS, 96, 96), np.uint8)
    pair[0, MASK, 8:24, 40:80] = 255
    target = np.zeros((1, 2, 24, 24), np.uint8)
    target[0, 0, 2:6, 10:20] = 255
    for seed in range(12):
        x, y = augment(torch.from_numpy(pair), torch.from_numpy(target), np.random.default_rng(seed))
        assert torch.equal(torch.nn.functional.avg_pool2d(x[:, MASK], 4), y[:, 0])


def test_what_a_part_is_painted_with_leaves_its_surroundings_and_the_reference_alone():
    before = as_input(torch.from_numpy(sphere_pair()))
    before[IMAGE] = 0.5
    for change in (_paint, _stick):
        changed = 0
        for seed in range(8):
            x = before.clone()
            change(x, np.random.default_rng(seed))
            other = (x != before).any(dim=0)
            changed += bool(other.any())
            assert not (other & (before[SEEN] < 0.5)).any()
            assert torch.equal(x[SEEN:], before[SEEN:]) and x.min() >= 0 and x.max() <= 1
        assert changed >= 6


def test_the_rim_of_a_mask_moves_by_no_more_than_two_pixels():
    before = as_input(torch.from_numpy(sphere_pair()))
    wide = torch.nn.functional.max_pool2d(before[SEEN][None], 5, 1, 2)[0]
    narrow = -torch.nn.functional.max_pool2d(-before[SEEN][None], 5, 1, 2)[0]
    moved = []
    for seed in range(8):
        x = before.clone()
        _shift_rim(x, np.random.default_rng(seed))
        assert (x[SEEN] <= wide).all() and (x[SEEN] >= narrow).all()
        moved.append(int((x[SEEN] != before[SEEN]).sum()))
    assert min(moved) >= 0 and max(moved) > 20


def test_smaller_crops_blend_pictures_but_no_surfaces():
    pairs = sphere_pair()[None]
    targets = np.full((1, 2, 24, 24), 255, np.uint8)
    x, y = resized(pairs, targets, 64)
    assert x.shape == (1, CHANNELS, 64, 64) and y.shape == (1, 2, 16, 16) and (y == 255).all()
    assert set(np.unique(x[0, NORMAL])) <= set(np.unique(pairs[0, NORMAL]))
    assert len(np.unique(x[0, SEEN])) > len(np.unique(pairs[0, SEEN]))
    same, _ = resized(pairs, targets, 96)
    assert same is pairs
