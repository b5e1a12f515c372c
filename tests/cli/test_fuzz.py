"""Damaged media, models, reports and databases: a sentence or a result, and nothing in between.

``python -m benchmarks.fuzz`` tries more of them, each in a process of its own.
"""

from pathlib import Path

import pytest

from benchmarks.fuzz import Case, cases, check, check_database, make_originals
from support.commands import run

_KINDS = {"video": 8, "picture": 8, "report": 8, "heatmaps": 4, "database": 4, "model": 3}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Case]]:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "originals").mkdir()
    make_originals(folder / "originals")
    found: dict[str, list[Case]] = {kind: [] for kind in _KINDS}
    for case in cases(folder / "originals", folder / "cases", 36, seed=1):
        found[case.kind].append(case)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", _KINDS)
def test_damage_ends_in_a_sentence_or_a_whole_result(
    kind: str, corpus: dict[str, list[Case]]
) -> None:
    tried = corpus[kind][: _KINDS[kind]]
    assert len(tried) == _KINDS[kind]
    for case in tried:
        if not case.arguments:
            assert check_database(case) == "", case.name
            continue
        result = run(*case.arguments)
        assert isinstance(result.exception, SystemExit | None), (case.name, result.exception)
        assert check(case, result.exit_code, result.stderr) == "", (case.name, result.stderr)


def test_the_check_finds_what_it_looks_for(tmp_path: Path) -> None:
    case = Case("video", "case", tmp_path / "clip.mp4", ("analyze",), tmp_path / "out")
    assert check(case, 1, "fakelens: clip.mp4: damaged\n") == ""
    assert check(case, 1, "Traceback (most recent call last):\n") == "traceback"
    assert check(case, 1, "one\ntwo\n") == "not one sentence"
    assert check(case, -11, "") == "exit code -11"
    (tmp_path / ".fakelens-partial-x").mkdir()
    assert check(case, 0, "") == "a hidden folder is left"
    (tmp_path / ".fakelens-partial-x").rmdir()
    (tmp_path / "out").mkdir()
    assert check(case, 1, "one\n") == "a part of a result"
