"""The page's frame and its grid, as a person uses them: in Chromium, on folders of real images."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from tests.tools import SAMPLE, run, tool
from tests.web.conftest import Start, Watched, copy_of_sample, reviewing

HOSTILE = (
    "<img src=x onerror=alert(1)>.jpg",
    "a\nb\tc.jpg",
    "\u202egpj.exe\u2066.jpg",
    "#?%2e&'\".jpg",
    "..%2f..%2fetc/<script>alert(2)<.jpg",
    "é combined e\u0301 \U0001f600.jpg",
)
CATEGORY = "<script>alert(3)</script> \u202e\"or\" and: (not) 'x'\\"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a review of the sample. Only to be looked at."""
    with reviewing(copy_of_sample(tmp_path_factory.mktemp("shared") / "sample")) as review:
        yield review.url


def cards(page: Page) -> Locator:
    """The cards that there are: those in sight, and a row above and below."""
    return page.locator("a.card")


def card(page: Page, key: str) -> Locator:
    return page.locator(f'a.card[data-key="{key}"]')


def search(page: Page, text: str) -> None:
    """Ask for what fits an expression, and wait for the answer."""
    with page.expect_response("**/api/query"):
        page.get_by_label("Search").fill(text)
        page.keyboard.press("Enter")


def loaded(image: Locator) -> None:
    """Wait until a picture is there."""
    expect(image).not_to_have_js_property("naturalWidth", 0)


def selected(page: Page) -> set[str]:
    found = page.locator(".cell.selected a.card").evaluate_all("all => all.map(one => one.dataset.key)")
    return set(found)


def tags(image: Path) -> set[str]:
    """Categories of the labels without a place, as ExifTool finds them in the file."""
    labels = document(image)
    names = {category["id"]: category["name"] for category in labels["categories"]}
    return {names[label["category"]] for label in labels["annotations"] if "bbox" not in label}


def document(image: Path) -> dict[str, Any]:
    """What stands in an image's comment."""
    (found,) = json.loads(run(tool("exiftool"), "-j", "-UserComment", image))
    return json.loads(found["UserComment"])["labels"]  # type: ignore[no-any-return]


def test_addresses_lead_to_images_and_back_and_forward_work(url: str, page: Page, watched: Watched) -> None:
    page.goto(url)
    main = card(page, "main street.jpg")
    main.click()
    expect(page.locator("#image")).to_be_visible()
    assert page.url.endswith("#/image/main%20street.jpg")
    page.go_back()
    expect(main).to_be_visible()
    page.go_forward()
    expect(page.locator("#image")).to_be_visible()
    page.goto("about:blank")
    page.goto(f"{url}#/image/stra%C3%9Fe%2F%C3%BCbergang.jpg")
    expect(page.locator("#image")).to_be_visible()
    page.goto(f"{url}#/image/stra%C3%9Fe/gr%C3%BCn%20links.jpg")
    expect(page.get_by_text("no such image")).to_be_visible()
    expect(main).to_be_visible()
    watched.excuse("404")


def test_the_filter_is_an_expression_that_the_facets_write(url: str, page: Page, watched: Watched) -> None:
    page.goto(url)
    field = page.get_by_label("Search")
    count = page.locator(".counts [role=status]")
    expect(count).to_have_text("24 images")
    page.get_by_role("button", name="car, 21").click()
    expect(field).to_have_value("category: car")
    expect(count).to_have_text("12 of 24 images")
    page.get_by_role("button", name="tree, 11").click()
    expect(count).to_have_text("8 of 24 images")
    page.get_by_role("button", name="To do, 0").click()
    expect(field).to_have_value("category: car category: tree state: todo")
    expect(page.get_by_text("No image fits this filter")).to_be_visible()
    page.get_by_role("button", name="Labelled, 0", exact=True).click()
    expect(field).to_have_value("category: car category: tree state: labelled")
    expect(count).to_have_text("8 of 24 images")
    page.get_by_role("button", name="car,", pressed=True).click()
    expect(field).to_have_value("category: tree state: labelled")
    expect(page).to_have_url(re.compile(r"where=category%3A\+tree\+state"))
    page.go_back()
    expect(field).to_have_value("category: car category: tree state: labelled")

    page.reload()
    expect(field).to_have_value("category: car category: tree state: labelled")
    search(page, "category: boat or key: unlabelled.jpg")
    expect(count).to_have_text("6 of 24 images")
    page.get_by_role("button", name="boat, 13").click()
    expect(field).to_have_value("(category: boat or key: unlabelled.jpg) category: boat")

    search(page, "boat wdth > 3")
    expect(page.get_by_role("alert")).to_contain_text("got 'wdth'")
    expect(page.locator(".trouble mark")).to_have_text("w")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(count).to_have_text("5 of 24 images")  # what was there stays
    search(page, "zebra")
    expect(page.locator(".trouble")).to_be_hidden()
    page.get_by_role("button", name="Show all images").click()
    expect(count).to_have_text("24 images")
    page.get_by_label("Sort by").select_option("date")
    expect(page).to_have_url(re.compile("order=date"))
    page.get_by_role("button", name="Reverse order").click()
    expect(page).to_have_url(re.compile("reverse=1"))
    watched.excuse("422")


