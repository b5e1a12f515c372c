"""Frames per second and peak memory of fakelens beside the bare transcode of the same clip."""

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path

import av

import fakelens
from fakelens.encode import transcribe as transcribe_video


def transcode(clip: Path, folder: Path, _network: str, _every: int) -> None:
    """Decode and encode, nothing else: the limit of this machine."""
    transcribe_video(clip, folder / "bare.mp4", lambda _index, _planes: None)


def annotate(clip: Path, folder: Path, network: str, every: int) -> None:
    """Everything, with the annotated video."""
    report = fakelens.analyze(
        clip, network=fakelens.load_network(network), settings=fakelens.Settings(every=every)
    )
    fakelens.save_report(report, folder / "results")


def analyze(clip: Path, _folder: Path, network: str, every: int) -> None:
    """The analysis alone."""
    fakelens.analyze(
        clip, network=fakelens.load_network(network), settings=fakelens.Settings(every=every)
    )


TASKS: dict[str, Callable[[Path, Path, str, int], None]] = {
    "bare transcode": transcode,
    "annotated video": annotate,
    "analysis only": analyze,
}


def _run(task: str, clip: Path, network: str, every: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        TASKS[task](clip, Path(folder), network, every)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return seconds, peak


def measure(task: str, clip: Path, network: str, every: int) -> tuple[float, float]:
    """Seconds and peak megabytes of one run in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_run, task, clip, network, every).result()


def looped(clip: Path, seconds: float, target: Path) -> Path:
    """The clip's picture over and over, without coding it again."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as output:
        stream = source.streams.video[0]
        copy = output.add_stream_from_template(stream)
        base = stream.time_base or Fraction(1)
        packets = [packet for packet in source.demux(stream) if packet.dts is not None]
        step = packets[1].dts - packets[0].dts
        length = packets[-1].dts - packets[0].dts + step
        for turn in range(max(1, round(seconds / float(length * base)))):
            with av.open(str(clip)) as again:
                for packet in again.demux(again.streams.video[0]):
                    if packet.dts is not None:
                        packet.pts += turn * length
                        packet.dts += turn * length
                        packet.stream = copy
                        output.mux(packet)
    return target


def frame_count(clip: Path) -> int:
    """Number of frames that the header promises."""
    with av.open(str(clip)) as container:
        return container.streams.video[0].frames


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--network", default="fakelens-patch")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--loop", type=float, help="make each clip this many seconds long")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    options = parser.parse_args()
    print("| clip | frames | task | frames/s (min - max) | of bare | peak MB |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for clip in options.clips:
            path = clip
            if options.loop:
                path = looped(clip, options.loop, Path(folder) / "looped.mp4")
            frames = frame_count(path)
            runs: dict[str, list[tuple[float, float]]] = {task: [] for task in options.tasks}
            for _ in range(options.repeat):
                for task in options.tasks:
                    runs[task].append(measure(task, path, options.network, options.every))
            for task, results in runs.items():
                rates = sorted(frames / seconds for seconds, _ in results)
                share = "-"
                if "bare transcode" in runs:
                    pairs = zip(runs["bare transcode"], results, strict=True)
                    share = f"{statistics.median(bare[0] / own[0] for bare, own in pairs):.0%}"
                print(
                    f"| {clip.name} | {frames} | {task} | {statistics.median(rates):.0f} "
                    f"({rates[0]:.0f} - {rates[-1]:.0f}) | {share} "
                    f"| {max(peak for _, peak in results):.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
