"""Opens and runs sessions of onnxruntime."""

from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from fakelens.errors import ModelError
from fakelens.models.devices import providers

ORT_ERRORS = (  # they have no common base class but Exception
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
"""What onnxruntime raises."""


def open_session(
    model: bytes,
    name: str,
    threads: int | None,
    level: ort.GraphOptimizationLevel,
    device: str,
) -> ort.InferenceSession:
    """Open a session of onnxruntime.

    Args:
        model: serialised.
        name: of the model, for messages.
        threads: for one run; ``None`` or 0 uses onnxruntime's default, one per core.
        level: of the optimisation of the graph.
        device: a key of ``devices.DEVICES``.

    Raises:
        ModelError: onnxruntime cannot load the model.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # Spinning threads take processor time from the decoder that runs in parallel.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # errors are raised; the log would repeat them
    options.graph_optimization_level = level
    try:
        return ort.InferenceSession(
            model, options, providers=providers(device), enable_fallback=False
        )
    except (*ORT_ERRORS, ValueError) as error:  # ValueError: damaged names are not UTF-8
        raise ModelError(
            f"{name} is damaged or not an ONNX file that onnxruntime can run: {one_line(error)}"
        ) from error


def one_line(error: Any) -> str:
    """Return the message of an error without line breaks."""
    return " ".join(str(error).split())


def run_session(
    session: ort.InferenceSession, outputs: list[str], name: str, batch: NDArray[Any]
) -> list[NDArray[Any]]:
    """Run a session on a batch, one by one if the input has a fixed batch size of 1."""
    parts = np.split(batch, len(batch)) if session.get_inputs()[0].shape[0] == 1 else [batch]
    runs = [session.run(outputs, {name: part}) for part in parts]
    return (
        runs[0]
        if len(runs) == 1
        else [np.concatenate(values) for values in zip(*runs, strict=True)]
    )
