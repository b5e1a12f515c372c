"""Pictures as bytes: JPEG out, JPEG and PNG in."""

import cv2
import numpy as np

from fakelens.records.arrays import RGBImage


def encode_jpeg(image: RGBImage, quality: int = 90) -> bytes:
    """The picture (H, W, 3) RGB as a JPEG of a quality, 0..100."""
    done, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"a picture {image.shape} cannot be compressed")
    return data.tobytes()


def decode_image(data: bytes) -> RGBImage:
    """What a JPEG of ``to_jpeg``, or a PNG, shows: (H, W, 3) uint8 RGB."""
    decoded = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    return np.ascontiguousarray(decoded[:, :, ::-1]).astype(np.uint8, copy=False)
