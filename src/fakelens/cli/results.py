"""Where the results of each input go."""

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from fakelens.errors import OutputError, ReportError
from fakelens.media.source_file import file_sha256
from fakelens.report.document import FILE_NAME as DOCUMENT_NAME
from fakelens.report.identity import Identity, read_identity

_LONGEST_NAME = 255  # bytes, on all usual file systems
_HASH_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Target:
    """An input, and the folders that may hold its results.

    Attributes:
        path: of the input, as given.
        folders: the least specific name first.
        own: the first of them that no other input of the call uses.
        shared: those that another input of the call might use, too.
        is_named: whether the user gave the folder.
    """

    path: Path
    folders: tuple[Path, ...]
    own: Path
    shared: frozenset[Path] = frozenset()
    is_named: bool = False


def without_repetitions(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Split paths into those of different files, and those that repeat one of them.

    A file that has two names, by a link, is two inputs.
    """
    first: list[Path] = []
    repeated: list[Path] = []
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in paths:
        absolute = _absolute(path)
        key = os.path.realpath(absolute.parent), _alike(absolute.name)
        group = groups.setdefault(key, [])
        known = any(_is_same(path, other) for other in group)
        (repeated if known else first).append(path)
        group.append(path)
    return first, repeated


def plan(paths: Sequence[Path], output: Path | None) -> list[Target]:
    """Name the folders for the results of inputs; the order of the inputs does not matter.

    Args:
        paths: of different files.
        output: the folder for the results of a single input, or for the folders of several.
            Without it, results go beside their input; beside the link, if that is a link.
    """
    if output is not None and len(paths) == 1:
        return [Target(paths[0], (output,), output, is_named=True)]
    suffix = "" if output else "_analyzed"
    possible = []
    for path in map(_absolute, paths):
        names = (_fitting(name, suffix) for name in _names(path))
        possible.append([(output or path.parent) / name for name in names])
    keys = [_keys(folders) for folders in possible]
    uses = Counter(chain.from_iterable(map(set, keys)))
    return [
        Target(
            path,
            folders=tuple(folders),
            own=folders[level],
            shared=frozenset(f for f, key in zip(folders, these, strict=True) if uses[key] > 1),
        )
        for path, folders, these, level in zip(paths, possible, keys, _levels(keys), strict=True)
    ]


def find_folder(target: Target, *, force: bool) -> tuple[Path, Identity | None]:
    """Find the folder for the results of an input.

    Args:
        target: the input.
        force: results that the input had before it changed may be replaced.

    Returns:
        The folder that has its results, with what they are about; otherwise the one that has its
        results from before it changed; otherwise the first one that is neither used by another
        input nor holds the results of one.

    Raises:
        OutputError: there is none, it has a report that cannot be read, or its results may not be
            replaced.
    """
    free: Path | None = None
    outdated: Path | None = None
    damaged = False
    for folder in target.folders:
        known, readable = _read(folder)
        if known and _is_of(known, folder, target):
            return folder, known
        if known and outdated is None and _is_at_the_place_of(known, folder, target):
            outdated = folder
        taken = known is not None or (os.path.lexists(folder) and not folder.is_dir())
        usable = folder == target.own or folder not in target.shared
        if free is None and usable and not taken:
            free, damaged = folder, not readable
    if outdated is not None:
        if not force:
            raise OutputError(
                f"{target.path}: changed since it was analyzed; use --force to replace the results "
                f"in {outdated}"
            )
        return outdated, None
    if target.is_named:
        return target.folders[0], None
    if free is None:
        raise OutputError(
            f"{target.path}: {target.folders[0]} and all other folders that its results could have "
            "hold other results; choose another folder with -o"
        )
    if damaged:
        raise OutputError(
            f"{target.path}: {free / DOCUMENT_NAME} cannot be read, so it may be of another input; "
            "move it away, or choose another folder with -o"
        )
    return free, None


def _read(folder: Path) -> tuple[Identity | None, bool]:
    """Return what the results in a folder are about, and whether that can be told."""
    path = folder / DOCUMENT_NAME
    if not os.path.lexists(path):
        return None, True
    try:
        return read_identity(path), True
    except ReportError:
        return None, False


def _is_of(known: Identity, folder: Path, target: Target) -> bool:
    """Return whether results are those of an input as it is now."""
    made = known.provenance
    if (_name(target), target.path.stat().st_size) != (made.input_name, made.input_bytes):
        return False
    if folder in target.shared and not _is_same(folder / known.input_path, target.path):
        return False  # another input may be a copy of this one
    return file_sha256(target.path) == made.input_sha256


def _is_at_the_place_of(known: Identity, folder: Path, target: Target) -> bool:
    """Return whether an input has the name and path of the one that results were made from."""
    same_name = known.provenance.input_name == _name(target)
    return same_name and _is_same(folder / known.input_path, target.path)


def _name(target: Target) -> str:
    """Return the name of an input as a report has it: valid Unicode, which it need not be."""
    return _absolute(target.path).name.encode("utf-8", "backslashreplace").decode()


def _absolute(path: Path) -> Path:
    """Return a path without ``.`` and ``..``, but with the links in it."""
    if path.name in ("", ".."):
        return Path(os.path.realpath(path))
    if ".." in path.parts:
        return Path(os.path.realpath(path.parent)) / path.name
    return path.absolute()


def _keys(folders: Sequence[Path]) -> list[tuple[str, str]]:
    """Return for folders with the same parent what is equal if they may be the same one."""
    parent = os.path.realpath(folders[0].parent)
    return [(parent, _alike(folder.name)) for folder in folders]


def _levels(keys: Sequence[Sequence[tuple[str, str]]]) -> list[int]:
    """Return for each input the index of its first key that is not the one of another input.

    All inputs advance together, so their order does not matter. The last key is always unique.
    """
    levels = [len(those) - 1 for those in keys]
    undecided, used = set(range(len(keys))), set[tuple[str, str]]()
    for level in range(max(levels)):
        current = {number: keys[number][level] for number in undecided if level < levels[number]}
        counts = Counter(current.values())
        for number, key in current.items():
            if counts[key] == 1 and key not in used:
                levels[number] = level
                undecided.remove(number)
        used.update(current[number] for number in current.keys() - undecided)
    return levels


def _names(path: Path) -> Iterator[str]:
    """Yield names for the results of an input, the least specific first.

    Args:
        path: absolute.
    """
    # Path("...mp4").stem is "..", which is not the name of a folder inside another.
    endings = [path.stem if path.stem.strip(".") else path.name, path.name]
    yield from endings
    parents = ""
    for parent in path.parents[:-1]:
        parents = f"{parent.name}-{parents}"
        yield from (parents + ending for ending in endings)
    yield f"{path.name}-{_digest(str(path))}"


def _fitting(name: str, suffix: str) -> str:
    """Return a folder name with a suffix, shortened where it is longer than a name can be."""
    room = _LONGEST_NAME - len(suffix)
    if len(os.fsencode(name)) > room:
        digest = f"-{_digest(name)}"
        while len(os.fsencode(name)) > room - len(digest):
            name = name[:-1]
        name += digest
    return name + suffix


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:_HASH_DIGITS]


def _alike(name: str) -> str:
    """Return what is equal for names that some file systems take for the same."""
    return unicodedata.normalize("NFC", name).casefold()


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one == other
