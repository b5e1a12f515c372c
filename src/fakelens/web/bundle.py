"""All results of a job as one zip archive, made while it is sent."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from urllib.parse import quote

from fakelens.report.review import Review, embed
from fakelens.web.files import PAGE

_PIECE = 2**18  # bytes
_LONGEST_STEM = 80
_UNNAMED = "results"


class _Pipe:
    """What a ``ZipFile`` has written and nobody has sent yet; it cannot be read or sought in."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is held open."""

    def take(self) -> bytes:
        """What has come in since."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def stream(results: Path, name: str, review: Review | None) -> Iterator[bytes]:
    """A zip archive of a folder of results, piece by piece and not compressed.

    Args:
        results: the folder.
        name: of the folder in the archive.
        review: put into the page; without one the page is left as it is.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for path in results.rglob("*") if path.is_file()):
            inside = f"{name}/{path.relative_to(results).as_posix()}"
            info = zipfile.ZipInfo.from_file(path, inside, strict_timestamps=False)
            if review and inside == f"{name}/{PAGE}":
                page = embed(path.read_text(encoding="utf-8"), review).encode()
                info.file_size = len(page)
                archive.writestr(info, page)
                continue
            with path.open("rb") as file, archive.open(info, "w") as entry:
                while piece := file.read(_PIECE):
                    entry.write(piece)
                    yield pipe.take()
    yield pipe.take()


def safe_stem(name: str) -> str:
    """Of a file's name, what every file system takes: no folder, no device, not hidden."""
    stem = re.sub(r"[^\w.,()\[\]+ -]", "_", PurePath(name).stem).strip(" .")[:_LONGEST_STEM]
    # Windows takes these for devices, with any suffix.
    device = re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", stem)
    return f"{_UNNAMED}_{stem}" if device else stem.strip(" .") or _UNNAMED


def disposition(file_name: str) -> str:
    """The header that names a download, for old clients in ASCII too (RFC 6266)."""
    ascii_name = file_name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
    header = f'attachment; filename="{ascii_name}"'
    if ascii_name != file_name:
        header += f"; filename*=UTF-8''{quote(file_name, safe='')}"
    return header
