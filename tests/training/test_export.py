"""Export of a state to a calibrated model file, on drawn faces."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [training]")
pytest.importorskip("sklearn", reason="training needs the extra [training]")

from fakelens.models.onnx import load_evidence_model  # noqa: E402
from fakelens.records.arrays import sigmoid  # noqa: E402
from fakelens.records.faces import Box, Face  # noqa: E402
from support.drawn_faces import LANDMARKS, draw_face  # noqa: E402
from support.patch_models import random_patchnet  # noqa: E402
from training import export  # noqa: E402
from training.faces.synthetic import synthetic_bank  # noqa: E402
from training.network import save_state  # noqa: E402
from training.yardstick.items import Item, ItemWriter, View  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread", "small_network")


def person(seed: int) -> Item:
    face = Face(Box(30, 15, 190, 215), LANDMARKS, 1.0)
    fake = seed % 2 == 1
    view = View(draw_face(seed), face, 200.0)
    return Item("stills", fake, "drawn", "drawn" if fake else "genuine", str(seed), (view,))


def test_state_is_exported_to_a_calibrated_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    banks = {"wide": False, "tight": True}
    monkeypatch.setattr(
        export,
        "load_bank",
        lambda _folder, name, *_: synthetic_bank(2, torch.device("cpu"), fakes=banks[name]),
    )
    monkeypatch.setattr(export, "_FACES_PER_BANK", 2)
    monkeypatch.setattr(export, "_BATCH", 2)
    crops = export.quantization_crops(tmp_path, list(banks))
    # Four crops of each of two samples of each bank.
    assert (crops.shape, crops.dtype) == ((16, 256, 256, 3), np.uint8)
    monkeypatch.setattr(export, "quantization_crops", lambda *_: crops[::4])
    save_state(random_patchnet(0), tmp_path / "state.pt")
    people = [person(seed) for seed in range(16)]
    with ItemWriter(tmp_path / "set") as writer:
        for one in people:
            writer.add(one)

    file = tmp_path / "model.onnx"
    export.main(tmp_path / "state.pt", tmp_path, tmp_path / "set", 1.1, "drawn faces", file)

    assert f"{file}: " in capsys.readouterr().out
    model = load_evidence_model(file)
    card = model.card
    assert (card.input_size, card.crop.scale, card.trained_on) == (256, 1.1, "drawn faces")
    assert card.calibration is not None
    assert sum(part.faces for part in card.calibration.bins) == len(people)
    logits = np.array(export.person_logits(model, people))
    fake = np.array([one.fake for one in people])
    # At the optimum of logistic regression, the mean of the residuals is 0, also weighted by logit.
    residuals = sigmoid(logits) - fake
    assert residuals.mean() == pytest.approx(0, abs=0.03)
    assert (residuals * logits).mean() == pytest.approx(0, abs=0.03)
    # None of eight genuine persons may be above the threshold, which is their highest score.
    highest = sigmoid(logits[~fake].max())
    assert card.thresholds.fake == pytest.approx(highest, abs=0.03)
