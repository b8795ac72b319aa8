"""XMP packets: our labels in them, beside whatever else they hold. XMP Specification Part 1 (ISO 16684-1).

A packet is changed by what is inserted before its end; nothing in it moves but by that. What is taken out
again is found by namespace and by the ids of our regions, since other tools write packets anew.
"""

import re
from collections.abc import Iterator
from html import escape
from typing import NamedTuple
from xml.parsers import expat

from xlabel.images.splice import Edit, joined

NAMESPACE = "urn:uuid:7a1cbe3e-5d0f-4c1e-9a52-0f6d6f4b8c11#"
"""Of xlabel's own properties; made by chance, so that it is nobody's domain."""
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
NOTE = "http://ns.adobe.com/xmp/note/"
MWG = "http://www.metadataworkinggroup.com/schemas/regions/"
REGION = "xlabel-"
"""What the ids of our regions begin with."""


MAX_DEPTH = 100
"""Elements within one another; others' packets have about ten, hostile ones thousands."""


class Ours(NamedTuple):
    """What goes into a packet."""

    regions: bytes = b""
    """IPTC image regions, an `rdf:li` each."""
    faces: bytes = b""
    """A whole `mwg-rs:Regions` element, where faces are wanted."""
    document: bytes | None = None
    extended: bytes | None = None
    """GUID of the Extended XMP that belongs to this packet."""


Name = tuple[str, str]
"""Namespace and local name."""


class Attribute(NamedTuple):
    value: str
    prefix: str
    """As written in this place."""


def packet(ours: Ours) -> bytes:
    """A packet of its own."""
    return b"%b%b%b" % (_HEAD, _description(ours, b'""', bag=True), _TAIL)


def edits(packet: bytes, ours: Ours) -> list[Edit]:
    """What to insert into a packet that holds nothing of ours.

    ValueError where it is not UTF-8, not well formed or has no `rdf:RDF`, or an Extended XMP or face regions
    of its own where ours needs some. Two prefixes for one namespace are legal, but exiv2 would then read
    nothing of the packet: ours are spelt as the packet spells them.
    """
    tree = parse(packet)
    rdf = next((node for node in walk(tree) if node.name == (RDF, "RDF")), None)
    if rdf is None:
        raise ValueError("no rdf:RDF element with an end in the XMP packet")
    if ours.faces and any(node.name == (MWG, "Regions") for node in walk(rdf)):
        raise ValueError("the XMP packet has face regions of its own")
    if ours.extended and any((NOTE, "HasExtendedXMP") in (node.name, *node.attributes) for node in walk(rdf)):
        raise ValueError("the XMP packet has an extension of its own")
    found = []
    bag = _bag(rdf) if ours.regions else None
    if bag is not None:
        at = _inside_end(packet, bag)
        found.append(Edit(at, at, _spelt(_with_prefixes(ours.regions), tree.declared)))
    at = _inside_end(packet, rdf)
    found.append(Edit(at, at, _spelt(_description(ours, _about(rdf), bag=bag is None), tree.declared)))
    return sorted(found)


def has_ours(packet: bytes | None) -> bool:
    """Whether a packet names our namespace, without which nothing in it is ours."""
    return packet is not None and NAMESPACE.encode() in packet


def document(packet: bytes) -> bytes | None:
    """Our document in a packet, or None."""
    if b":Document" not in packet:
        return None
    as_written = _DOCUMENT.search(packet)  # a tenth of what parsing takes
    if as_written is not None and _DECLARED in packet:
        return as_written[1].replace(b"&lt;", b"<").replace(b"&gt;", b">").replace(b"&amp;", b"&")
    return _text(packet, (NAMESPACE, "Document"))


def extension(packet: bytes) -> bytes | None:
    """The GUID of the Extended XMP that a packet names."""
    return _text(packet, (NOTE, "HasExtendedXMP"))


def removal(packet: bytes, guid: bytes | None = None) -> list[Edit] | None:
    """The edits that take out what is ours; None where nothing else is in the packet.

    `guid` is the Extended XMP's that goes too.
    """
    tree = parse(packet)
    ours = list(_ours(packet, tree, guid))
    others = any(
        node.parent is not None
        and node.parent.name == (RDF, "RDF")
        and not any(edit.start <= node.start and node.end <= edit.stop for edit in ours)
        for node in walk(tree)
    )
    return None if ours and not others else joined(ours)


