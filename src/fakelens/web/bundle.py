"""All results of a job as a zip archive, created while it is sent."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from urllib.parse import quote

from fakelens.report.review import Review, embed
from fakelens.web.files import PAGE

_PIECE = 2**18  # bytes
_MAX_STEM_LENGTH = 80
_UNNAMED = "results"


class _Pipe:
    """A write-only file for ``ZipFile`` that buffers what has not been sent yet."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: ``take`` returns everything written."""

    def close(self) -> None:
        """Do nothing: there is no file to close."""

    def take(self) -> bytes:
        """Return what was written since the last call."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def stream(results: Path, name: str, reviews: Sequence[Review]) -> Iterator[bytes]:
    """Yield a zip archive of a results folder in pieces, without compression.

    Args:
        results: folder with the results.
        name: of the folder in the archive.
        reviews: to put into the page; without any, the page stays as it is.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for path in results.rglob("*") if path.is_file()):
            inside = f"{name}/{path.relative_to(results).as_posix()}"
            info = zipfile.ZipInfo.from_file(path, inside, strict_timestamps=False)
            if reviews and inside == f"{name}/{PAGE}":
                page = embed(path.read_text(encoding="utf-8"), reviews).encode()
                info.file_size = len(page)
                archive.writestr(info, page)
                continue
            with path.open("rb") as file, archive.open(info, "w") as entry:
                while piece := file.read(_PIECE):
                    entry.write(piece)
                    yield pipe.take()
    yield pipe.take()


def safe_stem(name: str) -> str:
    """Return a file name's stem in a form that is valid on every file system and not hidden."""
    stem = re.sub(r"[^\w.,()\[\]+ -]", "_", PurePath(name).stem).strip(" .")[:_MAX_STEM_LENGTH]
    # Names of devices on Windows, with any suffix.
    device = re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", stem)
    return f"{_UNNAMED}_{stem}" if device else stem.strip(" .") or _UNNAMED


def content_disposition(file_name: str) -> str:
    """Return the header that names a download, also in ASCII for old clients (RFC 6266)."""
    ascii_name = file_name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
    header = f'attachment; filename="{ascii_name}"'
    if ascii_name != file_name:
        header += f"; filename*=UTF-8''{quote(file_name, safe='')}"
    return header
