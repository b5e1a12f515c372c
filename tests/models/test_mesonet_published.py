"""The published MesoNet weights, against TensorFlow's numbers."""

import json
from dataclasses import replace
from pathlib import Path

import av
import cv2
import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.explain import cam as explain
from fakelens.models.mesonet import load_mesonet_h5
from fakelens.records.models import Evidence
from support.meso_graphs import WEIGHTS


def golden(shared_data: Path, weights: str, feed: str) -> tuple[dict[str, NDArray], Evidence]:
    """Load TensorFlow's results for the published weights, and examine the same crops."""
    with np.load(shared_data / "golden" / f"golden_{weights}.npz") as arrays:
        names = list(arrays["names"])
        wanted = {key.removesuffix(f"_{feed}"): arrays[key] for key in arrays if key.endswith(feed)}
    pictures = [cv2.imread(str(shared_data / "golden" / "crops" / f"{name}.png")) for name in names]
    crops = np.stack(pictures)  # BGR
    if feed == "rgb":
        crops = np.ascontiguousarray(crops[..., ::-1])
    model = load_mesonet_h5(shared_data / "weights" / f"{weights}.h5", threads=1)
    return wanted | {"names": np.array(names)}, model.examine(crops)


def relative_error(found: NDArray, wanted: NDArray) -> NDArray:
    """Compute the largest difference of each face relative to the face's largest value."""
    axes = tuple(range(1, wanted.ndim))
    scale = np.maximum(np.abs(wanted).max(axes), np.finfo(np.float32).tiny)
    return np.abs(found - wanted).max(axes) / scale


def in_windows(maps: NDArray) -> NDArray:
    """Sum (N, 32, 32, ...) over the windows of the last pooling."""
    return maps.reshape(len(maps), 8, 4, 8, 4, *maps.shape[3:]).sum((2, 4))


@pytest.mark.shared
@pytest.mark.parametrize("feed", ["rgb", "bgr"])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_published_weights_equal_tensorflow(shared_data: Path, weights: str, feed: str) -> None:
    wanted, evidence = golden(shared_data, weights, feed)
    opposite = replace(evidence, gradient=-evidence.gradient)
    # Two cells of one window are so close that TensorFlow itself is not consistent.
    near_tie = np.zeros(10, bool)
    if (weights, feed) == ("MesoInception_DF", "rgb"):
        near_tie = wanted["names"] == "dfdc_widu_low"
        assert near_tie.sum() == 1

    np.testing.assert_allclose(-evidence.logit, wanted["logit"], rtol=0, atol=1e-4)
    assert relative_error(evidence.activation.transpose(0, 2, 3, 1), wanted["A"]).max() < 1e-3
    gradient = -evidence.gradient.transpose(0, 2, 3, 1)
    assert relative_error(gradient, wanted["dlogit_dA"])[~near_tie].max() < 1e-3
    assert relative_error(in_windows(gradient), in_windows(wanted["dlogit_dA"])).max() < 1e-3
    for name in ("gradcam", "gradcampp", "hirescam"):
        method = getattr(explain, name)
        for side, about in (("fake", evidence), ("real", opposite)):
            error = relative_error(np.maximum(method(about), 0), wanted[f"{name}_{side}"])
            if name == "hirescam":
                error = error[~near_tie]
            assert error.max() < 1e-3, (name, side)


@pytest.mark.shared
@pytest.mark.parametrize("feed", ["rgb", "bgr"])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_tf2cam_equals_the_heatmap_of_the_original_script(
    shared_data: Path, weights: str, feed: str
) -> None:
    wanted, evidence = golden(shared_data, weights, feed)
    for cam, heat in zip(explain.tf2cam(evidence), wanted["seed_heat_u8"], strict=True):
        large = cv2.resize(cam, (256, 256))
        scaled = (large - large.min()) / (large.max() - large.min() + 1e-8)
        grey = (scaled * 255).astype(np.uint8)
        assert np.abs(grey.astype(int) - heat).max() <= 1


