"""The reference pages: every metric, method, task, protocol and command, as the code has it."""

from collections.abc import Iterator, Sequence
from typing import Any

import click


def pages() -> dict[str, str]:
    """Return page -> Markdown."""
    return {
        "reference/metrics.md": "\n".join(metrics()),
        "reference/methods.md": "\n".join(methods()),
        "reference/tasks.md": "\n".join(tasks()),
        "reference/protocols.md": "\n".join(protocols()),
        "reference/sets.md": "\n".join(sets()),
        "reference/weights.md": "\n".join(weights()),
        "reference/commands.md": "\n".join(commands()),
        "reference/python.md": "\n".join(python()),
    }


def metrics() -> Iterator[str]:
    """Yield every metric and variant, with the licences of its weights."""
    from e2r_bench.maps.shares import SHARES
    from e2r_bench.statistics.given import stated
    from e2r_bench.statistics.margins import known_margin
    from e2r_metrics import CATALOG
    from e2r_metrics.catalog import composites

    licences = {row.name: row.licence for row in _weight_rows()}
    yield "# Metrics\n\nA bare name means the profile's variant: `e2r-bench metrics`.\n"
    every = (*CATALOG.values(), *composites())
    for metric in every:
        margin = known_margin(metric.id, stated(every, {}))
        own = [f"{name} ({licences[name]})" for name in metric.weights]
        yield f"## {_code(metric.id)}\n\n{_text(metric.title)}\n"
        yield from _facts({
            "looks at": metric.scope,
            "better": "higher" if metric.higher_is_better else "lower",
            "unit": metric.unit,
            "protocol": metric.protocol,
            "paper": metric.paper,
            "agrees with": f"{metric.reference}, to {metric.tolerance}",
            "margin": f"{margin.value:g} {margin.unit}: {margin.reason}" if margin else "",
            "weights, licence": ", ".join(own) or "none",
        })  # fmt: skip
    for key, info in SHARES.items():
        yield f"## {_code(key)}\n"
        yield from _facts({"unit": info.unit, "better": "lower", "protocol": info.protocol})


def methods() -> Iterator[str]:
    """Yield every method, with its licence."""
    from dataclasses import asdict

    from e2r_baselines.method import options_of
    from e2r_bench.run.plan import known_methods

    yield "# Methods\n\nWhat each would run with on your machine: `e2r-bench methods`.\n"
    for name, method in known_methods().items():
        options = options_of(method, {})
        spec = method.make(options)
        said = [f"{key} = {value}" for key, value in asdict(options).items()]
        yield f"## {_code(name)}\n\n{_text(spec.title)}\n"
        yield from _facts({
            "licence": spec.licence or "none: no weights, code of this project",
            "source": spec.source,
            "made for": ", ".join(sorted(spec.tasks)),
            "options": ", ".join(said),
            "note": spec.note,
        })  # fmt: skip


def tasks() -> Iterator[str]:
    """Yield every task with its prompts."""
    from e2r_baselines.tasks import TASKS

    yield "# Tasks\n\nTasks of one's own are tables in a settings file: [Data](../data.md).\n"
    for name, task in TASKS.items():
        yield f"## {_code(name)}\n"
        yield from _facts({
            "kind": task.kind,
            "sigma": f"{task.sigma:g}" if task.sigma is not None else "",
            "what": task.says,
            "prompts": "; ".join(f"{key}: {said}" for key, said in task.prompts.items()),
            "licence": "the prompts are Edit2Restore's, the degradation this project's, Apache-2.0",
        })  # fmt: skip


def protocols() -> Iterator[str]:
    """Yield every protocol with its source."""
    from e2r_bench.run.protocols import PROTOCOLS

    yield (
        "# Protocols\n\nNumbers of two protocols are never put into one column. Each follows the "
        "evaluation code that it names; none of that is copied, and the rows are Apache-2.0.\n"
    )
    for name, row in PROTOCOLS.items():
        kinds = {"denoise": row.denoise, "derain": row.derain, "dehaze": row.dehaze}
        yield f"## {_code(name)}\n"
        yield from _facts({
            "source": row.source,
            "in one string": row.describe(),
            **{kind: ", ".join(map(":".join, found.items())) for kind, found in kinds.items()},
        })  # fmt: skip


def sets() -> Iterator[str]:
    """Yield every public set that is known, with its licence."""
    from e2r_bench.run.public_sets import public_sets

    yield "# Public sets\n\nHow each is had: `e2r-bench data`.\n"
    for name, row in public_sets().items():
        yield f"## {_code(name)}\n"
        yield from _facts({
            "pictures": str(row.n),
            "tasks": ", ".join(row.tasks),
            "licence": row.licence or "unknown: nobody states one",
            "page": row.page,
            "how": row.how(),
            "note": row.note,
        })  # fmt: skip


def weights() -> Iterator[str]:
    """Yield every weight file with its licence."""
    yield "# Weight files\n\nWhere each is on your machine: `e2r-bench weights`.\n"
    for row in _weight_rows():
        yield f"## {_code(row.name)}\n"
        yield from _facts({
            "licence": " ".join(filter(None, (row.licence, row.licence_url))),
            "sha256": row.sha256,
        })  # fmt: skip


def commands() -> Iterator[str]:
    """Yield what `--help` says of every command."""
    from e2r_bench.cli import cli

    yield "# Commands\n"
    context = click.Context(cli, info_name="e2r-bench")
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if command is not None:
            yield from _command(command, click.Context(command, context, info_name=name))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## `{context.command_path}`\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _command(child, click.Context(child, context, info_name=name))


def python() -> Iterator[str]:
    """Yield the public functions and what they return, for mkdocstrings."""
    import e2r_bench

    yield "# Python\n\n`import e2r_bench`; how to use it: [In Python](../python.md).\n"
    for name in sorted(e2r_bench.__all__, key=lambda one: (one[0].isupper(), one)):
        found: Any = getattr(e2r_bench, name)
        found = getattr(found, "__wrapped__", found)
        if hasattr(found, "__module__"):
            yield f"::: {found.__module__}.{found.__qualname__}\n"


def _weight_rows() -> Sequence[Any]:
    from e2r_metrics.base.declarations import declarations_of

    packages = ("e2r_metrics", "e2r_baselines", "e2r_adapters")
    return [row for name in packages for row in declarations_of(name).values()]


def _facts(facts: dict[str, str]) -> Iterator[str]:
    yield "\n".join(f"- **{key}**: {_text(value)}" for key, value in facts.items() if value) + "\n"


def _code(text: str) -> str:
    return f"`{text}`"


def _text(text: str) -> str:
    from e2r_bench.report.markdown import escape

    return escape(text)
