"""Loads plain ONNX classifiers as evidence models."""

from dataclasses import replace

from fakelens.models.devices import CPU
from fakelens.models.layers import Layer
from fakelens.models.onnx import OnnxModel
from fakelens.models.plain_onnx.evidence import EvidenceGraph, evidence_graph
from fakelens.models.plain_onnx.layers import all_layers
from fakelens.models.plain_onnx.preparation import draw_pictures, prepare
from fakelens.models.plain_onnx.trial import run_trial
from fakelens.records.conventions import Convention, LayerLayout
from fakelens.records.models import ModelCard


class OnnxClassifier(OnnxModel):
    """A plain ONNX classifier that was turned into an evidence model.

    Args:
        data: content of its file.
        graph: made from the file.
        card: description.
        convention: preprocessing of the classifier, and the meaning of its outputs.
        sha256: of the file, hexadecimal; empty if the classifier came from no file.
        threads: see ``OnnxModel``.
        device: see ``OnnxModel``.

    Attributes:
        convention: as given.
        notes: sentences on what was recognised.
    """

    def __init__(
        self,
        data: bytes,
        graph: EvidenceGraph,
        card: ModelCard,
        convention: Convention,
        sha256: str,
        *,
        threads: int | None,
        device: str,
    ) -> None:
        model = graph.model.SerializeToString()
        super().__init__(model, card, sha256, threads=threads, device=device)
        self.convention, self.notes = convention, graph.notes
        self._data, self._source_layout, self._threads = data, graph.layout, threads

    def with_convention(self, convention: Convention) -> "OnnxClassifier":
        """Return a model with the same weights and layer, and another convention.

        Raises:
            ModelError: the classifier does not fit the convention.
        """
        return load_classifier(
            self._data,
            self.card,
            convention,
            self._source_layout,
            self.sha256,
            threads=self._threads,
            device=self.device,
        )


def load_classifier(
    data: bytes,
    card: ModelCard,
    convention: Convention,
    layout: LayerLayout | None,
    sha256: str,
    *,
    threads: int | None = None,
    device: str = CPU,
) -> OnnxClassifier:
    """Load a plain ONNX classifier as an evidence model.

    Args:
        data: content of its file.
        card: description; for its layer, see ``evidence_graph``. That of the model returned names
            the layer that was chosen.
        convention: preprocessing of the classifier, and the meaning of its outputs.
        layout: of the output of the layer; ``None`` finds out.
        sha256: of the file, hexadecimal; empty if the classifier came from no file.
        threads: see ``OnnxModel``.
        device: see ``OnnxModel``.

    Raises:
        ModelError: see ``evidence_graph``.
        UsageError: see ``evidence_graph``.
    """
    graph = evidence_graph(data, card, convention, layout)
    return OnnxClassifier(
        data,
        graph,
        replace(card, layer=graph.layer.name),
        convention,
        sha256,
        threads=threads,
        device=device,
    )


def list_layers(data: bytes, convention: Convention, input_size: int) -> list[Layer]:
    """List the tensors of a classifier that have 3 or 4 axes, in the order of their computation.

    Args:
        data: content of its file.
        convention: its preprocessing.
        input_size: side of the crops in pixels.

    Raises:
        ModelError: the file is damaged or cannot run with crops of this size.
    """
    prepared = prepare(data, convention, input_size, "the model")
    crops = draw_pictures(input_size)[: prepared.batch]
    return all_layers(prepared.editor, run_trial(prepared.editor, crops, "the model"))
