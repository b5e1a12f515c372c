"""``fakelens benchmark explain`` on the development data, in one go.

Self-blends of DFDC faces that no network was trained on, cut with mirrored borders as for training,
and the frame-aligned pairs of FaceForensics++. Run from the root of the repository, with the extras
``benchmark`` and ``train``: ``PYTHONPATH=. python benchmarks/explain.py --data DATA --output DIR``.
"""

import argparse
import time
from pathlib import Path

from training.data import load_pairs
from training.localise import aligned_pairs, cut_mirrored, self_blends
from training.videos import read_manifest

from fakelens.benchmark.differences import forged_frames
from fakelens.benchmark.forgeries import Material
from fakelens.benchmark.measure import Settings, left_out, measure
from fakelens.benchmark.methods import choose_methods
from fakelens.benchmark.save import check_free, describe, save
from fakelens.benchmark.tables import markdown
from fakelens.console import progress_bar
from fakelens.faces import YuNet
from fakelens.networks import load_network


def gather(data: Path, blends: int, frames: int, seed: int) -> list[Material]:
    """The self-blends, and one material for each pair of the manifest."""
    faces_file = Path("training") / "runs" / "faces-val.npz"
    pairs = load_pairs(data / "dfdc_crops", "val", faces_file)[:blends]
    materials = [Material("self-blends", self_blends(pairs, seed), cut_mirrored)]
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
    parser.add_argument("--network", action="append")
    parser.add_argument("--blends", type=int, default=40)
    parser.add_argument("--frames", type=int, default=10, help="of each pair")
    parser.add_argument("--few", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--force", action="store_true")
    options = parser.parse_args()
    check_free(options.output, force=options.force)
    names = options.network or [
        "fakelens-patch",
        "fakelens-meso",
        str(options.data / "weights" / "MesoInception_DF.h5"),
    ]
    networks = {Path(name).stem: load_network(name) for name in names}
    materials = gather(options.data, options.blends, options.frames, options.seed)
    methods, notes = choose_methods([])
    settings = Settings(few=options.few, seed=options.seed)
    began = time.perf_counter()
    with progress_bar("measuring faces", quiet=False) as progress:
        outcomes = measure(networks, materials, methods, settings, progress)
    description = describe(networks, materials, methods, settings, notes + left_out())
    save(outcomes, description, options.output, force=options.force)
    print(markdown(outcomes))
    print(f"{(time.perf_counter() - began) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
