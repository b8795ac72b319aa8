"""Annotations as IPTC image regions and MWG face regions, so that photo software shows them.

IPTC Photo Metadata Standard 2019.1 and later, "Image Region"; MWG Guidelines for Handling Image Metadata 2.0,
section 5. Both are about the image as stored, before its Orientation. They are a projection: shares of the
image with six digits, and no more than a boundary, a name and a kind. The document is what counts.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from html import escape

from xlabel.images.xmp import MWG, REGION
from xlabel.model import Annotation, Circle, Number, OrientedBox, Polyline
from xlabel.model.geometry import bbox_of, turn_back, turned_size

KINDS = {
    "human": "person people pedestrian man woman child boy girl human rider player",
    "animal": "animal bird cat dog horse sheep cow elephant bear zebra giraffe raccoon fish",
    "vehicle": "vehicle car truck bus van motorcycle motorbike bicycle train boat airplane tram",
    "plant": "plant tree flower grass bush",
    "building": "building house tower",
    "product": "product package bottle",
    "text": "text word",
    "machineCode": "barcode qrcode machinecode",
    "food": "food apple banana orange pizza cake sandwich",
    "clothing": "clothing shirt shoe hat",
}
"""Terms of http://cv.iptc.org/newscodes/imageregiontype/ by the names of categories that mean them."""

_KIND = {name: kind for kind, names in KINDS.items() for name in names.split()}
_CV = "http://cv.iptc.org/newscodes/imageregiontype/"


def iptc(annotations: Iterable[Annotation], width: int, height: int, orientation: int) -> bytes:
    """An `rdf:li` for each boundary; width and height are those of the image as displayed."""
    across, down = turned_size(width, height, orientation)
    parts: list[bytes] = []
    for number, annotation in enumerate(annotations, 1):
        if orientation != 1:
            try:
                annotation = turn_back(annotation, orientation, across, down)
            except ValueError:  # a mask that is broken; its box would not be right either
                continue
        category = annotation.category
        tail = _named(category.name) if category else _END
        if annotation.score is not None:
            tail = f"<xlabel:Score>{annotation.score}</xlabel:Score>".encode() + tail
        box = annotation.bbox
        if box is not None and annotation.polygons is None and annotation.shape is None:
            x, y, w, h = box  # what nearly every label of nearly every set is
            parts += (_BOX % (number, x / across, y / down, w / across, h / down), tail)
            continue
        for part, boundary in enumerate(_boundaries(annotation, across, down)):
            own = f"{number}" if not part else f"{number}.{part + 1}"
            parts += (f"{_START}{own}{_BOUNDARY}{boundary}".encode(), tail)
    return b"".join(parts)


def faces(annotations: Iterable[Annotation], width: int, height: int, orientation: int) -> bytes:
    """An `mwg-rs:Regions` element with the people, or nothing where there are none."""
    stored = turned_size(width, height, orientation)
    parts = []
    for number, annotation in enumerate(annotations, 1):
        if annotation.category is None or _KIND.get(annotation.category.name.lower()) != "human":
            continue
        if orientation != 1:
            annotation = turn_back(annotation, orientation, *stored)
        box = bbox_of(annotation)
        if box is None:
            continue
        x, y, w, h = box
        area = (
            f'<mwg-rs:Area stArea:x="{(x + w / 2) / stored[0]:.6g}" stArea:y="{(y + h / 2) / stored[1]:.6g}"'
            f' stArea:w="{w / stored[0]:.6g}" stArea:h="{h / stored[1]:.6g}" stArea:unit="normalized"/>'
        )
        name = (annotation.attributes or {}).get("name")
        label = f' mwg-rs:Name="{escape(str(name))}"' if name else ""
        parts.append(
            f'<rdf:li><rdf:Description mwg-rs:Type="Face"{label}>{area}'
            '<mwg-rs:Extensions rdf:parseType="Resource">'
            f"<Iptc4xmpExt:rId>{REGION}face-{number}</Iptc4xmpExt:rId></mwg-rs:Extensions></rdf:Description></rdf:li>"
        )
    if not parts:
        return b""
    return (
        f'<mwg-rs:Regions xmlns:mwg-rs="{MWG}" xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"'
        ' xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#" rdf:parseType="Resource">'
        f'<mwg-rs:AppliedToDimensions stDim:w="{stored[0]}" stDim:h="{stored[1]}" stDim:unit="pixel"/>'
        f"<mwg-rs:RegionList><rdf:Bag>{''.join(parts)}</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
    ).encode()


