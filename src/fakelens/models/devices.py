"""What onnxruntime can compute on, by its execution providers."""

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
"""From our names to onnxruntime's, in the order in which ``auto`` looks for them."""

# Tensor cores round to 10 bits unless told not to, too coarse for the self-test of a model.
_OPTIONS: dict[str, dict[str, Any]] = {"CUDAExecutionProvider": {"use_tf32": 0}}
_PACKAGES = {"cuda": "onnxruntime-gpu", "directml": "onnxruntime-directml"}


def find_device(name: str) -> str:
    """A key of ``DEVICES`` that is available; for ``auto`` the first one.

    Raises:
        UsageError: there is no such device, or the installed onnxruntime cannot use it.
    """
    installed = ort.get_available_providers()
    available = [device for device, provider in DEVICES.items() if provider in installed]
    if name == "auto":
        return available[0]
    if name not in DEVICES:
        raise UsageError(f"no device is called {name!r}; there are auto, {', '.join(DEVICES)}")
    if name not in available:
        package = _PACKAGES.get(name, f"onnxruntime-{name}")
        raise UsageError(
            f"the installed onnxruntime cannot use {name}, only {', '.join(available)}; "
            f"the package {package} in place of onnxruntime can"
        )
    return name


def providers(device: str) -> list[tuple[str, dict[str, Any]]]:
    """What to hand to onnxruntime for a key of ``DEVICES``; the processor does what is left."""
    names = dict.fromkeys((DEVICES[device], DEVICES[CPU]))
    return [(name, _OPTIONS.get(name, {})) for name in names]
