"""What the service manager hears, on a real datagram socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from windlass.engine.notify import Notifier
from windlass.model.health import Health

READY = Health()
STARTS = Health(wants=("it holds no lease",))
STUCK = Health(stalls=("claim has not moved for 31 s",))
STOPS = Health(wants=("it was told to stop",), stopping=True)


class Time:
    s = 100.0

    def __call__(self) -> float:
        return self.s


class Manager:
    """The service manager's end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.settimeout(5)

    def hears(self) -> list[str]:
        return self._socket.recv(4096).decode().split("\n")

    def hears_nothing(self) -> bool:
        self._socket.settimeout(0.01)
        try:
            self._socket.recv(4096)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(5)
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = f"windlass-test-{os.getpid()}-{tmp_path.name}"
    made = Manager(f"{tmp_path}/notify" if request.param == "file" else f"@{name}")
    yield made
    made.close()


def test_it_says_once_that_it_is_ready_and_that_it_stops(manager: Manager) -> None:
    notifier = Notifier(manager.address, None)
    notifier.tell(STARTS)
    assert manager.hears() == ["STATUS=it holds no lease"]

    notifier.tell(READY)
    assert manager.hears() == ["READY=1", "STATUS=takes jobs"]

    notifier.tell(READY)
    assert manager.hears_nothing()

    notifier.tell(STOPS)
    assert manager.hears() == ["STOPPING=1", "STATUS=it was told to stop"]

    notifier.tell(STOPS)
    assert manager.hears_nothing()


def test_the_watchdog_is_fed_in_time_and_only_while_everything_moves(manager: Manager) -> None:
    now = Time()
    notifier = Notifier(manager.address, watchdog_s=10, now=now)
    notifier.tell(READY)
    assert "WATCHDOG=1" in manager.hears()
    fed = 0
    for _ in range(10):  # half of the time that it has
        now.s += 0.5
        notifier.tell(READY)
        if not manager.hears_nothing():
            fed += 1
    assert fed == 2

    now.s += 10
    notifier.tell(STUCK)
    assert manager.hears() == ["STATUS=claim has not moved for 31 s"]


def test_the_environment_names_the_socket_and_is_emptied_of_it() -> None:
    environ = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "5000000", "HOME": "/"}

    assert Notifier.taken_from(environ, 7) is not None
    assert environ == {"HOME": "/"}
    assert Notifier.taken_from(environ, 7) is None


@pytest.mark.parametrize(
    ("variables", "fed"),
    [
        ({"WATCHDOG_USEC": "5000000"}, True),
        ({"WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "7"}, True),
        ({"WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "8"}, False),
        ({"WATCHDOG_USEC": "soon"}, False),
        ({}, False),
    ],
)
def test_the_watchdog_is_meant_for_one_process(
    variables: dict[str, str], fed: bool, manager: Manager
) -> None:
    notifier = Notifier.taken_from({"NOTIFY_SOCKET": manager.address, **variables}, 7)
    assert notifier is not None
    notifier.tell(READY)

    assert ("WATCHDOG=1" in manager.hears()) is fed


def test_an_address_of_another_kind_is_no_address() -> None:
    assert Notifier.taken_from({"NOTIFY_SOCKET": "vsock:2:9999"}, 7) is None


def test_what_could_not_be_sent_is_said_the_next_time(tmp_path: Path) -> None:
    notifier = Notifier(f"{tmp_path}/notify", None)
    notifier.tell(READY)
    manager = Manager(f"{tmp_path}/notify")
    notifier.tell(READY)

    assert "READY=1" in manager.hears()
    manager.close()


def test_a_manager_that_does_not_listen_harms_nothing(tmp_path: Path) -> None:
    Notifier(f"{tmp_path}/nobody", None).tell(READY)
