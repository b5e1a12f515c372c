"""The files of a job's results: which the server delivers, their media types and their URLs."""

import re
from pathlib import Path

from fakelens.report import (
    annotated_video,
    document,
    keyframes,
    page,
    portraits,
    source_video,
    table,
)
from fakelens.web import outcomes
from fakelens.web.messages import OutcomeMessage
from fakelens.web.schemas import Links, Summary

PAGE, REPORT, REVIEW = page.FILE_NAME, document.FILE_NAME, "review.json"

_TYPES = {
    PAGE: "text/html",
    REPORT: "application/json",
    annotated_video.FILE_NAME: "video/mp4",
    portraits.STILL_NAME: "image/png",
    table.FILE_NAME: "text/csv",
    document.HEATMAPS_NAME: "application/octet-stream",
    **{name: f"video/{name.rpartition('.')[2]}" for name in source_video.NAMES},
}
_PICTURE = re.compile(
    rf"(({portraits.FACES_FOLDER}|{portraits.MEANS_FOLDER})/person-[1-9][0-9]{{0,8}}"
    rf"|{keyframes.FOLDER}/frame-[0-9]{{1,9}})\.png"
)
NAME = rf"^({'|'.join(map(re.escape, _TYPES))}|{_PICTURE.pattern})$"
"""Regular expression that file names match."""

TYPES = tuple(sorted(set(_TYPES.values())))


def media_type(name: str) -> str | None:
    """Return the media type of a file, or ``None`` if results contain no file of this name."""
    if _PICTURE.fullmatch(name):
        return "image/png"
    return _TYPES.get(name)


def summarize(job: str, results: Path, outcome: OutcomeMessage) -> Summary:
    """Return what the list of jobs shows of a job's results.

    Args:
        job: id.
        results: folder with the results.
        outcome: of the analysis.
    """
    found = links(job, results, outcome.suspect)
    return Summary(**outcome.model_dump(exclude={"kind"}), links=found)


def links(job: str, results: Path, suspect: int | None) -> Links:
    """Return the URLs of a job's results.

    Args:
        job: id.
        results: folder with the results.
        suspect: number of the most suspicious person.
    """
    found = sorted(
        name
        for path in results.rglob("*")
        if path.is_file() and media_type(name := path.relative_to(results).as_posix())
    )
    api = f"/api/jobs/{job}"
    has_face = suspect is not None and outcomes.portrait(results, suspect).exists()
    return Links(
        page=f"/results/{job}/{PAGE}",
        report=f"{api}/report",
        bundle=f"{api}/bundle",
        review=f"{api}/review",
        thumbnail=f"{api}/thumbnail" if has_face else None,
        files=tuple(f"{api}/files/{name}" for name in found),
    )
