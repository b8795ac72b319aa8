"""The examples in the docstrings of the public functions run, and print what they say."""

import doctest
import inspect
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import xlabel
from tests.tools import ROOT, SAMPLE, tree

FUNCTIONS = (
    "annotate compact convert diff embed evaluate extract labels log open_bundle pack prelabel pull push "
    "read read_exif_tag repair review show stream strip unpack update validate verify write write_exif_tag"
).split()
LABELLED = ("extract", "labels", "show", "strip")
"""Functions whose example is about an image that holds a label."""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """A folder with the sample and a pack of it, where the examples run."""
    before = Path.cwd()
    shutil.copytree(SAMPLE, tmp_path / "sample")
    os.chdir(tmp_path)
    xlabel.pack("sample/raw_images", "sample/raw_labels", "output")
    yield tmp_path
    os.chdir(before)


def known(name: str) -> dict[str, Any]:
    """What an example may use without saying where it is from."""
    names: dict[str, Any] = {"xlabel": xlabel, "os": os}
    if name == "write":
        names["dataset"] = xlabel.read("sample/raw_labels")
    if name.startswith("Bundle"):
        names["bundle"] = xlabel.open_bundle("output")
    return names


def examples() -> dict[str, Any]:
    """Public functions, and the public methods of public classes that have an example."""
    found: dict[str, Any] = {}
    for name in xlabel.__all__:
        value = getattr(xlabel, name)
        if inspect.isfunction(value):
            found[name] = value
        elif inspect.isclass(value):
            for method, function in vars(value).items():
                if inspect.isfunction(function) and ">>>" in (function.__doc__ or ""):
                    found[f"{name}.{method}"] = function
    return found


def test_every_public_function_is_known_here() -> None:
    assert sorted(name for name in examples() if "." not in name) == FUNCTIONS


@pytest.mark.parametrize("name", examples())
def test_the_example_runs_and_prints_what_it_says(name: str, here: Path) -> None:
    if name == "pack":
        shutil.rmtree(here / "output")  # the example makes it
    (here / "images").mkdir()
    image = shutil.copy("sample/raw_images/street/001.jpg", "images/a.jpg")
    if name in LABELLED:
        xlabel.embed(image, [xlabel.Annotation(bbox=(10, 20, 30, 40))])
    if name == "evaluate":
        model = xlabel.Source(kind="model", name="yolo11n")
        xlabel.embed(
            image,
            [
                xlabel.Annotation(bbox=(10, 20, 30, 40), status=status, source=model)
                for status in ("accepted", "accepted", "accepted", "rejected")
            ],
        )
    if name == "read_exif_tag":
        xlabel.write_exif_tag(image, "Ada", "Artist")
    if name == "prelabel":
        Path("finder.py").write_text("def find(picture): return [{'bbox': (10, 20, 30, 40), 'score': 0.5}]\n")
    text = inspect.getdoc(examples()[name]) or ""
    names = known(name)
    test = doctest.DocTestParser().get_doctest(text, names, name, None, 0)
    assert test.examples, f"xlabel.{name} has no example"
    said: list[str] = []
    failed = doctest.DocTestRunner().run(test, out=said.append, clear_globs=False).failed
    if "bundle" in names and isinstance(names["bundle"], xlabel.Bundle):
        names["bundle"].close()
    assert not failed, "".join(said)


def python_in(page: str) -> list[str]:
    """The blocks of Python in one of the pages."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks
    return blocks


def test_the_readme_s_python_runs(here: Path) -> None:
    shutil.copytree("sample/raw_images", "images")
    shutil.copytree("sample/raw_labels", "labels")
    xlabel.convert("labels", "labels.json", to="coco")
    for block in python_in("README.md"):
        exec(compile(block, "README.md", "exec"), {})
    assert tree(here / "packed").keys() == tree(here / "output").keys()


def test_the_python_page_runs_from_its_beginning_to_its_end(here: Path) -> None:
    shutil.rmtree(here / "output")  # the page makes it
    names: dict[str, Any] = {}
    for block in python_in("docs/python.md"):
        exec(compile(block, "docs/python.md", "exec"), names)
