"""Runs the analysis on clips of actors, with a model and a detector of known output."""

from pathlib import Path

from fakelens.analysis.pipeline import analyze
from fakelens.records.report import Report
from fakelens.records.settings import Settings
from support.toys import Actor, RedModel, ScriptedDetector

FRAMES = 40


def examine(path: Path, *actors: Actor, model: RedModel | None = None, **settings) -> Report:
    """Analyze a clip or picture of some actors; every frame, unless ``settings`` say otherwise."""
    return analyze(
        path,
        model=model or RedModel(),
        detector=ScriptedDetector(*actors),
        settings=Settings(**{"every": 1} | settings),
    )
