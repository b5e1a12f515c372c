"""The errors that fakelens raises on purpose.

::

    FakelensError               base class; the command line prints the message and exits with 1
    ├── UsageError              an unknown name or an invalid setting; exits with 2
    ├── MediaError              the input cannot be read as a video or picture
    ├── OutputError             the output exists, cannot be written, or the disk is full
    ├── ModelError              a model cannot be loaded, verified or run
    │   └── WeightsMissingError its weights have not been downloaded yet
    ├── ReportError             a report file is damaged or of another version
    └── MissingExtraError       an optional dependency is not installed

A message is one sentence for the user: what is wrong, where, and what to do.
"""


class FakelensError(Exception):
    """Base class of all errors raised on purpose."""


class UsageError(FakelensError):
    """A name or setting given by the caller does not exist or is out of range."""


class MediaError(FakelensError):
    """The input cannot be read as a video or picture."""


class OutputError(FakelensError):
    """The output already exists, cannot be written, or would overwrite the input."""


class ModelError(FakelensError):
    """A model file cannot be loaded, verified or run."""


class WeightsMissingError(ModelError):
    """The weights of a known model have not been downloaded to this machine yet."""


class ReportError(FakelensError):
    """A report file is damaged, incomplete or of a version that this fakelens cannot read."""


class MissingExtraError(FakelensError):
    """An optional dependency is required but not installed.

    Args:
        purpose: what needs it; begins the message.
        extra: name of the extra that installs the dependency.
    """

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs the extra {extra!r}: run pip install '.[{extra}]' in the fakelens "
            "folder"
        )
