"""``fakelens models export``: write a model as an evidence model, which needs no framework."""

from pathlib import Path
from typing import Annotated

import typer

from fakelens.cli.options import Force, one_sentence
from fakelens.cli.printing import say


def export(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Model file (.toml) or module:function."),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE.onnx", help="Write the model to FILE.")
    ],
    integers: Annotated[
        list[Path] | None,
        typer.Option(
            "--int8",
            metavar="FACES",
            help="Compute the convolutions in 8-bit integers, with ranges from these pictures of "
            "faces or folders of them; repeatable.",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Write a torch, Keras or plain ONNX model as one evidence model file (.onnx).

    It contains preprocessing, model and gradient, runs without torch or Keras, and is verified to
    give the same scores and heatmaps.
    """
    with one_sentence():
        from fakelens.evaluation.forgeries import crop_pictures
        from fakelens.faces.detectors import load_detector
        from fakelens.models.export import export_model
        from fakelens.models.loading import load_model

        loaded = load_model(model)
        faces = None
        if integers:
            faces = crop_pictures(integers, load_detector("yunet"), loaded.card)
        done = export_model(loaded, output, faces=faces, force=force)
        before, after = done.milliseconds
        say(
            f"{output}: {done.size / 1000:.0f} kB; {before:.1f} ms for a face before, {after:.1f} "
            f"now; scores differ by at most {done.difference:.2g} logits on {done.crops} crops"
        )
