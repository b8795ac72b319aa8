"""What is done to many images at once, as changes that can be undone."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlabel.jobs import actions
from xlabel.model import Annotation, Category, Image, Sample
from xlabel.model.changes import Change, FieldChange, Stamp, applied, field_of, said

DOG, CAT = Category(id=1, name="dog"), Category(id=2, name="cat")
STAMP = Stamp("ann", "2026-01-01T00:00:00Z")


def sample(*labels: Annotation) -> Sample:
    numbered = [msgspec.structs.replace(label, id=number) for number, label in enumerate(labels, 1)]
    return Sample(image=Image(key="a.jpg", width=10, height=10), annotations=tuple(numbered))


def box(category: Category | None, status: str | None = None) -> Annotation:
    return Annotation(category=category, bbox=(1, 2, 3, 4), status=status)


TAG = Annotation(category=CAT)
ALL = sample(box(DOG), box(CAT, "suggestion"), box(DOG, "rejected"), box(None), TAG)


def done(action: actions.Action, on: Sample = ALL, category: Category | None = CAT) -> Sample:
    changed, clashes = applied(on, actions.changes(action, on, category), STAMP)
    assert not clashes
    return changed


def names(of: Sample) -> list[str | None]:
    return [label.category.name if label.category else None for label in of.annotations]


def test_labels_of_one_category_get_another_but_for_rejected_ones() -> None:
    assert names(done(actions.Relabel(to="cat", from_="dog"))) == ["cat", "cat", "dog", None, "cat"]


def test_a_suggestion_that_a_person_relabels_is_accepted() -> None:
    statuses = [label.status for label in done(actions.Relabel(to="dog"), category=DOG).annotations]
    assert statuses == [None, "accepted", "rejected", None, None]


def test_all_labels_get_a_category() -> None:
    assert names(done(actions.Relabel(to="cat"))) == ["cat", "cat", "dog", "cat", "cat"]


@pytest.mark.parametrize(
    ("action", "status"), [(actions.Accept(), "accepted"), (actions.Reject(), "rejected")]
)
def test_suggestions_are_decided_on_and_nothing_else(action: actions.Action, status: str) -> None:
    assert [label.status for label in done(action).annotations] == [None, status, "rejected", None, None]


def test_an_image_gets_a_tag_once() -> None:
    tagged = done(actions.Tag("dog"), category=DOG)
    assert names(tagged)[-1] == "dog" and tagged.annotations[-1].bbox is None
    assert len(done(actions.Tag("dog"), tagged, DOG).annotations) == len(tagged.annotations)


def test_a_tag_is_taken_away_and_boxes_of_its_name_stay() -> None:
    assert [label.id for label in done(actions.Untag("cat")).annotations] == [1, 2, 3, 4]


def test_a_split_and_a_review_are_set_and_taken_back() -> None:
    marked = done(actions.Mark("rejected", "blurred"), done(actions.Split("val")))
    assert marked.split == "val"
    assert marked.image.extra == {
        "review": {"state": "rejected", "comment": "blurred", "author": "ann", "time": STAMP.time}
    }
    assert done(actions.Mark(None), marked).image.extra is None
    assert done(actions.Split(None), marked).split is None


@given(st.sampled_from(["relabel", "accept", "reject", "tag", "untag", "split", "review"]))
def test_what_was_done_can_be_undone(kind: str) -> None:
    more = {"to": "cat", "name": "dog", "state": "reviewed"}
    action = msgspec.convert({"kind": kind, **more}, actions.Action)
    changes: list[Change | FieldChange] = list(actions.changes(action, ALL, DOG))
    changed, _ = applied(ALL, changes, STAMP)
    back, clashes = applied(changed, map(actions.undone, reversed(changes)), STAMP)
    assert not clashes
    assert list(map(said, back.annotations)) == list(map(said, ALL.annotations))
    assert (back.split, back.image.extra) == (ALL.split, ALL.image.extra)


def test_undoing_brings_back_the_mark_that_a_change_took_away() -> None:
    marked = done(actions.Mark("reviewed"))
    changes = list(actions.whole(actions.changes(actions.Accept(), marked, None), marked))
    changed, _ = applied(marked, changes, STAMP)
    assert field_of(changed, "review") is None
    back, clashes = applied(changed, map(actions.undone, reversed(changes)), STAMP)
    assert not clashes
    assert field_of(back, "review")["state"] == "reviewed"


def test_the_page_says_actions_by_their_kind() -> None:
    asked = b'{"kind": "relabel", "from": "dog", "to": "cat"}'
    assert msgspec.json.decode(asked, type=actions.Action) == actions.Relabel(to="cat", from_="dog")
