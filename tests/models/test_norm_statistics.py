"""What enters the batch normalisations of a model, in torch, ONNX and Keras alike."""

import numpy as np
import torch

from fakelens.models.loading import load_model
from fakelens.models.mesonet_graph import build_graph
from fakelens.models.onnx import OnnxModel
from fakelens.models.registry import DEFAULT
from fakelens.models.torch import Convention, TorchModel
from fakelens.records.models import HasNormStatistics
from support.meso_reference import TorchMeso, make_card, random_crops

SIDE = 64


def test_the_input_of_each_normalisation_is_the_same_in_torch_and_onnx() -> None:
    meso = TorchMeso("meso4", SIDE, seed=4)
    crops = random_crops(3, SIDE)
    adapted = TorchModel(meso, make_card(SIDE, "relu4"), Convention(("fake",)))
    graph = OnnxModel(build_graph(meso.weights()).SerializeToString(), make_card(SIDE), "")
    assert isinstance(adapted, HasNormStatistics)
    assert isinstance(graph, HasNormStatistics)
    found, others = adapted.norm_statistics(crops), graph.norm_statistics(crops)
    assert [one.layer for one in found] == [f"norms.{number}" for number in range(4)]
    assert [one.layer for one in others] == [f"bn{number}" for number in range(1, 5)]
    # The first one, computed by hand.
    planes = torch.from_numpy(crops).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        entering = meso.stage1(planes)
    norm = meso.norms[0]
    by_hand = {
        "mean": entering.mean((2, 3)),
        "square": (entering**2).mean((2, 3)),
        "trained_mean": norm.running_mean,
        "trained_variance": norm.running_var + norm.eps,
    }
    for name, expected in by_hand.items():
        np.testing.assert_allclose(getattr(found[0], name), expected.numpy(), rtol=1e-4, atol=1e-6)
        for one, other in zip(found, others, strict=True):
            array = getattr(other, name)
            assert array.dtype == np.float32
            np.testing.assert_allclose(getattr(one, name), array, rtol=1e-3, atol=1e-4)
    assert not any(layer._forward_pre_hooks for layer in meso.modules())


def test_a_model_without_normalisations_has_no_statistics() -> None:
    model = load_model(DEFAULT)  # its normalisations are folded into the convolutions
    assert isinstance(model, HasNormStatistics)
    assert model.norm_statistics(random_crops(1, model.card.input_size)) == []