def test_cards_are_selected_by_mouse_by_rectangle_and_by_keys(url: str, page: Page) -> None:
    page.goto(url)
    keys = cards(page).evaluate_all("all => all.map(one => one.dataset.key)")
    first = cards(page).first
    expect(first).to_have_attribute("data-key", "harbour/001.jpg")
    keys = cards(page).evaluate_all("all => all.map(one => one.dataset.key)")
    cards(page).nth(1).click(modifiers=["Control"])
    cards(page).nth(3).click(modifiers=["Shift"])
    assert selected(page) == set(keys[1:4])
    cards(page).nth(2).click(modifiers=["Control"])
    assert selected(page) == {keys[1], keys[3]}
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.keyboard.press("Escape")
    assert selected(page) == set()
    page.get_by_label(f"Select {keys[4]}").check()
    assert selected(page) == {keys[4]}

    first.hover()
    box = first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 1.5, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 2.5, box["y"] + box["height"] * 1.5, steps=3)
    page.mouse.up()
    assert selected(page) == {keys[1], keys[2], keys[6], keys[7]}
    expect(page.locator("#image")).to_have_count(0)  # none of them was opened

    page.keyboard.press("Control+a")
    expect(page.get_by_text("24 selected")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Home")
    for key in "ArrowRight Space ArrowDown Shift+ArrowRight Shift+ArrowRight".split():
        page.keyboard.press(key)
    assert selected(page) == {keys[6], keys[7], keys[8]}
    card(page, "street/002.jpg").focus()  # which it has, but for a list that is asked for again just now
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(re.escape("#/image/street/002.jpg")))


def test_what_is_done_to_many_is_in_the_files_undone_and_done_again(
    review: Start, images: Path, page: Page, watched: Watched
) -> None:
    page.goto(review(images).url)
    for key in ("harbour/001.jpg", "yard/001.jpg", "street/004.png"):
        card(page, key).click(modifiers=["Control"])
    (images / "yard/001.jpg").unlink()
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_role("combobox", name="Tag").fill("night")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("not done in 1 image")
    expect(page.get_by_role("dialog")).to_contain_text("yard/001.jpg")
    page.get_by_role("button", name="Close").last.click()
    expect(page.get_by_text("Tag night: 2 images changed")).to_be_visible()
    assert tags(images / "harbour/001.jpg") == tags(images / "street/004.png") == {"night"}
    expect(page.get_by_role("button", name="night, 2")).to_be_visible()

    page.get_by_role("button", name="Relabel").click()
    page.get_by_label("Category now").fill("night")
    page.get_by_label("New category").fill("rain")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="rain, 2")).to_be_visible()
    page.get_by_role("button", name="Mark").click()
    page.get_by_label("Comment").fill("blurred")
    page.get_by_role("button", name="Rejected", exact=True).click()
    expect(card(page, "street/004.png")).to_have_attribute("aria-label", re.compile("Rejected"))
    assert tags(images / "street/004.png") == {"rain"}
    assert document(images / "street/004.png")["image"]["extra"]["review"]["comment"] == "blurred"

    for text in ("Undone: Mark", "Undone: Relabel", "Undone: Tag"):
        page.keyboard.press("Control+z")
        expect(page.get_by_text(text)).to_be_visible()
    assert tags(images / "harbour/001.jpg") == set()
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    for text in ("again: Tag", "again: Relabel"):
        page.keyboard.press("Control+y")
        expect(page.get_by_text(text)).to_be_visible()
    assert tags(images / "harbour/001.jpg") == {"rain"}
    watched.excuse("410")  # the picture of the image that was taken away


