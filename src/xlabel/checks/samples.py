"""The checks that need no more than one image's labels."""

from xlabel.checks import Finding, finding, geometry, twins
from xlabel.model import Sample


def in_sample(sample: Sample, where: str) -> list[Finding]:
    """What is wrong with the annotations of an image, whose labels are in the file `where`."""
    key = sample.image.key
    found = []
    for code, message, number in (*geometry.faults(sample), *twins.faults(sample)):
        identity = None if number is None else sample.annotations[number - 1].id
        found.append(finding(code, where, message, image=key, annotation=number, id=identity))
    return found
