"""The app of ``windlass demo``: one job looks at one source file."""

import ast
import hashlib
from dataclasses import dataclass
from pathlib import Path

from windlass.app import App

app = App()


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of a source file.

    names:   functions and classes it defines, in the order of a walk through its tree.
    problem: why it could not be parsed; empty if it could.
    """

    size_bytes: int
    lines: int
    names: tuple[str, ...]
    problem: str
    digest: str


@app.task
def index_file(path: Path) -> FileFacts:
    """Read one source file and return its facts."""
    source = path.read_bytes()
    names, problem = _names(source)
    return FileFacts(
        size_bytes=len(source),
        lines=len(source.splitlines()),
        names=names,
        problem=problem,
        digest=hashlib.sha256(source).hexdigest(),
    )


def _names(source: bytes) -> tuple[tuple[str, ...], str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = str(error).encode("utf-8", "replace").decode()  # it may quote a lone surrogate
        return (), f"{type(error).__name__}: {why}"
    defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return tuple(node.name for node in ast.walk(tree) if isinstance(node, defined)), ""
