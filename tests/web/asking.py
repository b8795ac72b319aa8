"""What the page does, without a browser: it asks the server for pictures, and sends it changes."""

from typing import Any

import httpx


class Client:
    """Somebody who has a review open."""

    def __init__(self, url: str, author: str = "Ann") -> None:
        self.url = url
        self.author = author
        self._http = httpx.Client(base_url=url, timeout=30)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the tab."""
        self._http.close()

    def get(self, path: str) -> Any:
        """The answer to a question that has one."""
        answer = self._http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def picture(self, number: int = 0) -> Any:
        """All that is known of an image."""
        return self.get(f"api/images/{number}")

    def labels(self, number: int = 0) -> dict[Any, Any]:
        """An image's labels by their ids."""
        return {label["id"]: label for label in self.picture(number)["labels"]}

    def send(self, picture: Any, *changes: Any, **more: Any) -> httpx.Response:
        """Changes of a picture, as it was when it was got."""
        known = {name: picture[name] for name in ("number", "key", "fingerprint")}
        body = {**known, "author": self.author, "changes": changes, **more}
        return self._http.post("api/save", json=body)

    def saved(self, picture: Any, *changes: Any, **more: Any) -> Any:
        """The same, where nothing goes wrong; gives the picture then."""
        answer = self.send(picture, *changes, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()["picture"]

    def refused(self, picture: Any, *changes: Any, **more: Any) -> tuple[int, str, str]:
        """Status, code and message of a refusal."""
        answer = self.send(picture, *changes, **more)
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["message"]


def box(number: int, x: float = 1, category: str = "dog", **more: Any) -> dict[str, Any]:
    """A box of 3 by 4 pixels."""
    return {"id": number, "category": category, "bbox": [x, 1, 3, 4], **more}


def added(label: dict[str, Any]) -> dict[str, Any]:
    """The change that adds a label."""
    return {"id": label["id"], "before": None, "after": label}


def changed(before: dict[str, Any], **after: Any) -> dict[str, Any]:
    """The change that makes another label of one."""
    return {"id": before["id"], "before": before, "after": {**before, **after}}


def deleted(before: dict[str, Any]) -> dict[str, Any]:
    """The change that takes a label away."""
    return {"id": before["id"], "before": before, "after": None}
