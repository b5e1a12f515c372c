"""The published MesoNet weights: Keras ``.h5`` files of Meso4 and MesoInception4.

Keras stores a layer's weights in a group named after the layer: a type and a number
(``conv2d_5``). Within a type, the numbers follow the order in which the layers were created, that
of the authors' ``classifiers.py``. The first number differs from file to file. The file's own list
of layers is in another order, in which several kernels of equal shape are swapped.
"""

import hashlib
import io
import math
import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from fakelens.errors import ModelError
from fakelens.models import store
from fakelens.models.checks import check_plausible
from fakelens.models.devices import CPU
from fakelens.models.mesonet_graph import LAYER, Architecture, MesoWeights, build_graph
from fakelens.models.onnx import OnnxModel
from fakelens.models.registry import KNOWN, KnownModel
from fakelens.records.arrays import FloatArray
from fakelens.records.faces import CropGeometry
from fakelens.records.models import ModelCard, Thresholds

# What h5py raises for damaged files, depending on what is damaged.
_H5PY_ERRORS = (OSError, LookupError, RuntimeError, ValueError, OverflowError, MemoryError)

_KERAS_BN_EPSILON = 1e-3
_LAYER_NAME = re.compile(r"(conv2d|batch_normalization|dense)(?:_(\d+))?")
_NORM_PARTS = {
    "gamma": "gamma",
    "beta": "beta",
    "mean": "moving_mean",
    "variance": "moving_variance",
}
_INCEPTION_BRANCHES = (
    "branch1.conv1",
    *(f"branch{branch}.conv{conv}" for branch in (2, 3, 4) for conv in (1, 2)),
)
# The convolutions of each architecture, in the order of creation, by the number of convolutions.
_CONVS: dict[int, tuple[Architecture, tuple[str, ...]]] = {
    4: ("meso4", ("conv1", "conv2", "conv3", "conv4")),
    16: (
        "mesoinception4",
        (
            *(f"inception1.{conv}" for conv in _INCEPTION_BRANCHES),
            *(f"inception2.{conv}" for conv in _INCEPTION_BRANCHES),
            "conv3",
            "conv4",
        ),
    ),
}
_PUBLISHED_SIZE = 256
_TITLES = {"meso4": "Meso4", "mesoinception4": "MesoInception4"}
_TRAINED_ON = {
    "df": "faces of 175 forged videos (Deepfakes) and of real ones, gathered from the web",
    "f2f": "faces of forged (Face2Face) and real videos of FaceForensics",
}
_LIMITS = (
    "It detects only the kind of forgery that it was trained on.",
    "Its score depends strongly on the margin around the face.",
    "Its score is not calibrated.",
)

_MAX_WEIGHT = 1e4  # the largest value in the published files is 12

_Layers = dict[str, list[dict[str, FloatArray]]]


def load_mesonet_h5(
    path: Path,
    *,
    threads: int | None = None,
    device: str = CPU,
    card: ModelCard | None = None,
    real: bool = True,
) -> OnnxModel:
    """Load Meso4 or MesoInception4 from a Keras ``.h5`` file of weights or of a whole model.

    Inside fakelens, a positive logit means fake, so the sign of the published weights is inverted.
    A file that is not one of the four published ones gets a card that says so, and has to pass a
    check: HDF5 files have no checksums, and damaged weights can give plausible scores.

    Args:
        path: of the file.
        threads: see ``OnnxModel``.
        device: see ``OnnxModel``.
        card: that a model file states; ``None`` for one that names the published file, or says that
            the file is none of them.
        real: whether the file's output is the class real, as in the published weights.

    Raises:
        ModelError: the file is missing, damaged, not an HDF5 file, or contains another model; or
            it has the name of a published file and another content, or the stated card has another
            input size.
    """
    data = store.read(path)
    sha256 = hashlib.sha256(data).hexdigest()
    published = _find_published(path, sha256)
    weights = _read_weights(path, data)
    if not real:
        weights = weights.inverted()
    graph = build_graph(weights).SerializeToString()
    if card is None:
        card = _card(weights, sha256, published)
    elif card.input_size != weights.input_size:
        raise ModelError(
            f"{path}: takes pictures of {weights.input_size} pixels, not {card.input_size} as "
            "stated"
        )
    model = OnnxModel(graph, replace(card, layer=LAYER), sha256, threads=threads, device=device)
    if published is None:
        _check_plausible(path, weights, model)
    return model


def is_mesonet_h5(data: bytes) -> bool:
    """Return whether a file contains weights alone, with the layer names of MesoNet."""
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            return "model_config" not in file.attrs and "conv2d" in " ".join(file.keys())
    except _H5PY_ERRORS:
        return False


def _find_published(path: Path, sha256: str) -> KnownModel | None:
    for known in KNOWN.values():
        if known.download and known.download.sha256 == sha256:
            return known
    for known in KNOWN.values():
        if known.download and known.file.lower() == path.name.lower():
            raise ModelError(
                f"{path}: has the name of published weights, but its SHA-256 differs: it is "
                f"damaged or another file; run 'fakelens models pull {known.name}', or give your "
                "own weights another name"
            )
    return None


def _check_plausible(path: Path, weights: MesoWeights, model: OnnxModel) -> None:
    """Refuse weights that no training produces, and a model that answers all crops alike."""
    for name, tensor in weights.tensors.items():
        if np.abs(tensor).max() > _MAX_WEIGHT:
            raise ModelError(f"{path}: {name} has values that no training produces: it is damaged")
        if name.endswith(".variance") and tensor.min() < 0:
            raise ModelError(f"{path}: {name} is negative: it is damaged")
    check_plausible(model, path)


