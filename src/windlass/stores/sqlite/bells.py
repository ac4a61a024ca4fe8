"""Wake-ups between the processes of one file: datagrams between sockets in a private folder.

Each store that listens binds a socket in a folder which is named after the file.  To ring is
to send the topics to every socket there.  Without such a folder (no Unix sockets, a path too
long, another owner) nothing rings, and everybody polls.
"""

import asyncio
import hashlib
import os
import secrets
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Collection
from pathlib import Path

from windlass.stores.bell import EventBell

DATAGRAM_BYTES_MAX = 16_384
CLOCK_GRAIN_NS = 100_000_000
LOOK_EVERY_S = 0.001  # a look at the folder costs as much as all else of a ring
EVERYTHING = b"*"  # rings every bell: for more topics than a datagram holds


class Switchboard:
    """The bells of one store, and the way to those of every other process."""

    def __init__(self, path: Path) -> None:
        self._folder = bell_folder(path)
        self._folder_name = str(self._folder)
        self._addresses: list[str] = []
        self._listed_ns: int | None = None
        self._looked_at = float("-inf")
        self._bells: set[EventBell] = set()
        self._own: Path | None = None
        self._receiver: socket.socket | None = None
        self._sender: socket.socket | None = None
        self._sender_lock = threading.Lock()  # whatever thread has committed rings
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(self, topics: Collection[str]) -> EventBell:
        """Subscribe to topics; within a running event loop."""
        if self._receiver is None and self._folder is not None:
            self._bind(self._folder)
        bell = EventBell(topics, self.drop)
        self._bells.add(bell)
        return bell

    def drop(self, bell: EventBell) -> None:
        """Forget a bell."""
        self._bells.discard(bell)

    def close(self) -> None:
        """Let go of the sockets.  Idempotent."""
        self._bells.clear()
        if self._receiver is not None:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(self._receiver.fileno())
            self._receiver.close()
            self._receiver = None
        if self._own is not None:
            self._own.unlink(missing_ok=True)
            self._own = None
        with self._sender_lock:
            if self._sender is not None:
                self._sender.close()
                self._sender = None

    def ring(self, topics: Collection[str]) -> None:
        """Ring the bells of these topics, in this process and in every other."""
        if not topics:
            return
        if self._bells:
            self.ring_here(topics)
        others = self._others()
        if not others:
            return
        message = "\n".join(topics).encode()
        if len(message) > DATAGRAM_BYTES_MAX:
            message = EVERYTHING
        for address in others:
            self._send(address, message)

    def _others(self) -> list[str]:
        """Return the addresses of the other sockets; listed anew when the folder changed."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY_S or self._folder is None:
            return self._addresses
        self._looked_at = now
        try:
            changed_ns = os.stat(self._folder_name).st_mtime_ns
            if changed_ns != self._listed_ns:
                own = None if self._own is None else self._own.name
                names = [name for name in os.listdir(self._folder_name) if name != own]
                self._addresses = [f"{self._folder_name}/{name}" for name in names]
                # Within the grain of the file system's clock a later change looks the same.
                is_old = time.time_ns() - changed_ns > CLOCK_GRAIN_NS
                self._listed_ns = changed_ns if is_old else None
        except OSError:  # somebody cleaned the temporary folder; polling goes on
            self._addresses, self._listed_ns = [], None
        return self._addresses

    def _send(self, address: str, message: bytes) -> None:
        try:
            self._opened_sender().sendto(message, address)
        except (ConnectionRefusedError, FileNotFoundError):  # its process was killed
            Path(address).unlink(missing_ok=True)
        except OSError:  # its buffer is full: it has rings enough to wake it
            return

    def _opened_sender(self) -> socket.socket:
        with self._sender_lock:
            if self._sender is None:
                self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._sender.setblocking(False)
            return self._sender

    def ring_here(self, topics: Collection[str]) -> None:
        """Ring the bells of these topics in this process alone."""
        for bell in self._bells:
            if not bell.topics.isdisjoint(topics):
                bell.ring()

    def _bind(self, folder: Path) -> None:
        path = folder / secrets.token_hex(4)
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            receiver.setblocking(False)
            receiver.bind(str(path))
        except OSError:  # the path is too long, or the folder is gone
            receiver.close()
            return
        self._receiver, self._own = receiver, path
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(receiver.fileno(), self._receive)

    def _receive(self) -> None:
        assert self._receiver is not None
        while True:
            try:
                message = self._receiver.recv(DATAGRAM_BYTES_MAX)
            except OSError:
                return
            if message == EVERYTHING:
                for bell in self._bells:
                    bell.ring()
            else:
                self.ring_here(message.decode(errors="replace").split("\n"))


def bell_folder(path: Path) -> Path | None:
    """Return the private folder for the bells of a file, made if need be; None if it cannot be."""
    if not hasattr(socket, "AF_UNIX"):
        return None
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    parent = Path(tempfile.gettempdir()) / f"windlass-{os.getuid()}"
    try:
        for folder in (parent, parent / name):
            folder.mkdir(mode=0o700, exist_ok=True)
            facts = folder.lstat()
            if facts.st_uid != os.getuid() or not stat.S_ISDIR(facts.st_mode):
                return None  # somebody else laid it there: no bell of ours hangs in it
    except OSError:
        return None
    return parent / name
