"""Times as people read them."""


def format_time(seconds: float) -> str:
    """Format a time as a player shows it, with tenths: ``1:02.5``, ``1:00:00.0``.

    Args:
        seconds: since the first frame; negative times are shown as 0.
    """
    tenths = round(max(seconds, 0) * 10)
    hours, rest = divmod(tenths, 36_000)
    minutes, rest = divmod(rest, 600)
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{rest // 10:02}.{rest % 10}"