def _read_weights(path: Path, data: bytes) -> MesoWeights:
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            layers = _read_layers(file.get("model_weights", file))
    except _H5PY_ERRORS as error:
        raise ModelError(f"{path} is damaged or not a Keras .h5 file: {error}") from error
    try:
        return _convert(layers)
    except ModelError as error:
        raise ModelError(
            f"{path} contains neither Meso4 nor MesoInception4 ({error}): for another Keras "
            "model, write a model file (TOML) that states the factory of its architecture"
        ) from error


def _read_layers(root: h5py.Group) -> _Layers:
    """Read the weights of the layers of each type, in the order of creation."""
    numbered: dict[str, list[tuple[int, dict[str, FloatArray]]]] = {}
    for name, group in root.items():
        match = _LAYER_NAME.fullmatch(name)
        if match is None or not isinstance(group, h5py.Group):
            continue
        tensors: dict[str, FloatArray] = {}

        def keep(name: str, item: object, tensors: dict[str, FloatArray] = tensors) -> None:
            if isinstance(item, h5py.Dataset):
                tensors[name.rpartition("/")[2].removesuffix(":0")] = np.asarray(item, np.float32)

        group.visititems(keep)
        numbered.setdefault(match[1], []).append((int(match[2] or 0), tensors))
    return {
        kind: [tensors for _, tensors in sorted(layers, key=lambda layer: layer[0])]
        for kind, layers in numbered.items()
    }


def _convert(layers: _Layers) -> MesoWeights:
    """Convert Keras' layouts (kernels H, W, in, out; dense in, out; flattened H, W, C) to ours."""
    convs, norms, denses = (
        layers.get(kind, []) for kind in ("conv2d", "batch_normalization", "dense")
    )
    if len(convs) not in _CONVS or (len(norms), len(denses)) != (4, 2):
        raise ModelError(
            f"it has {len(convs)} convolutions, {len(norms)} batch normalisations and "
            f"{len(denses)} dense layers"
        )
    architecture, names = _CONVS[len(convs)]
    tensors: dict[str, FloatArray] = {}
    for name, layer in zip(names, convs, strict=True):
        tensors[f"{name}.weight"] = _tensor(layer, "kernel", 4).transpose(3, 2, 0, 1)
        tensors[f"{name}.bias"] = _tensor(layer, "bias", 1)
    for stage, layer in enumerate(norms, 1):
        for ours, theirs in _NORM_PARTS.items():
            tensors[f"bn{stage}.{ours}"] = _tensor(layer, theirs, 1)
    kernel = _tensor(denses[0], "kernel", 2)
    cells = math.isqrt(kernel.shape[0] // 16)
    if kernel.shape != (cells * cells * 16, 16):
        raise ModelError(f"its first dense layer has the shape {kernel.shape}")
    tensors["dense1.weight"] = kernel.reshape(cells, cells, 16, 16).transpose(3, 2, 0, 1)
    tensors["dense1.bias"] = _tensor(denses[0], "bias", 1)
    # The only place where the sign is inverted: Keras' logit is positive for real.
    tensors["dense2.weight"] = -_tensor(denses[1], "kernel", 2).transpose()
    tensors["dense2.bias"] = -_tensor(denses[1], "bias", 1)
    return MesoWeights(architecture, tensors, _KERAS_BN_EPSILON)


def _tensor(layer: dict[str, FloatArray], name: str, rank: int) -> FloatArray:
    tensor = layer.get(name)
    if tensor is None or tensor.ndim != rank:
        raise ModelError(f"a layer has no {name} with {rank} dimensions")
    return tensor


def published_card(model: KnownModel) -> ModelCard:
    """Return the card of a published model; its weights need not have been downloaded."""
    title = _TITLES[model.name.rpartition("-")[0]]
    url = model.download.url if model.download else ""
    return ModelCard(
        name=model.name,
        version="published 2018",
        description=f"{title} with the weights its authors published.",
        licence=model.licence,
        source="Afchar et al., MesoNet: a Compact Facial Video Forgery Detection Network, "
        f"WIFS 2018; {url}",
        input_size=_PUBLISHED_SIZE,
        crop=CropGeometry("dlib", 1.4),
        layer=LAYER,
        cam="hirescam",
        polarity="0 = fake, 1 = real (inverted on load)",
        thresholds=Thresholds(
            fake=0.6, real=0.4, source="not calibrated: a convention around the paper's 0.5"
        ),
        trained_on=_TRAINED_ON[model.name.rpartition("-")[2]],
        limits=_LIMITS,
    )


def _card(weights: MesoWeights, sha256: str, published: KnownModel | None) -> ModelCard:
    if published is not None:
        return replace(published_card(published), input_size=weights.input_size)
    return replace(
        published_card(KNOWN[f"{weights.architecture}-df"]),
        name=weights.architecture,
        version=sha256[:12],
        description=f"{_TITLES[weights.architecture]} with unpublished weights.",
        licence="unknown",
        source="a Keras file whose SHA-256 is not that of any published MesoNet file",
        input_size=weights.input_size,
        trained_on="unknown",
        polarity="assumed: 0 = fake, 1 = real, as in the published weights (inverted on load)",
        limits=(
            "Its polarity was not stated: if it was trained with 1 = fake, all its answers are "
            "wrong. State it in a model file.",
            *_LIMITS[1:],
        ),
    )
