"""What transformers writes beside a model's file: config.json and preprocessor_config.json.

Repositories of models have them in the folder above, since theirs is named `onnx`.
"""

import json
from pathlib import Path
from typing import Any

MOST = 1 << 20
"""Bytes of such a file."""


def stated(model: Path) -> dict[str, str]:
    """Fields of metadata: the `names` of categories, `model_type`, and `preprocessor`, a text of JSON."""
    for folder in (model.parent, model.parent.parent):
        config = _document(folder / "config.json")
        if not isinstance(config.get("id2label"), dict) or not isinstance(config.get("model_type"), str):
            continue
        names = {int(number): str(name) for number, name in config["id2label"].items() if number.isdecimal()}
        preprocessor = _document(folder / "preprocessor_config.json")
        found = {"names": repr(names), "model_type": config["model_type"]}
        return found | ({"preprocessor": json.dumps(preprocessor)} if preprocessor else {})
    return {}


def _document(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(MOST))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
