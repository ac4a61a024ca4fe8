"""The health endpoint: two questions over HTTP, and nothing else."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import msgspec

from windlass.errors import CannotListen
from windlass.model.health import Health

REQUEST_BYTES_MAX = 8 * 1024
REQUEST_S = 5.0
CONNECTIONS_MAX = 32

LIVE, READY = "/health/live", "/health/ready"


class HealthServer:
    """Answers ``GET /health/live`` and ``GET /health/ready`` with JSON: 200 for yes, 503 for no.

    ask:    called for each answer, in the event loop that serves.
    Limits: a request has 8 KiB and 5 s; 32 connections at the same time; one request each.
    Raises: CannotListen, when it starts.
    """

    def __init__(self, host: str, port: int, ask: Callable[[], Health]) -> None:
        self._host = host
        self._port = port
        self._ask = ask
        self._connections: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        try:
            self._server = await asyncio.start_server(
                self._serve, self._host, self._port, limit=REQUEST_BYTES_MAX
            )
        except OSError as error:
            raise CannotListen(self._host, self._port, error.strerror or str(error)) from error
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def address(self) -> str:
        """Where it listens, as ``host:port``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        try:
            if len(self._connections) <= CONNECTIONS_MAX:
                async with asyncio.timeout(REQUEST_S):
                    writer.write(await self._answer(reader))
                    await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever asked is gone, or too slow
        finally:
            self._connections.discard(connection)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, {"error": "too large"})
        return response(*answer(head.split(b"\r\n", 1)[0], self._ask))


def answer(line: bytes, ask: Callable[[], Health]) -> tuple[HTTPStatus, dict[str, Any]]:
    """Return status and document for the first line of a request."""
    method, _, rest = line.partition(b" ")
    path, _, version = rest.partition(b" ")
    if not method.isalpha() or not path.startswith(b"/") or not version.startswith(b"HTTP/1."):
        return HTTPStatus.BAD_REQUEST, {"error": "this is no HTTP/1.1 request"}
    asked = path.partition(b"?")[0].decode("latin-1")
    if asked not in (LIVE, READY):
        return HTTPStatus.NOT_FOUND, {"error": f"ask for {LIVE} or {READY}"}
    if method != b"GET":
        return HTTPStatus.METHOD_NOT_ALLOWED, {"error": "only GET"}
    health = ask()
    if asked == LIVE:
        return _status(health.live), {"live": health.live, "reasons": health.stalls}
    reasons = (*health.stalls, *health.wants)
    return _status(health.ready), {"ready": health.ready, "reasons": reasons}


def response(status: HTTPStatus, document: dict[str, Any]) -> bytes:
    """Return a whole HTTP response with one JSON document."""
    body = msgspec.json.encode(document) + b"\n"
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body


def _status(well: bool) -> HTTPStatus:
    return HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
