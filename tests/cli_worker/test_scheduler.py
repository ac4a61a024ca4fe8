"""``windlass scheduler``, and workers that fire schedules too, as real processes."""

import signal
from urllib.request import urlopen

import pytest

from tests.cli_worker.commands import JOBS, Command, Site, eventually
from tests.servers import free_port
from windlass.errors import ScheduleNotFound
from windlass.model.jobs import JobFilter, State
from windlass.model.schedules import Fire, Leadership

PULSE = f"""
from windlass import every
{JOBS}

@app.task(name="pulse", schedule=every(0.2))
async def pulse() -> None: ...
"""


@pytest.fixture(autouse=True)
def pulse(site: Site) -> None:
    """An app whose task is due five times a second."""
    site.write(PULSE)
    site.app.migrate()


def scheduler(site: Site, *options: str) -> Command:
    return site.start("scheduler", "jobs:app", "--store", site.store_url, *options)


def leader(site: Site) -> Leadership | None:
    """Return who leads now."""
    found = site.app.schedules.leader()
    return found if found is not None and found.left_s > 0 else None


def fires(site: Site) -> list[Fire]:
    return site.app.schedules.fires("pulse", limit=1_000)


def has_run(site: Site) -> bool:
    """Tell whether a job that a tick has started has succeeded."""
    where = JobFilter(states=(State.SUCCEEDED,), task="pulse")
    return bool(site.app.blocking(lambda client: client.jobs(where)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_scheduler_stores_leads_fires_and_hands_over_at_a_signal(
    site: Site, number: signal.Signals
) -> None:
    command = scheduler(site)
    assert eventually(lambda: len(fires(site)) > 2), command.output
    assert leader(site) is not None
    assert "schedules added: pulse" in command.output
    assert not site.worker_pids()

    assert command.stop(number) == 0, command.output
    assert leader(site) is None
    assert "stopping" in command.output
    assert "Traceback" not in command.output


def test_a_second_scheduler_stands_by_and_leads_when_the_first_one_stops(site: Site) -> None:
    first = scheduler(site)
    assert first.says("leads in term 1"), first.output
    second = scheduler(site)
    assert eventually(lambda: len(fires(site)) > 5), first.output
    assert "leads" not in second.output

    assert first.stop() == 0, first.output
    assert second.says("leads in term 2"), second.output
    assert second.stop() == 0, second.output
    ticks = [fire.fire_at for fire in fires(site)]
    assert len(ticks) == len(set(ticks))


def test_a_scheduler_tells_its_health(site: Site) -> None:
    port = free_port()
    command = scheduler(site, "--health", str(port))

    def is_ready() -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{port}/health/ready") as response:
                return bool(response.status == 200)
        except OSError:
            return False

    assert eventually(is_ready), command.output
    assert command.stop() == 0, command.output


def test_a_schedule_that_is_not_in_the_code_any_more_is_removed_at_the_next_start(
    site: Site,
) -> None:
    command = scheduler(site)
    assert command.says("schedules added: pulse"), command.output
    command.stop()
    site.write(PULSE.replace(", schedule=every(0.2)", ""))
    command = scheduler(site)
    assert command.says("schedules removed: pulse"), command.output
    command.stop()

    with pytest.raises(ScheduleNotFound):
        site.app.schedules.get("pulse")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere:app",), "cannot load the app 'nowhere:app'"),
        (("jobs:ap",), "did you mean jobs:app?"),
        (("jobs",), "module:attribute"),
        (("jobs:app", "--log-level", "loud"), "must be one of debug, info"),
        (("jobs:app", "--store", "ftp://x/y"), "no store is known for the scheme 'ftp'"),
        (("wrong:app",), "'size' of task 'a'"),
        (("twice:app",), "another schedule has this name"),
    ],
)
def test_a_mistake_ends_with_code_2_and_says_what_it_is(
    site: Site, arguments: tuple[str, ...], words: str
) -> None:
    head = "from windlass import App, every\napp = App('sqlite:///own.db')\n"
    task = "@app.task(name='a', schedule=[every(9){more}])\ndef a({parameter}) -> None: ...\n"
    (site.folder / "wrong.py").write_text(head + task.format(more="", parameter="size: int"))
    (site.folder / "twice.py").write_text(head + task.format(more=", every(8)", parameter=""))
    command = site.start("scheduler", *arguments)

    assert command.process.wait(20) == 2, command.output
    assert words in command.output
    assert "Traceback" not in command.output


def test_without_a_store_the_code_is_3(site: Site) -> None:
    url = f"postgresql://u:secret@127.0.0.1:{free_port()}/x"
    command = site.start("scheduler", "jobs:app", "--store", url)

    assert command.process.wait(20) == 3, command.output
    assert "does not answer" in command.output
    assert "secret" not in command.output


def test_a_worker_fires_schedules_only_if_it_is_told_to(site: Site) -> None:
    plain = site.worker()
    assert eventually(lambda: len(site.worker_pids()) == 1), plain.output
    assert plain.stop() == 0, plain.output
    assert leader(site) is None
    assert fires(site) == []
    worker = site.worker("--scheduler")

    assert eventually(lambda: has_run(site)), worker.output
    assert leader(site) is not None
    assert worker.stop() == 0, worker.output
    assert leader(site) is None


def test_of_several_worker_processes_one_leads_and_another_takes_its_place(site: Site) -> None:
    parent = site.worker("--processes", "2", "--scheduler")
    assert eventually(lambda: len(site.worker_pids()) == 2), parent.output
    assert eventually(lambda: has_run(site)), parent.output
    assert parent.output.count("leads in term") == 1
    count = len(fires(site))
    parent.process.send_signal(signal.SIGHUP)  # each process is replaced by a fresh one

    assert parent.says("leads in term 2"), parent.output
    assert eventually(lambda: len(fires(site)) > count), parent.output
    assert parent.stop() == 0, parent.output
    assert leader(site) is None
    ticks = [fire.fire_at for fire in fires(site)]
    assert len(ticks) == len(set(ticks))


def test_dev_fires_schedules_and_takes_a_change_of_them_over(site: Site) -> None:
    command = site.start("dev", "jobs:app", "--store", site.store_url)
    assert eventually(lambda: has_run(site)), command.output

    site.write(PULSE.replace("every(0.2)", "every(0.3)"))
    assert command.says("schedules changed: pulse"), command.output
    assert eventually(lambda: fires(site)[0].version == 2), command.output
    assert command.stop() == 0, command.output
    assert leader(site) is None
