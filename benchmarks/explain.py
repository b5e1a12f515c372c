"""Compare heatmap methods on the development data, as ``fakelens benchmark explain`` does.

The datasets are synthetic forgeries of genuine faces that no model was trained on, and the
frame-aligned pairs of FaceForensics++. Needs the extras ``benchmark`` and ``training``.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fakelens.cli.console import progress_bar
from fakelens.evaluation.datasets import SYNTHETIC
from fakelens.evaluation.forgeries import Dataset, Forgery, forge_in_turn
from fakelens.evaluation.frame_pairs import forged_frames
from fakelens.evaluation.measure import BenchmarkSettings, measure, missing_packages
from fakelens.evaluation.methods import choose_methods
from fakelens.evaluation.save import check_free, describe_run, save
from fakelens.evaluation.tables import markdown
from fakelens.faces.yunet import YuNet
from fakelens.models.loading import load_model
from training.clips import Clip, read_manifest
from training.yardstick.sources import validation_faces


def synthetic_forgeries(data: Path, count: int, seed: int) -> list[Forgery]:
    """Forge one part of a random choice of the validation faces, each part in turn."""
    faces = list(validation_faces(data, YuNet()))
    forgeries = []
    for number, row in enumerate(np.random.default_rng(seed).permutation(len(faces))[:count]):
        view = faces[row].views[0]
        forgeries.append(forge_in_turn(view.picture, view.face, number, faces[row].group))
    return forgeries


def aligned_pairs(clips: Sequence[Clip]) -> list[tuple[Clip, Clip]]:
    """Return the real and the fake clip of each FaceForensics++ group; their frames correspond."""
    groups: defaultdict[str, dict[bool, Clip]] = defaultdict(dict)
    for clip in clips:
        # The clips of a c40 group differ in size or length, so their frames are not aligned.
        if clip.dataset.startswith("FF++ c23"):
            groups[clip.group][clip.fake] = clip
    return [(both[False], both[True]) for _, both in sorted(groups.items()) if len(both) == 2]


def gather(data: Path, blends: int, frames: int, seed: int) -> list[Dataset]:
    """Make a dataset of synthetic forgeries, and one of each pair in the manifest."""
    datasets = [Dataset(SYNTHETIC, synthetic_forgeries(data, blends, seed))]
    for use in ("choose", "test"):
        for real, fake in aligned_pairs(read_manifest(data, use)):
            kind = fake.dataset.split()[-1]
            forgeries = forged_frames(real.path, fake.path, YuNet(), frames)[:frames]
            datasets.append(Dataset(f"{fake.group} {kind}", forgeries))
    return datasets


def main() -> None:
    """Measure, save the results and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the development data")
    parser.add_argument("--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("--model", action="append", help="name or file; repeatable")
    parser.add_argument("--blends", type=int, default=40, help="number of synthetic forgeries")
    parser.add_argument("--frames", type=int, default=10, help="frames of each pair")
    parser.add_argument("--few", type=int, default=4, help="faces for the slowest measurements")
    parser.add_argument("--seed", type=int, default=0, help="random seed")
    parser.add_argument("--force", action="store_true", help="overwrite existing results")
    options = parser.parse_args()
    check_free(options.output, force=options.force)
    names = options.model or [
        "fakelens-patch",
        str(options.data / "weights" / "MesoInception_DF.h5"),
    ]
    models = {Path(name).stem: load_model(name) for name in names}
    datasets = gather(options.data, options.blends, options.frames, options.seed)
    methods, notes = choose_methods([])
    settings = BenchmarkSettings(slow_faces=options.few, seed=options.seed)
    began = time.perf_counter()
    with progress_bar("measuring faces", quiet=False) as progress:
        outcomes = measure(models, datasets, methods, settings, progress)
    description = describe_run(models, datasets, methods, settings, notes + missing_packages())
    save(outcomes, description, options.output, force=options.force)
    print(markdown(outcomes))
    print(f"{(time.perf_counter() - began) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
