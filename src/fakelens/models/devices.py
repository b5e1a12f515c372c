"""Compute devices, and the execution providers of onnxruntime that they stand for."""

from typing import Any

import onnxruntime as ort

from fakelens.errors import UsageError

CPU = "cpu"
DEVICES = {
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    CPU: "CPUExecutionProvider",
}
"""From device names to onnxruntime's execution providers, in the order ``auto`` tries them."""

# By default, tensor cores round to 10 bits (TF32), too coarse for the self-test of a model.
_OPTIONS: dict[str, dict[str, Any]] = {"CUDAExecutionProvider": {"use_tf32": 0}}
_PACKAGES = {"cuda": "onnxruntime-gpu", "directml": "onnxruntime-directml"}


def find_device(name: str) -> str:
    """Return the key of ``DEVICES`` for a name; ``auto`` is the first device available.

    Raises:
        UsageError: no such device, or the installed onnxruntime does not support it.
    """
    installed = ort.get_available_providers()
    available = [device for device, provider in DEVICES.items() if provider in installed]
    if name == "auto":
        return available[0]
    if name not in DEVICES:
        raise UsageError(f"no device {name!r}: choose auto or one of {', '.join(DEVICES)}")
    if name not in available:
        package = _PACKAGES.get(name, f"onnxruntime-{name}")
        raise UsageError(
            f"the installed onnxruntime does not support {name}, only {', '.join(available)}: "
            f"install the package {package} instead of onnxruntime"
        )
    return name


def providers(device: str) -> list[tuple[str, dict[str, Any]]]:
    """Return onnxruntime's providers for a key of ``DEVICES``, with the CPU as fallback."""
    names = dict.fromkeys((DEVICES[device], DEVICES[CPU]))
    return [(name, _OPTIONS.get(name, {})) for name in names]
