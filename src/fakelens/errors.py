"""Every error that fakelens raises on purpose.

::

    FakelensError               anything below; the command line prints it and exits 1
    ├── UsageError              a name or a setting that does not exist; exits 2
    ├── MediaError              the input cannot be read as a video or picture
    ├── OutputError             the output exists, cannot be written, or the disk is full
    ├── ModelError            a model cannot be loaded, verified or run
    │   └── WeightsMissingError its weights are not on this machine yet
    ├── ReportError             a report file is damaged or of another version
    └── MissingExtraError       an optional dependency is not installed

Messages are one sentence for the person at the keyboard: what is wrong, where, what to do.
"""


class FakelensError(Exception):
    """Base of all errors raised on purpose."""


class UsageError(FakelensError):
    """A name or setting given by the caller does not exist or is out of range."""


class MediaError(FakelensError):
    """The input cannot be read as a video or picture."""


class OutputError(FakelensError):
    """The output exists already, cannot be written, or would overwrite the input."""


class ModelError(FakelensError):
    """A model file cannot be loaded, verified or run."""


class WeightsMissingError(ModelError):
    """The weights of a known model are not on this machine yet."""


class ReportError(FakelensError):
    """A report file is damaged, incomplete or of a version this program does not read."""


class MissingExtraError(FakelensError):
    """An optional dependency is needed and not installed."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs the optional part {extra!r}: run pip install '.[{extra}]' in the "
            "folder of fakelens"
        )
