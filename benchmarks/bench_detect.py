"""Detection benchmark: ``make bench-detect [IMAGES=600]``; a table, then one line of JSON.

Shapes of the test families, which no training ever saw, with textures, lights and defects of their own, before plain
backdrops; poses are found blind. Files go to ``--out``. ``--split validation`` is for choosing and fitting, with the
appearances of the training: the test families are never tuned on. ``--fit FILE`` then fits how network and geometry
are fused, and writes it to a JSON file.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from ptad_core.config import DetectionConfig, InspectorConfig, ReferenceConfig, SegmentationConfig
from ptad_core.detection.network.judge import Fusion
from ptad_core.evaluation.detection.cases import Case, cases_of_samples
from ptad_core.evaluation.detection.metrics import auc_of, metrics
from ptad_core.evaluation.detection.outcomes import TOLERANCE_SHARE, Outcome, align_case, judge_aligned
from ptad_core.evaluation.detection.report import write_report
from ptad_core.synthesis.appearance import Look
from ptad_core.synthesis.families import SPLIT
from ptad_core.synthesis.samples import Samples

PAPER = {"auc": 0.910, "acc": 0.830, "box_iou_all": 0.478}
"""Published on BrokenChairs-180K. Other data: a bar to clear, and no comparison."""
LIMIT = 4.6
"""Logit of odds of 100 to 1: what it takes for the network alone to fail a part that was never calibrated."""
SEEDS = {"validation": 100, "test": 200}
PER_SHAPE = 8
"""Pictures of each shape: most of the time goes into references, of which each shape has one."""
QUERY = Path("out/ablations/query/weights.safetensors")
"""Where ``make ablations`` leaves the network that sees no reference."""


def main() -> None:
    """Judge all pictures, report, fit if asked to."""
    options = _options()
    samples = samples_of(options.split, options.images, options.per_shape)
    outcomes: list[Outcome] = []
    pictures = {}
    start = time.perf_counter()
    for case in cases_of_samples(samples, ReferenceConfig()):
        outcomes.append(judge_aligned(align_case(case, config_of(case)), options.network, options.query_only))
        pictures[case.name] = case.image_bgr
        if len(outcomes) % 20 == 0:
            print(f"{len(outcomes)} of {options.images} pictures, {time.perf_counter() - start:.0f} s",
                  file=sys.stderr, flush=True)
        if options.minutes and time.perf_counter() - start > 60 * options.minutes:
            break
    figures = metrics(outcomes)
    write_report(options.out, outcomes, figures, pictures)
    shapes = len({outcome.part for outcome in outcomes})
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; {len(outcomes)} pictures of {shapes} "
          f"shapes of the families {', '.join(samples.families)}, in {(time.perf_counter() - start) / 60:.0f} min")
    print((options.out / "report.md").read_text(encoding="utf-8"))
    print("published on BrokenChairs-180K, other data:", PAPER)
    if options.fit is not None:
        fit(outcomes, options.fit)
    print(json.dumps({"detect": figures}))


def samples_of(split: str, images: int, per_shape: int = PER_SHAPE) -> Samples:
    """Return the pictures of a split: those of the test have their own look too."""
    return Samples(images, SEEDS[split], SPLIT[split], size_px=256, pictures_per_shape=per_shape,
                   look=Look.TEST if split == "test" else Look.TRAIN, backdrop=True)


def fit(outcomes: list[Outcome], path: Path) -> None:
    """Fit the fusion on pictures that could be inspected, and write it."""
    usable = [o for o in outcomes if o.inspected and math.isfinite(o.network_logit)]
    features = np.array([[o.network_logit, math.log1p(o.outline_pct), math.log1p(o.edges_pct)] for o in usable])
    speaks = np.ones(features.shape[1], bool)
    while True:  # a larger deviation never speaks for a good part: what would have it so by chance is left out
        fitted = LogisticRegression(C=1.0).fit(features * speaks, [o.defective for o in usable])
        if (fitted.coef_[0] >= 0).all():
            break
        speaks &= fitted.coef_[0] >= 0
    network, outline, edges = (round(float(c), 4) for c in fitted.coef_[0])
    families = ", ".join(sorted({o.family for o in usable}))
    fusion = Fusion(round(float(fitted.intercept_[0]), 4), network, outline, edges, limit=LIMIT,
                    fitted_on=f"{len(usable)} pictures of the validation families {families}")
    path.write_text(json.dumps({"fusion": dataclasses.asdict(fusion)}, indent=1) + "\n", encoding="utf-8")
    print("fusion:", fusion)
    print("AUC of the fusion on what it was fitted on:", auc_of(usable, lambda o: fusion.logit(
        o.network_logit, o.outline_pct, o.edges_pct)), "network:", auc_of(usable, lambda o: o.network_logit))


def config_of(case: Case) -> InspectorConfig:
    """Settings as an integrator would make them: no shadows on a backdrop, a tolerance that 256 pixels can show."""
    tolerance_mm = 1000 * TOLERANCE_SHARE * case.reference.diameter_m
    return InspectorConfig(segmentation=SegmentationConfig(shadows=False),
                           detection=DetectionConfig(tolerance_mm=tolerance_mm, network="none"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--split", choices=tuple(SEEDS), default="test")
    parser.add_argument("--network", default="auto", help="auto, none or a file of weights")
    parser.add_argument("--minutes", type=float, default=0.0, help="report after this time, on the pictures so far")
    parser.add_argument("--per-shape", type=int, default=PER_SHAPE, help="pictures of each shape (default: 8)")
    parser.add_argument("--query-only", metavar="FILE", default=str(QUERY) if QUERY.exists() else "none",
                        help="weights of a network trained without reference, to compare with (default: those that "
                        "make ablations leaves)")
    parser.add_argument("--fit", metavar="FILE", type=Path, help="validation: fit the fusion and write it there")
    parser.add_argument("--out", type=Path, default=Path("out/bench_detect"))
    options = parser.parse_args()
    if options.fit is not None and options.split != "validation":
        parser.error("--fit takes --split validation: the test families are never fitted to")
    return options


if __name__ == "__main__":
    main()
