"""Measure frames per second and peak memory, in comparison with a bare transcode of the clip."""

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from matplotlib.figure import Figure

import fakelens
from fakelens.evaluation import demo
from fakelens.media.transcode import CRF, PRESET
from fakelens.records.settings import EXAMINE_EVERY


def transcode(clip: Path, folder: Path, _model: str, _every: int) -> None:
    """Only decode and encode, with the same settings: the upper limit on this machine."""
    with av.open(str(clip)) as source, av.open(str(folder / "bare.mp4"), "w") as output:
        decoded = source.streams.video[0]
        decoded.thread_type = "AUTO"
        encoded = output.add_stream(
            "libx264", rate=decoded.average_rate, options={"crf": str(CRF), "preset": PRESET}
        )
        encoded.width, encoded.height = decoded.width, decoded.height
        encoded.pix_fmt, encoded.codec_context.time_base = "yuv420p", decoded.time_base
        for frame in source.decode(decoded):
            converted = frame.reformat(format="yuv420p")
            converted.pict_type = 0
            output.mux(encoded.encode(converted))
        output.mux(encoded.encode())


def annotate(clip: Path, folder: Path, model: str, every: int) -> None:
    """Analyze and save the results, with the annotated video."""
    report = fakelens.analyze(
        clip, model=fakelens.load_model(model), settings=fakelens.Settings(every=every)
    )
    fakelens.save_report(report, folder / "results")


def analyze(clip: Path, _folder: Path, model: str, every: int) -> None:
    """Only analyze."""
    fakelens.analyze(
        clip, model=fakelens.load_model(model), settings=fakelens.Settings(every=every)
    )


def triage(clip: Path, _folder: Path, model: str, _every: int) -> None:
    """Analyze about five frames a second, as with ``--every auto``."""
    settings = fakelens.Settings(per_second=5)
    fakelens.analyze(clip, model=fakelens.load_model(model), settings=settings)


def analyze_only(clip: Path, _folder: Path, model: str, every: int) -> None:
    """Analyze without the trust measures."""
    settings = fakelens.Settings(every=every, trust=False)
    fakelens.analyze(clip, model=fakelens.load_model(model), settings=settings)


def triage_only(clip: Path, _folder: Path, model: str, _every: int) -> None:
    """Analyze about five frames a second without the trust measures."""
    settings = fakelens.Settings(per_second=5, trust=False)
    fakelens.analyze(clip, model=fakelens.load_model(model), settings=settings)


BARE = "bare transcode"
TASKS: dict[str, Callable[[Path, Path, str, int], None]] = {
    BARE: transcode,
    "annotated video": annotate,
    "analysis only": analyze,
    "triage": triage,
    "analysis, no trust": analyze_only,
    "triage, no trust": triage_only,
}
DEFAULT_TASKS = list(TASKS)[:4]


def _run(task: str, clip: Path, model: str, every: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        TASKS[task](clip, Path(folder), model, every)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return seconds, peak


def measure(task: str, clip: Path, model: str, every: int) -> tuple[float, float]:
    """Return seconds and peak megabytes of one run in a new process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_run, task, clip, model, every).result()


def loop(clip: Path, seconds: float, target: Path) -> Path:
    """Repeat the clip's video stream up to a length, without re-encoding it."""
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


def describe(clip: Path) -> tuple[int, float]:
    """Return the number of frames in the file's header, and the frame rate."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        return stream.frames, float(stream.average_rate or 25)


def plot(results: list[dict[str, Any]], output: Path) -> None:
    """Plot frames per second over those of the bare transcode, by clip and task."""
    clips = list(dict.fromkeys(result["clip"] for result in results))
    tasks = list(dict.fromkeys(result["task"] for result in results))
    figure = Figure(figsize=(10, 1 + 0.9 * len(clips)))
    axis = figure.subplots()
    for row, task in enumerate(tasks):
        own = {result["clip"]: result for result in results if result["task"] == task}
        shares = [own[clip]["of_bare"] for clip in clips]
        heights = [index + 0.8 * row / len(tasks) for index in range(len(clips))]
        axis.barh(heights, shares, height=0.75 / len(tasks), label=task)
    axis.set_yticks([index + 0.3 for index in range(len(clips))], clips)
    axis.invert_yaxis()
    axis.axvline(1, color="grey", linestyle=":")
    axis.set_xlabel("frames per second over those of the bare transcode")
    axis.legend()
    figure.tight_layout()
    figure.savefig(output, dpi=100)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path, help="default: the demo clip")
    parser.add_argument("--model", default="fakelens-patch", help="name or file")
    parser.add_argument("--every", type=int, default=EXAMINE_EVERY, help="examine every n-th frame")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each task")
    parser.add_argument("--loop", type=float, help="repeat each clip to this many seconds")
    parser.add_argument(
        "--tasks",
        nargs="+",
        choices=list(TASKS),
        default=DEFAULT_TASKS,
        help=f"in addition to {BARE}",
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--plot", type=Path, help="plot the figures to this file")
    options = parser.parse_args()
    table: list[dict[str, Any]] = []
    print(
        "| clip | frames | task | frames/s (min - max) | x real time | of bare (min - max) | MB |"
    )
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        if not options.clips:
            options.clips = [Path(folder) / "demo.mp4"]
            demo.make_clip(options.clips[0])
        for clip in options.clips:
            path = clip
            if options.loop:
                path = loop(clip, options.loop, Path(folder) / "looped.mp4")
            frames, real_time = describe(path)
            tasks = list(dict.fromkeys((BARE, *options.tasks)))
            runs: dict[str, list[tuple[float, float]]] = {task: [] for task in tasks}
            for _ in range(options.repeat):
                for task in tasks:
                    runs[task].append(measure(task, path, options.model, options.every))
            for task, results in runs.items():
                rates = sorted(frames / seconds for seconds, _ in results)
                shares = sorted(
                    bare[0] / own[0] for bare, own in zip(runs[BARE], results, strict=True)
                )
                rate, share = statistics.median(rates), statistics.median(shares)
                peak = max(peak for _, peak in results)
                print(
                    f"| {clip.name} | {frames} | {task} | {rate:.0f} ({rates[0]:.0f} - "
                    f"{rates[-1]:.0f}) | {rate / real_time:.1f} | {share:.0%} ({shares[0]:.0%} - "
                    f"{shares[-1]:.0%}) | {peak:.0f} |",
                    flush=True,
                )
                table.append(
                    {
                        "clip": clip.name,
                        "frames": frames,
                        "task": task,
                        "rates": rates,
                        "of_bare": share,
                        "shares": shares,
                        "peak_megabytes": peak,
                    }
                )
    if options.json:
        options.json.write_text(json.dumps(table, indent=1))
    if options.plot:
        plot(table, options.plot)


if __name__ == "__main__":
    main()
