"""Reviews by people: which of them the examiner's report contains."""

import json
import shutil
from pathlib import Path
from typing import Any

from fakelens.casework.blocks import Fields
from fakelens.casework.case import Case
from fakelens.casework.content import compose
from fakelens.casework.examination import gather

TITLE = "Opinions of reviewers"


def write(path: Path, sha256: str, **more: Any) -> None:
    review = {
        "version": 1,
        "video_sha256": sha256,
        "reviewer": "Ada",
        "blind": True,
        "opinion": "manipulated",
        "suspicions": [{"person": 2, "start": 1, "end": 2.5, "note": "the mouth"}],
        "uncovered": "2026-01-02T10:00:00Z",
        "notes": "seen twice",
        "saved": "2026-01-02T10:01:00Z",
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(review | more), encoding="utf-8")


def test_reviews_are_opinions_of_people_and_what_is_left_out_is_said(
    results: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    shutil.copytree(results, folder)
    sha256 = gather(folder, Case()).report.provenance.input_sha256
    assert TITLE not in str(compose(gather(folder, Case())).sections)
    write(folder / "review.json", sha256)
    later = {"reviewer": "", "blind": False, "opinion": None, "uncovered": None, "suspicions": []}
    write(folder / "reviews" / f"{1:032}.json", sha256, saved="2026-01-03T00:00:00Z", **later)
    write(folder / "reviews" / f"{2:032}.json", "0" * 64)
    (folder / "reviews" / f"{3:032}.json").write_text("{")
    sections = compose(gather(folder, Case())).sections
    (section,) = [one for one in sections if one.title.endswith(TITLE)]
    first, second = (dict(block.rows) for block in section.blocks if isinstance(block, Fields))
    assert (first["Reviewer"], first["Opinion"]) == ("Ada", "manipulated")
    assert first["How"].startswith("blind: the result was revealed")
    assert "2026-01-02 10:00:00 UTC" in first["How"]
    assert first["Marks"] == "person 2, 0:01.0 to 0:02.5: the mouth"
    assert second == {
        "Reviewer": "not stated",
        "How": "not blind: the result was in view",
        "Opinion": "none stated",
        "Marks": "none",
        "Notes": "seen twice",
        "Saved": "2026-01-03 00:00:00 UTC",
    }
    said = str(section.blocks)
    assert f"reviews/{2:032}.json is a review of another file: its SHA-256 differs." in said
    assert f"reviews/{3:032}.json is damaged." in said
