"""Changes of single labels: made once, in any order, and never at the cost of somebody else's."""

from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.strategies import annotations

from xlabel.errors import InputError
from xlabel.jobs import wire
from xlabel.model import Annotation, Category, Image, Sample, Source
from xlabel.model.changes import Change, FieldChange, Stamp, applied, category_named, field_of, said, with_ids

IMAGE = Image(key="a.jpg", width=60, height=40)
DOG = Category(id=3, name="dog", supercategory="animal", keypoints=("head", "tail"))
CAT = Category(id=0, name="cat")
ME = Stamp("me", "2026-11-20T12:00:00Z")
YOU = Stamp("you", "2026-11-20T12:00:01Z")

labels = st.builds(
    Annotation,
    category=st.sampled_from((DOG, CAT, None)),
    bbox=st.sampled_from((None, (1, 2, 3, 4), (1, 2.5, 3, 4))),
    polygons=st.sampled_from((None, ((1, 2, 3, 2, 3, 4),))),
    keypoints=st.sampled_from((None, (1, 2, 2, 0, 0, 0))),
    score=st.sampled_from((None, 0, 0.5)),
    status=st.sampled_from((None, "suggestion", "accepted", "rejected")),
    attributes=st.sampled_from((None, {"truncated": True}, {"pose": "left", "note": None})),
    source=st.sampled_from((None, Source(kind="human"), Source(kind="model", name="m"))),
    author=st.sampled_from((None, "ann")),
)
"""Few enough that two are often the same."""


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """An image with labels, some of which have an id."""
    found = draw(st.lists(labels, max_size=4))
    ids = draw(st.lists(st.none() | st.integers(0, 5) | st.sampled_from(("1", "x")), min_size=4, max_size=4))
    numbered = tuple(replace(label, id=number) for label, number in zip(found, ids, strict=False))
    mark = draw(st.none() | st.just({"review": {"state": "reviewed", "author": "ann"}}))
    return with_ids(Sample(image=replace(IMAGE, extra=mark), annotations=numbered))


@st.composite
def change(draw: st.DrawFn, sample: Sample) -> Change:
    """What a person does to an image as it is: adds a label, deletes one, or makes another of it."""
    known = {label.id: label for label in sample.annotations}
    number = draw(st.sampled_from([*known, 999]))
    before = known.get(number)
    after = draw(st.none() | labels) if before else draw(labels)
    assert number is not None
    return Change(id=number, before=before, after=after)


def by_id(sample: Sample) -> dict[Any, Annotation]:
    return {label.id: label for label in sample.annotations}


@given(data=st.data(), sample=samples())
def test_a_change_that_is_sent_twice_is_made_once(data: st.DataObject, sample: Sample) -> None:
    changes = data.draw(st.lists(change(sample), max_size=3, unique_by=lambda c: c.id))
    once, clashes = applied(sample, changes, ME)
    assert clashes == []
    assert applied(once, changes, YOU) == (once, [])


@given(data=st.data(), sample=samples())
def test_changes_of_different_labels_may_come_in_any_order(data: st.DataObject, sample: Sample) -> None:
    one, other = data.draw(change(sample)), data.draw(change(sample))
    assume(one.id != other.id)
    here, _ = applied(applied(sample, [one], ME)[0], [other], ME)
    there, _ = applied(applied(sample, [other], ME)[0], [one], ME)
    assert by_id(here) == by_id(there)
    assert here.image == there.image


@given(data=st.data(), sample=samples())
def test_what_no_change_names_stays_as_it_is(data: st.DataObject, sample: Sample) -> None:
    changes = data.draw(st.lists(change(sample), max_size=3))
    done, _ = applied(sample, changes, ME)
    named = {change.id for change in changes}
    kept = [label for label in sample.annotations if label.id not in named]
    assert [label for label in done.annotations if label.id not in named] == kept


