"""The words that name a split, in folders, file names, cells and data.yaml, and the split that they mean."""

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
NAMES = ("train", "val", "test")
"""The splits themselves, in their order."""
