"""The docs say what is so: their examples run, their links lead somewhere, their tables leave nothing out."""

import ast
import codecs
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xlabel import formats
from xlabel.cli import app
from xlabel.formats.losses import FIELDS, RECORDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "scripts" / "README_scripts.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
SHARED = dict.fromkeys(("embed", "extract", "show", "strip"), "embed")
SHARED |= dict.fromkeys(("compact", "log", "diff"), "update") | dict.fromkeys(("push", "pull"), "push")
"""Commands on one page, each with its own section of options."""
COMMANDS = ("pack", "verify", "unpack", "convert", "repair", "validate", "review", "prelabel", *SHARED)
SCRIPTS = (
    "bundle_images",
    "build_annotations",
    "run_pipeline",
    "unbundle_dataset",
    "make_sample",
    "make_screenshots",
)
XLABEL = (sys.executable, "-m", "xlabel")


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def section(page: Path, title: str) -> str:
    """What stands below a heading of the second level."""
    return page.read_text("utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def commands(page: Path) -> Iterator[tuple[str, int]]:
    """The commands in the console blocks that are ours, with the exit codes shown, or 0."""
    for block in blocks(page, "console"):
        shown = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
        for text, after in zip(shown, [*shown[1:], ""], strict=True):
            line = text.partition("\n")[0]
            if line.startswith(("xlabel ", "python3 scripts/")):
                code = re.match(r"echo \$\?\n(\d+)", after)
                yield line, int(code[1]) if code else 0


def run(command: list[str], folder: Path, source: Path = ROOT / "src") -> subprocess.CompletedProcess[str]:
    env = os.environ | {"COLUMNS": "200", "PYTHONPATH": str(source), "XDG_CACHE_HOME": str(folder / ".cache")}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as the examples take for granted: the sample, also under plainer names, and the scripts."""
    shutil.copytree(ROOT / "sample", tmp_path / "sample")
    for plain, name in {"images": "raw_images", "labels": "raw_labels"}.items():
        shutil.copytree(ROOT / "sample" / name, tmp_path / plain)
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    return tmp_path


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=name_of)
def test_the_python_of_a_page_runs(page: Path, folder: Path) -> None:
    """Its blocks are one program; one that begins with a file's name is that file.

    Where one is a file of the package, a copy of the package gets it, and the rows of tables that are shown.
    """
    if page.name == "README.md":
        assert run([*XLABEL, "convert", "labels", "labels.json", "--to", "coco"], folder).returncode == 0
    program: list[str] = []
    for block in blocks(page, "python"):
        file = re.match(r"# ([\w/]+\.py)\n", block)
        if file:
            if file[1].startswith("src/"):
                shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
                put_rows(page, folder / "src")
            (folder / file[1]).write_text(block, "utf-8")
        else:
            program.append(block)
    (folder / "program.py").write_text("\n".join(program), "utf-8")
    done = run(
        [sys.executable, "program.py"], folder, folder / "src" if (folder / "src").exists() else ROOT / "src"
    )
    assert done.returncode == 0, done.stderr


def put_rows(page: Path, source: Path) -> None:
    """Put the rows of tables that a page shows into the tables, each of which is in one file."""
    for block in blocks(page, "text"):
        head, _, rows = block.removesuffix("}\n").partition("    ...\n")
        (file,) = (path for path in source.rglob("*.py") if f"\n{head}" in path.read_text("utf-8"))
        text = file.read_text("utf-8")
        file.write_text(text.replace(f"\n{head}", f"\n{head}{rows}"), "utf-8")


@pytest.mark.parametrize("page", [p for p in PAGES if list(commands(p))], ids=name_of)
def test_the_commands_of_a_page_run(page: Path, folder: Path) -> None:
    for line, code in commands(page):
        words = shlex.split(line.replace("file:///", f"{folder.as_uri()}/"), comments=True)
        command = [*XLABEL, *words[1:]] if words[0] == "xlabel" else [sys.executable, *words[1:]]
        done = run(command, folder)
        assert done.returncode == code, f"{line}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        if anchor:
            assert anchor in {slug(line) for line in place.read_text("utf-8").split("\n")}, target


def slug(line: str) -> str | None:
    """What a heading is called in a link."""
    heading = re.match(r"#+ (.*)", line)
    return re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-") if heading else None


def test_every_problem_code_is_explained_and_exists() -> None:
    explained: set[str] = set()
    for page in PAGES:
        for row in re.findall(r"^\| (`[^|]*) \|", section(page, "Problems"), re.MULTILINE):
            explained.update(re.findall(r"`([^`]+)`", row))
    assert set(codes()) == explained


def codes() -> Iterator[str]:
    """The problem codes in the source: words with hyphens, and words alone that are given to a problem."""
    others = {name for base in formats.table() for name in formats.get(base).VARIANTS} | set(refusals())
    for path in (ROOT / "src").rglob("*.py"):
        if path.parent.name == "web":
            continue  # words of HTTP
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[*args]) if (
                    name in ("Problem", "problem", "_problem", "ValueError") and len(args) > 1
                ):
                    found = [str(a.value) for a in args[:2] if isinstance(a, ast.Constant)]
                    yield from (code for code in found if re.fullmatch("[a-z-]+", code))
                case ast.Constant(value=str(text)) if re.fullmatch("[a-z]+(-[a-z0-9]+)+", text):
                    if text not in others and not text.startswith("spool-") and not is_encoding(text):
                        yield text


def test_every_refusal_of_the_review_server_is_explained_and_exists() -> None:
    page = (ROOT / "docs/review_api.md").read_text("utf-8")
    rows = re.findall(r"^\| [\d, ]+ \| (.*?) \|", page, re.MULTILINE)
    assert set(refusals()) == {code for row in rows for code in re.findall(r"`([a-z-]+)`", row)} - {
        "at",
        "clash",
    }


def refusals() -> Iterator[str]:
    """The codes of refusals in the source."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="Refusal"), args=[_, ast.Constant(value=str(code)), *_]):
                    yield code


def is_encoding(text: str) -> bool:
    try:
        return codecs.lookup(text) is not None
    except LookupError:
        return False


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_explained(command: str, tmp_path: Path) -> None:
    shown = options(run([*XLABEL, command, "--help"], tmp_path).stdout)
    assert "--json" in shown
    page = ROOT / "docs" / f"{SHARED.get(command, command)}.md"
    title = f"Options of {command}" if command in SHARED else "Options"
    assert shown == options(section(page, title))


def test_every_command_has_a_page() -> None:
    named = {name for name in app.resolved_commands() if not name.startswith("-")}
    assert named == {*COMMANDS, "formats"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_option_of_a_script_is_explained(script: str, tmp_path: Path) -> None:
    shown = options(run([sys.executable, str(ROOT / "scripts" / f"{script}.py"), "--help"], tmp_path).stdout)
    assert shown - {"--help"} == options(section(ROOT / "scripts" / "README_scripts.md", f"{script}.py"))


def options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def test_the_tables_of_formats_and_fields_are_those_of_the_code(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "formats.md").read_text("utf-8")
    assert run([*XLABEL, "formats"], tmp_path).stdout in page
    for field, meaning in FIELDS.items():
        assert f"| `{field}` | {meaning} | {'is listed' if field in RECORDS else 'refuses'}" in page
