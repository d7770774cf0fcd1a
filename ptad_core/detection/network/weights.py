"""Networks and their weights: safetensors in and out, nothing that could run code."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from ptad_core.detection.network import light
from ptad_core.detection.network.comparer import Comparer
from ptad_core.detection.network.inputs import CHANNELS, SIZE_PX
from ptad_core.detection.network.mmpdn import Mmpdn
from ptad_core.errors import NetworkError

FORMS = ("comparer", "query", "mmpdn")
FIRST = "backbone.conv1.weight"


@dataclass(frozen=True, slots=True)
class Form:
    """Which network.

    Attributes:
        name: one of ``FORMS``.
        width: channels of the first stage; the published one has 64 and no choice.
        size_px: side of the crop.
    """

    name: str = "comparer"
    width: int = 32
    size_px: int = SIZE_PX

    def build(self) -> nn.Module:
        """Return the network with random weights.

        Raises:
            NetworkError: if there is no such form.
        """
        if self.name in ("comparer", "query"):
            return Comparer(self.width, query_only=self.name == "query")
        if self.name == "mmpdn":
            return Mmpdn()
        raise NetworkError(f"expected a network of the form {' or '.join(FORMS)}, got {self.name!r}")


def save_weights(network: nn.Module, form: Form, path: Path, about: dict[str, str] | None = None) -> None:
    """Write the weights with half precision, and what they belong to, in one step."""
    state = {name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
             for name, value in network.state_dict().items()}
    half = path.with_name(f".{path.name}.half")
    save_file(state, half, {"form": form.name, "width": str(form.width), "size_px": str(form.size_px), **(about or {})})
    half.replace(path)


def load_weights(path: Path) -> tuple[nn.Module, Form, dict[str, str]]:
    """Return a network ready for use, its form, and what else its file says.

    Raises:
        NetworkError: if the file is not of this project, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = dict(file.metadata() or {})
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
        form = Form(about.pop("form"), int(about.pop("width")), int(about.pop("size_px")))
        network = form.build()
        network.load_state_dict({**state, FIRST: _grown(state[FIRST], network.state_dict()[FIRST])})
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise NetworkError(f"{path}: expected weights as `ptad train` writes them: {error}") from error
    return network.eval(), form, about


def _grown(kernels: Tensor, wanted: Tensor) -> Tensor:
    """Return the (out, in, k, k) first kernels; of comparers trained before the light was fitted, with zeros for it."""
    before = kernels.shape[1] == CHANNELS and wanted.shape[1] == CHANNELS + light.CHANNELS
    return functional.pad(kernels, (0, 0, 0, 0, 0, light.CHANNELS)) if before else kernels


def load_backbone(network: Mmpdn | Comparer, path: Path) -> int:
    """Load the usual ResNet18 weights (ImageNet's, of torchvision's names) from safetensors; return how many fit.

    Raises:
        NetworkError: if none of them does.
    """
    try:
        with safe_open(path, framework="pt") as file:
            given: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise NetworkError(f"{path}: expected safetensors of a ResNet18: {error}") from error
    own = network.backbone.state_dict()
    fits = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    if not fits:
        raise NetworkError(f"{path}: expected weights named as those of ResNet18, got {', '.join(list(given)[:3])} ...")
    network.backbone.load_state_dict(fits, strict=False)
    return len(fits)


def digest_of(path: Path) -> str:
    """Return a digest of a file of weights."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def parameters_in(network: nn.Module) -> int:
    """Return how many numbers are trained."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
