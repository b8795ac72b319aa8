"""What has been read of COCO files so far: the data set as it grows, and which ids and names are taken."""

from typing import Any

from msgspec import Struct, field

from xlabel.formats.coco_layout import File, Place
from xlabel.model import Annotation, Category, Image, Problem


class Picture(Struct, gc=False):
    """An image while its labels are read."""

    image: Image
    split: str | None = None
    named: str | None = None
    """What its file calls it, where that is not its key."""
    place: Place | None = None
    """None where no document has a record of it."""
    labels: list[Annotation] = field(default_factory=list)


class Reading(Struct):
    """All files together. Positions are those in `pictures`, and in their `labels`."""

    where: str
    """What a person calls the file that is being read."""
    several: bool
    """Whether there are several files: then every record's place is kept."""
    pictures: list[Picture] = field(default_factory=list)
    categories: list[Category] = field(default_factory=list)
    category_places: dict[int, int] = field(default_factory=dict)
    """Id of each category -> its place among them."""
    top_category: int = 0
    problems: list[Problem] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    names: dict[tuple[str, str | None, str], int] = field(default_factory=dict)
    """Images of the files before: folder, split and name, to their positions."""
    keys: set[str] = field(default_factory=set)
    tried: dict[str, int] = field(default_factory=dict)
    """Key that was taken -> the next number to tell another one apart by."""
    image_ids: set[Any] = field(default_factory=set)
    annotation_ids: dict[Any, tuple[int, int]] = field(default_factory=dict)
    """Of the files before: id to image and label."""
    indexes: list[tuple[str | None, dict[Any, int], dict[Any, Category]]] = field(default_factory=list)
    """Of each document before: split, images and categories by the ids that it gives them."""
    unlisted: dict[tuple[str | None, Any], int] = field(default_factory=dict)
    """Images that only results name: split and id, to their positions."""
    clashing_images: list[int] = field(default_factory=list)
    clashing: list[tuple[int, int]] = field(default_factory=list)
    image_place: int = 0
    annotation_place: int = 0

    def problem(self, at: str, code: str, message: str) -> None:
        """List what is wrong with a record, or with the file where `at` is empty."""
        self.problems.append(Problem(f"{self.where}: {at}" if at else self.where, code, message))

    def add_category(self, category: Category) -> None:
        """Add a category, which has an id of its own."""
        self.categories.append(category)
        self.category_places[category.id] = len(self.categories) - 1
        self.top_category = max(self.top_category, category.id)

    def add_picture(self, picture: Picture) -> int:
        """Add an image, which has a key of its own; its position."""
        self.pictures.append(picture)
        self.keys.add(picture.image.key)
        return len(self.pictures) - 1

    def free_key(self, key: str, word: str) -> str:
        """A key that no image has, for one whose own is taken; `word` tells it apart."""
        free = f"{word}/{key}"
        number = self.tried.get(free, 2)
        wanted = free
        while free in self.keys:
            free, number = f"{word}.{number}/{key}", number + 1
        self.tried[wanted] = number
        return free

    def end(self, file: File) -> None:
        """Note that a file has been read."""
        self.files.append(file)
        self.image_place += file.images
        self.annotation_place += file.annotations
