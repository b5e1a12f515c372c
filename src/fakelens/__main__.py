"""The program ``fakelens``, also as ``python -m fakelens``."""

import os
import signal
from types import FrameType

_INTERRUPTED = 130


def main() -> None:
    """Run the program."""
    # The imports take a moment, and Ctrl-C would print where it met them.
    signal.signal(signal.SIGINT, _end)
    from fakelens.cli.app import app  # noqa: PLC0415 - after the signal is handled

    signal.signal(signal.SIGINT, signal.default_int_handler)
    app()


def _end(signal_number: int, frame: FrameType | None) -> None:
    os.write(2, b"fakelens: interrupted\n")
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
