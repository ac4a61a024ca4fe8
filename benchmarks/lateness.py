"""How late a schedule of one second fires, beside its peers:

    python benchmarks/lateness.py --venvs FOLDER [--peer NAME,...] [--fires 60] [--rounds 3]

Peers take turns, one at a time.  Lateness is the instant at which the job's code begins minus
the instant at which it was due.  benchmarks/README.md says more.
"""

import argparse
import json
import math
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
HERE = ROOT / "benchmarks" / "lateness_peers"
sys.path[:0] = [str(ROOT)]

from tests.servers import PostgresServer, free_port, program_of  # noqa: E402

WARM_UP = 5  # fires
START_TIMEOUT_S = 30.0
GRACE_S = 1.5  # how long after the last due instant a fire may come
EARLY_S = 0.2  # a fire so long before an instant is that instant's
STOP_TIMEOUT_S = 10.0
WINDLASS = "windlass worker --scheduler --concurrency 4 --log-level warning"


@dataclass(frozen=True, slots=True)
class Peer:
    """One system that fires a schedule.

    venv:         its own virtual environment, of these requirements; may be shared by variants.
    server:       what it needs: redis, postgresql, sqlite (a file) or nothing.
    processes:    their commands, the one that schedules first, without the path of the venv.
    before:       commands that are run once before.
    has_instants: whether it is due at whole seconds; else, a second after it sent the last one.
    """

    venv: str
    requirements: tuple[str, ...]
    processes: tuple[str, ...]
    server: str | None = None
    before: tuple[str, ...] = ()
    has_instants: bool = True


