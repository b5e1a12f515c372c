"""Training of fakelens' own model, described in ``training/README.md``.

This package is not installed with fakelens. It holds what makes the bundled ``.onnx`` file: face
data (``faces``), augmentation (``augment``), recipes, the training loop, export and calibration.
It also holds the measurements on which recipes are compared (``yardstick``, ``videos``,
``sensitivity``). fakelens must never import it.
"""

import fakelens  # noqa: F401 - switches telemetry off before onnxruntime is imported