def test_hostile_names_are_shown_and_do_nothing(review: Start, tmp_path: Path, page: Page) -> None:
    folder = tmp_path / "images"
    for name in HOSTILE:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((SAMPLE / "raw_images/main street.jpg").read_bytes())
    labels = tmp_path / "labels.json"
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 50, 40], "area": 2000, "iscrowd": 0}
    image = {"id": 1, "file_name": HOSTILE[0], "width": 576, "height": 432}
    coco = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": CATEGORY}]}
    labels.write_text(json.dumps(coco), "utf-8")
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    page.goto(review(folder, labels).url)
    expect(cards(page)).to_have_count(len(HOSTILE))
    expect(page.locator(".content")).to_contain_text("<img src=x onerror=alert(1)>.jpg")
    text = page.locator(".content").inner_text()
    assert "a‹U+000A›b‹U+0009›c.jpg" in text
    assert "‹U+202E›gpj.exe‹U+2066›.jpg" in text
    assert "é combined e\u0301 \U0001f600.jpg" in text
    drawn = page.locator("svg g[data-category]")
    expect(drawn).to_have_attribute("data-category", CATEGORY)
    page.locator(".facet", has_text="<script>").click()
    expect(cards(page)).to_have_count(1)
    assert page.locator(".trouble").is_hidden()
    page.get_by_label("Search").fill("")
    for name in HOSTILE:
        target = cards(page).nth(sorted(HOSTILE, key=os.fsencode).index(name))
        expect(target).to_have_attribute("data-key", name)
        target.click()
        expect(page.locator("#image")).to_be_visible()
        loaded(page.locator("#image"))
        page.reload()
        expect(page.locator("#image")).to_be_visible()
        page.get_by_role("link").or_(page.locator("body")).first.wait_for()
        page.go_back()
    assert page.locator("script").count() == 1
    assert page.locator("img[src=x]").count() == 0