_RECTANGLE = (
    ' Iptc4xmpExt:rbShape="rectangle" Iptc4xmpExt:rbUnit="relative"'
    ' Iptc4xmpExt:rbX="%.6g" Iptc4xmpExt:rbY="%.6g" Iptc4xmpExt:rbW="%.6g" Iptc4xmpExt:rbH="%.6g"/>'
)
_START = f'<rdf:li><rdf:Description Iptc4xmpExt:rId="{REGION}'
_BOUNDARY = '"><Iptc4xmpExt:RegionBoundary'
_BOX = f"{_START}%d{_BOUNDARY}{_RECTANGLE}".encode()
_END = b"</rdf:Description></rdf:li>"
_CIRCLE = (
    ' Iptc4xmpExt:rbShape="circle" Iptc4xmpExt:rbUnit="relative"'
    ' Iptc4xmpExt:rbX="%.6g" Iptc4xmpExt:rbY="%.6g" Iptc4xmpExt:rbRx="%.6g"/>'
)
_VERTEX = '<rdf:li Iptc4xmpExt:rbX="%.6g" Iptc4xmpExt:rbY="%.6g"/>'


def _boundaries(annotation: Annotation, width: int, height: int) -> Iterator[str]:
    """What stands behind `<Iptc4xmpExt:RegionBoundary`: a polygon for each part, else shape or box."""
    shape = annotation.shape
    if annotation.polygons:
        for polygon in annotation.polygons:
            yield _polygon(polygon, width, height)
    elif isinstance(shape, Circle):
        yield _CIRCLE % (shape.x / width, shape.y / height, shape.radius / width)
    elif isinstance(shape, OrientedBox):
        yield _polygon(shape.corners, width, height)
    elif isinstance(shape, Polyline):
        yield _polygon(shape.points, width, height)
    elif shape is not None:
        for at in range(0, len(shape.points) - 1, 2):
            yield _polygon(shape.points[at : at + 2], width, height)
    else:
        box = bbox_of(annotation)
        if box is not None:
            x, y, w, h = box
            yield _RECTANGLE % (x / width, y / height, w / width, h / height)


def _polygon(points: tuple[Number, ...], width: int, height: int) -> str:
    vertices = [
        _VERTEX % (points[at] / width, points[at + 1] / height) for at in range(0, len(points) - 1, 2)
    ]
    return (
        ' rdf:parseType="Resource"><Iptc4xmpExt:rbShape>polygon</Iptc4xmpExt:rbShape>'
        "<Iptc4xmpExt:rbUnit>relative</Iptc4xmpExt:rbUnit><Iptc4xmpExt:rbVertices><rdf:Seq>"
        + "".join(vertices)
        + "</rdf:Seq></Iptc4xmpExt:rbVertices></Iptc4xmpExt:RegionBoundary>"
    )


@lru_cache(maxsize=1024)
def _named(name: str) -> bytes:
    """Name and kind of a region, which stand at its end."""
    if not name:
        return _END
    clean = escape("".join(c for c in name if c.isprintable()), quote=False)
    text = (
        '<Iptc4xmpExt:Name><rdf:Alt><rdf:li xml:lang="x-default">'
        f"{clean}</rdf:li></rdf:Alt></Iptc4xmpExt:Name>"
    )
    kind = _KIND.get(name.lower())
    if kind:
        text += (
            '<Iptc4xmpExt:rCtype><rdf:Bag><rdf:li rdf:parseType="Resource"><xmp:Identifier><rdf:Bag>'
            f"<rdf:li>{_CV}{kind}</rdf:li></rdf:Bag></xmp:Identifier></rdf:li></rdf:Bag></Iptc4xmpExt:rCtype>"
        )
    return text.encode() + _END
