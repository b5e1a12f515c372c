"""Bodies of requests: limits on their size, and on how slowly they may arrive."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from fakelens.web.limits import MEGABYTE, Limits


class Body:
    """The body of a request, received within limits.

    Args:
        receive: of the request, as an ASGI callable.
        limits: of the server.
        max_bytes: largest body; ``None`` if the route limits it itself.

    Attributes:
        answered: whether the response has started, so that no error can be sent.
    """

    def __init__(self, receive: Receive, limits: Limits, max_bytes: int | None) -> None:
        self.answered = False
        self._receive, self._limits, self._max_bytes = receive, limits, max_bytes
        self._size = 0
        self._deadline: float | None = None
        self._complete = False

    async def receive(self) -> Message:
        """Receive the next part, as an ASGI callable.

        Raises:
            HTTPException: the body is too large or too slow.
        """
        if self._complete:
            return await self._receive()
        if self._deadline is None:  # from now on, the client is asked for the body
            self._deadline = asyncio.get_running_loop().time() + self._limits.body_grace_seconds
        credit = self._size / self._limits.body_bytes_per_second
        try:
            async with asyncio.timeout_at(self._deadline + credit):
                message = await self._receive()
        except TimeoutError:
            return self._refuse(
                408,
                "the request body arrived too slowly, with less than "
                f"{self._limits.body_bytes_per_second / 1000:g} kB per second, so it was dropped",
            )
        self._size += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._max_bytes is not None and self._size > self._max_bytes:
            return self._refuse(
                413,
                f"the request body is larger than the limit of {self._max_bytes / MEGABYTE:g} MB",
            )
        return message

    def _refuse(self, status: int, sentence: str) -> Message:
        if not self.answered:
            raise HTTPException(status, sentence)
        return {"type": "http.disconnect"}
