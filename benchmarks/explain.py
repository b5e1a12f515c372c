"""``fakelens benchmark explain`` on the development data, in one go.

Forgeries planted in genuine faces that no model was trained on, and the frame-aligned pairs of
FaceForensics++. Run it with the extras ``benchmark`` and ``train`` as
``python -m benchmarks.explain --data DATA --output DIR``.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fakelens.cli.console import progress_bar
from fakelens.evaluation.forgeries import Forgery, Material
from fakelens.evaluation.frame_pairs import forged_frames
from fakelens.evaluation.measure import BenchmarkSettings, left_out, measure
from fakelens.evaluation.methods import choose_methods
from fakelens.evaluation.save import check_free, describe, save
from fakelens.evaluation.tables import markdown
from fakelens.faces.yunet import YuNet
from fakelens.models.loading import load_model
from fakelens.trust.synthetic_forgery import FORGERY_RECIPES, forge
from training.videos import Clip, read_manifest
from training.yardstick.sources import validation_faces


def planted_blends(data: Path, count: int, seed: int) -> list[Forgery]:
    """A forgery in each of some faces of ``real_faces``, split val, by each recipe in turn."""
    faces = list(validation_faces(data, YuNet()))
    forgeries = []
    for number, row in enumerate(np.random.default_rng(seed).permutation(len(faces))[:count]):
        view = faces[row].views[0]
        recipe = FORGERY_RECIPES[number % len(FORGERY_RECIPES)]
        image, mask = forge(view.picture, np.asarray(view.face.landmarks), recipe)
        mask = np.rint(255 * mask).astype(np.uint8)
        forgeries.append(Forgery(image, mask, view.face, faces[row].group))
    return forgeries


def aligned_pairs(clips: Sequence[Clip]) -> list[tuple[Clip, Clip]]:
    """The real and the fake clip of each FaceForensics++ group: the same frames, one forged."""
    groups: defaultdict[str, dict[bool, Clip]] = defaultdict(dict)
    for clip in clips:
        # Clips of a c40 group differ in size or length, so their frames are not aligned.
        if clip.dataset.startswith("FF++ c23"):
            groups[clip.group][clip.fake] = clip
    return [(both[False], both[True]) for _, both in sorted(groups.items()) if len(both) == 2]


def gather(data: Path, blends: int, frames: int, seed: int) -> list[Material]:
    """The planted blends, and one material for each pair of the manifest."""
    materials = [Material("planted blends", planted_blends(data, blends, seed))]
    for use in ("choose", "test"):
        for real, fake in aligned_pairs(read_manifest(data, use)):
            kind = fake.dataset.split()[-1]
            forgeries = forged_frames(real.path, fake.path, YuNet(), frames)[:frames]
            materials.append(Material(f"{fake.group} {kind}", forgeries))
    return materials


def main() -> None:
    """Measure, save and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model", action="append")
    parser.add_argument("--blends", type=int, default=40)
    parser.add_argument("--frames", type=int, default=10, help="of each pair")
    parser.add_argument("--few", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--force", action="store_true")
    options = parser.parse_args()
    check_free(options.output, force=options.force)
    names = options.model or [
        "fakelens-patch",
        str(options.data / "weights" / "MesoInception_DF.h5"),
    ]
    models = {Path(name).stem: load_model(name) for name in names}
    materials = gather(options.data, options.blends, options.frames, options.seed)
    methods, notes = choose_methods([])
    settings = BenchmarkSettings(few=options.few, seed=options.seed)
    began = time.perf_counter()
    with progress_bar("measuring faces", quiet=False) as progress:
        outcomes = measure(models, materials, methods, settings, progress)
    description = describe(models, materials, methods, settings, notes + left_out())
    save(outcomes, description, options.output, force=options.force)
    print(markdown(outcomes))
    print(f"{(time.perf_counter() - began) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
