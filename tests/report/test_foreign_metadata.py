"""Inputs whose metadata are not valid UTF-8, as older cameras and editors write them."""

from pathlib import Path

import av
import pytest

from fakelens.report.save import save_report
from support.report_files import FILES, files
from support.toys import FAKE, REAL, analyzed, film


def _with_title(path: Path, clip: Path) -> Path:
    """Remux a clip with a title, one letter of which becomes Latin-1."""
    with av.open(clip) as source, av.open(path, "w") as target:
        target.metadata["title"] = "cafX_title"
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    data = path.read_bytes()
    assert b"cafX_title" in data
    path.write_bytes(data.replace(b"cafX_title", b"caf\xe9_title"))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_results_are_complete(suffix: str, tmp_path: Path) -> None:
    clip = film(tmp_path / "plain.mp4", FAKE, REAL, frames=4)
    path = _with_title(tmp_path / f"title{suffix}", clip)
    report = analyzed(path, FAKE, REAL)
    save_report(report, tmp_path / "out")
    assert files(tmp_path / "out") == FILES
