"""XMP packets: ours beside what others wrote, and attacks on whoever parses them."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.images import jpegs
from tests.tools import run, tool

from xlabel.images import xmp
from xlabel.images.splice import apply

REGIONS = (
    b'<rdf:li><rdf:Description Iptc4xmpExt:rId="xlabel-1"><Iptc4xmpExt:RegionBoundary'
    b' Iptc4xmpExt:rbShape="rectangle" Iptc4xmpExt:rbUnit="relative" Iptc4xmpExt:rbX="0" Iptc4xmpExt:rbY="0"'
    b' Iptc4xmpExt:rbW="1" Iptc4xmpExt:rbH="1"/><Iptc4xmpExt:Name><rdf:Alt><rdf:li xml:lang="x-default">a'
    b"</rdf:li></rdf:Alt></Iptc4xmpExt:Name></rdf:Description></rdf:li>"
)
OURS = xmp.Ours(regions=REGIONS, document=b'{"xlabel":1,"a":"<&>"}')
LIGHTROOM = jpegs.LIGHTROOM.encode()


def put(packet: bytes, ours: xmp.Ours = OURS) -> bytes:
    return b"".join(apply(packet, xmp.edits(packet, ours)))


def removed(packet: bytes) -> bytes | None:
    inner = xmp.removal(packet)
    return None if inner is None else b"".join(apply(packet, inner))


def rdf(*properties: str, about: str = 'rdf:about=""') -> bytes:
    return (
        f'<rdf:RDF xmlns:rdf="{xmp.RDF}"><rdf:Description {about} xmlns:dc="http://purl.org/dc/elements/1.1/"'
        f' xmlns:xl="{xmp.NAMESPACE}" xmlns:i="{xmp.EXT}" xmlns:m="{xmp.MWG}">{"".join(properties)}'
        "</rdf:Description></rdf:RDF>"
    ).encode()


DECLARED = f' xmlns:xl="{xmp.NAMESPACE}"'.encode()
PACKETS = [LIGHTROOM, jpegs.OTHER_PREFIX.encode(), jpegs.XAP.encode(), rdf("<dc:source>b</dc:source>")]


@pytest.mark.parametrize("packet", PACKETS, ids=["lightroom", "prefix", "xap", "small"])
def test_what_others_wrote_stays_and_ours_goes_without_a_trace(packet: bytes) -> None:
    both = put(packet)
    assert xmp.document(both) == OURS.document
    assert removed(both) == removed(packet) == packet.replace(DECLARED, b"")


def test_a_packet_that_held_only_ours_goes() -> None:
    assert xmp.removal(xmp.packet(OURS)) is None


def test_regions_join_the_bag_of_others() -> None:
    assert put(LIGHTROOM).count(b"<Iptc4xmpExt:ImageRegion>") == 1
    assert put(rdf("<dc:source>b</dc:source>")).count(b"ImageRegion>") == 2  # start and end


def test_descriptions_of_one_packet_are_about_the_same() -> None:
    for packet in (LIGHTROOM, rdf(about='about="uuid:&lt;1"'), rdf(about="")):
        abouts = set(re.findall(rb'[ :]about="([^"]*)"', put(packet)))
        assert len(abouts) == 1, abouts


def test_a_namespace_has_one_prefix() -> None:
    for packet in PACKETS:
        bound = dict[bytes, set[bytes]]()
        for prefix, namespace in re.findall(rb'xmlns:([\w-]+)="([^"]*)"', put(packet)):
            bound.setdefault(namespace, set()).add(prefix)
        assert all(len(prefixes) == 1 for name, prefixes in bound.items() if name != xmp.RDF.encode())


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ('<dc:source xl:Version="1">b</dc:source>', "<dc:source>b</dc:source>"),
        ("<xl:Version/><xl:Version>1</xl:Version><dc:source>b</dc:source>", "<dc:source>b</dc:source>"),
        (
            "<i:ImageRegion><rdf:Bag><rdf:li><rdf:Description><i:rId>xlabel-1</i:rId></rdf:Description>"
            "</rdf:li><rdf:li><i:rId>mine</i:rId></rdf:li></rdf:Bag></i:ImageRegion>",
            "<i:ImageRegion><rdf:Bag><rdf:li><i:rId>mine</i:rId></rdf:li></rdf:Bag></i:ImageRegion>",
        ),
        (
            '<m:Regions rdf:parseType="Resource"><m:AppliedToDimensions/><m:RegionList><rdf:Bag><rdf:li>'
            "<i:rId>xlabel-face-1</i:rId></rdf:li></rdf:Bag></m:RegionList></m:Regions>"
            '<dc:source xml:lang="x"/>',
            '<dc:source xml:lang="x"/>',
        ),
    ],
    ids=["attribute", "element", "one of two regions", "faces"],
)
def test_ours_goes_in_whatever_form_a_tool_wrote_it_anew(written: str, left: str) -> None:
    assert removed(rdf(written)) == rdf(left).replace(DECLARED, b"")


def test_attributes_of_others_on_the_description_that_holds_ours_stay() -> None:
    packet = rdf("<xl:Version>1</xl:Version>", about='rdf:about="" dc:source="b" xl:Other="&gt;"')
    left = removed(packet)
    assert left is not None and b'dc:source="b"' in left
    assert b"xl:" not in left and xmp.NAMESPACE.encode() not in left


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"no packet",
        b"<a>",
        b"<a><b></a></b>",
        b"\xff\xfe<\0a\0/\0>\0",
        '<?xml version="1.0"?><a>\ud800</a>'.encode("utf-8", "surrogatepass"),
        b'<!DOCTYPE a [<!ENTITY b "' + b"c" * 1000 + b'">]><a>' + b"&b;" * 1000 + b"</a>",
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b"<a>" * 20_000 + b"</a>" * 20_000,
        rdf("<dc:source>" * 200 + "</dc:source>" * 200),
        f'<rdf:RDF xmlns:rdf="{xmp.RDF}"/>'.encode(),
        b"<a/>",
    ],
    ids=range(12),
)
def test_what_is_no_packet_is_refused(packet: bytes) -> None:
    with pytest.raises(ValueError, match=r"XMP packet"):
        xmp.edits(packet, OURS)


@pytest.mark.parametrize(
    "packet",
    [
        rdf("xmlns:" * 300_000),
        rdf("<dc:source" + " " * 1_000_000 + "/><xl:Version/>"),
        rdf("<dc:source>" + "&lt;" * 500_000 + "</dc:source><xl:Version/>"),
        rdf("<rdf:li>" * 90 + "<dc:a/>" * 20_000 + "</rdf:li>" * 90 + "<xl:Version/>"),
        rdf('<dc:source a="' + "'>" * 500_000 + '"/><xl:Version/>'),
    ],
    ids=range(5),
)
def test_hostile_packets_take_no_longer_than_others(packet: bytes) -> None:
    begun = time.process_time()
    put(packet)
    xmp.document(packet)
    xmp.removal(packet)
    assert time.process_time() - begun < 5


@given(st.binary(max_size=40), st.integers(0, 3000), st.integers(0, 60))
def test_mangled_packets_are_read_or_refused(junk: bytes, at: int, gone: int) -> None:
    both = put(LIGHTROOM)
    mangled = both[:at] + junk + both[at + gone :]
    for what in (xmp.document, xmp.removal, xmp.extension, put):
        try:
            what(mangled)
        except ValueError:
            continue


def test_xmllint_reads_what_was_put_into_packets_of_others() -> None:
    for packet in PACKETS:
        run(tool("xmllint"), "--noout", "-", stdin=put(packet))
