"""The warm child process: loads the app once, then runs one attempt at a time.

Started as ``python -P -m windlass.executors.child SOCKET_FD LIFELINE_FD``.  User code runs
on the main thread and owns stdout and stderr.  Only tasks that the app has registered can
be run: a frame names a task, never a module.
"""

import asyncio
import importlib
import importlib.util
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from windlass.core.capture import error_info
from windlass.core.context import Context
from windlass.core.names import nearest
from windlass.core.tasks import TaskSpec, outcome_told
from windlass.errors import AppNotFound, TaskNotFound
from windlass.executors import frames
from windlass.executors.attempt import attempt_async, attempt_plain
from windlass.executors.budget import held_to_budget
from windlass.executors.telling import Teller
from windlass.model.outcomes import Failed, Outcome

SCRIPT_NAME = "__windlass_main__"  # for a script whose own name is taken
_MAIN = "__main__."


def main() -> None:
    """Serve attempts until the worker goes away."""
    socket_fd, lifeline_fd = int(sys.argv[1]), int(sys.argv[2])
    post_guardian(lifeline_fd, socket_fd)
    os.close(lifeline_fd)
    os.set_inheritable(socket_fd, False)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a kill loses no line
    with socket.socket(fileno=socket_fd) as connection:
        serve(connection)


def post_guardian(lifeline_fd: int, socket_fd: int) -> None:
    """Leave a process behind that kills this process group when the worker is gone.

    The worker holds the other end of the lifeline and never writes to it.  A process of its
    own, so that it works while user code holds the GIL, and reaches what user code started.
    Forked twice: it is nobody's child, so no ``wait`` of user code ever meets it.
    """
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        return
    try:
        if os.fork() == 0:
            _guard(lifeline_fd, socket_fd)
    finally:
        os._exit(0)


def _guard(lifeline_fd: int, socket_fd: int) -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_IGN)
    os.close(socket_fd)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)  # whoever reads the child's output sees its end
    poller = select.poll()
    poller.register(lifeline_fd, 0)  # POLLHUP comes unasked
    while not poller.poll():
        pass
    os.killpg(0, signal.SIGKILL)


# -- serving -----------------------------------------------------------------


def serve(connection: socket.socket) -> None:
    """Load the app, then run what the worker sends, until it hangs up."""
    hello = receive(connection)
    if not isinstance(hello, frames.Hello):
        return
    try:
        module, specs = load_app(hello)
        for spec in specs.values():  # the settings of the worker, but none of its secrets
            own = spec.signature.formats
            spec.signature.use(replace(own, default=hello.format_name, pickle_key=hello.pickle_key))
        limit_bytes = hello.result_limit_bytes
        specs = {
            name: replace(each, result_limit_bytes=limit_bytes) for name, each in specs.items()
        }
    except BaseException as error:
        connection.sendall(frames.pack(frames.StartFailed(error_info(error))))
        return
    connection.sendall(frames.pack(frames.Ready()))
    own_pid = os.getpid()
    teller = Teller(connection.sendall)
    while isinstance(start := receive(connection), frames.Start):
        outcome = run(module, specs, start, teller)
        if os.getpid() != own_pid:  # user code forked, and this copy came back from it
            os._exit(0)
        teller.end(outcome)


def receive(connection: socket.socket) -> frames.ToChild | None:
    """Return the next frame, or None when the worker has hung up."""
    head = _receive_exactly(connection, frames.HEAD.size)
    if head is None:
        return None
    body = _receive_exactly(connection, frames.HEAD.unpack(head)[0])
    return None if body is None else frames.to_child.decode(body)


def _receive_exactly(connection: socket.socket, size_bytes: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size_bytes:
        part = connection.recv(size_bytes - len(parts))
        if not part:
            return None
        parts += part
    return bytes(parts)


def run(module: str, specs: Mapping[str, TaskSpec], start: frames.Start, teller: Teller) -> Outcome:
    """Run one attempt and say how it ended."""
    claim = start.claim
    spec = find_spec(module, specs, claim.task)
    if spec is None:
        return Failed(error_info(TaskNotFound(claim.task, nearest(claim.task, specs))))
    spec.signature.rename(claim.task)
    context = Context(claim, on_news=teller.note)
    context.deadline = start.deadline
    teller.begin(context)
    try:
        with held_to_budget(spec):
            if spec.is_async:
                return asyncio.run(attempt_async(spec, claim, context))
            # Called in a copy, so that context variables do not pass from job to job.
            return copy_context().run(attempt_plain, spec, claim, context)
    except BaseException as error:  # the code cancelled itself, or what it left behind broke
        return outcome_told(spec, error, context)
    finally:
        _flush()


def find_spec(module: str, specs: Mapping[str, TaskSpec], task: str) -> TaskSpec | None:
    """Look a task up; what a script calls ``__main__.f`` in the worker has another name here."""
    spec = specs.get(task)
    if spec is None and task.startswith(_MAIN):
        spec = specs.get(f"{module}.{task.removeprefix(_MAIN)}")
    return spec


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # user code closed or replaced it
            continue


# -- loading -----------------------------------------------------------------


def load_app(hello: frames.Hello) -> tuple[str, Mapping[str, TaskSpec]]:
    """Import the app; return its module's name and its tasks.  Raises: AppNotFound."""
    sys.path[:] = hello.sys_path
    target = hello.app_target
    place, _, attribute = target.rpartition(":")
    try:
        module = _script(place) if place.endswith(".py") else importlib.import_module(place)
    except BaseException as error:
        raise AppNotFound(target, f"{type(error).__name__}: {error}") from error
    found: Any = getattr(module, attribute, None)
    app = getattr(found, "windlass_app", found)  # a front end stands for its app
    specs = getattr(app, "specs", None)
    if not isinstance(specs, Mapping):
        raise AppNotFound(target, f"{place} has no app of the name {attribute!r}")
    if hello.store_url is not None:
        app.keep_to_store(hello.store_url)
    return module.__name__, _injected(specs)


def _injected(specs: Mapping[str, TaskSpec]) -> Mapping[str, TaskSpec]:
    """Give the tasks what they depend on; what a worker shares is once for this process."""
    if all(spec.needs is None for spec in specs.values()):
        return specs
    from windlass.executors.injection import Share, drive_alone, injected

    return injected(specs, Share(), drive_alone())


def _script(path: str) -> ModuleType:
    name = Path(path).stem
    if name in sys.modules:
        name = SCRIPT_NAME
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
