"""From ``module:attribute`` on the command line to an app."""

import importlib
import sys
from pathlib import Path

from windlass.app import App
from windlass.core.names import nearest
from windlass.errors import AppNotFound


def load_app(target: str) -> App:
    """Import the app that ``module:attribute`` names; the current folder is searched too.

    Raises: AppNotFound, with the reason; an error inside the module is its cause.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise AppNotFound(target, "it is not of the form module:attribute")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise AppNotFound(target, f"{type(error).__name__}: {error}") from error
    found = getattr(module, attribute, None)
    if isinstance(found, App):
        return found
    apps = [name for name, value in vars(module).items() if isinstance(value, App)]
    near = nearest(attribute, apps) or (apps[0] if apps else None)
    hint = f" (did you mean {module_name}:{near}?)" if near else ""
    what = "has no such attribute" if found is None else f"is a {type(found).__name__}, not an App"
    raise AppNotFound(target, f"{module_name} {what}{hint}")
