"""The page's frame and its grid, as a person uses them: in Chromium, on folders of real images."""

from pathlib import Path

from playwright.sync_api import Page, expect
from tests.web.conftest import Start, Watched


def test_addresses_lead_to_images_and_back_and_forward_work(
    review: Start, images: Path, page: Page, watched: Watched
) -> None:
    url = review(images).url
    page.goto(url)
    card = page.locator("a.card", has_text="main street")
    card.click()
    expect(page.locator("#image")).to_be_visible()
    assert page.url.endswith("#/image/main%20street.jpg")
    page.go_back()
    expect(card).to_be_visible()
    page.go_forward()
    expect(page.locator("#image")).to_be_visible()
    page.goto("about:blank")
    page.goto(f"{url}#/image/stra%C3%9Fe/gr%C3%BCn%20links.jpg")
    expect(page.get_by_text("no such image")).to_be_visible()
    expect(card).to_be_visible()
    watched.excuse("404")