class Node:
    """An element, and where it stands in the packet."""

    __slots__ = ("attributes", "children", "declared", "end", "inner", "name", "parent", "pieces", "start")

    def __init__(
        self, name: "Name", attributes: dict["Name", Attribute], start: int, parent: "Node | None"
    ) -> None:
        self.name = name
        self.attributes = attributes
        self.start = start
        self.inner = start
        """Where the end tag begins; `start` in an element without one."""
        self.end = start
        self.parent = parent
        self.children: list[Node] = []
        self.pieces: list[str] = []
        self.declared: dict[str, str] = {}
        """In the outermost element: the first prefix of each namespace in the packet."""

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def above(self) -> Iterator["Node"]:
        """The elements that it stands in, the nearest first."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent


def parse(packet: bytes) -> Node:
    """The elements of a packet.

    ValueError where it is not well formed, is nested deeper than any XMP, or has a document type.
    """
    if packet[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in packet[:8]:
        raise ValueError("the XMP packet is not UTF-8")
    parser = expat.ParserCreate("utf-8", namespace_separator="\n")
    stack: list[Node] = []
    roots: list[Node] = []
    declared: dict[str, str] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(stack) == MAX_DEPTH:
            raise ValueError(f"the XMP packet is nested more than {MAX_DEPTH} deep")
        named = {_name(key): Attribute(value, _prefix(key)) for key, value in attributes.items()}
        node = Node(_name(name), named, parser.CurrentByteIndex, stack[-1] if stack else None)
        (stack[-1].children if stack else roots).append(node)
        stack.append(node)

    def end(_: str) -> None:
        node = stack.pop()
        at = parser.CurrentByteIndex  # of the end tag, or behind an element without one
        if packet[at - 2 : at] == b"/>" and _tag_end(packet, node) == at:
            node.end = at
        else:
            node.inner, node.end = at, packet.index(b">", at) + 1

    def declare(prefix: str | None, namespace: str) -> None:
        if prefix:
            declared.setdefault(namespace, prefix)

    def text(piece: str) -> None:
        stack[-1].pieces.append(piece)

    def doctype(*_: object) -> None:
        raise ValueError("a document type in the XMP packet")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    parser.StartNamespaceDeclHandler = declare
    parser.namespace_prefixes = True
    parser.buffer_text = True
    try:
        parser.Parse(packet.rstrip(b"\0 \r\n\t"), True)
    except expat.ExpatError as error:
        raise ValueError(f"the XMP packet is not well formed: {error}") from None
    roots[0].declared = declared
    return roots[0]


def walk(node: Node) -> Iterator[Node]:
    """An element and all below it, in their order."""
    rest = [node]
    while rest:
        node = rest.pop()
        yield node
        rest.extend(reversed(node.children))


_XAP = "http://ns.adobe.com/xap/1.0/"
_HEAD = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="xlabel">'
    f'<rdf:RDF xmlns:rdf="{RDF}">'
).encode()
_TAIL = b'</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
_DECLARED = f'xmlns:xlabel="{NAMESPACE}"'.encode()
_DOCUMENT = re.compile(rb"<xlabel:Document>([^<\x80-\xff]*)</xlabel:Document>")
_DESCRIPTION = (
    f' xmlns:rdf="{RDF}" xmlns:xlabel="{NAMESPACE}"'
    f' xmlns:Iptc4xmpExt="{EXT}" xmlns:xmp="{_XAP}"><xlabel:Version>1</xlabel:Version>'
).encode()
_PREFIXES = f' xmlns:rdf="{RDF}" xmlns:xlabel="{NAMESPACE}" xmlns:Iptc4xmpExt="{EXT}"'.encode()
_XMP_PREFIX = f' xmlns:xmp="{_XAP}"'.encode()
_USUAL = {
    b"Iptc4xmpExt": EXT,
    b"xmp": _XAP,
    b"xlabel": NAMESPACE,
    b"xmpNote": NOTE,
    b"mwg-rs": MWG,
    b"stArea": "http://ns.adobe.com/xmp/sType/Area#",
    b"stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
}
_PREFIXED = re.compile(
    rb"(</?|\sxmlns:|\s)(%b)(?==|:\w+[ />]|:\w+=\")" % b"|".join(sorted(_USUAL, reverse=True))
)


def _description(ours: Ours, about: bytes, *, bag: bool) -> bytes:
    parts = [b"<rdf:Description rdf:about=", about, _DESCRIPTION]
    if ours.document is not None:
        parts.append(
            b"<xlabel:Document>%b</xlabel:Document>" % escape(ours.document.decode(), quote=False).encode()
        )
    if ours.extended is not None:
        parts.append(
            b'<xmpNote:HasExtendedXMP xmlns:xmpNote="%b">%b</xmpNote:HasExtendedXMP>'
            % (NOTE.encode(), ours.extended)
        )
    if ours.regions and bag:
        parts.append(
            b"<Iptc4xmpExt:ImageRegion><rdf:Bag>%b</rdf:Bag></Iptc4xmpExt:ImageRegion>" % ours.regions
        )
    parts += (ours.faces, b"</rdf:Description>")
    return b"".join(parts)


def _spelt(ours: bytes, declared: dict[str, str]) -> bytes:
    """What is ours, with the prefixes that a packet has for its namespaces."""
    prefixes = {usual: declared.get(space, "").encode() or usual for usual, space in _USUAL.items()}
    if all(usual == prefix for usual, prefix in prefixes.items()):
        return ours
    return _PREFIXED.sub(lambda found: found[1] + prefixes[found[2]], ours)


def _about(rdf: Node) -> bytes:
    """What the packet is about, in quotes: all its descriptions have to say the same.

    Old packets have `about` without a prefix.
    """
    stated = (child.attributes.get((space, "about")) for child in rdf.children for space in (RDF, ""))
    about = next((about.value for about in stated if about and about.value), "")
    return f'"{escape(about)}"'.encode()


def _with_prefixes(regions: bytes) -> bytes:
    """Regions for a bag whose packet may have other prefixes, or none, for our namespaces."""
    return regions.replace(b"<rdf:li>", b"<rdf:li%b%b>" % (_PREFIXES, _XMP_PREFIX))


def _bag(rdf: Node) -> Node | None:
    """The bag of image regions that others wrote."""
    for node in walk(rdf):
        if node.name == (RDF, "Bag") and node.parent is not None and node.parent.name == (EXT, "ImageRegion"):
            return node
    return None


def _inside_end(packet: bytes, node: Node) -> int:
    if node.inner == node.start:
        raise ValueError(f"an empty element {node.name[1]} in the XMP packet")
    return node.inner


def _text(packet: bytes, name: Name) -> bytes | None:
    """The text of a property, which is an element or an attribute."""
    if name[0].encode() not in packet:
        return None
    for node in walk(parse(packet)):
        if node.name == name:
            return node.text.encode()
        if name in node.attributes:
            return node.attributes[name].value.encode()
    return None


def _ours(packet: bytes, tree: Node, guid: bytes | None) -> Iterator[Edit]:
    """What is ours, as edits that delete it: the widest element that holds nothing else."""
    nodes = list(walk(tree))
    own = {id(node) for node in nodes if _is_ours(node) or _names(node, guid)}
    own |= {id(region) for node in nodes if (region := _region(node)) is not None}
    for node in reversed(nodes):  # so that what is within a wrapper comes before it
        if node.name in _WRAPPERS and not _says_more(node, guid):
            rest = [child for child in node.children if child.name != (MWG, "AppliedToDimensions")]
            if rest and all(id(child) in own for child in rest):
                own.add(id(node))
    for node in nodes:
        if any(id(parent) in own for parent in node.above()):
            continue
        if id(node) in own:
            yield Edit(node.start, node.end, b"")
        else:
            yield from _attributes(packet, node, guid)


_WRAPPERS = {(RDF, "Bag"), (EXT, "ImageRegion"), (RDF, "Description"), (MWG, "Regions"), (MWG, "RegionList")}


def _is_ours(node: Node) -> bool:
    if node.name == (RDF, "Description") and not node.children:
        return any(name[0] == NAMESPACE for name in node.attributes) and not _says_more(node, None)
    return node.name[0] == NAMESPACE


def _region(node: Node) -> Node | None:
    """The item of a bag that a region's id of ours stands in."""
    stated = node.attributes.get((EXT, "rId"))
    number = node.text if node.name == (EXT, "rId") else "" if stated is None else stated.value
    if not number.startswith(REGION):
        return None
    return next((parent for parent in (node, *node.above()) if parent.name == (RDF, "li")), None)


