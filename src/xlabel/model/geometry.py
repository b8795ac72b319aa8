"""Geometry of annotations: bounds, areas, masks, and the turn from a stored matrix to what is displayed."""

from xlabel.model.annotation import Annotation


def turn(annotation: Annotation, orientation: int, width: int, height: int) -> Annotation:
    """An annotation drawn on a stored matrix of width x height, as it lies in the displayed image."""
    raise NotImplementedError
