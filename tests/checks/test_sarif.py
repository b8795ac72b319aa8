"""The log is one that other tools take: the schema of SARIF says so."""

import json
from pathlib import Path
from typing import Any

import jsonschema

from xlabel.checks import Finding, finding, sarif
from xlabel.checks.codes import RULES

SCHEMA = json.loads((Path(__file__).parent / "data" / "sarif-2.1.0-rtm.5.json").read_text("utf-8"))


def log(*findings: Finding) -> Any:
    codes = {finding.code for finding in findings}
    pieces = sarif.log(
        findings, codes, root="/data set", relative=lambda file: file, version="1.2.3", exit_code=1
    )
    made = json.loads("".join(pieces))
    jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(made)
    return made["runs"][0]


def test_a_log_with_every_code_fits_the_schema_and_names_its_rules() -> None:
    run = log(*(finding(code, "a.jpg", "what is wrong") for code in RULES))
    rules = run["tool"]["driver"]["rules"]
    assert {rule["id"] for rule in rules} == RULES.keys()
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] == RULES[result["ruleId"]].severity


def test_a_log_without_findings_fits_too() -> None:
    assert log()["results"] == []


def test_a_place_is_a_relative_uri_with_its_line_and_its_annotation() -> None:
    found = finding("box-outside", "la bels/ä#1.txt", "x", line=3, image="a/ä.jpg", annotation=2, id="k")
    run = log(found)
    assert run["originalUriBaseIds"] == {"SRCROOT": {"uri": "file:///data%20set/"}}
    (place,) = run["results"][0]["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "la%20bels/%C3%A4%231.txt", "uriBaseId": "SRCROOT"},
        "region": {"startLine": 3},
    }
    assert place["logicalLocations"] == [{"name": "annotation 2", "fullyQualifiedName": "a/ä.jpg#2"}]


def test_the_same_finding_has_the_same_fingerprint_and_another_one_another() -> None:
    one, same, other = (finding("box-empty", "a.txt", text, annotation=1) for text in ("x", "x", "y"))
    prints = [result["partialFingerprints"]["finding/v1"] for result in log(one, same, other)["results"]]
    assert prints[0] == prints[1] != prints[2]
