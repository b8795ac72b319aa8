"""Suggestions beside what people say: laws of what is never touched."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.strategies import boxes, datasets

from xlabel.model import Annotation, Category, Dataset, Source
from xlabel.model.suggestions import Run, has_run, suggested, with_ids

OURS = Source(kind="model", name="ours", hash="1")
THEIRS = Source(kind="model", name="theirs", hash="2")
RUN = Run(source=OURS, token="a", iou=0.5)
CAT = Category(id=3, name="cat")

sources = st.sampled_from([None, Source(kind="human"), OURS, replace(OURS, hash="0"), THEIRS])
authors = st.sampled_from([None, "ann"])
states = st.sampled_from([None, "suggestion", "accepted", "rejected"])
found = st.lists(
    boxes(40, 40).map(
        lambda box: Annotation(category=CAT, bbox=box, score=0.5, status="suggestion", source=OURS)
    ),
    max_size=4,
)


@given(datasets(), found, st.data())
def test_a_run_touches_nothing_but_the_suggestions_of_its_own_model(
    dataset: Dataset, new: list[Annotation], data: st.DataObject
) -> None:
    for sample in dataset.samples:
        said = [
            replace(a, source=data.draw(sources), status=data.draw(states), author=data.draw(authors))
            for a in sample.annotations
        ]
        before = replace(sample, annotations=tuple(said))
        after = suggested(before, new, RUN, "now")
        stay = [
            a
            for a in said
            if a.author or not (a.status == "suggestion" and a.source and a.source.name == "ours")
        ]
        assert list(after.annotations[: len(stay)]) == stay
        assert {a.status for a in after.annotations[len(stay) :]} <= {"suggestion"}
        assert replace(after.image, extra=sample.image.extra) == sample.image
        assert has_run(after, RUN) and not has_run(after, replace(RUN, token="b"))


@given(datasets(), found)
def test_a_run_that_finds_the_same_again_changes_nothing(dataset: Dataset, new: list[Annotation]) -> None:
    for sample in dataset.samples:
        once = with_ids(suggested(sample, new, RUN, "then"))
        assert with_ids(suggested(once, new, RUN, "now")).annotations == once.annotations


@given(datasets(), found)
def test_each_suggestion_has_an_id_of_its_own(dataset: Dataset, new: list[Annotation]) -> None:
    for sample in dataset.samples:
        own = {a.id for a in sample.annotations}
        ids = [
            a.id for a in with_ids(suggested(sample, new, RUN, "now")).annotations[len(sample.annotations) :]
        ]
        assert len(set(ids)) == len(ids) and not own.intersection(ids) and None not in ids
