"""The editor as a person uses it, by mouse and keys in Chromium. Others' tools read what comes of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO
from tests.tools import run, tool, xlabel
from tests.web.conftest import Start, Watched
from tests.web.editing import Editor, folder_of, said, stored

from xlabel import Annotation, Category, embed

HERE = Path(__file__).parent
SHAPES = [(400, 300, 0.01), (33, 57, 0.5), (1, 40, 0.5), (40, 1, 0.3), (64, 64, 0.95)]
"""Height and width of masks of noise, and how much of it is set."""

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools


@pytest.fixture
def editor(review: Start, tmp_path: Path, page: Page, watched: Watched) -> Editor:
    """A grey image without labels."""
    return Editor(page, review(folder_of(tmp_path / "images", "a.jpg", "b.jpg")).url)


def shape_of(label: dict[str, Any], name: str) -> list[float]:
    """The numbers of a geometry, rounded to whole pixels."""
    found = label[name]
    if name == "polygons":
        (found,) = found
    return [round(n) for n in found]


def test_each_kind_of_label_is_drawn_by_mouse_undone_done_again_and_in_the_file(
    editor: Editor, tmp_path: Path
) -> None:
    path = tmp_path / "images" / "a.jpg"
    editor.box(40, 30, 120, 90)
    editor.press("3", "g")
    for x, y in ((200, 40), (260, 50), (250, 110), (200, 40)):
        editor.click(x, y)
    editor.press("Escape", "2", "k")
    editor.click(60, 150)
    editor.page.keyboard.down("Shift")
    editor.click(40, 200)
    editor.page.keyboard.up("Shift")
    editor.press("Space", "Escape", "1", "o")
    editor.drag(200, 160, 300, 220)
    expect(editor.labels).to_have_count(4)
    editor.saved()
    box, polygon, person, turned = said(path)
    assert (box["category"], shape_of(box, "bbox")) == ("tree", [40, 30, 80, 60])
    assert (polygon["category"], shape_of(polygon, "polygons")) == ("tree", [200, 40, 260, 50, 250, 110])
    assert person["category"] == "person"
    assert shape_of(person, "keypoints") == [60, 150, 2, 40, 200, 1, 0, 0, 0]
    assert turned["category"] == "car"
    assert [round(n) for n in turned["shape"]["corners"]] == [200, 160, 300, 160, 300, 220, 200, 220]
    assert {annotation["source"]["kind"] for annotation in stored(path)["annotations"]} == {"human"}
    done = said(path)

    undo = editor.page.get_by_role("button", name="Undo", exact=True)
    while undo.is_enabled():
        editor.press("Control+z")
    expect(editor.labels).to_have_count(0)
    editor.saved()
    assert said(path) == []
    redo = editor.page.get_by_role("button", name="Redo", exact=True)
    while redo.is_enabled():
        editor.press("Control+y")
    editor.saved()
    assert said(path) == done
    editor.page.reload()
    expect(editor.labels).to_have_count(4)


def test_labels_are_moved_reshaped_and_turned_by_their_handles(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "images" / "a.jpg"
    editor.box(40, 30, 120, 90)
    editor.press("v")
    editor.drag(80, 60, 100, 80)
    editor.drag(140, 110, 160, 150)
    editor.drag(60, 100, -50, 100)
    editor.press("ArrowRight", "Shift+ArrowDown")
    editor.saved()
    assert shape_of(said(path)[0], "bbox") == [1, 60, 160, 100]
    editor.press("Delete", "g")
    for x, y in ((200, 100), (300, 100), (300, 200), (200, 200)):
        editor.click(x, y)
    editor.press("Enter")
    editor.click(250, 100)
    editor.drag(300, 200, 320, 220)
    editor.page.keyboard.down("Alt")
    editor.click(200, 200)
    editor.page.keyboard.up("Alt")
    editor.saved()
    assert shape_of(said(path)[0], "polygons") == [200, 100, 250, 100, 300, 100, 320, 220]
    editor.press("Delete", "o")
    editor.drag(100, 100, 200, 150)
    handle = editor.page.locator("#handles .rotate").bounding_box()
    assert handle is not None
    middle = editor.at(150, 125)
    editor.page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    editor.page.mouse.down()
    editor.page.mouse.move(middle[0] + 40, middle[1] - 20)
    editor.page.mouse.move(middle[0] + 200, middle[1])
    editor.page.mouse.up()
    editor.saved()
    corners = said(path)[0]["shape"]["corners"]
    assert np.allclose(corners, [175, 75, 175, 175, 125, 175, 125, 75], atol=0.6)


def test_what_a_model_suggests_costs_one_key_where_it_is_right(
    review: Start, tmp_path: Path, page: Page, watched: Watched
) -> None:
    folder = folder_of(tmp_path / "images", "a.jpg", "b.jpg", "c.jpg")
    suggested(folder / "a.jpg", (10, 10, 50, 50), (100, 100, 80, 40))
    suggested(folder / "b.jpg", (20, 20, 60, 30), (200, 100, 80, 40), (300, 200, 40, 40))
    editor = Editor(page, review(folder).url)
    expect(editor.labels).to_have_count(2)
    expect(editor.labels.first).to_have_attribute("data-status", "suggestion")
    editor.press("Enter")
    expect(page.locator(".head .key")).to_have_text("b.jpg")
    editor.press("Control+z")
    expect(page.locator(".head .key")).to_have_text("a.jpg")
    expect(editor.labels.first).to_have_attribute("data-status", "suggestion")
    editor.press("Enter")
    expect(page.locator(".head .key")).to_have_text("b.jpg")
    editor.press("a", "x", "Tab", "ArrowRight")
    expect(editor.labels.nth(2)).to_have_attribute("data-status", "accepted")
    editor.press("Escape", "u")
    expect(page.locator(".head .key")).to_have_text("c.jpg")
    editor.press("r")
    expect(editor.labels).to_have_count(2)
    editor.saved()
    assert [label.get("status") for label in said(folder / "a.jpg")] == ["accepted"] * 2
    assert stored(folder / "a.jpg")["image"]["extra"]["review"]["state"] == "reviewed"
    statuses = [label.get("status") for label in said(folder / "b.jpg")]
    assert statuses == ["accepted", "rejected", "accepted"]
    assert said(folder / "b.jpg")[2]["bbox"] == [301, 200, 40, 40]
    assert [label.get("status") for label in said(folder / "c.jpg")] == [None, None]
    ids = [annotation["id"] for name in "bc" for annotation in stored(folder / f"{name}.jpg")["annotations"]]
    assert len(set(ids)) == 5


def test_attributes_comments_tags_split_and_review_are_undone_like_everything_else(
    editor: Editor, tmp_path: Path
) -> None:
    path = tmp_path / "images" / "a.jpg"
    page = editor.page
    editor.box(40, 30, 120, 90)
    page.get_by_label("hidden").check()
    page.get_by_label("view").select_option("side")
    page.get_by_label("count").fill("3")
    page.get_by_label("Comment", exact=True).fill("look <b>here</b>")
    page.get_by_label("Category", exact=True).select_option("tree")
    page.get_by_role("combobox", name="Tag", exact=True).fill("rainy")
    page.get_by_role("combobox", name="Tag", exact=True).press("Enter")
    page.get_by_role("combobox", name="Split", exact=True).fill("val")
    page.get_by_role("combobox", name="Split", exact=True).press("Enter")
    page.get_by_role("button", name="Reject with comment").click()
    page.get_by_label("Comment", exact=True).last.fill("too dark")
    page.get_by_role("button", name="Reject", exact=True).last.click()
    editor.saved()
    box, tag = said(path)
    assert box["category"] == "tree"
    assert box["attributes"] == {"hidden": True, "view": "side", "count": 3, "comment": "look <b>here</b>"}
    assert tag == {"category": "rainy"}
    image = stored(path)["image"]
    assert image["split"] == "val"
    assert image["extra"]["review"].items() >= {"state": "rejected", "comment": "too dark"}.items()
    for _ in range(9):
        editor.press("Control+z")
    editor.saved()
    assert said(path) == []
    assert "extra" not in stored(path)["image"]
    assert "split" not in stored(path)["image"]


def test_a_mask_is_painted_and_erased(review: Start, tmp_path: Path, page: Page, watched: Watched) -> None:
    folder = tmp_path / "images"
    turned(folder / "a.jpg", orientation=6)
    editor = Editor(page, review(folder).url)
    page.get_by_label("Find or add a category").fill("moss")
    page.get_by_label("Find or add a category").press("Enter")
    editor.press("m")
    editor.drag(100, 100, 200, 100)
    editor.page.keyboard.down("Alt")
    editor.drag(150, 80, 150, 120)
    editor.page.keyboard.up("Alt")
    editor.saved()
    (label,) = said(folder / "a.jpg")
    mask = coco_masks.decode({"size": label["mask"]["size"], "counts": label["mask"]["counts"]})
    assert mask.shape == (300, 400)
    assert mask[100, 102] == mask[100, 198] == 1
    assert mask[100, 150] == mask[60, 150] == mask[100, 240] == 0
    editor.press("Control+z", "Control+z")
    editor.saved()
    assert said(folder / "a.jpg") == []


def test_a_box_is_where_it_was_drawn_at_all_orientations(
    review: Start, tmp_path: Path, page: Page, watched: Watched
) -> None:
    """A red box on green is drawn around by mouse; the picture cut out by the COCO export is red alone."""
    folder = tmp_path / "images"
    for orientation in range(1, 9):
        turned(folder / f"{orientation}.jpg", orientation)
    url = review(folder).url
    for orientation in range(1, 9):
        editor = Editor(page, url, f"{orientation}.jpg")
        editor.box(240, 60, 340, 110)
        expect(editor.labels).to_have_count(1)
        editor.saved()
    done = xlabel("extract", folder, tmp_path / "coco.json", "--to", "coco")
    assert done.returncode == 0, done.stderr
    coco = COCO(str(tmp_path / "coco.json"))
    right = 0
    for annotation in coco.loadAnns(coco.getAnnIds()):
        (image,) = coco.loadImgs(annotation["image_id"])
        shown = tmp_path / "shown.png"
        run(tool("gm"), "convert", "-auto-orient", folder / image["file_name"], shown)
        picture = np.asarray(Image.open(shown).convert("RGB")).astype(int)
        assert picture.shape[:2] == (300, 400)
        x, y, w, h = (round(n) for n in annotation["bbox"])
        inner, above = picture[y + 3 : y + h - 3, x + 3 : x + w - 3], picture[y - 6 : y - 2, x - 6 : x + w]
        right += bool((inner[..., 0] > 180).all() and (above[..., 1] > 180).all())
        assert (w, h) == (100, 50)
    assert right == 8


def test_names_of_any_kind_are_shown_and_nothing_in_them_is_done(
    review: Start, tmp_path: Path, page: Page, watched: Watched
) -> None:
    folder = folder_of(tmp_path / "images", "<img src=x onerror=alert(1)>.jpg")
    name = "<script>alert('x')</script>"
    suggested(folder / "<img src=x onerror=alert(1)>.jpg", (10, 10, 50, 50), category=name)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    editor = Editor(page, review(folder).url, "<img src=x onerror=alert(1)>.jpg")
    expect(editor.labels).to_have_attribute("data-category", name)
    expect(page.locator("#labels text")).to_have_text(f"{name} 0.90")
    editor.press("Tab")
    page.get_by_label("Find or add a category").fill("\u202eevil\u0007")
    page.get_by_label("Find or add a category").press("Enter")
    expect(page.locator("#labels text")).to_contain_text("\u2039U+202E\u203aevil\u2039U+0007\u203a")
    editor.saved()
    assert said(folder / "<img src=x onerror=alert(1)>.jpg")[0]["category"] == "\u202eevil\u0007"


def test_masks_are_those_of_pycocotools_and_undoing_all_is_the_start(editor: Editor) -> None:
    """The modules alone, without a person: masks of noise, and histories of any steps."""
    noise = np.random.default_rng(7)
    cases = [(noise.random((h, w)) < p).astype(np.uint8) for h, w, p in SHAPES]
    cases += [np.zeros((5, 7), np.uint8), np.ones((6, 4), np.uint8)]
    cases[0][20:300, 10:] = 1
    told = []
    for case in cases:
        rle = coco_masks.encode(np.asfortranarray(case))
        told.append({"size": rle["size"], "counts": rle["counts"].decode()})
    found = editor.page.evaluate((HERE / "told_masks.js").read_text("utf-8"), told)
    for case, rle, (bits, again, plain, bounds, area) in zip(cases, told, found, strict=True):
        assert bits == case.flatten(order="F").tolist()
        assert again == rle
        assert coco_masks.decode(coco_masks.frPyObjects(plain, *plain["size"])).tolist() == case.tolist()
        x, y, w, h = coco_masks.toBbox(rle)
        assert bounds == ([x, y, x + w, y + h] if case.any() else None)
        assert area == case.sum()
    assert editor.page.evaluate((HERE / "fuzz_history.js").read_text("utf-8")) == []


def test_a_click_becomes_an_outline_and_is_looked_for_in_the_following_images(
    review: Start, tmp_path: Path, page: Page, watched: Watched
) -> None:
    """What the page asks of a model, whose answers are made up here."""
    asked: list[Any] = []

    def able(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"segment": True})

    def cut_out(route: Route) -> None:
        asked.append(route.request.post_data_json)
        outline = [[100, 100, 200, 100, 150, 180]] if asked[-1]["points"] or asked[-1]["box"] else None
        route.fulfill(json={"polygons": outline, "bbox": None, "score": 0.9, "milliseconds": 9})

    def found(route: Route) -> None:
        asked.append(route.request.post_data_json)
        route.fulfill(json={"done": [{"number": 1, "key": "b.jpg", "score": 0.8}], "stopped": None})

    page.route("**/api/session", able)
    page.route("**/api/segment", cut_out)
    page.route("**/api/propagate", found)
    folder = folder_of(tmp_path / "images", "a.jpg", "b.jpg")
    editor = Editor(page, review(folder).url)
    editor.press("s")
    editor.click(150, 120)
    editor.page.keyboard.down("Shift")
    editor.click(300, 200)
    editor.page.keyboard.up("Shift")
    editor.drag(90, 90, 210, 190)
    expect(page.locator("#preview .found")).to_have_attribute("d", "M100 100 200 100 150 180Z")
    expect(page.locator(".hint")).to_contain_text("Enter takes it")
    editor.press("Enter")
    page.get_by_role("button", name="Find in the following images").click()
    page.get_by_label("How many images").fill("5")
    page.get_by_role("button", name="OK").click()
    expect(page.locator("#toasts")).to_contain_text("Found in 1 of the following images")
    first, click, other, box, following = asked
    assert (first["points"], first["box"]) == ([], None)
    assert [[round(x), round(y), on] for x, y, on in click["points"]] == [[150, 120, True]]
    assert [on for _, _, on in other["points"]] == [True, False]
    assert [round(n) for n in box["box"]] == [90, 90, 120, 100]
    (label,) = said(folder / "a.jpg")
    assert label == {"category": "car", "polygons": [[100, 100, 200, 100, 150, 180]]}
    assert following == {
        "number": 0,
        "id": stored(folder / "a.jpg")["annotations"][0]["id"],
        "count": 5,
        "author": following["author"],
    }


def suggested(path: Path, *boxes: tuple[int, int, int, int], category: str = "car") -> None:
    """Have an image hold what a model suggests."""
    found = [
        Annotation(category=Category(id=1, name=category), bbox=box, score=0.9, status="suggestion")
        for box in boxes
    ]
    embed(path, found)


def turned(path: Path, orientation: int) -> None:
    """An image that shows a red box at 240, 60 to 340, 110 on green, stored at an EXIF orientation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = Image.new("RGB", (400, 300), (0, 255, 0))
    shown.paste((255, 0, 0), (240, 60, 340, 110))
    stored_as = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    picture = shown if stored_as is None else shown.transpose(stored_as)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(path, quality=95, subsampling=0, exif=exif)
