"""All codes that validation knows: how severe each is, what it means and what to do. docs/validation.md.

Codes are stable: they do not change their meaning. An error is labels or images that are wrong or lost; a
warning is what is often a mistake and sometimes wanted; a note is worth knowing.
"""

from typing import NamedTuple


class Rule(NamedTuple):
    """What a code stands for."""

    severity: str
    """error, warning or note."""
    means: str
    advice: str


GEOMETRY = {
    "not-finite": Rule("error", "a coordinate that is no number, or infinite", "draw the label again"),
    "box-empty": Rule(
        "error", "a box whose width or height is zero or negative", "remove it, or draw it again"
    ),
    "box-outside": Rule(
        "error",
        "a box that sticks out of its image by more than 1 pixel and 0.5 % of the side",
        "clip it to the image, or check that the labels are of this image",
    ),
    "polygon-points": Rule(
        "error", "an outline with fewer than three distinct points", "remove it, or draw it again"
    ),
    "polygon-flat": Rule("error", "an outline without area", "remove it, or draw it again"),
    "polygon-crossing": Rule(
        "warning", "an outline whose edges cross, so that tools fill it differently", "draw it again"
    ),
    "polygon-outside": Rule(
        "error",
        "an outline that leaves its image by more than 1 pixel and 0.5 % of the side",
        "clip it to the image, or check that the labels are of this image",
    ),
    "mask-broken": Rule("error", "a mask whose run lengths cannot be read", "make the mask again"),
    "mask-size": Rule(
        "error", "a mask of another size than its image", "make the mask again, at the image's size"
    ),
    "mask-empty": Rule("error", "a mask without a pixel", "remove it, or draw it again"),
    "mask-outside-box": Rule(
        "warning",
        "a mask or outline that leaves its own box by more than 2 pixels and 5 % of the box's side",
        "make the box again from the mask, or check that they are of one thing",
    ),
    "keypoints-count": Rule(
        "error",
        "another number of keypoints than the category names",
        "add the missing ones with visibility 0",
    ),
    "keypoint-outside": Rule(
        "error",
        "a labelled keypoint outside its image by more than 1 pixel and 0.5 % of the side",
        "move it, or set its visibility to 0",
    ),
    "keypoints-outside-box": Rule(
        "warning",
        "keypoints of which more than half lie outside their box, by more than 10 % of its side",
        "check that they are of one thing",
    ),
    "shape-empty": Rule("error", "an oriented box or a circle without area", "remove it, or draw it again"),
    "shape-outside": Rule(
        "error",
        "an oriented box, line or circle that lies wholly outside its image, or a point that does",
        "check that the labels are of this image",
    ),
    "box-twice": Rule(
        "warning",
        "two boxes of one category that cover the same, with an intersection over union above 0.99",
        "remove one of them",
    ),
    "label-twice": Rule("warning", "two annotations of an image that say the same", "remove one of them"),
    "score-range": Rule("warning", "a score outside 0 to 1", "divide it by its largest value"),
}
CATEGORIES = {
    "names-alike": Rule(
        "warning",
        "category names that differ only in case, spaces, hyphens or a plural s",
        "join them, or give them names that nobody mixes up",
    ),
    "name-twice": Rule(
        "warning", "two categories of one name and one supercategory", "join them, or rename one of them"
    ),
}
FILES = {
    "wrong-suffix": Rule(
        "warning", "an image whose content is not what its name says", "rename it, or convert it"
    ),
    "bad-orientation": Rule(
        "warning",
        "an EXIF orientation other than 1 to 8, which viewers treat as 1",
        "set it to 1, after a look at the picture",
    ),
    "same-image": Rule(
        "warning", "two image files with the same bytes", "remove one of them, above all from another split"
    ),
    "empty-file": Rule("error", "an image file of 0 bytes", "fetch it again"),
    "undecodable": Rule(
        "error", "a file that is called an image and is none that can be read", "fetch it again"
    ),
    "cut-off": Rule("error", "an image whose end is missing", "fetch it again"),
    "name-clash": Rule("error", "two file names that are the same key in UTF-8", "rename one of them"),
    "unreadable": Rule("error", "a file that the system refuses to read", "check its rights, and its disk"),
    "link-loop": Rule("warning", "a link to a folder above itself, which is not followed", "remove the link"),
    "link-twice": Rule(
        "warning", "a link to where another one leads, which is not followed", "remove one of them"
    ),
}
PAIRS = {
    "label-without-image": Rule(
        "error", "labels of an image that is not there", "add the image, or remove the labels"
    ),
    "unknown-labels": Rule(
        "error", "a folder of labels by its name, in no format that xlabel reads", "mend it, or say --from"
    ),
    "labels-disagree": Rule(
        "warning",
        "labels inside an image that are not those of the label files",
        "embed the labels again, or extract those inside",
    ),
}
EMBEDDED = {
    "copies-disagree": Rule(
        "warning",
        "copies of the labels in one image that are damaged, or older than others",
        "embed them again",
    ),
    "unreadable-labels": Rule(
        "error", "labels that are there and cannot be read", "mend them, or embed them again"
    ),
    "stale-labels": Rule(
        "error",
        "labels drawn on another picture than the image now holds: it was cropped, turned or changed",
        "xlabel repair puts them right where the change is known",
    ),
    "image-recompressed": Rule(
        "note",
        "an image that was compressed again since it was labelled; its labels lie where they should",
        "xlabel repair binds them to the image as it is now",
    ),
    "stripped-labels": Rule(
        "error",
        "an image without labels whose picture has labels in what --against names",
        "xlabel repair puts them back",
    ),
    "maybe-stripped": Rule(
        "warning",
        "an image without labels that only looks like one with labels in --against, or fits several",
        "look at both; xlabel repair proposes it, and does not do it",
    ),
    "no-room": Rule(
        "error",
        "labels that the image's container cannot hold",
        "keep them in a file beside it: embed --sidecar",
    ),
}
READERS = {
    "size-mismatch": Rule(
        "error", "labels that state another size than their image has", "check that they are of this image"
    ),
    "derived-changed": Rule(
        "warning",
        "an edited box or outline in an annotation file that is derived, and is not read",
        "edit the mask",
    ),
    "not-turned": Rule("error", "a mask that cannot be turned with its image", "draw it again"),
    "ambiguous-image": Rule("error", "a name that fits several images", "write the image's whole path"),
    "image-twice": Rule("error", "two records of one image; the first counts", "join them"),
    "labels-twice": Rule("error", "two label files of one image; one of them counts", "remove the other one"),
    "not-utf8": Rule("warning", "text that is not UTF-8", "save it as UTF-8"),
    "bad-image": Rule("error", "an image's record that cannot be read", "mend the record"),
    "bad-annotation": Rule("error", "an annotation's record that cannot be read", "mend the record"),
    "bad-category": Rule("error", "a category's record that cannot be read", "mend the record"),
    "bad-record": Rule("error", "a record that cannot be read", "mend the record"),
    "bad-list": Rule("error", "images, annotations or categories that are no list", "mend the file"),
    "bad-field": Rule("error", "a field that cannot be read", "mend the field"),
    "bad-id": Rule("error", "an image's id that cannot be read", "give it a number"),
    "no-file-name": Rule("error", "an image's record without a file name", "add it"),
    "bad-size": Rule("error", "a size that is no whole number", "write the image's width and height"),
    "image-id-twice": Rule("error", "an id that two images have", "number the images anew"),
    "category-id-twice": Rule("error", "an id that two categories have", "number the categories anew"),
    "annotation-id-twice": Rule("error", "an id that two annotations have", "number the annotations anew"),
    "unknown-image": Rule(
        "error", "an annotation of an image that no record describes", "add the image's record"
    ),
    "unknown-category": Rule(
        "error", "an annotation of a category that is not described", "add the category, or mend the id"
    ),
    "bad-bbox": Rule("error", "a box that is not four numbers", "write x, y, width and height"),
    "bad-segmentation": Rule("error", "an outline or mask that cannot be read", "draw it again"),
    "bad-keypoints": Rule("error", "keypoints that are not x, y and visibility of each", "mend them"),
    "bad-area": Rule("warning", "an area that is no number", "leave it out"),
    "bad-iscrowd": Rule("warning", "an iscrowd that is neither 0 nor 1", "write 0 or 1"),
    "panoptic": Rule(
        "warning",
        "a panoptic file, whose masks are in PNG files and are not read",
        "give the masks as run lengths",
    ),
    "bad-origin": Rule(
        "warning", "an annotation file that does not say where its labels come from", "pack again"
    ),
    "not-text": Rule("error", "a label file that holds binary data", "fetch it again"),
    "not-a-number": Rule("error", "a row with something else than numbers", "mend the row"),
    "row-length": Rule("error", "a row with a number of columns that fits nothing", "mend the row"),
    "row-too-long": Rule("error", "a row too long to be one of numbers", "mend the row"),
    "bad-class": Rule("error", "a class that is no whole number from 0 on", "mend the row"),
    "unknown-class": Rule(
        "error", "a class without a name in data.yaml or the list of classes", "add its name, or mend the row"
    ),
    "negative-size": Rule("error", "a width or height below 0", "mend the row"),
    "outside-image": Rule("error", "a row more than 1 % outside its image", "clip it to the image"),
    "mixed-tasks": Rule(
        "warning", "a row of another kind than the rest of the set", "move it to a set of its own"
    ),
    "ambiguous-column": Rule(
        "warning", "a last column that may be a score or a track", "write scores as 1.0"
    ),
    "bad-visibility": Rule("warning", "a visibility other than 0, 1 and 2", "mend the row"),
    "bad-yaml": Rule("error", "an entry of data.yaml that cannot be read", "mend data.yaml"),
    "bad-nc": Rule("error", "a number of classes that is none", "mend data.yaml"),
    "nc-mismatch": Rule("error", "a number of classes that is not that of the names", "mend data.yaml"),
    "bad-name": Rule("error", "a class name that is no text", "mend data.yaml"),
    "bad-kpt-shape": Rule("error", "a kpt_shape that is not two numbers", "mend data.yaml"),
    "bad-xml": Rule("error", "a file that is no XML", "mend the file"),
    "doctype": Rule(
        "error", "XML with a document type declaration, which is refused", "remove the declaration"
    ),
    "too-deep": Rule("error", "a file that is nested too deeply", "mend the file"),
    "bad-encoding": Rule("error", "XML in an unknown encoding", "save it as UTF-8"),
    "not-voc": Rule("error", "XML that is no annotation of Pascal VOC", "move it elsewhere"),
    "no-name": Rule("error", "an object or shape without a name", "name it"),
    "bad-box": Rule("error", "a box that cannot be read", "mend it"),
    "two-boxes": Rule("error", "a second box of one object", "remove one of them"),
    "inverted-box": Rule("error", "a box whose maximum is below its minimum", "swap the corners"),
    "bad-polygon": Rule("error", "a polygon that cannot be read", "draw it again"),
    "two-splits": Rule("error", "an image in two splits", "remove it from one"),
    "absent-image": Rule(
        "warning", "a list of a split that names images which are not there", "remove the names"
    ),
    "bad-json": Rule("error", "a file that is no JSON", "mend the file"),
    "not-labelme": Rule("error", "JSON that is no file of LabelMe", "move it elsewhere"),
    "bad-shape": Rule("error", "a shape of an unknown type", "draw it again"),
    "bad-points": Rule("error", "points that do not fit their shape", "draw it again"),
    "bad-mask": Rule("error", "a mask that does not fit its box", "draw it again"),
    "no-size": Rule(
        "error", "a mask of an image whose size is not known", "write the image's width and height"
    ),
    "bad-flags": Rule("warning", "flags that cannot be read", "mend them"),
    "bad-row": Rule("error", "a row of a table that cannot be read", "mend the row"),
    "empty-row": Rule(
        "warning", "a row which says that an image has no labels, and it has some", "remove the row"
    ),
    "size-twice": Rule("warning", "two sizes for one image", "mend the rows"),
}
"""What the readers of label files find; the message of a finding says more."""

GROUPS = {
    "Geometry": GEOMETRY,
    "Categories": CATEGORIES,
    "Image files": FILES,
    "Labels and images": PAIRS,
    "Labels inside images": EMBEDDED,
    "Label files": READERS,
}
RULES = {code: rule for group in GROUPS.values() for code, rule in group.items()}
OTHER = Rule("error", "what the reader of another package found", "see its documentation")


def rule(code: str) -> Rule:
    """The rule of a code; a common one for codes of formats that other packages add."""
    return RULES.get(code, OTHER)