# With the libraries of its time, April 2025: it does not run on PostgreSQL with newer ones.
APSCHEDULER_4 = ("apscheduler==4.0.0a6", "sqlalchemy[asyncio]<2.1", "asyncpg", "anyio==4.9.*")
THIS = (f"-e{ROOT}[postgres]",)
PEERS = {
    "apscheduler3": Peer("apscheduler3", ("apscheduler<4",), ("python peer_apscheduler3.py",)),
    "apscheduler4": Peer("apscheduler4", APSCHEDULER_4, ("python peer_apscheduler4.py",)),
    "apscheduler4-postgresql": Peer(
        "apscheduler4", APSCHEDULER_4, ("python peer_apscheduler4.py",), "postgresql"
    ),
    "celery": Peer(
        "celery",
        ("celery[redis]",),
        (
            "celery -A peer_celery beat --loglevel warning -s {folder}/beat",
            "celery -A peer_celery worker --loglevel warning --concurrency 1"
            " --without-gossip --without-mingle --without-heartbeat",
        ),
        "redis",
        has_instants=False,
    ),
    "taskiq": Peer(
        "taskiq",
        ("taskiq", "taskiq-redis", "uvloop"),
        (
            "taskiq scheduler peer_taskiq:scheduler --loop-interval 1 --log-level WARNING",
            "taskiq worker peer_taskiq:broker --workers 1 --log-level WARNING",
        ),
        "redis",
    ),
    "windlass-sqlite": Peer("windlass", THIS, (WINDLASS,), "sqlite", ("windlass migrate",)),
    "windlass-postgresql": Peer("windlass", THIS, (WINDLASS,), "postgresql", ("windlass migrate",)),
}


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one peer in one round.

    late_s:        of the first fire of each instant that was not missed.
    drift_s:       by how much the fires have moved against whole seconds, from first to last.
    scheduler_cpu: processor share of the process that schedules; total_cpu: of all its processes.
    """

    peer: str
    late_s: list[float]
    drift_s: float
    missed: int
    doubled: int
    scheduler_cpu: float
    total_cpu: float


# -- the environment of a peer -----------------------------------------------------------------


def make_venv(folder: Path, peer: Peer, python: str) -> None:
    """Make the virtual environment of a peer, unless it is there."""
    venv = folder / peer.venv
    done = venv / "lateness-requirements"
    wanted = "\n".join(peer.requirements)
    if done.exists() and done.read_text() == wanted:
        return
    subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *peer.requirements], check=True)
    done.write_text(wanted)


class Servers:
    """The servers that peers need: private, started when first asked for, ended at the end."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._redis: str | None = None
        self._postgres: PostgresServer | None = None
        self._names = (f"lateness{number}" for number in count())

    def environment(self, server: str | None) -> dict[str, str]:
        """Return the variables that tell a peer of its server, with an empty database."""
        name = next(self._names)
        match server:
            case "redis":
                return {"LATENESS_REDIS": self._fresh_redis()}
            case "postgresql":
                if self._postgres is None:
                    self._postgres = self._stack.enter_context(PostgresServer())
                url = self._postgres.create_database(name)
                return {"LATENESS_POSTGRESQL": url, "WINDLASS_STORE": url}
            case "sqlite":
                return {"WINDLASS_STORE": f"sqlite:///{self._folder}/{name}.db"}
            case _:
                return {}

    def _fresh_redis(self) -> str:
        if self._redis is None:
            self._redis = self._stack.enter_context(redis(self._folder))
        port = self._redis.rpartition(":")[2]
        cli = program_of("redis-cli", "redis-tools")
        subprocess.run([cli, "-p", port, "flushall"], check=True, stdout=subprocess.DEVNULL)
        return self._redis


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run a Redis with its default persistence; return its URL."""
    port = free_port()
    server = program_of("redis-server", "redis-server")
    log = folder / "redis.log"
    process = subprocess.Popen(
        [server, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
         "--logfile", str(log)],
    )  # fmt: skip
    try:
        wait_until(lambda: log.exists() and b"Ready to accept" in log.read_bytes(), "redis-server")
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)


def wait_until(holds: object, what: str) -> None:
    """Wait until a condition holds.  Raises: TimeoutError, which names what was waited for."""
    assert callable(holds)
    end = time.monotonic() + START_TIMEOUT_S
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.05)


# -- one run -----------------------------------------------------------------------------------


class Family:
    """The processes of one peer, with their children; ended at the end."""

    def __init__(self, peer: Peer, bin_folder: Path, folder: Path, env: dict[str, str]) -> None:
        self._bin = bin_folder
        self._folder = folder
        self._env = env
        self.log = folder / "log"
        with self.log.open("ab") as log:
            for command in peer.before:
                subprocess.run(
                    self._arguments(command), cwd=HERE, env=env, stderr=log, stdout=log, check=True
                )
            self._processes = [
                subprocess.Popen(
                    self._arguments(command), cwd=HERE, env=env, stderr=log, stdout=log
                )
                for command in peer.processes
            ]

    def _arguments(self, command: str) -> list[str]:
        program, *rest = command.replace("{folder}", str(self._folder)).split()
        return [str(self._bin / program), *rest]

    def has_died(self) -> bool:
        """Tell whether one of them has ended by itself."""
        return any(process.poll() is not None for process in self._processes)

    def check(self) -> None:
        """Check that all of them run.  Raises: RuntimeError."""
        if self.has_died():
            raise RuntimeError("a process ended by itself")

    def cpu_s(self) -> list[float]:
        """Return the processor time of each with its children, the scheduler first."""
        return [sum(map(cpu_of, tree(process))) for process in self._processes]

    def end(self) -> None:
        """Stop them in order, then whatever is left of them."""
        everyone = [one for process in self._processes for one in tree(process)]
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT_S)
        for one in everyone:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        for process in self._processes:
            process.wait()


def tree(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return a process and its children, if it lives."""
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(process.pid)
        return [root, *root.children(recursive=True)]
    return []


def cpu_of(process: psutil.Process) -> float:
    """Return the processor time of a process; nothing once it is gone."""
    with suppress(psutil.NoSuchProcess):
        return float(sum(process.cpu_times()[:2]))
    return 0.0