@given(data=st.data(), sample=samples())
def test_of_two_people_who_change_a_label_the_second_is_told_of_the_first(
    data: st.DataObject, sample: Sample
) -> None:
    mine, yours = data.draw(change(sample)), data.draw(change(sample))
    assume(mine.id == yours.id)
    first, _ = applied(sample, [mine], ME)
    second, clashes = applied(first, [yours], YOU)
    same = said(mine.after) == said(yours.after)
    idle = said(mine.after) == said(mine.before)
    assert bool(clashes) == (not same and not idle)
    if clashes:
        assert second == first
        assert said(clashes[0].theirs) == said(mine.after)
        insisting = replace(yours, before=clashes[0].theirs)
        settled, left = applied(second, [insisting], YOU)
        assert left == []
        assert said(by_id(settled).get(yours.id)) == said(yours.after)


@given(data=st.data(), sample=samples())
def test_a_change_taken_back_leaves_what_was_said(data: st.DataObject, sample: Sample) -> None:
    made = data.draw(change(sample))
    done, _ = applied(sample, [made], ME)
    undone, clashes = applied(done, [replace(made, before=made.after, after=made.before)], ME)
    assert clashes == []
    assert {n: said(label) for n, label in by_id(undone).items()} == {
        n: said(label) for n, label in by_id(sample).items()
    }


@given(sample=samples())
def test_labels_have_ids_of_their_own_as_text_too_and_the_same_for_every_reader(sample: Sample) -> None:
    assert len({str(label.id) for label in sample.annotations}) == len(sample.annotations)
    assert with_ids(sample) == sample
    without = replace(sample, annotations=tuple(replace(label, id=None) for label in sample.annotations))
    assert with_ids(without) == with_ids(without)
    assert all(
        isinstance(label.id, int) and 0 < label.id < 1 << 31 for label in with_ids(without).annotations
    )


@given(found=st.lists(annotations(IMAGE, [DOG, CAT]), max_size=3))
def test_a_page_that_knows_nothing_of_a_field_gives_it_back(found: list[Annotation]) -> None:
    """What a browser makes of an answer is sent back, and is no change at all."""
    sample = with_ids(Sample(image=IMAGE, annotations=tuple(found)))
    through = msgspec.json.decode(msgspec.json.encode([wire.label(label) for label in sample.annotations]))
    told = [{"id": label["id"], "before": None, "after": label} for label in as_javascript(through)]
    assert applied(sample, wire.read(told, named), ME) == (sample, [])


def as_javascript(value: Any) -> Any:
    """JSON as a browser gives it back: it has one kind of number."""
    match value:
        case list():
            return [as_javascript(one) for one in value]
        case dict():
            return {name: as_javascript(one) for name, one in value.items()}
        case bool() | str() | None:
            return value
    return int(float(value)) if float(value).is_integer() and abs(value) < 1e21 else float(value)


def named(name: str) -> Category:
    """A category that has only its name in common with the one in the image."""
    return Category(id=77, name=name)


def test_what_a_change_leaves_keeps_every_digit_that_a_browser_loses() -> None:
    large = (1 << 60) + 1
    before = Annotation(
        id=large, category=DOG, bbox=(1, 2, 3, 4), extra={"key": large}, area=12, author="ann"
    )
    told = as_javascript(msgspec.json.decode(msgspec.json.encode(wire.label(before))))
    assert told["id"] == str(large)
    sent = [{"id": told["id"], "before": told, "after": told | {"status": "accepted"}}]
    done, clashes = applied(Sample(image=IMAGE, annotations=(before,)), wire.read(sent, named), ME)
    assert clashes == []
    human = Source(kind="human")
    assert done.annotations == (
        replace(before, status="accepted", author=ME.author, time=ME.time, source=human),
    )


def test_an_area_is_of_a_geometry_and_a_suggestion_stays_its_models() -> None:
    model = Source(kind="model", name="m")
    before = Annotation(id=1, category=DOG, bbox=(1, 2, 3, 4), area=12, source=model, status="suggestion")
    moved = replace(before, bbox=(2, 2, 3, 4), status="accepted")
    done, _ = applied(
        Sample(image=IMAGE, annotations=(before,)), [Change(id=1, before=before, after=moved)], ME
    )
    assert done.annotations == (replace(moved, area=None, author="me", time=ME.time),)


def test_what_is_no_number_can_be_deleted() -> None:
    broken = Annotation(id=1, category=DOG, bbox=(float("nan"), 2, float("inf"), 4))
    told = msgspec.json.decode(msgspec.json.encode(wire.label(broken)))
    sent = [{"id": 1, "before": told, "after": None}]
    done, clashes = applied(Sample(image=IMAGE, annotations=(broken,)), wire.read(sent, named), ME)
    assert (done.annotations, clashes) == ((), [])


