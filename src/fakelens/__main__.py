"""The program ``fakelens``, also as ``python -m fakelens``."""

import os
import signal
from types import FrameType

_INTERRUPTED = 130
_STANDARD_ERROR = 2


def main() -> None:
    """Run the program."""
    _fill_standard_streams()
    # A script that starts the program in the background has its own Ctrl-C ignored.
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if not ignored:
        # The imports take a moment, and Ctrl-C would print where it met them.
        signal.signal(signal.SIGINT, _end)
    from fakelens.cli.app import app  # noqa: PLC0415 - after the signal is handled

    app(obj=None if ignored else _let_commands_handle_interrupts)


def _fill_standard_streams() -> None:
    """Open standard streams that are closed, or a file of results would take their numbers.

    What a library prints would be written into it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(number)


def _let_commands_handle_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(signal_number: int, frame: FrameType | None) -> None:
    os.write(_STANDARD_ERROR, b"fakelens: interrupted\n")
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
