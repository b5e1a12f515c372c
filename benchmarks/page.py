"""Measure how fast ``report.html`` opens and scrubs, in a real browser.

Makes a clip of 1920 x 1080 from the demo clip, analyzes it, and drives the page in headless
Chromium. With ``--report`` an existing report is measured.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import av

import fakelens
from fakelens.evaluation import demo
from fakelens.report.page import FILE_NAME

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.browser import running_browser

SIZE = (1920, 1080)
OPENINGS = 5

# Drags the position over the whole video, 60 times a second, and records when frames are shown.
SCRUB = """
async (seconds) => {
  const video = document.querySelector("video"), bar = document.getElementById("seek");
  const shown = [], late = [];
  const note = () => { shown.push(performance.now()); video.requestVideoFrameCallback(note); };
  video.requestVideoFrameCallback(note);
  const observer = new PerformanceObserver((list) =>
    late.push(...list.getEntries().map((entry) => entry.duration)));
  observer.observe({ entryTypes: ["longtask"] });
  const began = performance.now();
  await new Promise((done) => {
    const step = () => {
      const share = (performance.now() - began) / (1000 * seconds);
      if (share >= 1) { done(); return; }
      bar.value = (0.5 - 0.5 * Math.cos(2 * Math.PI * share)) * bar.max;
      bar.dispatchEvent(new Event("input"));
      requestAnimationFrame(step);
    };
    step();
  });
  const gaps = shown.slice(1).map((time, index) => time - shown[index]);
  return { frames: shown.length / seconds, gaps, late };
}
"""
# Clicks on a lane at positions all over the video, and waits until the exact frame is shown.
JUMP = """
async () => {
  const lane = document.querySelector(".lane-plot"), bar = document.getElementById("seek");
  const box = lane.getBoundingClientRect(), times = [];
  for (let turn = 0; turn < 20; turn++) {
    const clientX = box.x + box.width * ((turn * 0.618) % 1);
    const began = performance.now();
    lane.dispatchEvent(new PointerEvent("pointerdown", { clientX, pointerId: 1 }));
    while (bar.getAttribute("aria-busy") === "true")
      await new Promise((later) => setTimeout(later, 5));
    times.push(performance.now() - began);
  }
  return times;
}
"""
# Redraws the heatmap layer.
DRAW = """
async () => {
  const boxes = document.getElementById("boxes"), times = [];
  for (let turn = 0; turn < 60; turn++) {
    const began = performance.now();
    boxes.dispatchEvent(new Event("input", { bubbles: true }));
    times.push(performance.now() - began);
  }
  return times;
}
"""


def main() -> None:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="length of the clip")
    parser.add_argument("--keyframes", type=int, default=250, help="frames between keyframes")
    parser.add_argument("--report", type=Path, help="folder of an existing report")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.report or make_report(Path(temporary), options.seconds, options.keyframes)
        page = folder / FILE_NAME
        print(f"{page.name}: {page.stat().st_size / 1e6:.2f} MB")
        measure(page.resolve().as_uri())


def make_report(folder: Path, seconds: int, keyframes: int) -> Path:
    """Make a clip of that length and return the folder of its report."""
    demo.make_clip(folder / "demo.mp4")
    clip = enlarge(folder / "demo.mp4", folder / "clip.mp4", seconds, keyframes)
    fakelens.save_report(fakelens.analyze(clip), folder / "results", video=False)
    return folder / "results"


def enlarge(source: Path, target: Path, seconds: int, keyframes: int) -> Path:
    """Encode the demo clip repeatedly at 1920 x 1080."""
    with av.open(str(target), "w") as output:
        options = {"preset": "veryfast", "crf": "23", "g": str(keyframes)}
        stream = output.add_stream("libx264", rate=demo.RATE, options=options)
        stream.width, stream.height = SIZE
        for number in range(0, int(seconds * demo.RATE), demo.SECONDS * int(demo.RATE)):
            with av.open(str(source)) as clip:
                for index, frame in enumerate(clip.decode(video=0)):
                    large = frame.reformat(*SIZE)
                    large.pts, large.time_base, large.pict_type = number + index, 1 / demo.RATE, 0
                    output.mux(stream.encode(large))
        output.mux(stream.encode())
    return target


def measure(address: str) -> None:
    """Open and scrub the page at an address."""
    with running_browser() as browser:
        opened = []
        for _ in range(OPENINGS):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(address)
            page.wait_for_selector("html[data-ready=yes]")
            page.wait_for_function("() => document.querySelector('video').readyState >= 2")
            opened.append(page.evaluate("performance.now()"))
            if len(opened) < OPENINGS:
                page.close()
        print(
            "open until heatmap layer and first frame are shown: "
            f"{statistics.median(opened) / 1000:.2f} s "
            f"(of {OPENINGS}: {min(opened) / 1000:.2f} to {max(opened) / 1000:.2f})"
        )
        drawn = page.evaluate(DRAW)
        print(f"redraw the heatmap layer: {statistics.median(drawn):.1f} ms")
        jumps = sorted(page.evaluate(JUMP))
        print(
            f"click on a lane until the exact frame is shown: {statistics.median(jumps):.0f} ms, "
            f"at most {jumps[-1]:.0f} ms"
        )
        scrubbed = page.evaluate(SCRUB, 10)
        gaps = sorted(scrubbed["gaps"])
        print(
            f"scrub: {scrubbed['frames']:.1f} frames a second shown; time between frames "
            f"{statistics.median(gaps):.0f} ms, 95 % under {gaps[int(0.95 * len(gaps))]:.0f} ms, "
            f"at most {gaps[-1]:.0f} ms; page busy for more than 50 ms "
            f"{len(scrubbed['late'])} times"
        )


if __name__ == "__main__":
    main()
