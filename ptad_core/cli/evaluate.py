"""``ptad evaluate``: how well defects are found in a data set with truth."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ptad_core.config import CellConfig, from_dict, load_yaml
from ptad_core.datasets import read_dataset
from ptad_core.errors import DependencyError


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "evaluate", help="measure detection on a data set", description="Inspect every picture of a data set blind, "
        "hold the verdicts against its truth; print one line of JSON last. Layouts: BrokenChairs-180K, MAD, RAD, and "
        "what ptad synth writes; parts need a CAD file.")
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="folder of the data set")
    parser.add_argument("--split", default="test", help="default: %(default)s")
    parser.add_argument("--meshes", metavar="DIR", type=Path, help="folder of <part>.obj where the data set has none")
    parser.add_argument("--config", metavar="FILE", type=Path, help="settings, as in config/*.yaml")
    parser.add_argument("--network", metavar="auto|none|FILE", help="detection network (default: as in the settings)")
    parser.add_argument("--tolerance-share", type=float, default=0.03,
                        help="tolerance relative to each part's diameter (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=0.01, help="false-reject rate to promise (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=0, help="only so many pictures, spread evenly")
    parser.add_argument("--query-only", metavar="FILE", default="none",
                        help="weights of a network trained without reference, to compare with")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("out/evaluate"), help="default: %(default)s")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, report, print; the figures are for the reader to judge, so the exit code says only that it ran."""
    try:
        from ptad_core.evaluation.detection.cases import cases_of_dataset
        from ptad_core.evaluation.detection.metrics import metrics
        from ptad_core.evaluation.detection.outcomes import Outcome, align_case, judge_aligned
        from ptad_core.evaluation.detection.report import write_report
    except ImportError as error:
        raise DependencyError(f"evaluating needs the packages of requirements-learning.txt: {error}") from error
    config = from_dict(CellConfig, load_yaml(arguments.config) if arguments.config else {})
    dataset = read_dataset(arguments.dataset, arguments.meshes).split(arguments.split)
    if arguments.limit:
        step = max(len(dataset) // arguments.limit, 1)
        dataset = replace(dataset, records=dataset.records[::step][:arguments.limit])
    outcomes: list[Outcome] = []
    pictures = {}
    for case in cases_of_dataset(dataset, config.reference):
        tolerance_mm = 1000 * arguments.tolerance_share * case.reference.diameter_m
        aligned = align_case(case, replace(config, detection=replace(config.detection, tolerance_mm=tolerance_mm)))
        outcomes.append(judge_aligned(aligned, arguments.network or config.detection.network, arguments.query_only))
        pictures[case.name] = case.image_bgr
        print(f"{len(outcomes)} of {len(dataset)}: {case.name} {case.kind}: {outcomes[-1].verdict.name} "
              f"{outcomes[-1].score:.3g}", flush=True)
    figures = metrics(outcomes, arguments.rate)
    write_report(arguments.out, outcomes, figures, pictures)
    print(f"report: {arguments.out / 'report.md'}")
    print(json.dumps({"detect": figures}))
    return 0
