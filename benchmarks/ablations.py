"""The paper's ablations as one command: ``make ablations [IMAGES=600] [ABLATIONS="--epochs 10"]``; a table, then one
line of JSON.

Of the network in use: the score as it is, network alone, geometry alone, without refinement. Then networks that are
trained here, one after the other: without a reference, the published form, and on shares of the training pairs. Each of
these sees equally many pairs, ``--epochs`` times ``--pairs-per-epoch``, drawn from what ``ptad train --generate`` left
in ``--data``; what was interrupted goes on where it stopped. All judge the same pictures at the same poses, those of
``make bench-detect``; ``--split validation`` is for choosing.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import torch
from torch import nn

from benchmarks.bench_detect import SEEDS, config_of, samples_of
from ptad_core.config import ReferenceConfig
from ptad_core.detection.network.inputs import network_input
from ptad_core.detection.network.weights import Form, load_weights
from ptad_core.evaluation.detection.cases import cases_of_samples
from ptad_core.evaluation.detection.metrics import auc_of, metrics, rounded
from ptad_core.evaluation.detection.outcomes import Aligned, Outcome, align_case, judge_aligned
from ptad_core.rendering.exact import ExactRenderer
from ptad_core.training.train import Recipe, train

RATIOS = (1.0, 0.5, 0.2, 0.1, 0.05)
MMPDN_RATE = 2e-5
"""As published."""
PAPER = {"fused": 0.910, "no_refine": 0.870, "query": 0.746, "mmpdn": 0.910, "ratio_1": 0.910, "ratio_0.5": 0.888,
         "ratio_0.2": 0.849, "ratio_0.1": 0.839, "ratio_0.05": 0.821}
"""Published on BrokenChairs-180K, where they have a counterpart. Other data: bars to clear, and no comparison."""


def main() -> None:
    """Train, judge, print."""
    options = _options()
    networks = {name: trained(name, recipe, options.data, options.out / name)
                for name, recipe in recipes(options).items()}
    outcomes: list[Outcome] = []
    logits: dict[str, dict[str, float]] = {name: {} for name in networks}
    for case in cases_of_samples(samples_of(options.split, options.images), ReferenceConfig()):
        aligned = align_case(case, config_of(case))
        outcomes.append(judge_aligned(aligned, options.network))
        for name, (network, form) in networks.items():
            logits[name][case.name] = logit_of(network, form, aligned)
    figures = metrics(outcomes)
    table = {"fused": figures["auc"], **{name: figures[f"auc_{name}"] for name in ("network", "geometry", "no_refine")},
             **{name: auc_of(outcomes, lambda o, of=given: of[o.name]) for name, given in logits.items()}}
    print(f"{options.images} pictures, {options.split}; networks trained here saw "
          f"{options.epochs} x {options.pairs_per_epoch} pairs each")
    print("| AUC of | here | published on BrokenChairs-180K, other data |\n|---|---|---|")
    for name, value in table.items():
        print(f"| {name} | {math.nan if value is None else value:.3f} | {PAPER.get(name, '')} |")
    print(json.dumps({"ablations": rounded(table)}))


def recipes(options: argparse.Namespace) -> dict[str, Recipe]:
    """Return what is trained, by name."""
    def recipe(form: str, ratio: float = 1.0, rate: float = 2e-3) -> Recipe:
        return Recipe(Form(form, options.width), options.epochs, options.pairs_per_epoch, learning_rate=rate,
                      ratio=ratio, workers=options.workers, bfloat16=options.bfloat16)
    forms = {"query": recipe("query"), "mmpdn": recipe("mmpdn", rate=MMPDN_RATE)}
    return {**{name: forms[name] for name in options.forms},
            **{f"ratio_{ratio:g}": recipe("comparer", ratio) for ratio in options.ratios}}


def trained(name: str, recipe: Recipe, data: Path, out: Path) -> tuple[nn.Module, Form]:
    """Train a network, or go on with it, and return it."""
    train(data / "train", data / "validation", out, recipe,
          lambda words: print(f"{name}: {words}", file=sys.stderr, flush=True))
    network, form, _ = load_weights(out / "weights.safetensors")
    return network, form


def logit_of(network: nn.Module, form: Form, aligned: Aligned) -> float:
    """Return what a network says of an aligned picture; NaN where it has no pose."""
    if aligned.view is None:
        return math.nan
    case, view = aligned.case, aligned.view
    cad = ExactRenderer(case.reference.mesh.vertices, case.reference.mesh.faces)
    pair = network_input(case.image_bgr, aligned.segmentation.mask, cad, view.camera, view.T_camera_part, view.window,
                         case.reference.diameter_m, form.size_px)
    with torch.inference_mode():
        return float(network(torch.from_numpy(pair)[None].float() / 255.0)[0][0])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("out/pairs"), help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("out/ablations"), help="default: %(default)s")
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--split", choices=tuple(SEEDS), default="test")
    parser.add_argument("--network", default="auto", help="auto, none or a file of weights")
    parser.add_argument("--forms", nargs="*", choices=("query", "mmpdn"), default=["query", "mmpdn"])
    parser.add_argument("--ratios", nargs="*", type=float, default=RATIOS)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--pairs-per-epoch", type=int, default=2048)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--bfloat16", action="store_true", help="as of ptad train")
    return parser.parse_args()


if __name__ == "__main__":
    main()
