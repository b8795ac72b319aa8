"""Pictures for training are those that cv2 decodes."""

from typing import Any

import cv2
import numpy as np
import pytest
from tests.awkward import picture

from xlabel.pictures.rgb import rgb

KINDS: dict[str, dict[str, Any]] = {
    "rgb": {},
    "progressive": {"progressive": True},
    "grey": {"mode": "L"},
    "png": {"kind": "PNG"},
    "palette": {"kind": "PNG", "mode": "P"},
    "bmp": {"kind": "BMP"},
    "16 bit png": {"kind": "PNG", "mode": "I;16"},
    "16 bit tiff": {"kind": "TIFF", "mode": "I;16"},
    "jpeg 2000": {"kind": "JPEG2000"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_as_cv2_decodes_it(kind: str) -> None:
    data = picture(**KINDS[kind])
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert expected is not None
    found = rgb(data, 1)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected[:, :, ::-1])


def test_what_is_cut_off_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot be decoded"):
        rgb(picture()[:-40], 1)
