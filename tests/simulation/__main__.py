"""``python -m tests.simulation 17 [--trace]`` or ``--seeds 0:20000``."""

import argparse
import sys
import time

from tests.simulation.run_world import RunWorld
from tests.simulation.schedule_world import ScheduleWorld
from tests.simulation.world import World, simulate_in

WORLDS: tuple[type[World], ...] = (World, ScheduleWorld, RunWorld)


def main() -> int:
    """Run the seeds asked for; 1 at the first that breaks an invariant."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?")
    parser.add_argument("--seeds", metavar="FROM:TO", help="a campaign")
    parser.add_argument("--world", choices=sorted(kind.__name__ for kind in WORLDS), help="only it")
    parser.add_argument("--trace", action="store_true", help="print what happened")
    asked = parser.parse_args()
    if (asked.seed is None) == (asked.seeds is None):
        parser.error("give one seed, or --seeds FROM:TO")
    worlds = [kind for kind in WORLDS if asked.world in (None, kind.__name__)]
    if asked.seed is not None:
        for kind in worlds:
            world = simulate_in(kind, asked.seed)
            if asked.trace:
                print("\n".join(world.data.trace))
            jobs = len(world.data.jobs)
            print(f"seed {asked.seed}, {kind.__name__}: {jobs} jobs, every invariant held")
        return 0
    first, _, last = asked.seeds.partition(":")
    start = time.monotonic()
    for seed in range(int(first), int(last)):
        for kind in worlds:
            simulate_in(kind, seed)
        if seed % 500 == 499:
            print(f"{seed + 1 - int(first):,} seeds, {time.monotonic() - start:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
