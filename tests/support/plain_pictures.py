"""Pictures as inputs, which are examined faster than clips."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def make_picture(path: Path, content: int | NDArray[np.uint8]) -> Path:
    """Write a picture in PNG, whatever the name of the file; make its folder if needed.

    Args:
        path: file to write.
        content: (H, W, 3) RGB, or the value of all pixels of a small picture without a face.
    """
    if isinstance(content, int):
        content = np.full((48, 64, 3), content, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", content[..., ::-1])[1].tobytes())
    return path
