"""What happens to edits: two people on one image, a server that dies, a browser that dies."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect
from tests.web.conftest import Start, Watched
from tests.web.editing import Editor, folder_of, said

LOST = "ERR_CONNECTION_REFUSED"


def box_of(path: Path) -> list[list[int]]:
    """The boxes in an image."""
    return [[round(n) for n in label["bbox"]] for label in said(path)]


def test_two_people_on_one_image_lose_nothing_and_choose_where_they_clash(
    review: Start, tmp_path: Path, new_page: Callable[[], Page], watched: Watched
) -> None:
    folder = folder_of(tmp_path / "images")
    path = folder / "a.jpg"
    url = review(folder).url
    mine = Editor(new_page(), url)
    mine.box(40, 30, 120, 90)
    mine.box(240, 30, 320, 90)
    mine.saved()
    theirs = Editor(new_page(), url)
    expect(theirs.labels).to_have_count(2)
    theirs.page.route("**/api/status*", lambda route: route.abort())
    mine.page.route("**/api/status*", lambda route: route.abort())

    theirs.box(40, 200, 120, 260)
    theirs.saved()
    mine.box(240, 200, 320, 260)
    mine.saved()
    expect(mine.labels).to_have_count(4)
    assert len(box_of(path)) == 4

    theirs.press("v")
    theirs.drag(80, 60, 80, 70)
    theirs.drag(280, 60, 290, 60)
    theirs.saved()
    mine.press("v")
    mine.drag(80, 60, 90, 60)
    mine.drag(280, 60, 280, 80)
    dialog = mine.page.get_by_role("dialog")
    expect(dialog).to_contain_text("two versions")
    expect(mine.state).to_contain_text("Not saved: ")
    assert box_of(path)[:2] == [[40, 40, 80, 60], [250, 30, 80, 60]]
    dialog.get_by_label("Theirs").nth(0).check()
    dialog.get_by_label("Both", exact=True).nth(1).check()
    dialog.get_by_role("button", name="Keep these").click()
    mine.saved()
    assert box_of(path)[:2] == [[40, 40, 80, 60], [250, 30, 80, 60]]
    assert box_of(path)[4:] == [[240, 50, 80, 60]]
    mine.press("Control+z")
    mine.saved()
    assert box_of(path) == [[50, 30, 80, 60], [240, 50, 80, 60], *box_of(path)[2:4]]
    watched.excuse("409")
    watched.excuse("ERR_FAILED")


def test_edits_outlive_a_server_that_is_killed(
    review: Start, tmp_path: Path, page: Page, watched: Watched
) -> None:
    folder = folder_of(tmp_path / "images", "a.jpg", "b.jpg")
    first = review(folder)
    editor = Editor(page, first.url)
    editor.box(40, 30, 120, 90)
    editor.saved()
    first.kill()
    editor.box(200, 30, 280, 90)
    expect(editor.state).to_have_text("Not saved: the server does not answer")
    editor.box(200, 130, 280, 190)
    assert len(box_of(folder / "a.jpg")) == 1
    assert review(folder).url == first.url
    editor.saved()
    assert box_of(folder / "a.jpg") == [[40, 30, 80, 60], [200, 30, 80, 60], [200, 130, 80, 60]]
    editor.press("n")
    expect(page.locator(".head .key")).to_have_text("b.jpg")
    watched.excuse(LOST)


def test_edits_outlive_a_browser_that_crashes(
    review: Start, tmp_path: Path, page: Page, watched: Watched
) -> None:
    folder = folder_of(tmp_path / "images", "a.jpg", "b.jpg")
    first = review(folder)
    editor = Editor(page, first.url)
    editor.box(40, 30, 120, 90)
    editor.saved()
    first.kill()
    editor.press("v")
    editor.drag(80, 60, 90, 70)
    editor.box(200, 30, 280, 90)
    expect(editor.state).to_contain_text("Not saved")
    page.close()
    again = review(folder)
    assert len(box_of(folder / "a.jpg")) == 1
    other = page.context.new_page()
    other.goto(again.url)
    expect(other.locator("#toasts")).to_contain_text("edits of 1 image were found in this browser, and saved")
    assert box_of(folder / "a.jpg") == [[50, 40, 80, 60], [200, 30, 80, 60]]
    watched.excuse(LOST)
