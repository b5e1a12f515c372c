"""Mistakes planted in the files of MesoInception4 and of the default model's architecture.

What only shows in the answers, such as swapped classes, is planted in
``evaluation/test_model_check_planted.py``.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fakelens.errors import ModelError
from fakelens.models.checks import varied_crops
from fakelens.models.loading import load_model
from support import architectures
from support.model_files import write_model_file
from support.patch_models import random_patchnet

State = dict[str, torch.Tensor]


def mesoinception_state() -> State:
    torch.manual_seed(1)
    return architectures.mesoinception().state_dict()


def patch_state() -> State:
    return architectures.LogitOnly(random_patchnet(0), softmax=False).state_dict()


ARCHITECTURES: dict[str, Callable[[], State]] = {
    "mesoinception": mesoinception_state,
    "patch": patch_state,
}


def save_without_a_layer(state: State, path: Path) -> None:
    layer = [name for name in state if name.endswith(".weight")][1].removesuffix(".weight")
    torch.save({k: v for k, v in state.items() if not k.startswith(f"{layer}.")}, path)


def save_truncated(state: State, path: Path) -> None:
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def save_stuck(state: State, path: Path) -> None:
    torch.save({name: 0 * tensor for name, tensor in state.items()}, path)


def save_with_nan(state: State, path: Path) -> None:
    name = [name for name in state if name.endswith(".weight")][-1]
    state[name] = state[name].clone()
    state[name].view(-1)[0] = np.nan
    torch.save(state, path)


def save_pickled(state: State, path: Path) -> None:
    torch.save({"epoch": Ran(), **state}, path)


class Ran:
    """Writes a file beside the test if it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return print, ("it ran",)


MISTAKES: dict[str, tuple[Callable[[State, Path], None], str]] = {
    "one layer not loaded": (
        save_without_a_layer,
        r"mine\.pth does not fit the architecture: \d+ weights? of the architecture .* missing",
    ),
    "truncated weights": (save_truncated, r"mine\.pth is damaged"),
    "stuck at one value": (
        save_stuck,
        "same score to different pictures|the logit depends on no layer",
    ),
    "NaN in the weights": (save_with_nan, r"the weights are damaged: .* not finite"),
    "a pickle": (save_pickled, r"mine\.pth contains Python objects, which can run any code"),
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_weights_is_refused(
    architecture: str, mistake: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    save, message = MISTAKES[mistake]
    save(ARCHITECTURES[architecture](), tmp_path / "mine.pth")
    with pytest.raises(ModelError, match=message) as caught:
        load_model(describe(tmp_path, architecture))
    assert "\n" not in str(caught.value)
    assert not capfd.readouterr().out


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_softmax_inside_gives_the_same_logits(architecture: str, tmp_path: Path) -> None:
    torch.save(ARCHITECTURES[architecture](), tmp_path / "mine.pth")
    crops = varied_crops(256, 3)
    plain = load_model(describe(tmp_path, architecture)).examine(crops)
    inside = load_model(describe(tmp_path, architecture, softmax=True)).examine(crops)
    assert np.ptp(plain.logit) > 0
    np.testing.assert_allclose(inside.logit, plain.logit, atol=1e-5)
    np.testing.assert_allclose(inside.gradient, plain.gradient, atol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "layer", "layout", "message"),
    [
        ("patch", "network.mix", "channels_last", "128 x 16 cannot be that of a square crop"),
        ("patch", "network.mix", "tokens", "no token grid"),
        ("mesoinception", "network.conv4", "tokens", "no token grid"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(
    architecture: str, layer: str, layout: str, message: str, tmp_path: Path
) -> None:
    torch.save(ARCHITECTURES[architecture](), tmp_path / "mine.pth")
    grid = "\ngrid = [8, 8]" if layout == "tokens" else ""
    file = describe(
        tmp_path, architecture, layout=f"kind = '{layout}'{grid}", card=f"layer = '{layer}'"
    )
    with pytest.raises(ModelError, match=message):
        load_model(file)


def describe(
    folder: Path, architecture: str, *, softmax: bool = False, layout: str = "", card: str = ""
) -> Path:
    return write_model_file(
        folder / "mine.toml",
        f"file = 'mine.pth'\nfactory = 'support.architectures:{architecture}'\n"
        f"arguments = {{ softmax = {str(softmax).lower()} }}",
        side=256,
        outputs=("real", "fake") if softmax else ("fake",),
        layout=layout,
        card=card,
    )
