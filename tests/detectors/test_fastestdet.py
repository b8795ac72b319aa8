"""FastestDet, decoded by its own example."""

from pathlib import Path

import numpy as np
from tests.detectors.agreeing import Thing, agree
from tests.detectors.constant import constant

from xlabel import detectors

CELLS = [(0, 0), (3, 17), (11, 4), (12, 12), (21, 21)]
EXPECTED = [
    Thing("a", 0.855, (-90, -123, 64, 148)),
    Thing("b", 0.855, (195, -48, 612, 175)),
    Thing("c", 0.855, (-35, 182, 173, 223)),
    Thing("b", 0.855, (138, 19, 374, 363)),
    Thing("a", 0.855, (408, 338, 503, 381)),
]
"""What example/onnx-runtime/runtime.py of dog-qiuqiu/FastestDet (599c80f) makes of the numbers below
in a picture of 500 x 375 pixels; it cuts off fractions."""


def test_fastestdet_has_the_boxes_of_its_own_example(tmp_path: Path) -> None:
    random = np.random.RandomState(7)  # whose numbers are the same in every version of NumPy
    output = random.normal(0, 1.5, (1, 8, 22, 22)).astype(np.float32)
    output[:, 0], output[:, 5:] = 0.1, 1 / 3
    for (row, column), thing in zip(CELLS, EXPECTED, strict=True):
        output[0, 0, row, column], output[0, 5:, row, column] = 0.95, 0.05
        output[0, 5 + "abc".index(thing.name), row, column] = 0.9
    model = constant(tmp_path / "fastestdet.onnx", [1, 3, 352, 352], {"map": output})
    detector = detectors.opened(model, categories=["a", "b", "c"])
    (found,) = detector.detect([np.zeros((375, 500, 3), np.uint8)])
    edges = (500, 375, 500, 375)
    agree(found, [thing._replace(box=tuple(np.clip(thing.box, 0, edges))) for thing in EXPECTED], pixels=1)
