"""What can be given as a model besides names and evidence models."""

import subprocess
import sys
from pathlib import Path

import pytest

from fakelens.errors import ModelError, UsageError
from fakelens.models import devices
from fakelens.models.loading import load_model
from fakelens.models.registry import DEFAULT
from support.meso_reference import TorchMeso, write_keras_h5
from support.model_files import write_model_file
from support.onnx_export import export

SIDE = 64  # of the crops of meso


@pytest.mark.parametrize(
    "name", ["m.pth", "m.KERAS", "m.weights.h5", "m.safetensors", "m.pt2", "m.ts", "m.ckpt"]
)
def test_weights_alone_ask_for_a_model_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(UsageError, match=r"not how to use them: write a model file \(TOML\)"):
        load_model(tmp_path / name)


OWN_CODE = """
from fakelens.models.loading import load_model

def build():
    return load_model("fakelens-patch")

def nothing():
    return {}
"""


def test_a_function_in_the_current_folder_can_return_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_models.py").write_text(OWN_CODE)
    (tmp_path / "own_broken.py").write_text("import no_such_module_x")
    assert load_model("own_models:build").card.name == DEFAULT
    for name, error, words in (
        ("own_models:nothing", UsageError, "object of the type dict, which is no fakelens.Model"),
        ("own_models:missing", ModelError, "does not exist: own_models has no missing"),
        ("own_broken:build", ModelError, "cannot be imported: No module named 'no_such_module_x'"),
        ("nowhere_x:build", ModelError, "cannot be imported: No module named 'nowhere_x'"),
    ):
        with pytest.raises(error, match=words) as caught:
            load_model(name)
        assert "\n" not in str(caught.value)


def test_a_function_cannot_ignore_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_models.py").write_text(OWN_CODE)
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(devices.ort, "get_available_providers", lambda: providers)
    with pytest.raises(UsageError, match="own_models:build returns a model on cpu, not on cuda"):
        load_model("own_models:build", device="cuda")
    assert load_model("own_models:build", device="auto").card.name == DEFAULT


@pytest.mark.parametrize("name", ["C:\\models\\x.onnx", "C:/models/x.h5", "C:x.toml"])
def test_a_path_of_windows_is_no_function(name: str) -> None:
    with pytest.raises(ModelError, match=r"x\.\w+ does not exist"):
        load_model(name)


def test_the_core_needs_no_torch_and_no_keras(
    tmp_path: Path, evidence_file: Path, meso: TorchMeso
) -> None:
    h5 = tmp_path / "own.h5"
    write_keras_h5(meso, h5)
    stated = write_model_file(tmp_path / "h5.toml", f"file = '{h5}'", outputs=("fake",))
    (tmp_path / "plain.onnx").write_bytes(export(meso, SIDE))
    plain = write_model_file(
        tmp_path / "plain.toml", "file = 'plain.onnx'", convention="values = 'logits'"
    )
    program = (
        "import sys; sys.modules.update(torch=None, keras=None)\n"
        "from fakelens.models.loading import load_model\n"
        "for path in sys.argv[1:]: load_model(path)\n"
    )
    paths = [str(path) for path in (evidence_file, h5, stated, plain)]
    done = subprocess.run(
        [sys.executable, "-c", program, *paths], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
