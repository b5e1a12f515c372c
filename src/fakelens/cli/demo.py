"""``fakelens demo``: an analysis with a known answer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fakelens.cli.options import DEFAULT, Force, ModelName, Quiet, one_sentence

if TYPE_CHECKING:
    from fakelens.evaluation.demo import Pointing


def demo(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Write the results to DIR.")
    ] = Path("fakelens-demo"),
    model: ModelName = DEFAULT,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Make a clip with one forged face, examine it, and check where the heatmap points."""
    with one_sentence():
        from fakelens.analysis.pipeline import analyze
        from fakelens.cli.analyze import print_results, save
        from fakelens.cli.console import print_sentences, progress_bar
        from fakelens.evaluation.demo import make_clip, pointing
        from fakelens.models.loading import load_model
        from fakelens.render.style import Style
        from fakelens.report.save import check_free

        clip = output / "demo.mp4"
        check_free(output, clip, force=force)
        loaded = load_model(model)
        make_clip(clip, force=force)
        with progress_bar("examining the demo clip", quiet=quiet) as progress:
            report = analyze(clip, model=loaded, progress=progress)
        save(report, output, Style(), video=True, force=force, quiet=quiet)
        if not quiet:
            print_results(report, output)
            print_sentences([_pointing_sentence(pointing(report))])


def _pointing_sentence(found: "Pointing | None") -> str:
    if found is None:
        return "The person with the forged face was not found."
    verb = "points" if found.pointed else "does not point"
    return (
        f"The face of person {found.person} is forged. The heatmap {verb} at the forged area: "
        f"{found.evidence_inside:.0%} of the evidence for fake lies inside it (chance: "
        f"{found.area_inside:.0%}), and the strongest cell lies inside in {found.hits:.0%} of the "
        "frames."
    )
