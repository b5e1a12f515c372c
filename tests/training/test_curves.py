"""Learning curves show the figures in the logs of runs."""

import json
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="curves need the extra [training]")

from training.curves import draw, main


def write_run(folder: Path, aucs: list[float]) -> Path:
    folder.mkdir()
    lines = [
        {"step": 10 * n, "label loss": 0.7, "map loss": 0.4, "ranking loss": 0.5}
        | {"faces blend": auc, "faces real median": -auc}
        for n, auc in enumerate(aucs, 1)
    ]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return folder


def test_every_validation_is_a_point_of_a_curve(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "a", [0.6, 0.7]), write_run(tmp_path / "b", [0.5, 0.8, 0.9])]
    panels = draw(runs).axes
    curves = {
        (panel.get_title(), line.get_label()): line.get_xydata().tolist()
        for panel in panels
        for line in panel.lines
    }
    assert curves["b: validation AUC", "faces blend"] == [[10, 0.5], [20, 0.8], [30, 0.9]]
    assert curves["a: median logit of real faces", "faces real median"] == [[10, -0.6], [20, -0.7]]
    assert ("a: training loss", "map loss") in curves
    main(runs, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000
