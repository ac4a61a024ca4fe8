"""``windlass worker --processes``: a parent that keeps its children, and never leaves them."""

import os
import signal

from tests.cli_worker.commands import WAIT_S, Command, Site, eventually, is_alive


def full_house(site: Site) -> Command:
    """Start two processes, and return once both of them work."""
    parent = site.worker("--processes", "2")
    assert eventually(lambda: len(site.worker_pids()) == 2), parent.output
    return parent


def test_a_child_that_was_killed_is_started_again(site: Site) -> None:
    parent = full_house(site)
    before = site.worker_pids()
    victim = min(before)
    os.kill(victim, signal.SIGKILL)

    def is_replaced() -> bool:
        now = site.worker_pids()
        return len(now - {victim}) == 2 and victim not in now

    assert eventually(is_replaced), parent.output
    assert "was ended by SIGKILL; again in 0.5 s" in parent.output
    assert before - {victim} < site.worker_pids()


def test_a_signal_ends_all_children_in_order_with_code_0(site: Site) -> None:
    parent = full_house(site)
    children = parent.children()

    assert parent.stop() == 0, parent.output
    assert [child for child in children if is_alive(child)] == []
    assert set() == site.worker_pids()


def test_a_signal_before_the_children_are_up_ends_them_too(site: Site) -> None:
    parent = site.worker("--processes", "2")
    assert parent.says("worker 2 is process"), parent.output
    children = parent.children()

    assert parent.stop(signal.SIGINT) == 0, parent.output
    assert [child for child in children if is_alive(child)] == []


def test_children_end_when_their_parent_is_killed(site: Site) -> None:
    parent = full_house(site)
    children = parent.children()
    assert len(children) == 2
    parent.stop(signal.SIGKILL)

    assert eventually(lambda: not any(map(is_alive, children)), within_s=WAIT_S), parent.output
    assert set() == site.worker_pids(), "they gave their leases up: it was an orderly stop"
