"""The same MesoNet weights through .h5, torch, Keras 3 and ONNX give the same answers and maps."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import h5py
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from fakelens.explain.cam import gradcam, hirescam
from fakelens.models.loading import load_model
from fakelens.models.mesonet import load_mesonet_h5
from fakelens.models.mesonet_graph import Architecture
from fakelens.models.torch import Convention, TorchModel
from fakelens.records.models import Evidence, Model
from support import keras_meso
from support.meso_reference import TorchMeso, make_card, random_crops, write_keras_h5
from support.model_files import write_model_file
from support.onnx_export import export

ARCHITECTURES: tuple[Architecture, ...] = ("meso4", "mesoinception4")
PUBLISHED = ("Meso4_DF", "MesoInception_DF")

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.usefixtures("one_thread"),
]


def routes(folder: Path, h5: Path, port: TorchMeso, side: int) -> Iterator[tuple[str, Model]]:
    """Load weights of a .h5 file, and those of the same network in torch, in all ways."""
    yield "h5", load_mesonet_h5(h5, threads=1)
    stated = {"side": side, "outputs": ("real",)}
    yield (
        "h5 by a model file",
        load_model(write_model_file(folder / "h5.toml", f"file = '{h5}'", **stated)),
    )
    yield "torch", TorchModel(port, make_card(side, "relu4"), Convention(("fake",)))
    last = 3 if port.architecture == "meso4" else 15
    factory = f'factory = "support.keras_meso:{port.architecture}"\narguments = {{ side = {side} }}'
    layer = f"layer = 'conv2d_{last}'"  # its ReLU is part of it
    keras = write_model_file(
        folder / "keras.toml",
        f"file = '{h5}'\n{factory}",
        card=layer,
        channels="last",
        **stated,
    )
    yield "Keras 3", load_model(keras)
    architecture = getattr(keras_meso, port.architecture)(side)
    architecture.load_weights(h5)
    architecture.save_weights(folder / "own.weights.h5")
    text = keras.read_text().replace(str(h5), "own.weights.h5")
    (folder / "again.toml").write_text(text)
    yield "weights that Keras 3 wrote", load_model(folder / "again.toml")
    (folder / "port.onnx").write_bytes(export(port, side))
    stated_onnx = write_model_file(
        folder / "onnx.toml",
        "file = 'port.onnx'",
        side=side,
        card=f"layer = {_last_relu(folder / 'port.onnx')!r}",
        convention="values = 'logits'",
    )
    yield "ONNX", load_model(stated_onnx)


def _last_relu(path: Path) -> str:
    """Return the name of the map before the last normalisation."""
    return [node.output[0] for node in onnx.load(path).graph.node if node.op_type == "Relu"][-1]


def errors(found: NDArray, wanted: NDArray) -> float:
    """Return the largest difference over the largest value of each crop."""
    largest = np.abs(wanted).max(axis=(1, 2), keepdims=True)
    return float((np.abs(found - wanted) / largest).max())


def compare(name: str, found: Evidence, wanted: Evidence, but: NDArray | None = None) -> None:
    """Compare two routes; HiResCAM not on the crops ``but``, where maxima nearly tie."""
    kept = slice(None) if but is None else ~but
    np.testing.assert_allclose(found.logit, wanted.logit, atol=1e-4, rtol=0, err_msg=name)
    assert errors(gradcam(found), gradcam(wanted)) < 1e-3, name
    assert errors(hirescam(found)[kept], hirescam(wanted)[kept]) < 1e-3, name


def write_layer_names(path: Path) -> None:
    """Complete a file as Keras 2 does: Keras 3 reads the layers in this order."""
    with h5py.File(path, "a") as file:
        convs = sorted((n for n in file if n.startswith("conv2d")), key=_number)
        if len(convs) > 4:  # the branches side by side, not in the order of creation
            order = (2, 4, 6, 1, 3, 5, 7, 9, 11, 13, 8, 10, 12, 14, 15, 16)
            convs = [f"conv2d_{number}" for number in order]
        names = [*convs, *sorted(name for name in file if not name.startswith("conv2d"))]
        norms = [name for name in names if name.startswith("batch")]
        ends = 7 if len(convs) > 4 else 1
        stages = [convs[:ends], convs[ends : 2 * ends], *([conv] for conv in convs[2 * ends :])]
        ordered = [n for stage, norm in zip(stages, norms, strict=True) for n in (*stage, norm)]
        ordered += [name for name in names if name.startswith("dense")]
        file.attrs["layer_names"] = [name.encode() for name in ordered]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.1.5"
        parts = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
        for name in ordered:
            found = [part for part in parts if f"{name}/{part}:0" in file[name]]
            file[name].attrs["weight_names"] = [f"{name}/{part}:0".encode() for part in found]


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_random_weights(tmp_path: Path, architecture: Architecture) -> None:
    port = TorchMeso(architecture, 64, seed=4)
    with torch.no_grad():
        port.dense2.weight.mul_(50)  # answers that differ
    path = tmp_path / "own.h5"
    write_keras_h5(port, path)
    write_layer_names(path)
    crops = random_crops(4, 64)
    (_, first), *others = routes(tmp_path, path, port, 64)
    wanted = first.examine(crops)
    assert np.ptp(wanted.logit) > 1e-2
    for name, model in others:
        compare(name, model.examine(crops), wanted)


def port_of(path: Path, architecture: Architecture) -> TorchMeso:
    """Build the torch network with the weights of a Keras 2 file, by the names of its layers."""
    port = TorchMeso(architecture, 256)
    with h5py.File(path) as file:
        kinds = {
            kind: sorted((n for n in file if n.rpartition("_")[0] == kind), key=_number)
            for kind in ("conv2d", "batch_normalization", "dense")
        }

        def read(name: str, part: str) -> torch.Tensor:
            return torch.from_numpy(np.asarray(file[name][name][f"{part}:0"], np.float32))

        with torch.no_grad():
            for name, conv in zip(kinds["conv2d"], port.convs().values(), strict=True):
                conv.weight.copy_(read(name, "kernel").permute(3, 2, 0, 1))
                conv.bias.copy_(read(name, "bias"))
            for name, norm in zip(kinds["batch_normalization"], port.norms, strict=True):
                norm.weight.copy_(read(name, "gamma"))
                norm.bias.copy_(read(name, "beta"))
                norm.running_mean.copy_(read(name, "moving_mean"))
                norm.running_var.copy_(read(name, "moving_variance"))
            first, last = kinds["dense"]
            rows = read(first, "kernel").reshape(8, 8, 16, 16)  # row, column, channel, output
            port.dense1.weight.copy_(rows.permute(3, 2, 0, 1).reshape(16, -1))
            port.dense1.bias.copy_(read(first, "bias"))
            port.dense2.weight.copy_(-read(last, "kernel").T)  # the class of the file is real
            port.dense2.bias.copy_(-read(last, "bias"))
    return port


@pytest.mark.shared
@pytest.mark.parametrize("weights", PUBLISHED)
def test_published_weights_and_tensorflow(shared_data: Path, tmp_path: Path, weights: str) -> None:
    architecture: Architecture = "meso4" if weights.startswith("Meso4") else "mesoinception4"
    with np.load(shared_data / "golden" / f"golden_{weights}.npz") as arrays:
        names, logit = arrays["names"], arrays["logit_rgb"]
        activation, slope = (
            arrays[f"{key}_rgb"].transpose(0, 3, 1, 2) for key in ("A", "dlogit_dA")
        )
    pictures = [cv2.imread(str(shared_data / "golden" / "crops" / f"{n}.png")) for n in names]
    crops = np.ascontiguousarray(np.stack(pictures)[..., ::-1])
    golden = Evidence(-logit, activation, -slope)
    near_tie = names == "dfdc_widu_low" if weights == "MesoInception_DF" else None
    path = shared_data / "weights" / f"{weights}.h5"
    port: nn.Module = port_of(path, architecture)
    for name, model in routes(tmp_path, path, port, 256):
        compare(name, model.examine(crops), golden, near_tie)
