"""A dataset: images, each with its labels, and the categories that they share."""

from typing import Any

import msgspec

from xlabel.model.annotation import Annotation, Category


class Image(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """An image by its key: the posix path below the dataset's root.

    `width` and `height` are pixels as displayed, None where nothing is known of them.
    """

    key: str
    width: int | None = None
    height: int | None = None
    orientation: int = 1
    """The EXIF Orientation tag, 1 to 8."""
    id: int | str | None = None
    extra: dict[str, Any] | None = None
    """Fields of the source's record that the model has no word for."""


class Sample(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An image and all that is known of it."""

    image: Image
    annotations: tuple[Annotation, ...] = ()
    split: str | None = None
    drawn: tuple[int, int] | None = None
    """Width and height that the label file states, where they are not the image's as displayed."""
    named: str | None = None
    """What the label file calls the image, where that is not its key."""
    origin: Any = None
    """What the source's record of this image held besides the annotations; see `Annotation.origin`."""

    @property
    def turned(self) -> bool:
        """Whether the labels were drawn on the stored matrix, and are turned here to what is displayed."""
        return self.drawn is not None and is_stored(self.image, self.drawn)


def is_stored(image: Image, size: tuple[int | None, int | None]) -> bool:
    """Whether a size that labels state is the stored one: the displayed one with its axes swapped."""
    width, height = image.width, image.height
    return image.orientation >= 5 and None not in size and size == (height, width) and width != height


class Origin(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Where the labels came from, so that they can be written again in the same form and layout."""

    format: str
    """The format's name, with its variant where it has some: `yolo-segment`."""
    files: dict[str, str] | None = None
    """Files that describe the set as a whole (data.yaml, ImageSets/...), path to text."""
    extra: dict[str, Any] | None = None
    """The format's own notes about the set."""


class Dataset(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Samples, the categories that they use (in the source's order) and what was said of the whole."""

    samples: list[Sample]
    """A list, or a sequence that is read anew at each iteration; the records of the latter have no ids."""
    categories: list[Category] = msgspec.field(default_factory=list)
    extra: dict[str, Any] | None = None
    """Top-level fields of the source: `info`, `licenses`, ..."""
    origin: Origin | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def counts(self) -> dict[str, int]:
        """Images, annotations and categories, counted."""
        return {
            "images": len(self.samples),
            "annotations": sum(len(s.annotations) for s in self.samples),
            "categories": len(self.categories),
        }
