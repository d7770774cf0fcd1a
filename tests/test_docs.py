"""What README and docs name exists: links, commands, settings, topics, fields; examples do what they say."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from result_making import failed

from ptad_core import cli
from ptad_core.advice import NEXT_STEP
from ptad_core.cli.options import resolve_config
from ptad_core.config import CellConfig, from_dict
from ptad_core.detection.geometry import LEAST_TOLERANCE_PX
from ptad_core.evaluation.results import record_of, times_line, to_line, write_results
from ptad_core.rendering.view import MAX_SIZE_PX
from ptad_core.types import Reason

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
GUIDES = [ROOT / "README.md",
          *(ROOT / "docs" / f"{name}.md" for name in ("integrator", "cell", "tuning", "robot", "research"))]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
SECTIONS = ("part", "reference", "segmentation", "pose", "detection", "input", "tf", "output")
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)

FOREIGN = {"tool0", "base_link", "image_rect", "cleanup", "configure", "activate", "arm64", "fx", "KIND_...",
           "REASON_...", "tf2_ros", "re_look", "evidence/", "~/ros2_ws/venv", "T_base_camera"}
"""Names in code style that are not ours, or only stand for something."""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language, without their indentation."""
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE)
            for indent, found, code in FENCE.findall(text_of(page)) if found == language]


