"""``python -m tests.oracle [--cases 1000000] [--seed 1]``: every zone, every jump, 1970 to 2100."""

import argparse
import random
import sys
import time

from tests.oracle.cases import cases_at, differences, every_jump


def main() -> int:
    """Compare; 1 where anything differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    start = time.monotonic()
    places = list(every_jump())
    chance = random.Random(asked.seed)
    print(f"{len(places):,} jumps, {time.monotonic() - start:.0f} s", flush=True)
    done = wrong = 0
    for number, (zone, instant_s) in enumerate(places, 1):
        count = asked.cases * number // len(places) - asked.cases * (number - 1) // len(places)
        for case in cases_at(chance, zone, instant_s, count):
            done += 1
            if told := differences(case):
                wrong += 1
                print(told, flush=True)
        if number % 5_000 == 0:
            print(f"{done:,} cases, {time.monotonic() - start:.0f} s", flush=True)
    print(f"{done:,} cases, {wrong} differ, {time.monotonic() - start:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
