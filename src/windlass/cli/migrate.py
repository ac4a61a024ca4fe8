"""``windlass migrate``: bring a store's schema to this version."""

from windlass.app import App
from windlass.cli.options import AsJson, Store
from windlass.cli.output import print_json
from windlass.config import masked_url


def migrate(store: Store = None, as_json: AsJson = False) -> int:
    """Make or update the tables of a store.  Safe to repeat, and from many machines at once.

    Exit code: 0 done or up to date, 2 for a newer schema, 3 without a store.
    """
    app = App(store)
    try:
        applied = app.migrate()
    finally:
        app.close()
    where = masked_url(app.settings.store)
    if as_json:
        print_json({"store": where, "applied": applied})
    elif applied:
        print(f"{where}: applied {', '.join(map(str, applied))}")
    else:
        print(f"{where}: up to date")
    return 0
