"""The contract of ``ports.Store``, as tests: public, and the same for every adapter.

An adapter's test class derives from :class:`StoreContract` and has a fixture
``world`` (a :class:`StoreWorld`).  The tests are coroutines: run each in an event
loop of its own (``pytest_pyfunc_call`` in Windlass' own ``tests/conftest.py``).
Needs pytest.

A world moves time instead of waiting for it: by a fake clock, or, where the clock
is a server's, by making every row older.
"""

from windlass.testing.contracts.bells import BellContract
from windlass.testing.contracts.claiming import ClaimContract
from windlass.testing.contracts.edges import EdgeContract
from windlass.testing.contracts.embedded import EmbeddedContract
from windlass.testing.contracts.enqueueing import EnqueueContract
from windlass.testing.contracts.holds import HoldContract
from windlass.testing.contracts.leases import LeaseContract
from windlass.testing.contracts.limits import LimitContract
from windlass.testing.contracts.lookup import LookupContract
from windlass.testing.contracts.once import OnceContract
from windlass.testing.contracts.progress import ProgressContract
from windlass.testing.contracts.results import ResultContract
from windlass.testing.contracts.runs import RunContract
from windlass.testing.contracts.schedules import (
    BackfillContract,
    ScheduleBellContract,
    ScheduleContract,
)
from windlass.testing.contracts.settling import SettleContract
from windlass.testing.contracts.sweeping import SweepContract
from windlass.testing.contracts.table import TableContract
from windlass.testing.contracts.twin import TwinContract
from windlass.testing.contracts.world import StoreWorld, opened


class StoreContract(
    EnqueueContract,
    ClaimContract,
    SettleContract,
    LeaseContract,
    LimitContract,
    HoldContract,
    EdgeContract,
    OnceContract,
    ProgressContract,
    ResultContract,
    RunContract,
    ScheduleContract,
    ScheduleBellContract,
    BackfillContract,
    SweepContract,
    LookupContract,
    BellContract,
    TableContract,
    TwinContract,
):
    """What every ``Store`` promises; an adapter's test class adds only ``world``."""


__all__ = ["EmbeddedContract", "StoreContract", "StoreWorld", "opened"]
