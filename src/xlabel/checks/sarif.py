"""Findings as a log for code hosts and editors. SARIF 2.1.0 (OASIS Standard).

Locations are relative to a folder, which the log calls SRCROOT; a line is told where there is one.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote

import msgspec
from xxhash import xxh3_64_hexdigest

from xlabel.checks import Finding
from xlabel.checks.codes import rule

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
ROOT = "SRCROOT"


def log(
    findings: Iterable[Finding],
    codes: Iterable[str],
    *,
    root: str,
    relative: Callable[[str], str],
    version: str,
    exit_code: int,
) -> Iterator[str]:
    """The pieces of a log with one run.

    `codes` are those that `findings` have, `root` is an absolute folder, and `relative` gives the path of a
    finding's file below it.
    """
    rules = sorted(codes)
    places = {code: number for number, code in enumerate(rules)}
    driver = {"name": "xlabel", "version": version, "rules": [_rule(code) for code in rules]}
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "originalUriBaseIds": {ROOT: {"uri": "file://" + _uri(root.rstrip("/") + "/")}},
        "invocations": [{"executionSuccessful": True, "exitCode": exit_code}],
        "columnKind": "unicodeCodePoints",
    }
    yield f'{{"$schema":"{SCHEMA}","version":"2.1.0","runs":[' + _text(run).removesuffix("}")
    yield ',"results":['
    for number, finding in enumerate(findings):
        yield (",\n" if number else "\n") + _text(_result(finding, places, relative(finding.file)))
    yield "\n]}]}\n"


def _rule(code: str) -> dict[str, Any]:
    known = rule(code)
    return {
        "id": code,
        "shortDescription": {"text": known.means},
        "help": {"text": known.advice},
        "defaultConfiguration": {"level": known.severity},
    }


def _result(finding: Finding, places: dict[str, int], path: str) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(path), "uriBaseId": ROOT}}
    if finding.line is not None:
        physical["region"] = {"startLine": finding.line}
    location: dict[str, Any] = {"physicalLocation": physical}
    if finding.image is not None:
        name = finding.image if finding.annotation is None else f"annotation {finding.annotation}"
        whole = finding.image if finding.annotation is None else f"{finding.image}#{finding.annotation}"
        location["logicalLocations"] = [{"name": name, "fullyQualifiedName": whole}]
    what = f"{finding.code}\0{finding.place}\0{finding.message}"
    return {
        "ruleId": finding.code,
        "ruleIndex": places[finding.code],
        "level": finding.severity,
        "message": {"text": f"{finding.place}: {finding.message}. {finding.advice}"},
        "locations": [location],
        "partialFingerprints": {"finding/v1": xxh3_64_hexdigest(what.encode("utf-8", "surrogatepass"))},
    }


def _uri(path: str) -> str:
    return quote(path.encode("utf-8", "backslashreplace"))


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
