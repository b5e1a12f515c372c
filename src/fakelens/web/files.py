"""The results of a job as files that may be asked for: a fixed set of names, each with its type."""

import re
from pathlib import Path

from fakelens.report import annotated_video as video
from fakelens.report import document, page, table
from fakelens.report import portraits as pictures
from fakelens.report import source_video as original
from fakelens.web.schemas import Links

PAGE, REPORT, REVIEW = page.FILE_NAME, document.FILE_NAME, "review.json"

_TYPES = {
    PAGE: "text/html",
    REPORT: "application/json",
    video.FILE_NAME: "video/mp4",
    pictures.STILL_NAME: "image/png",
    table.FILE_NAME: "text/csv",
    document.HEATMAPS_NAME: "application/octet-stream",
    **{name: f"video/{name.rpartition('.')[2]}" for name in original.NAMES},
}
_FACE = re.compile(
    rf"({pictures.FACES_FOLDER}|{pictures.MEANS_FOLDER})/person-[1-9][0-9]{{0,8}}\.png"
)
NAME = rf"^({'|'.join(map(re.escape, _TYPES))}|{_FACE.pattern})$"
"""What a name looks like, as a regular expression."""

TYPES = tuple(sorted(set(_TYPES.values())))


def media_type(name: str) -> str | None:
    """Of a result; ``None`` if results have no such name."""
    if _FACE.fullmatch(name):
        return "image/png"
    return _TYPES.get(name)


def links(job: str, results: Path) -> Links:
    """Where the results of a job are, on the server."""
    found = sorted(
        name
        for path in results.rglob("*")
        if path.is_file() and media_type(name := path.relative_to(results).as_posix())
    )
    api = f"/api/jobs/{job}"
    return Links(
        page=f"/results/{job}/{PAGE}",
        report=f"{api}/report",
        bundle=f"{api}/bundle",
        review=f"{api}/review",
        files=tuple(f"{api}/files/{name}" for name in found),
    )
