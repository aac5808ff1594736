"""What a training shows anew from epoch to epoch: the flags of `train` and what they mean."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from e2r_bench.commands.lists import split
from e2r_bench.commands.types import NAMES, OUTPUT

if TYPE_CHECKING:
    from e2r_adapters.train.variation import Variation

_LEAST_SIDE = 16
Command = TypeVar("Command", bound=Callable[..., Any])


class Stages(click.ParamType):
    """Sides by first epoch: "0=512,10=1024" is ((0, 512), (10, 1024)); a TOML table is the same."""

    name = "EPOCH=SIDE,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[tuple[int, int], ...]:
        """See the class."""
        if isinstance(value, tuple):  # converted before, as a flag
            return value
        if isinstance(value, Mapping):
            value = ",".join(f"{epoch}={side}" for epoch, side in value.items())
        parts = split(str(value))
        wrong = ["nothing"] if not parts else [said for part in parts if (said := _misread(part))]
        if wrong:
            said = f"expected EPOCH=SIDE,... such as 0=512,10=1024, found {wrong[0]}"
            self.fail(said, param, ctx)
        pairs = [part.partition("=") for part in parts]
        return tuple((int(epoch), int(side)) for epoch, _, side in pairs)


def _misread(part: str) -> str:
    """Return what is wrong with a stage, "" where nothing is."""
    epoch, equals, side = (one.strip() for one in part.partition("="))
    if not equals:
        return f"{part!r}, which has no ="
    for what, text in (("epoch", epoch), ("side", side)):
        if not (text.isascii() and text.isdigit()):
            return f"{part!r}, whose {what} is no whole number"
    return f"{part!r}, whose side is below {_LEAST_SIDE} pixels" if int(side) < _LEAST_SIDE else ""


class Wordings(click.ParamType):
    """Wordings by task: a TOML file with `task = ["...", "..."]`; a TOML table is the same."""

    name = "FILE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, tuple[str, ...]]:
        """See the class."""
        from e2r_bench.run.config import read_toml

        table = value if isinstance(value, Mapping) else read_toml(Path(str(value)))
        for task, pool in table.items():
            if not _is_pool(pool):
                self.fail(
                    f'expected different wordings, {task} = ["...", "..."], found {pool!r}',
                    param,
                    ctx,
                )
        return {task: tuple(pool) for task, pool in table.items()}


def _is_pool(pool: Any) -> bool:
    """Return whether a value is one or more different texts."""
    if not isinstance(pool, list | tuple):
        return False
    texts = [text for text in pool if isinstance(text, str) and text.strip()]
    return len(texts) == len(pool) == len(set(texts)) > 0


def flags(command: Command) -> Command:
    """Add the flags of what differs from epoch to epoch."""
    for option in reversed(_FLAGS):
        command = option(command)
    return command


_FLAGS = (
    click.option(
        "--augment", type=NAMES, help="crop,flip,turn: anew each epoch, both pictures alike."
    ),
    click.option("--degrade", help="mixed, mixed-neutral, real-esrgan or bsrgan: anew each epoch."),
    click.option(
        "--variants",
        type=click.IntRange(min=1),
        help="So many draws of each sample, encoded first.  [one an epoch, encoded when shown]",
    ),
    click.option("--prompts", type=Wordings(), help="TOML: task = [wordings], one a showing."),
    click.option("--curriculum", type=Stages(), help="Resolutions, such as 0=512,10=1024."),
    click.option("--latents", type=OUTPUT, help="Folder to keep what is encoded in; for the next."),
    click.option(
        "--ema",
        type=click.FloatRange(0, 1, max_open=True),
        help="Save a moving average of this decay, with warm-up.  [0: none]",
    ),
    click.option("--optimizer", type=click.Choice(["adamw", "adamw8bit"]), help="[adamw]"),
)


def variation_of(given: Mapping[str, Any]) -> "Variation":
    """Return what differs from epoch to epoch, from converted settings."""
    from e2r_adapters.train.variation import Variation

    return Variation(
        augment=given.get("augment", ()),
        degrade=given.get("degrade", ""),
        variants=given.get("variants", 0),
        curriculum=given.get("curriculum", ()),
        prompts=given.get("prompts", {}),
    )
