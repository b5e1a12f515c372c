"""Reads a plain ONNX classifier and runs it on test pictures, see ``onnx_evidence``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from fakelens.errors import ModelError
from fakelens.models.devices import CPU
from fakelens.models.onnx_session import open_session
from fakelens.models.plain_onnx.file import add_preprocessing, batch_size, read_classifier
from fakelens.models.plain_onnx.nodes import GraphEditor
from fakelens.models.plain_onnx.outputs import find_ending, find_output, is_over_classes
from fakelens.models.plain_onnx.trial import UNOPTIMISED, declare_outputs, run
from fakelens.records.arrays import FloatArray
from fakelens.records.conventions import Convention

_AGREEMENT = 1e-3  # of a batch with runs of one crop, relative to the largest value
_SCORES = ("tensor(float)", "tensor(float16)", "tensor(double)")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A classifier that takes crops.

    Attributes:
        editor: of its graph, which has the input ``crops``.
        output: tensor of the scores.
        ending: the sigmoid or softmax that the graph ends in; ``None`` if there is none.
        scores: (P, K) of P of the test pictures.
        batch: number of test pictures that it runs on at once, 2 or 1.
        notes: sentences about its file.
    """

    editor: GraphEditor
    output: str
    ending: onnx.NodeProto | None
    scores: FloatArray
    batch: int
    notes: tuple[str, ...]


def prepare(data: bytes, convention: Convention, side: int, name: str) -> Prepared:
    """Read a classifier, let it take crops, and run it on test pictures.

    Args:
        data: content of its file.
        convention: preprocessing of the classifier, and which output holds the scores.
        side: of the crops in pixels.
        name: of the model, for messages.

    Raises:
        ModelError: the file is damaged, or the classifier does not fit the convention or cannot
            run.
    """
    model, images, notes = read_classifier(data, name)
    editor, crops = GraphEditor(model), draw_pictures(side)
    declared = batch_size(model)
    add_preprocessing(editor, images, convention, side, name)
    output = find_output(editor, convention, name)
    editor.tidy([put.name for put in editor.graph.output])
    ending = find_ending(editor, output)
    fetched = [output] if ending is None else [output, ending.output[0]]
    probe = editor.copy()
    declare_outputs(probe, fetched)
    session = open_session(probe.model.SerializeToString(), name, None, UNOPTIMISED, CPU)
    kind = session.get_outputs()[0].type
    if kind not in _SCORES:
        raise ModelError(
            f"{name}: the output {output} is {kind}, not scores: choose another output, or export "
            "the model without the operators after its scores"
        )
    try:
        runs = [run(session, fetched, crop[None], name) for crop in crops[:2]]
    except ModelError as error:
        if declared in (0, 1):
            raise
        raise ModelError(
            f"{name} runs only on batches of {declared} pictures: export it with a batch size of "
            "1 or one that is not fixed"
        ) from error
    if ending is not None and not is_over_classes(ending, runs[0][1].shape, runs[0][0].size):
        ending = None
    batch = 2 if agree(session, fetched, crops[:2], runs, name) else 1
    if ending is None:  # only the scores can tell whether they are probabilities
        runs += [run(session, fetched, crop[None], name) for crop in crops[2:]]
    scores = np.stack([np.asarray(values[0], np.float32).ravel() for values in runs])
    return Prepared(editor, output, ending, scores, batch, notes)


def draw_pictures(side: int) -> NDArray[np.uint8]:
    """Draw 8 crops (8, side, side, 3): blocks, noise, stripes, gradients and single colours."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    cells = (np.minimum(y * 8 // side, 7), np.minimum(x * 8 // side, 7))
    blocks = rng.integers(0, 256, (2, 8, 8, 3))
    red, blue = np.array([200, 80, 60]), np.array([60, 90, 210])
    pictures = [
        blocks[0][cells],
        rng.integers(0, 256, (side, side, 3)),
        (x * 255 // side)[..., None] * red // 255,
        np.where((y // 4 % 2 == 0)[..., None], red, blue),
        blocks[1][cells] // 4 + 96,
        (y * 255 // side)[..., None] * blue // 255,
        np.full((side, side, 3), 255),
        np.zeros((side, side, 3)),
    ]
    return np.stack(pictures).astype(np.uint8)


def agree(
    session: ort.InferenceSession,
    outputs: list[str],
    crops: NDArray[np.uint8],
    single: Sequence[list[NDArray[Any]]],
    name: str,
) -> bool:
    """Whether crops give the same outputs in one batch as in runs of one crop each."""
    try:
        together = run(session, outputs, crops, name)
    except ModelError:
        return False
    for values, alone in zip(together, zip(*single, strict=True), strict=True):
        expected = np.concatenate([np.atleast_1d(part) for part in alone])
        limit = _AGREEMENT * max(1e-6, float(np.abs(expected).max()))
        if values.shape != expected.shape or not np.abs(values - expected).max() <= limit:
            return False
    return True