def read_ticks(path: Path) -> list[float]:
    """Return the instants of all fires so far."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: len(content) // 8 * 8]
    return sorted(at for (at,) in struct.iter_unpack("d", whole))


def run(name: str, fires: int, venvs: Path, servers: Servers) -> Run:
    """Let one peer fire so many times after its warm-up."""
    peer = PEERS[name]
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="lateness-") as scratch:
        folder = Path(scratch)
        ticks = folder / "ticks"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("WINDLASS_", "PYTHON"))}
        env = {
            **clean,
            **servers.environment(peer.server),
            "LATENESS_TICKS": str(ticks),
            "LATENESS_SENDS": str(folder / "sends"),
            "LATENESS_ANCHOR": str(math.floor(time.time()) + 1),
            "WINDLASS_APP": "peer_windlass:app",
            "PYTHONPATH": str(HERE),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        family = Family(peer, venvs / peer.venv / "bin", folder, env)
        try:
            wait_until(lambda: family.has_died() or len(read_ticks(ticks)) > WARM_UP, "fires")
            return observe(name, family, folder, fires)
        except Exception as error:
            error.add_note(f"{name}:\n" + family.log.read_text(errors="replace")[-4_000:])
            raise
        finally:
            family.end()


def observe(name: str, family: Family, folder: Path, fires: int) -> Run:
    """Wait for so many due instants, and compare the fires with them."""
    family.check()
    first_due = math.floor(time.time()) + 1.0
    before, began = family.cpu_s(), time.monotonic()
    time.sleep(first_due + fires - 1 + GRACE_S - time.time())
    family.check()
    passed = time.monotonic() - began
    cpu = [(after - one) / passed for after, one in zip(family.cpu_s(), before, strict=True)]
    ticks = read_ticks(folder / "ticks")
    if PEERS[name].has_instants:
        due = [first_due + number for number in range(fires)]
        fired = by_instant(ticks, due)
    else:
        sends = read_ticks(folder / "sends")
        first = bisect_left(sends, first_due)
        due = [sent + 1.0 for sent in sends[first - 1 :]][:fires]
        fired = by_instant(ticks, sends[first : first + fires], early_s=0.0)
    firsts = [at[0] for at in fired if at]
    late = [at[0] - instant for at, instant in zip(fired, due, strict=True) if at]
    doubled = sum(len(at) - 1 for at in fired if at)
    drift = firsts[-1] - firsts[0] - round(firsts[-1] - firsts[0]) if firsts else 0.0
    return Run(name, late, drift, fires - len(late), doubled, cpu[0], sum(cpu))


def by_instant(
    ticks: Sequence[float], instants: Sequence[float], early_s: float = EARLY_S
) -> list[list[float]]:
    """Return the fires of each instant: those between it and the next one, or a second on."""
    ends = [*instants[1:], instants[-1] + 1.0]
    return [
        [at for at in ticks if one - early_s <= at < end - early_s]
        for one, end in zip(instants, ends, strict=True)
    ]


# -- all of them -------------------------------------------------------------------------------


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value which this share of all does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def line(name: str, runs: Sequence[Run]) -> str:
    """Return one row of the table: all runs of a peer together."""
    late_ms = [late * 1_000 for run in runs for late in run.late_s] or [math.nan]
    return (
        f"| {name} | {len(late_ms)} | {percentile(late_ms, 0.5):.2f} | "
        f"{percentile(late_ms, 0.99):.2f} | {max(late_ms):.2f} | "
        f"{max((run.drift_s for run in runs), key=abs) * 1_000:.2f} | "
        f"{sum(run.missed for run in runs)} | {sum(run.doubled for run in runs)} | "
        f"{statistics.mean(run.scheduler_cpu for run in runs):.2%} | "
        f"{statistics.mean(run.total_cpu for run in runs):.2%} |"
    )


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="How late a schedule of one second fires.")
    add = parser.add_argument
    add("--peer", default=",".join(PEERS), help="which, separated by commas; default: all")
    add("--fires", type=int, default=60, help="due instants of each run, after its warm-up")
    add("--rounds", type=int, default=1, help="runs of each peer, taking turns")
    add("--venvs", type=Path, required=True, help="folder for the peers' environments")
    add("--python", default=sys.executable, help="the Python of new environments")
    add("--out", type=Path, help="append each run to this file, as lines of JSON")
    given = parser.parse_args()
    given.peer = given.peer.split(",")
    for name in given.peer:
        if name not in PEERS:
            parser.error(f"no peer {name!r}; there are {', '.join(PEERS)}")
    return given


def main() -> None:
    """Run all peers in turn, and print a table."""
    given = options()
    given.venvs.mkdir(parents=True, exist_ok=True)
    for name in given.peer:
        make_venv(given.venvs, PEERS[name], given.python)
    runs: dict[str, list[Run]] = {name: [] for name in given.peer}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lateness-")))
        servers = Servers(stack, folder)
        for number in range(given.rounds):
            for name in given.peer:
                done = run(name, given.fires, given.venvs.resolve(), servers)
                runs[name].append(done)
                print(f"round {number + 1}: {line(name, [done])}", file=sys.stderr, flush=True)
                if given.out:
                    with given.out.open("a") as out:
                        facts = {field: getattr(done, field) for field in Run.__slots__}
                        print(json.dumps(facts), file=out)
    columns = [
        "peer",
        "fires",
        "p50_ms",
        "p99_ms",
        "max_ms",
        "drift_ms",
        "missed",
        "doubled",
        "scheduler",
        "all",
    ]
    print(f"| {' | '.join(name.replace('_', ' ') for name in columns)} |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in given.peer:
        print(line(name, runs[name]))


if __name__ == "__main__":
    main()