def test_a_reviewers_mark_is_of_the_labels_as_they_were() -> None:
    box = Annotation(id=1, category=DOG, bbox=(1, 2, 3, 4))
    sample = Sample(image=IMAGE)
    mark = FieldChange(field="review", before=None, after={"state": "reviewed", "comment": "fine"})
    reviewed, _ = applied(sample, [mark], ME)
    assert field_of(reviewed, "review") == {
        "state": "reviewed",
        "comment": "fine",
        "author": "me",
        "time": ME.time,
    }
    added = Change(id=1, before=None, after=box)
    changed, _ = applied(reviewed, [added], YOU)
    assert changed.image == IMAGE
    both, _ = applied(reviewed, [added, mark], YOU)
    assert field_of(both, "review") == field_of(reviewed, "review")
    other = replace(mark, after={"state": "rejected"})
    _, (clash,) = applied(reviewed, [other], YOU)
    assert clash.theirs == field_of(reviewed, "review")


def test_what_others_call_a_review_is_no_mark() -> None:
    sample = Sample(image=replace(IMAGE, extra={"review": "by Ann"}), annotations=(Annotation(id=1),))
    done, _ = applied(sample, [Change(id=1, before=sample.annotations[0], after=None)], ME)
    assert done.image.extra == {"review": "by Ann"}


def test_the_split_is_changed_where_it_is_what_somebody_saw() -> None:
    change = FieldChange(field="split", before=None, after="val")
    done, _ = applied(Sample(image=IMAGE), [change], ME)
    assert done.split == "val"
    _, (clash,) = applied(replace(done, split="test"), [change], ME)
    assert clash.theirs == "test"


def test_a_new_category_is_above_all_others() -> None:
    assert category_named("cat", [DOG, CAT]) is CAT
    assert category_named("fox", [DOG, CAT]) == Category(id=4, name="fox")


def added(label: Any) -> dict[str, Any]:
    return {"id": 1, "before": None, "after": label}


REFUSED: list[tuple[Any, str]] = [
    (3, "changes[0]: expected a change with before and after, found 3"),
    ({"id": 1}, "changes[0]: expected a change"),
    ({"id": True, "before": None, "after": None}, "changes[0].id: expected an id"),
    ({"id": 1, "before": [], "after": None}, "changes[0].before: expected a label or null, found []"),
    (added({"bbox": [1, 2, "3", 4]}), "changes[0].after.bbox[2]: expected"),
    (added({"bbox": [1, None, 3, 4]}), "changes[0].after.bbox[1]: expected a coordinate"),
    (added({"bbox": [1, 2, 3e9, 4]}), "changes[0].after.bbox[2]: expected a coordinate"),
    (added({"polygons": [[1, 2, 3]]}), "changes[0].after.polygons[0]: expected 2"),
    (added({"keypoints": [1, 2]}), "changes[0].after.keypoints: expected 3"),
    (added({"mask": {"size": [9, 9], "counts": [9]}}), "changes[0].after.mask: "),
    (added({"status": "maybe"}), "changes[0].after.status: expected suggestion"),
    (added({"category": {"id": 3}}), "changes[0].after.category: expected the name"),
    ({"field": "size", "before": None, "after": None}, "changes[0].field: invalid enum value 'size'"),
    ({"field": "split", "before": None, "after": 3}, "changes[0].after: expected a split's name"),
    ({"field": "review", "before": None, "after": {"state": "fine"}}, "changes[0].after.state: invalid"),
]


@pytest.mark.parametrize(("told", "message"), REFUSED)
def test_what_can_be_no_change_is_refused_with_its_place(told: Any, message: str) -> None:
    with pytest.raises(InputError) as refused:
        wire.read([told], named)
    assert str(refused.value).startswith(message)


MEMBERS = "id field before after bbox polygons mask shape kind category attributes x".split()
anything = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=5),
    max_leaves=12,
)


@given(told=anything)
def test_nothing_that_is_sent_is_an_error_of_ours(told: Any) -> None:
    try:
        changes = wire.read([told], named)
    except InputError:
        return
    applied(Sample(image=IMAGE), changes, ME)