def test_ten_thousand_images_need_few_elements_and_few_questions(
    review: Start, tmp_path: Path, page: Page, watched: Watched
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    image = folder / "00000.jpg"
    image.write_bytes((SAMPLE / "raw_images/main street.jpg").read_bytes())
    for number in range(1, 10_000):
        os.link(image, folder / f"{number:05}.jpg")
    page.goto(review(folder).url)
    expect(page.locator(".counts [role=status]")).to_contain_text("10,000 images")
    expect(card(page, "00000.jpg")).to_be_visible()
    assert cards(page).count() < 60
    assert len([url for url in watched.requests if "/api/cards" in url]) < 8
    before = page.evaluate("document.getElementsByTagName('*').length")

    scroll = page.locator(".scroll")
    for part in (0.2, 0.9, 0.4, 1):
        scroll.evaluate("(element, part) => (element.scrollTop = part * element.scrollHeight)", part)
        page.wait_for_timeout(50)
    expect(card(page, "09999.jpg")).to_be_visible()
    loaded(card(page, "09999.jpg").locator("img"))
    assert cards(page).count() < 60
    assert page.evaluate("document.getElementsByTagName('*').length") < before * 1.5
    assert len([url for url in watched.requests if "/api/cards" in url]) < 40
    assert len([url for url in watched.requests if "/thumbs/" in url]) < 300

    place = scroll.evaluate("element => element.scrollTop")
    card(page, "09990.jpg").click()
    expect(page.locator("#image")).to_be_visible()
    page.go_back()
    expect(card(page, "09990.jpg")).to_be_visible()
    assert scroll.evaluate("element => element.scrollTop") == place
    page.keyboard.press("Control+a")
    expect(page.get_by_text("10,000 selected")).to_be_visible()


def test_small_pictures_have_their_labels_where_they_belong(url: str, page: Page) -> None:
    """A turned image: the rectangle's place on the screen is that of the labels file, as displayed."""
    page.goto(url)
    search(page, "turned.jpg")
    thumb = card(page, "yard/turned.jpg").locator("img")
    loaded(thumb)
    width, height = thumb.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert height > width  # it was lying, with an orientation that says so
    lines = (SAMPLE / "raw_labels/yard/turned.txt").read_text().splitlines()
    expected = []
    shown = thumb.bounding_box()
    assert shown is not None
    scale = min(shown["width"] / width, shown["height"] / height)
    left = shown["x"] + (shown["width"] - width * scale) / 2
    top = shown["y"] + (shown["height"] - height * scale) / 2
    for line in lines:
        x, y, w, h = (float(word) for word in line.split()[1:5])
        expected.append((left + (x - w / 2) * width * scale, top + (y - h / 2) * height * scale))
    found = page.locator("svg.labels g path").evaluate_all(
        """all => all.map(one => {
          const [, x, y] = one.getAttribute("d").match(/M([-\\d.]+) ([-\\d.]+)/).map(Number);
          const at = new DOMPoint(x, y);
          const on = at.matrixTransform(one.getScreenCTM());
          return [on.x, on.y];
        })"""
    )
    assert len(found) == len(expected)
    for (x, y), (right_x, right_y) in zip(found, expected, strict=True):
        assert abs(x - right_x) < 1 and abs(y - right_y) < 1


def test_a_lost_server_is_told_and_found_again(
    images: Path, new_page: Callable[[], Page], watched: Watched
) -> None:
    with reviewing(images) as first:
        page = new_page()
        page.goto(first.url)
        expect(cards(page).first).to_be_visible()
        first.kill()
        expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
        (images / "new.jpg").write_bytes((images / "main street.jpg").read_bytes())
        with reviewing(images) as second:
            assert second.url == first.url
            expect(page.get_by_role("alert")).to_have_count(0)
            expect(card(page, "new.jpg")).to_be_visible()
            expect(page.locator(".counts [role=status]")).to_have_text("25 images")
    watched.excuse("net::ERR")


def test_what_another_changes_is_seen_and_who_works_here_is_kept(
    review: Start, images: Path, new_page: Callable[[], Page]
) -> None:
    url = review(images).url
    mine, theirs = new_page(), new_page()
    for page in (mine, theirs):
        page.goto(url)
        expect(cards(page).first).to_be_visible()
    theirs.get_by_role("button", name="Author").click()
    theirs.get_by_label("Your name").fill("Ann <b>")
    theirs.keyboard.press("Enter")
    theirs.reload()
    expect(theirs.get_by_role("button", name="Author: Ann <b>")).to_be_visible()
    card(theirs, "unlabelled.jpg").click(modifiers=["Control"])
    theirs.get_by_role("button", name="Tag", exact=True).click()
    theirs.get_by_role("combobox", name="Tag").fill("rain")
    theirs.keyboard.press("Enter")
    expect(card(mine, "unlabelled.jpg")).to_have_attribute("aria-label", re.compile("1 label"))
    expect(mine.get_by_role("button", name="rain, 1")).to_be_visible()
    search(mine, 'author: "Ann <b>"')
    expect(cards(mine)).to_have_count(1)


def test_the_help_has_all_keys_and_the_theme_is_chosen(url: str, page: Page) -> None:
    page.goto(url)
    expect(cards(page).first).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("the next image")
    page.keyboard.press("n")  # is for nobody while the dialog is open
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    background = "getComputedStyle(document.body).backgroundColor"
    colours = {page.evaluate(background)}
    for _ in range(2):
        page.get_by_role("button", name="Theme").click()
        colours.add(page.evaluate(background))
    assert len(colours) == 2
    page.reload()
    expect(cards(page).first).to_be_visible()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_page_of_several_people_asks_for_a_name_and_says_what_cannot_be_saved(url: str, page: Page) -> None:
    def answered(route: Route) -> None:
        session = route.fetch().json()
        route.fulfill(json=session | {"author": "", "readonly": "the folder is on a disk that is read-only"})

    page.route("**/api/session", answered)
    page.goto(url)
    dialog = page.get_by_role("dialog", name="Author")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()  # nobody goes on without
    page.get_by_label("Your name").fill("Ann")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Author: Ann")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("Nothing can be saved here: the folder is on a disk")
    page.reload()
    expect(cards(page).first).to_be_visible()
    expect(dialog).to_have_count(0)
