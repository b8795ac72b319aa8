"""What becomes of a label file's labels when they meet their image, and where label files are found."""

from itertools import product

import pytest
from msgspec.structs import replace
from tests.trees import Memory

from xlabel import formats
from xlabel.formats.labels import FileLabels, settle
from xlabel.formats.named import NamedLabels
from xlabel.model import RLE, Annotation, Image, Problem, Sample
from xlabel.model.dataset import Origin
from xlabel.model.geometry import turn

GOOD = Annotation(bbox=(1, 2, 3, 4))
BAD = Annotation(bbox=(5, 6, 7, 8), polygons=((1, 2, 3, 4, 5, 6),), mask=RLE((80, 100), (1, 2)))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_that_cannot_be_turned_is_left_out_and_all_else_is_turned(orientation: int) -> None:
    stored = Sample(image=Image(key="a.jpg", width=100, height=80), annotations=(GOOD, BAD))
    shown = Image(key="a.jpg", width=80, height=100, orientation=orientation)
    problems: list[Problem] = []
    sample = settle(stored, shown, "labels/a.txt", problems)
    assert [(problem.where, problem.code) for problem in problems] == [("labels/a.txt", "not-turned")]
    assert sample.turned
    assert sample.drawn == (100, 80)
    assert sample.annotations == (
        turn(GOOD, orientation, 100, 80),
        turn(replace(BAD, mask=None), orientation, 100, 80),
    )


def test_labels_are_turned_only_where_they_state_the_stored_size() -> None:
    for orientation, drawn in product(range(1, 9), [None, (80, 100), (100, 80), (100, 100)]):
        image = Image(key="a.jpg", width=80, height=100, orientation=orientation)
        assert Sample(image=image, drawn=drawn).turned == (orientation >= 5 and drawn == (100, 80))
    square = Image(key="a.jpg", width=80, height=80, orientation=6)
    assert not Sample(image=square, drawn=(80, 80)).turned
    assert not Sample(image=Image(key="a.jpg", orientation=6), drawn=(80, 80)).turned


class Parsing(NamedLabels):
    def parse(self, data: bytes, path: str, image: Image) -> Sample:
        return Sample(image=image)


@pytest.mark.parametrize(("labels", "lacking"), [(FileLabels, "parse"), (Parsing, "stated")])
def test_labels_that_lack_a_method_fail_when_they_are_made(labels: type[FileLabels], lacking: str) -> None:
    with pytest.raises(TypeError, match=rf"abstract.*\b{lacking}\b"):
        labels(Memory({}), Origin(format="box"))


TEXTS = {
    "yolo": (".txt", "0 .5 .5 .1 .1\n"),
    "voc": (
        ".xml",
        "<annotation><size><width>9</width><height>9</height></size>"
        "<object><name>cat</name></object></annotation>",
    ),
    "labelme": (
        ".json",
        '{"shapes":[{"label":"cat","points":[[1,2]],"shape_type":"point"}],"imagePath":"a.jpg"}',
    ),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("change", [str.upper, str.title], ids=["upper", "title"])
def test_label_files_are_found_whatever_the_case_of_their_endings(name: str, change: object) -> None:
    ending, text = TEXTS[name]
    odd = ending.upper() if change is str.upper else "." + ending[1:].title()
    tree = Memory({f"one/a{odd}": text, f"one/b{odd}": text, f"two/a{ending}": text})
    assert formats.detect(tree) == name
    labels = formats.open_labels(tree)
    assert labels is not None
    assert list(labels.refs()) == [f"one/a{odd}", f"one/b{odd}", f"two/a{ending}"]
    labels.bind(["one/a.jpg", "one/b.jpg", "two/a.jpg"])
    for key in ("one/a.jpg", "one/b.jpg", "two/a.jpg"):
        ref = labels.find(key)
        assert ref is not None
        sample = labels.load(ref, Image(key=key, width=9, height=9))
        assert sample is not None
        assert len(sample.annotations) == 1


@pytest.mark.parametrize("name", TEXTS)
def test_of_two_label_files_that_differ_in_case_one_counts_and_the_other_is_listed(name: str) -> None:
    ending, text = TEXTS[name]
    labels = formats.open_labels(Memory({f"a{ending}": text, f"a{ending.upper()}": text, f"b{ending}": text}))
    assert labels is not None
    labels.bind(["a.jpg", "b.jpg"])
    assert [(problem.where, problem.code) for problem in labels.problems] == [
        (f"labels/a{ending.upper()}", "labels-twice")
    ]
    assert labels.find("a.jpg") == f"a{ending}"


def test_two_images_of_one_stem_have_label_files_of_their_own_whatever_the_case() -> None:
    text = TEXTS["voc"][1]
    labels = formats.open_labels(Memory({"a.xml": text, "a.png.XML": text, "b.xml": text}))
    assert labels is not None
    labels.bind(["a.jpg", "a.png", "b.jpg"])
    assert labels.find("a.png") == "a.png.XML"
    assert labels.find("a.jpg") == "a.xml"
