"""Encodes pictures as JPEG, and decodes JPEG and PNG data."""

import cv2
import numpy as np

from fakelens.records.arrays import RGBImage


def encode_jpeg(image: RGBImage, quality: int = 90) -> bytes:
    """Encode a picture (H, W, 3) uint8 RGB as JPEG; ``quality`` is 0..100."""
    done, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"a picture of shape {image.shape} cannot be encoded as JPEG")
    return data.tobytes()


def decode_image(data: bytes) -> RGBImage:
    """Decode a JPEG or PNG to (H, W, 3) uint8 RGB."""
    decoded = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    return np.ascontiguousarray(decoded[:, :, ::-1]).astype(np.uint8, copy=False)
