"""The shape of the code: layers, sizes, names, the error tree, and the moves in the schemas."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from windlass import errors
from windlass.core.lifecycle import MOVES
from windlass.model.jobs import State

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "windlass"
MODULES = sorted(PACKAGE.rglob("*.py"))

FUNCTION_LINES_MAX, MODULE_LINES_MAX, TIE_LINES_MAX = 60, 700, 300
BAD_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "manager", "mixins", "mixin"}
# Where the modules of another library stand, a front end has them too: an import line names them.
MIRRORED = {PACKAGE / "contrib" / library / "utils" for library in ("celery", "qtasks")}
FACES = {"cli", "http", "ui"}
ADAPTER_ROOMS = {"stores", "brokers", "executors"}

# -- layers ------------------------------------------------------------------


def layer_table() -> dict[str, tuple[int, set[str]]]:
    """Return ``room -> (layer, rooms it may import)`` as ARCHITECTURE.md prints it."""
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    section = text.split("\n## Layers\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| *(\d) *\|([^|]*)\|([^|]*)\|$", section, flags=re.M)
    table: dict[str, tuple[int, set[str]]] = {}
    for layer, rooms, allowed in rows:
        for room in words(rooms):
            assert room not in table, f"{room} is in the table twice"
            table[room] = (int(layer), set(words(allowed)))
    return table


def words(cell: str) -> list[str]:
    """Return the names in a cell of the table."""
    return re.findall(r"\w+", cell)


def module_name(path: Path) -> str:
    """Return the dotted name of a module of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    """Yield each module of the package that this one imports, wherever it does so."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            yield from (
                arg.value
                for arg in node.args
                if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            )


def room_of(name: str) -> str | None:
    """Return the room that a dotted name lies in; None if it is not of the package."""
    parts = name.split(".")
    if parts[0] != "windlass":
        return None
    is_room = len(parts) > 1 and any(
        (PACKAGE / f"{parts[1]}{suffix}").exists() for suffix in ("", ".py")
    )
    return parts[1] if is_room else "app"  # the package's own names stand on the app


def room_edges() -> list[tuple[Path, str, str]]:
    """Return ``(path, importing room, imported name)``; the package's front is no room."""
    return [
        (path, path.relative_to(PACKAGE).with_suffix("").parts[0], name)
        for path in MODULES
        if path.parent != PACKAGE or path.stem not in ("__init__", "__main__")
        for name in imports_of(path)
        if room_of(name)
    ]


def test_every_room_is_in_the_table() -> None:
    rooms = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in MODULES}

    assert rooms - {"__init__", "__main__"} <= set(layer_table())


def test_the_table_points_down_only() -> None:
    table = layer_table()
    wrong = [
        f"{room} -> {other}"
        for room, (layer, allowed) in table.items()
        for other in allowed
        if other not in table or table[other][0] > layer
    ]

    assert wrong == []
    for room in ADAPTER_ROOMS:
        assert not table[room][1] & (ADAPTER_ROOMS | {"engine"})
    assert not table["engine"][1] & ADAPTER_ROOMS
    for face in FACES:
        assert not table[face][1] & ADAPTER_ROOMS


def test_each_import_is_one_that_the_table_allows() -> None:
    table = layer_table()
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, room, name in room_edges()
        if room_of(name) != room and room_of(name) not in table[room][1]
    ]

    assert wrong == []


def test_adapters_do_not_see_each_other() -> None:
    wrong = []
    for path, room, name in room_edges():
        if room not in ("stores", "brokers") or room_of(name) != room:
            continue
        own = path.relative_to(PACKAGE / room).with_suffix("").parts[0]
        other = name.split(".")[2] if name.count(".") > 1 else "__init__"
        is_adapter = other == "memory" or (PACKAGE / room / other).is_dir()
        if other != own and is_adapter:
            wrong.append(f"{path.relative_to(ROOT)}: {name}")

    assert wrong == []


def test_modules_that_import_each_other_do_not_exist() -> None:
    names = {module_name(path) for path in MODULES}
    graph = {
        module_name(path): {
            known
            for name in imports_of(path)
            for known in [name if name in names else name.rpartition(".")[0]]
            if known in names and known != module_name(path) and known != "windlass"
        }
        for path in MODULES
    }
    while free := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in free:
            del graph[name]

    assert {name: needs & graph.keys() for name, needs in graph.items()} == {}


# -- names and sizes ---------------------------------------------------------


def test_no_module_has_a_name_that_says_nothing() -> None:
    own = [path for path in MODULES if path.parent not in MIRRORED]

    assert [path for path in own if {path.stem, path.parent.name} & BAD_NAMES] == []


def test_no_module_is_longer_than_its_limit() -> None:
    lengths = {module_name(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}

    assert {name: n for name, n in lengths.items() if n > MODULE_LINES_MAX} == {}


def test_no_function_is_longer_than_its_limit() -> None:
    lengths = {
        f"{module_name(path)}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert {name: n for name, n in lengths.items() if n > FUNCTION_LINES_MAX} == {}


# -- ties to other libraries -------------------------------------------------

TIES = [path for path in MODULES if room_of(module_name(path)) == "contrib"]
OWN = {"self", "cls"}


def test_a_tie_is_a_small_module() -> None:
    lengths = {module_name(path): len(path.read_text("utf-8").splitlines()) for path in TIES}

    assert {name: n for name, n in lengths.items() if n > TIE_LINES_MAX} == {}


def test_a_tie_uses_no_private_name() -> None:
    wrong = []
    for path in TIES:
        wrong += [name for name in imports_of(path) if re.search(r"\._(?!_)", name)]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and re.match(r"_(?!_)", node.attr):
                on_itself = isinstance(node.value, ast.Name) and node.value.id in OWN
                wrong += [] if on_itself else [f"{path.relative_to(ROOT)}: {ast.unparse(node)}"]

    assert wrong == []


# -- the error tree ----------------------------------------------------------


def drawn_tree() -> dict[str, str]:
    """Return ``class -> parent`` as the docstring of ``errors.py`` draws it."""
    path: list[str] = []
    parents: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"((?:[│ ]   )*)[├└]── (\w+)", line)
        if match is None:
            if line == "WindlassError":
                path = [line]
            continue
        depth = len(match[1]) // 4 + 1
        path = [*path[:depth], match[2]]
        parents[match[2]] = path[-2]
    return parents


def test_the_error_tree_in_the_docstring_is_the_real_one() -> None:
    real = {
        name: cls.__bases__[0].__name__
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.WindlassError) and cls is not errors.WindlassError
    }

    assert drawn_tree() == real


# -- the moves in the schemas ------------------------------------------------


@pytest.mark.parametrize("adapter", ["sqlite", "postgres"])
def test_the_moves_in_the_schema_are_the_moves_of_the_lifecycle(adapter: str) -> None:
    folder = PACKAGE / "stores" / adapter
    files = [path for path in folder.rglob("*") if path.suffix in (".sql", ".py")]
    if not files:
        pytest.skip(f"there is no {adapter} store yet")
    states = "|".join(State)
    pair = re.compile(rf"\('({states})', *'({states})'\)")
    found = [(a, b) for path in files for a, b in pair.findall(path.read_text("utf-8"))]

    assert set(found) == {(str(a), str(b)) for a, after in MOVES.items() for b in after if a != b}
