"""Evidence model files, the registry of known models, downloaded weights and devices."""

import hashlib
import http.server
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from fakelens.errors import ModelError, OutputError, UsageError, WeightsMissingError
from fakelens.models import devices
from fakelens.models.loading import load_model, pull
from fakelens.models.mesonet_graph import build_graph
from fakelens.models.onnx import (
    OnnxModel,
    load_evidence_model,
    save_evidence_model,
    self_test_crops,
)
from fakelens.models.registry import DEFAULT, KNOWN, Download
from support.meso_reference import TorchMeso, make_card, random_crops, write_keras_h5

SIDE = 64  # of the crops of meso


def test_a_saved_model_is_loaded_unchanged(evidence_file: Path, meso: TorchMeso) -> None:
    model = load_evidence_model(evidence_file, threads=1)
    assert model.card == make_card(SIDE)
    assert model.sha256 == hashlib.sha256(evidence_file.read_bytes()).hexdigest()
    crops = random_crops(2, SIDE)
    direct = OnnxModel(build_graph(meso.weights()).SerializeToString(), make_card(SIDE), "")
    np.testing.assert_array_equal(model.examine(crops).logit, direct.examine(crops).logit)
    assert list(evidence_file.parent.iterdir()) == [evidence_file]


def test_self_test_crops_follow_the_documented_formula() -> None:
    crops = self_test_crops(256)
    assert crops.shape == (2, 256, 256, 3)
    assert crops.dtype == np.uint8
    for n, y, x, c in ((0, 0, 0, 0), (0, 7, 200, 2), (1, 255, 255, 1), (1, 100, 3, 0)):
        assert crops[n, y, x, c] == ((x * x + (n + 1) * y * y) // 64 + 80 * c) % 256


@pytest.mark.parametrize(
    "crops",
    [
        random_crops(2, SIDE // 2),
        random_crops(2, SIDE).astype(np.float32),
        random_crops(1, SIDE)[0],
        random_crops(1, SIDE)[:0],
        random_crops(1, SIDE).transpose(0, 3, 1, 2),
    ],
    ids=["size", "type", "one crop", "no crop", "planes"],
)
def test_wrong_crops_are_refused(evidence_file: Path, crops: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"crops must be uint8 \(N, 64, 64, 3\)"):
        load_evidence_model(evidence_file).examine(crops)


@pytest.mark.parametrize("content", [b"", b"just some text\n" * 40, None], ids=str)
def test_damaged_onnx_files_are_refused(evidence_file: Path, content: bytes | None) -> None:
    data = evidence_file.read_bytes()
    evidence_file.write_bytes(data[: len(data) // 2] if content is None else content)
    with pytest.raises(ModelError, match=r"model\.onnx is damaged or not an ONNX file"):
        load_evidence_model(evidence_file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx does not exist"):
        load_evidence_model(tmp_path / "none.onnx")


def edit_metadata(path: Path, key: str, value: str | None) -> None:
    model = onnx.load(path)
    kept = [entry for entry in model.metadata_props if entry.key != key]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    if value is not None:
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("fakelens.format", None, "not an evidence model"),
        ("fakelens.format", "2", "format 2, but this fakelens reads 1"),
        ("fakelens.card", None, "model.onnx: the fakelens metadata is damaged"),
        ("fakelens.card", '{"name": "x"}', "model.onnx: the fakelens metadata is damaged"),
        ("fakelens.self_test", "{", "model.onnx: the fakelens metadata is damaged"),
    ],
)
def test_wrong_metadata_is_refused(
    evidence_file: Path, key: str, value: str | None, words: str
) -> None:
    edit_metadata(evidence_file, key, value)
    with pytest.raises(ModelError, match=words):
        load_evidence_model(evidence_file)


@pytest.mark.parametrize("tensor", ["conv4.bias", "dense2.weight", "bn4.factor"])
def test_one_flipped_byte_fails_the_self_test(evidence_file: Path, tensor: str) -> None:
    """The logit does not depend on bn4.factor, only the gradient does."""
    constants = {c.name: c for c in onnx.load(evidence_file).graph.initializer}
    data = evidence_file.read_bytes()
    place = data.index(constants[tensor].raw_data)
    exponent = place + 3  # of the first number, little-endian
    damaged = bytearray(data)
    damaged[exponent] ^= 1
    evidence_file.write_bytes(damaged)
    with pytest.raises(ModelError, match="fails its self-test"):
        load_evidence_model(evidence_file)


def test_a_self_test_of_another_length_fails(evidence_file: Path) -> None:
    expected = {"logit": [], "contribution": [], "tolerance": 1}
    edit_metadata(evidence_file, "fakelens.self_test", json.dumps(expected))
    with pytest.raises(ModelError, match="fails its self-test"):
        load_evidence_model(evidence_file)


def test_damage_anywhere_is_a_model_error_or_harmless(
    evidence_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = evidence_file.read_bytes()
    intact = load_evidence_model(evidence_file).examine(self_test_crops(SIDE))
    rng = np.random.default_rng(0)
    refused = 0
    for position in rng.integers(len(data), size=80):
        damaged = bytearray(data)
        damaged[position] ^= 1 << rng.integers(8)
        evidence_file.write_bytes(damaged)
        try:
            found = load_evidence_model(evidence_file).examine(self_test_crops(SIDE))
        except ModelError:
            refused += 1
        else:
            np.testing.assert_allclose(found.logit, intact.logit, atol=1e-2)
    assert refused > 10
    assert "".join(capfd.readouterr()) == ""


def model_with(meso: TorchMeso, tensor: str, value: float) -> onnx.ModelProto:
    model = build_graph(meso.weights())
    for constant in model.graph.initializer:
        if constant.name == tensor:
            array = np.full_like(numpy_helper.to_array(constant), value)
            constant.CopyFrom(numpy_helper.from_array(array, tensor))
    return model


@pytest.mark.parametrize(
    ("tensor", "output"), [("dense2.bias", "logit"), ("bn4.factor", "gradient")]
)
def test_output_that_is_not_finite_is_an_error(meso: TorchMeso, tensor: str, output: str) -> None:
    model = OnnxModel(model_with(meso, tensor, np.nan).SerializeToString(), make_card(SIDE), "")
    with pytest.raises(ModelError, match=f"the {output} contains values that are not finite"):
        model.examine(random_crops(1, SIDE))


def plain_model(element: int, outputs: tuple[str, ...]) -> onnx.ModelProto:
    """Build a model that returns the sum of its input under several names."""
    crops = helper.make_tensor_value_info("crops", element, ["N", SIDE, SIDE, 3])
    nodes = [helper.make_node("Cast", ["crops"], ["x"], to=TensorProto.FLOAT)]
    infos = []
    for name in outputs:
        nodes.append(helper.make_node("ReduceSum", ["x"], [name]))
        infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    graph = helper.make_graph(nodes, "plain", [crops], infos)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, ir_version=8, opset_imports=opset)


def test_a_model_of_another_shape_is_not_saved(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    names = ("logit", "activation", "gradient")
    for model, words in (
        (plain_model(TensorProto.FLOAT, names), "one input, crops"),
        (plain_model(TensorProto.UINT8, names[:2]), "no float32 output gradient"),
        (plain_model(TensorProto.UINT8, names), "logits must have the shape"),
    ):
        with pytest.raises(ModelError, match=words):
            save_evidence_model(model, make_card(SIDE), path)
    assert not path.exists()


@pytest.mark.parametrize("place", ["file/x.onnx", "folder"])
def test_saving_to_an_unwritable_path_is_an_output_error(
    tmp_path: Path, meso: TorchMeso, place: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        save_evidence_model(build_graph(meso.weights()), make_card(SIDE), tmp_path / place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meso: TorchMeso) -> Iterator[Path]:
    """A file that replaces the published meso4-df, served by a local HTTP server."""
    folder = tmp_path / "published"
    folder.mkdir()
    path = folder / "file.h5"
    write_keras_h5(meso, path)
    data = path.read_bytes()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    download = Download(
        f"http://127.0.0.1:{server.server_port}/file.h5",
        hashlib.sha256(data).hexdigest(),
        len(data),
    )
    monkeypatch.setitem(KNOWN, "meso4-df", replace(KNOWN["meso4-df"], download=download))
    monkeypatch.setenv("FAKELENS_CACHE", str(tmp_path / "cache"))
    yield path
    server.shutdown()
    thread.join()
    server.server_close()


def cached(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


@pytest.mark.parametrize("by_file", [False, True], ids=["download", "file"])
def test_pulled_weights_are_loaded_by_name(tmp_path: Path, published: Path, by_file: bool) -> None:
    with pytest.raises(WeightsMissingError, match="fakelens models pull meso4-df"):
        load_model("meso4-df")
    path = pull("meso4-df", source=published if by_file else None)
    assert path.read_bytes() == published.read_bytes()
    assert cached(tmp_path) == ["Meso4_DF.h5"]
    model = load_model("meso4-df", threads=1)
    assert model.card.name == "meso4-df"
    assert model.examine(random_crops(1, SIDE)).logit.shape == (1,)


@pytest.mark.parametrize("by_file", [False, True], ids=["download", "file"])
def test_a_file_with_another_hash_is_not_stored(
    tmp_path: Path, published: Path, by_file: bool
) -> None:
    intact = published.read_bytes()
    published.write_bytes(intact[:-1] + b"?")
    source = published if by_file else None
    with pytest.raises(ModelError, match="is not the published file of meso4-df"):
        pull("meso4-df", source=source)
    assert cached(tmp_path) == []
    published.write_bytes(intact)
    stored = pull("meso4-df", source=source)
    published.write_bytes(intact[:-1] + b"?")
    if by_file:
        with pytest.raises(ModelError):
            pull("meso4-df", source=source)
    assert stored.read_bytes() == intact


def test_a_damaged_cache_is_detected_and_can_be_repaired(published: Path) -> None:
    path = pull("meso4-df")
    intact = path.read_bytes()
    path.write_bytes(intact[:1000])
    with pytest.raises(ModelError, match=r"damaged.*run 'fakelens models pull meso4-df' again"):
        load_model("meso4-df")
    assert pull("meso4-df").read_bytes() == intact


def test_download_errors_are_one_sentence(tmp_path: Path, published: Path) -> None:
    published.unlink()
    with pytest.raises(ModelError, match=r"cannot be downloaded \(HTTPError\).*--from FILE"):
        pull("meso4-df")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but nobody listens
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file.h5"
        entry = KNOWN["meso4-df"]
        assert entry.download is not None
        KNOWN["meso4-df"] = replace(entry, download=replace(entry.download, url=url))
        with pytest.raises(ModelError, match=r"cannot be downloaded \(ConnectionError\)"):
            pull("meso4-df")
    assert cached(tmp_path) == []


def test_an_unknown_name_lists_the_known_names() -> None:
    for call in (lambda: load_model("xception"), lambda: pull("xception")):
        with pytest.raises(UsageError, match=r"'xception'.*fakelens-patch, meso4-df, meso4-f2f"):
            call()
    with pytest.raises(UsageError, match="bundled with fakelens"):
        pull(DEFAULT)


def test_models_are_loaded_by_path(tmp_path: Path, evidence_file: Path, meso: TorchMeso) -> None:
    assert load_model(evidence_file).card == make_card(SIDE)
    write_keras_h5(meso, tmp_path / "own.H5")
    assert load_model(str(tmp_path / "own.H5")).card.name == "mesoinception4"
    with pytest.raises(ModelError, match="does not exist"):
        load_model("nowhere/meso.onnx")
    with pytest.raises(UsageError, match="path of a model file"):
        load_model(tmp_path / "weights.unknown")


def test_a_missing_bundled_model_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KNOWN, DEFAULT, replace(KNOWN[DEFAULT], file="nothing.onnx"))
    with pytest.raises(ModelError, match=r"nothing\.onnx: the file of .* is missing: reinstall"):
        load_model(DEFAULT)


@pytest.mark.parametrize("name", [name for name in KNOWN if KNOWN[name].download is None])
def test_bundled_models_are_intact(name: str) -> None:
    model = load_model(name)
    assert model.card.name == name
    side = model.card.input_size
    assert model.examine(random_crops(2, side)).logit.shape == (2,)


@pytest.mark.shared
def test_the_registry_describes_the_published_files(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKELENS_CACHE", str(tmp_path))
    for name, model in KNOWN.items():
        if model.download is None:
            continue
        source = shared_data / "weights" / model.file
        assert source.stat().st_size == model.download.size
        pull(name, source=source)
        assert load_model(name).card.name == name


def test_importing_the_registry_loads_no_heavy_packages() -> None:
    code = "import sys, fakelens.models.loading; print([m for m in sys.modules if m in sys.argv])"
    heavy = ["torch", "onnx", "onnxruntime", "h5py", "cv2"]
    run = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_an_unavailable_device_names_the_package_to_install() -> None:
    with pytest.raises(
        UsageError, match=r"not support cuda, only cpu: install the package onnxruntime-gpu"
    ):
        load_model(DEFAULT, device="cuda")
    with pytest.raises(UsageError, match="no device 'quantum': choose auto or one of cuda"):
        load_model(DEFAULT, device="quantum")


def test_auto_selects_the_first_available_device(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(DEFAULT, device="auto")
    assert isinstance(model, OnnxModel)
    assert model.device == "cpu"
    several = ["OpenVINOExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: several)
    assert devices.find_device("auto") == "cuda"
    assert devices.find_device("openvino") == "openvino"
    # The CPU is the fallback for unsupported operators, and TF32 rounding is off.
    assert devices.providers("cuda") == [
        ("CUDAExecutionProvider", {"use_tf32": 0}),
        ("CPUExecutionProvider", {}),
    ]
    assert devices.providers("cpu") == [("CPUExecutionProvider", {})]