def spans(page: Path) -> list[str]:
    """Return what stands in backticks within a line."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", text_of(page)))


def commands(page: Path) -> Iterator[str]:
    """Yield the command lines of a page, from blocks and from lines of text."""
    for code in blocks(page, "sh"):
        for line in code.splitlines():
            yield from (part.strip() for part in line.split("#")[0].split("&&") if part.strip())
    yield from (span for span in spans(page) if " " in span)


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.fixture(scope="module")
def sources() -> str:
    """All that could define a name: code, messages, settings, recipes."""
    patterns = ("ptad_*/**/*.py", "ptad_msgs/*/*.*", "launch/*.py", "config/*", "benchmarks/**/*.py", "setup.py",
                "Makefile", "package.xml", "requirements*.txt")
    return "\n".join(path.read_text(encoding="utf-8") for pattern in patterns for path in sorted(ROOT.glob(pattern)))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", FENCE.sub("", text_of(page))):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(linked), f"{page.name}: {target}; there are {sorted(anchors(linked))}"


@pytest.mark.parametrize("page", GUIDES, ids=lambda p: p.name)
def test_commands_exist(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cli.inspect, cli.replay, cli.convert, cli.doctor, cli.real, cli.synth):
        monkeypatch.setattr(module, "run", _check_settings)
    setup = text_of(ROOT / "setup.py")
    for command in commands(page):
        words = shlex.split(command.removeprefix("ros2 run ptad_ros "), comments=True)
        if words[0] == "ptad" and len(words) > 2:
            assert cli.main(words[1:]) == 0, command
        elif words[0] == "ptad" and words[1] != "...":
            with pytest.raises(SystemExit, match=r"^0$"):
                cli.main([words[1], "--help"])
        elif words[0] == "make":
            names = [word.split("=")[0] for word in words[1:]]
            assert re.search(rf"^{names[0]}:", MAKEFILE, re.MULTILINE), command
            assert all(f"$({name})" in MAKEFILE or f"$(if $({name})" in MAKEFILE for name in names[1:]), command
        elif words[:3] == ["ros2", "launch", "ptad_ros"]:
            launched = text_of(ROOT / "launch" / words[3])
            assert all(f'DeclareLaunchArgument("{w.split(":=")[0]}"' in launched for w in words[4:]), command
        elif words[0] in ("inspection_node", "player", "re_look") or command.startswith("ros2 run ptad_ros"):
            assert f'"{words[0]} = ' in setup, command
        elif words[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(words[2]) is not None or (
                ROOT / f"{words[2].replace('.', '/')}.py").is_file(), command


def _check_settings(arguments: argparse.Namespace) -> int:
    """Stand in for a subcommand: the command line could be read, now its settings."""
    if hasattr(arguments, "settings"):
        arguments.config, arguments.cad = None, "part.stl"
        resolve_config(arguments)
    return 0


@pytest.mark.parametrize("page", GUIDES, ids=lambda p: p.name)
def test_names_exist(page: Path, sources: str) -> None:
    """Every name in code style is found in the sources; a dotted one that looks like a setting is one."""
    for span in spans(page):
        setting = re.fullmatch(rf"({'|'.join(SECTIONS)})\.(\w+)(?:(?:=|: )(.+))?", span)
        if setting and page.name != "robot.md":
            section, name, value = setting.groups()
            holds = from_dict(CellConfig, {section: {name: yaml.safe_load(value)}} if value else {})
            assert hasattr(getattr(holds, section), name), f"{page.name}: {span}"
        elif re.fullmatch(r"[a-z]+( [a-z]+)+", span):
            assert span in sources or span.split()[0] in ("ptad", "make"), f"{page.name}: {span}"
        elif re.fullmatch(r"[~/]?[\w./<>-]+", span) and span not in FOREIGN:
            known = span in sources or (ROOT / span).exists() or all(
                re.search(rf"\b{part}\b", sources) for part in re.findall(r"\w+", span))
            assert known, f"{page.name}: {span} is not in the sources"


def test_topics_of_the_tables_are_published_and_results_carry_the_fields(sources: str) -> None:
    readme = text_of(ROOT / "README.md")
    topics = re.findall(r"^\| (`[^|]*`) \| `(?:ptad_msgs|sensor_msgs|Marker)", readme, re.MULTILINE)
    assert len(topics) >= 5
    for topic in re.findall(r"`([^`]+)`", " ".join(topics)):
        assert f'"{topic}"' in sources, topic
    robot = text_of(ROOT / "docs" / "robot.md")
    for message, table in re.findall(r"^\| field of `ptad_msgs/(\w+)`.*\n\|[-|]+\n((?:\|.*\n)+)", robot, re.MULTILINE):
        definition = text_of(ROOT / "ptad_msgs" / "msg" / f"{message}.msg")
        for row in table.splitlines():
            for field in re.findall(r"`([^`]+)`", row.split("|")[1]):
                assert re.search(rf"^[\w/\[\]]+ +{field}\b", definition, re.MULTILINE), f"{message}.{field}"


def test_the_table_of_reasons_is_that_of_the_code() -> None:
    expected = [f"| {int(reason)} | `{reason.name}` | {step} |" for reason, step in NEXT_STEP.items() if reason < 100]
    page = text_of(ROOT / "docs" / "integrator.md")
    assert re.findall(r"^\| \d+ \| `.*$", page, re.MULTILINE) == expected, "copy this:\n" + "\n".join(expected)
    code = "".join(text_of(f) for package in ("ptad_core", "ptad_ros") for f in (ROOT / package).rglob("*.py")
                   if f.name != "advice.py")
    unused = [reason.name for reason in Reason if reason < 100 and f"Reason.{reason.name}" not in code]
    assert re.findall(r"^`(\w+)` is reserved", page, re.MULTILINE) == unused


def test_the_tables_of_results_are_what_is_written() -> None:
    page = text_of(ROOT / "docs" / "research.md")
    line = json.loads(to_line(record_of(0, 0, "camera", failed())))
    written = {"key": line, "key in `pose`": line["pose"], "key in each of `regions`": line["regions"][0]}
    for head, values in written.items():
        (table,) = re.findall(rf"^\| {head} \| what \|\n\|[-|]+\n((?:\|.*\n)+)", page, re.MULTILINE)
        keys = [key for row in table.splitlines() for key in re.findall(r"`(\w+)`", row.split("|")[1])]
        assert sorted(keys) == sorted(values)
    (times,) = re.findall(r"^\| `times.jsonl` \| (.*?):", page, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", times)) == sorted(json.loads(times_line(0, 0, failed())))


def test_examples_are_valid() -> None:
    for page in GUIDES:
        for code in blocks(page, "yaml"):
            for inner in yaml.safe_load(code).values():
                from_dict(CellConfig, inner["ros__parameters"])
        for code in blocks(page, "python"):
            compile(code, page.name, "exec")
    tuning = " ".join(text_of(ROOT / "docs" / "tuning.md").split())
    assert f"{MAX_SIZE_PX} px (`MAX_SIZE_PX`)" in tuning and f"{LEAST_TOLERANCE_PX} px (`LEAST_TOLERANCE_PX`)" in tuning


def test_largest_deviations_of_good_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(ROOT / "docs" / "tuning.md", "python")
    monkeypatch.chdir(tmp_path)
    Path("out/tight").mkdir(parents=True)
    write_results(Path("out/tight/results.jsonl"), [record_of(0, 0, "camera", failed())])
    exec(compile(code, "tuning.md", "exec"), {})  # noqa: S102
    assert "1 frames judged" in (said := capsys.readouterr().out) and "[7.5]" in said