def _says_more(node: Node, guid: bytes | None) -> bool:
    """Whether an element has attributes that are neither ours nor RDF's."""
    return any(
        name[0] not in (NAMESPACE, RDF) and not _is_note(name, attribute.value, guid)
        for name, attribute in node.attributes.items()
    )


def _names(node: Node, guid: bytes | None) -> bool:
    return not node.children and _is_note(node.name, node.text, guid)


def _is_note(name: Name, value: str, guid: bytes | None) -> bool:
    return guid is not None and name == (NOTE, "HasExtendedXMP") and value.encode() == guid


def _attributes(packet: bytes, node: Node, guid: bytes | None) -> Iterator[Edit]:
    """Our properties that another tool wrote as attributes, and the prefix that it gave our namespace."""
    tag = packet[node.start : _tag_end(packet, node)]
    gone = [
        rb"%b\s*=\s*(?:\"[^\"]*\"|'[^']*')" % re.escape(f"{prefix}:{name[1]}".encode())
        for name, (value, prefix) in node.attributes.items()
        if name[0] == NAMESPACE or _is_note(name, value, guid)
    ]
    if NAMESPACE.encode() in tag:
        gone.append(rb"xmlns:[^\s=]{1,99}\s*=\s*[\"']%b[\"']" % re.escape(NAMESPACE.encode()))
    for pattern in gone:
        for found in re.finditer(rb"\s" + pattern, tag):
            yield Edit(node.start + found.start(), node.start + found.end(), b"")


def _tag_end(packet: bytes, node: Node) -> int:
    """Behind the start tag; a `>` may stand in an attribute."""
    found = _TAG.match(packet, node.start)
    if found is None:
        raise ValueError(f"a tag without end at byte {node.start} of the XMP packet")
    return found.end()


_TAG = re.compile(rb"<[^>\"']*(?:(?:\"[^\"]*\"|'[^']*')[^>\"']*)*>")


def _name(text: str) -> Name:
    """Of what expat gives: namespace, local name and prefix, or a name without namespace."""
    parts = text.split("\n")
    return (parts[0], parts[1]) if len(parts) > 1 else ("", text)


def _prefix(text: str) -> str:
    parts = text.split("\n")
    return parts[2] if len(parts) > 2 else ""