@pytest.mark.shared
def test_published_models_have_their_cards(shared_data: Path) -> None:
    for weights in WEIGHTS:
        model = load_mesonet_h5(shared_data / "weights" / f"{weights}.h5")
        name = weights.lower().replace("_", "-").replace("inception", "inception4")
        assert model.card.name == name
        assert model.card.licence == "Apache-2.0"
        assert model.sha256 in (shared_data / "weights" / "SHA256SUMS").read_text()


def faces_called_fake(shared_data: Path, clip: str, video: str) -> NDArray[np.uint8]:
    """Return crops (N, 256, 256, 3) RGB of every tenth frame with a negative (fake) Keras logit."""
    scores = json.loads((shared_data / "golden" / "scores_every10.json").read_text())[clip]
    boxes = {
        face["frame"]: face["seed_xywh"]
        for face in scores["faces"]
        if face["logit_rgb"]["MesoInception_DF"] < 0
    }
    crops = []
    with av.open(str(shared_data / "videos" / video)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in boxes:
                x, y, w, h = boxes[index]
                picture = frame.to_ndarray(format="rgb24")[max(y, 0) : y + h, max(x, 0) : x + w]
                crops.append(cv2.resize(picture, (256, 256)))
    return np.stack(crops)


def keras_head(path: Path, activation: NDArray) -> NDArray:
    """Compute logits (N,), positive = fake, of activations (N, 16, 32, 32) from the Keras file."""
    with h5py.File(path) as file:
        layer = {
            name: {key.removesuffix(":0"): np.asarray(value) for key, value in group[name].items()}
            for name, group in file.items()
            if name in ("batch_normalization_4", "dense_1", "dense_2")
        }
    norm, dense1, dense2 = layer["batch_normalization_4"], layer["dense_1"], layer["dense_2"]
    x = activation.transpose(0, 2, 3, 1).astype(np.float64) - norm["moving_mean"]
    x = norm["gamma"] * x / np.sqrt(norm["moving_variance"] + 1e-3) + norm["beta"]
    x = x.reshape(-1, 8, 4, 8, 4, 16).max((2, 4)).reshape(len(x), -1)
    x = x @ dense1["kernel"] + dense1["bias"]
    x = np.where(x > 0, x, 0.1 * x) @ dense2["kernel"] + dense2["bias"]
    return -x[:, 0]


@pytest.mark.shared
def test_removing_the_top_cells_of_a_heatmap_lowers_the_logit(shared_data: Path) -> None:
    path = shared_data / "weights" / "MesoInception_DF.h5"
    crops = faces_called_fake(shared_data, "ff_Deepfakes_519_515", "ffpp_519_fake_0016.mp4")
    assert len(crops) >= 60
    evidence = load_mesonet_h5(path).examine(crops)
    np.testing.assert_allclose(keras_head(path, evidence.activation), evidence.logit, atol=1e-3)
    assert (evidence.logit > 0).mean() > 0.9

    def without_top_fifth(maps: NDArray) -> float:
        """Compute the mean change of the logit with the top 20 % of cells of each map set to 0."""
        bound = np.quantile(maps, 0.8, axis=(1, 2), keepdims=True)
        kept = np.where((maps > bound)[:, None], 0, evidence.activation)
        return float((keras_head(path, kept) - evidence.logit).mean())

    rng = np.random.default_rng(0)
    random = [without_top_fifth(rng.random((len(crops), 32, 32))) for _ in range(5)]
    change = {name: without_top_fifth(m.function(evidence)) for name, m in explain.METHODS.items()}
    print(f"change of the fake logit over {len(crops)} faces:")
    print({name: round(value, 2) for name, value in change.items()}, "random:", np.round(random, 2))
    assert change["hirescam"] < -1
    assert change["hirescam"] < min(random) - 1
    assert change["layercam"] < min(random) - 1
    # The heatmap of the original script explains the other class.
    assert change["tf2cam"] > max(random)
