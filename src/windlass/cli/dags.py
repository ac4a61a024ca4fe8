"""``windlass dags …``: look at the DAGs of an app."""

from typing import Annotated, Any

import typer

from windlass.cli.options import AsJson
from windlass.cli.output import print_json, print_table
from windlass.cli.target import load_app
from windlass.core.names import nearest
from windlass.errors import TaskNotFound
from windlass.graphs import Graph

Target = Annotated[str, typer.Argument(help="The app, as module:attribute.")]

commands = typer.Typer(help="Look at the DAGs of an app.", no_args_is_help=True)


@commands.command("list")
def list_dags(target: Target, as_json: AsJson = False) -> int:
    """List the DAGs of an app.

    Exit code: 0, or 2 for a DAG that is declared wrongly.
    """
    app = load_app(target)
    rows = [(dag.name, len(dag.graph.steps), dag.spec.queue) for dag in app.dags]
    columns = ("name", "steps", "queue")
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows, empty="no DAGs")
    return 0


@commands.command("show")
def show(
    target: Target,
    name: Annotated[str, typer.Argument(help="The name of the DAG.")],
    as_json: AsJson = False,
) -> int:
    """Show the steps of a DAG: what each waits for, and by which rule.

    Exit code: 0, or 2 if there is no such DAG, or one that is declared wrongly.
    """
    dags = {dag.name: dag for dag in load_app(target).dags}
    if name not in dags:
        raise TaskNotFound(name, nearest(name, dags))
    steps = _shown(dags[name].graph)
    if as_json:
        print_json(steps)
        return 0
    columns = ("step", "task", "waits for", "rule")
    rows = [(s["step"], s["task"], ", ".join(s["waits_for"]) or None, s["rule"]) for s in steps]
    print_table(columns, rows, empty="")
    return 0


def _shown(graph: Graph) -> list[dict[str, Any]]:
    titles = [step.name if step.nth == 0 else f"{step.name} [{step.nth}]" for step in graph.steps]
    return [
        {
            "step": title,
            "task": step.task.spec.name,
            "waits_for": list(dict.fromkeys(titles[need.parent] for need in step.needs)),
            "rule": step.rule,
        }
        for title, step in zip(titles, graph.steps, strict=True)
    ]
