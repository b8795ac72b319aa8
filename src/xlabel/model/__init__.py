"""What a label is: pure data and functions, no input or output."""

from xlabel.model.annotation import (
    RLE,
    Annotation,
    Category,
    Circle,
    Number,
    OrientedBox,
    Points,
    Polyline,
    Shape,
    Source,
)
from xlabel.model.dataset import Dataset, Image, Sample
from xlabel.model.report import Loss, Problem, Report

__all__ = [
    "RLE",
    "Annotation",
    "Category",
    "Circle",
    "Dataset",
    "Image",
    "Loss",
    "Number",
    "OrientedBox",
    "Points",
    "Polyline",
    "Problem",
    "Report",
    "Sample",
    "Shape",
    "Source",
]
