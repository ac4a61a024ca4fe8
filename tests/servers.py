"""Real servers for the tests: private, on free loopback ports, ended with the tests.

Where a program is missing, a laptop skips with a line that says how to get it; with ``CI`` set
that is a failure.
"""

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import kombu
import psutil
import psycopg
import pytest
import redis

START_TIMEOUT_S = 30.0
USER = "windlass"


class PostgresServer:
    """A PostgreSQL of its own: durable as in production, gone at the end."""

    def __init__(self) -> None:
        self.port = free_port()
        self._bin = postgres_programs()
        self._folder = private_folder("windlass-pg-")
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(self._folder / "data"), "--auth=trust", "--no-sync",
                  f"--username={USER}")  # fmt: skip
        atexit.register(self.close)
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def tool(self, name: str) -> str:
        """Return the path of one of the server's programs."""
        return str(self._bin / name)

    def create_database(self, name: str, like: str = "template1") -> str:
        """Make a database, empty or a copy of one that nobody uses, and return its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}"')
        return self.url(name)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        assert self._process is None, "it runs already"
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self._folder),
            "max_connections": 200,
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*as_postgres(), str(self._bin / "postgres"), "-D", str(self._folder / "data"),
                 *settings],
                cwd=self._folder, stdout=log, stderr=log,
            )  # fmt: skip
        self._wait_until_it_answers()

    def stop(self) -> None:
        """Shut down at once, orderly."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill the server and every process of it with SIGKILL."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop the server's processes where they stand."""
        for process in self._processes():
            process.suspend()

    def resume(self) -> None:
        """Let a paused server go on."""
        for process in self._processes():
            process.resume()

    def log(self) -> str:
        """Return the last lines of the server's log."""
        return (self._folder / "log").read_text(errors="replace")[-4_000:]

    def close(self) -> None:
        """End the server and delete its data.  Idempotent."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)
        atexit.unregister(self.close)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(how)
        process.wait(START_TIMEOUT_S)
        # The postmaster's children end when they notice; the port and the memory are theirs too.
        for child in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                if how is signal.SIGKILL:
                    child.kill()
        psutil.wait_procs(family, START_TIMEOUT_S)

    def _processes(self) -> list[psutil.Process]:
        assert self._process is not None, "it does not run"
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*as_postgres(), str(self._bin / program), *arguments],
            cwd=self._folder,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")

    def _wait_until_it_answers(self) -> None:
        end = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError as error:
                gone = self._process is None or self._process.poll() is not None
                if gone or time.monotonic() > end:
                    raise RuntimeError(f"PostgreSQL did not start\n{self.log()}") from error
                time.sleep(0.02)


class PgBouncer:
    """A transaction pooler before a server."""

    def __init__(self, server: PostgresServer) -> None:
        program = program_of("pgbouncer", "pgbouncer", "/usr/sbin")
        self.port = free_port()
        self._folder = private_folder("windlass-bouncer-")
        config = self._folder / "pgbouncer.ini"
        config.write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\nmax_client_conn = 500\n"
            "default_pool_size = 4\nignore_startup_parameters = extra_float_digits\n"
            f"logfile = {self._folder}/log\n"
        )
        # auth_type "any" signs in as the user named here.
        config.write_text(config.read_text().replace("* = ", f"* = user={USER} "))
        give_to_postgres(config)
        self._process = subprocess.Popen(
            [*as_postgres(), program, "-q", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        atexit.register(self.close)
        self._wait_until_it_answers()

    def url(self, database: str) -> str:
        """Return the URL of a database, through the pooler."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def close(self) -> None:
        """End the pooler.  Idempotent."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(START_TIMEOUT_S)
        shutil.rmtree(self._folder, ignore_errors=True)
        atexit.unregister(self.close)

    def _wait_until_it_answers(self) -> None:
        end = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("pgbouncer did not start") from error
                time.sleep(0.02)


class RedisServer:
    """A Redis of its own, which keeps nothing on disk.   port: default: a free one."""

    def __init__(self, port: int | None = None) -> None:
        program = program_of("redis-server", "redis-server")
        self.port = port or free_port()
        self._process = subprocess.Popen(
            [program, "--bind", "127.0.0.1", "--port", str(self.port), "--save", "",
             "--appendonly", "no", "--dir", "/tmp"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        atexit.register(self.close)
        self._wait_until_it_answers()

    def url(self, database: int = 0) -> str:
        """Return the URL of one of its sixteen databases."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def close(self) -> None:
        """End the server.  Idempotent."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(START_TIMEOUT_S)
        atexit.unregister(self.close)

    def _wait_until_it_answers(self) -> None:
        end = time.monotonic() + START_TIMEOUT_S
        with redis.Redis(port=self.port) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.ConnectionError as error:
                    if self._process.poll() is not None or time.monotonic() > end:
                        raise RuntimeError("redis-server did not start") from error
                    time.sleep(0.02)


class RabbitServer:
    """A RabbitMQ of its own, with a port mapper (epmd) of its own; both end with it."""

    def __init__(self) -> None:
        server = program_of("rabbitmq-server", "rabbitmq-server", "/usr/sbin")
        epmd = program_of("epmd", "erlang-base")
        behind = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # Debian's own changes the user
        self._program = str(behind) if behind.exists() else server
        self.port, names_port, peer_port = free_port(), free_port(), free_port()
        self._folder = private_folder("windlass-rabbit-")
        for name in ("plugins", "rabbitmq.conf"):
            (self._folder / name).write_text("[]." if name == "plugins" else "")
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),  # the cookie of Erlang
            "ERL_EPMD_PORT": str(names_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "no-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_NODENAME": f"windlass{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(peer_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self._folder / "config"),
            "RABBITMQ_SCHEMA_DIR": str(self._folder / "schema"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
        }
        self._epmd = self._popen(epmd, "-port", str(names_port), "-address", "127.0.0.1")
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)
        self.start()

    @property
    def url(self) -> str:
        """Return the URL of its one virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """Start the server and wait until it answers; what was durable is there again."""
        assert self._process is None, "it runs already"
        self._process = self._popen(self._program)
        end = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                with kombu.Connection(self.url, connect_timeout=2) as connection:
                    connection.connect()
                return
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > end:
                    log = (self._folder / "output").read_text(errors="replace")[-4_000:]
                    raise RuntimeError(f"RabbitMQ did not start\n{log}") from error
                time.sleep(0.1)

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        process, self._process = self._process, None
        if process is None:
            return
        family = psutil.Process(process.pid).children(recursive=True)  # the script's own Erlang
        process.kill()
        process.wait(START_TIMEOUT_S)
        for child in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(family, START_TIMEOUT_S)

    def close(self) -> None:
        """End the server and its port mapper and delete its data.  Idempotent."""
        self.kill()
        self._epmd.kill()
        self._epmd.wait(START_TIMEOUT_S)
        shutil.rmtree(self._folder, ignore_errors=True)
        atexit.unregister(self.close)

    def _popen(self, *command: str) -> subprocess.Popen[bytes]:
        with (self._folder / "output").open("ab") as output:
            return subprocess.Popen(
                [*as_postgres(), *command],
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )


def postgres_programs() -> Path:
    """Return the folder of the newest PostgreSQL's programs; skip or fail where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    if found:
        return found[-1].parent
    return Path(program_of("initdb", "postgresql")).parent


def program_of(name: str, package: str, *places: str) -> str:
    """Return the path of a program; skip or fail where it is missing."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *places])
    found = shutil.which(name, path=path)
    if found is None:
        tell = f"{name} is not installed: apt-get install {package}"
        if os.environ.get("CI"):
            pytest.fail(tell)
        pytest.skip(tell)
    return found


def _version(path: Path) -> float:
    return float(path.parts[-3])


def free_port() -> int:
    """Return a loopback port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def as_postgres() -> list[str]:
    """Return the command that drops root's rights: PostgreSQL refuses to run with them."""
    if os.getuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


def private_folder(prefix: str) -> Path:
    """Make a temporary folder for the servers' user."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    give_to_postgres(folder)
    return folder


def give_to_postgres(path: Path) -> None:
    """Let the servers' user have a file or a folder."""
    if os.getuid() == 0:
        shutil.chown(path, "postgres", "postgres")
