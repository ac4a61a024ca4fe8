"""From ``module:attribute`` on the command line to an app."""

import importlib
import sys
from pathlib import Path

from windlass.app import App
from windlass.core.names import nearest
from windlass.errors import AppNotFound


def load_app(target: str) -> App:
    """Import the app that ``module:attribute`` names; the current folder is searched too.

    Where the attribute is no app itself but has one as its ``windlass_app`` (a front end), that.
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
    if (app := _app_of(found)) is not None:
        return app
    apps = [name for name, value in vars(module).items() if _app_of(value) is not None]
    near = nearest(attribute, apps) or (apps[0] if apps else None)
    hint = f" (did you mean {module_name}:{near}?)" if near else ""
    what = "has no such attribute" if found is None else f"is a {type(found).__name__}, not an App"
    raise AppNotFound(target, f"{module_name} {what}{hint}")


def _app_of(found: object) -> App | None:
    if isinstance(found, App):
        return found
    app = getattr(found, "windlass_app", None)
    return app if isinstance(app, App) else None
