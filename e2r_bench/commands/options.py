"""Options that several commands share, each defined once."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands.addresses import FOLDER_OR_ADDRESS
from e2r_bench.commands.types import (
    ABOVE_ZERO,
    COLOUR,
    FILE,
    NAMES,
    NUMBERS_OF,
    OPTION,
    VARIANTS,
    WHOLE,
    Folders,
)
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from e2r_metrics.base.pairs import Matching
    from e2r_metrics.base.pictures import Reading
    from e2r_metrics.parts import Parts
    from e2r_metrics.view import View

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

weights = click.option(
    "--weights", multiple=True, type=FOLDER_OR_ADDRESS, help="Folder of weight files, or address."
)
# Parsed before the others: what is at an address is fetched while its flag is parsed.
offline = click.option("--offline", is_flag=True, is_eager=True, help="Open no connection.")
variant = click.option(
    "--variant", multiple=True, type=VARIANTS, help="METRIC=VARIANT, e.g. psnr=y."
)
set_option = click.option(
    "--set",
    "options",
    multiple=True,
    type=OPTION,
    help="OPTION=VALUE for every method that has it, or INSTANCE.OPTION=VALUE.",
)


def print_json(content: Any) -> None:
    """Print what a command has found as JSON; a number that JSON has not is text, such as "inf"."""
    import json

    click.echo(json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False))


def plain(content: Any) -> Any:
    """Return dicts, lists, text and finite numbers; other numbers and paths become text."""
    import math

    if isinstance(content, Mapping):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple | set | frozenset):
        return [plain(value) for value in content]
    if isinstance(content, float):
        return content if math.isfinite(content) else str(content)
    return content if isinstance(content, str | int | None) else str(content)


def _all(*options: Decorator) -> Decorator:
    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


pixels = _all(
    click.option("--range", "value_range", type=ABOVE_ZERO, help="What white is in float files."),
    click.option("--flatten", type=COLOUR, help="Colour that translucent pictures lie on."),
    click.option("--max-megapixels", type=click.IntRange(min=1), help="Larger ones fail.  [268]"),
)
"""How files become pixels; see `reading_of`."""

reading = _all(
    click.option("--recursive", is_flag=True, default=None, help="Search sub-folders too."),
    click.option("--pair", help='How a clean file is named for another, such as "{name}_GT".'),
    pixels,
)
"""How folders are paired too; see `matching_of`."""


class _Crop(click.ParamType):
    """A crop: "128" is squares of 128 pixels, "x16" sides that are multiples of 16."""

    name = "N|xN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from e2r_metrics.view import parse_crop

        try:
            parse_crop(value)
        except UsageError as error:
            self.fail(str(error).removeprefix("--crop: "), param, ctx)
        return str(value)


crop = click.option(
    "--crop", type=_Crop(), help="N: central squares of N pixels. xN: sides cut to multiples of N."
)
"""Which part of a picture is there; `score` cuts what it is given, a run before it degrades."""

cuts = _all(
    click.option("--channel", help="Of PSNR and SSIM: rgb, gray, y, y_full, y709, y709_full, or a "
                 "luma rounded to 8 bits, such as y_rounded."),
    crop,
    click.option("--shave", type=click.IntRange(min=0), help="Pixels cut at each border."),
)  # fmt: skip
"""What of the pictures is scored; see `view_of`."""

parts = _all(
    cuts,
    click.option("--depth", type=click.Choice(["stored", "round", "truncate"]), default="stored",
                 show_default=True, help="Bring deeper pictures to 8 bits before they are scored."),
    click.option("--order", type=click.Choice(
                     ["name", "sorted", "numeric", "sorted-numeric", "numeric-sorted"]),
                 default="name", show_default=True,
                 help="Partners by name, or by place in lists sorted as text or by numbers."),
    click.option("--reference", type=click.Choice(["clean", "degraded"]), default="clean",
                 show_default=True, help="What the last folder holds; realir needs degraded."),
)  # fmt: skip
pooling = click.option(
    "--pool", type=click.Choice(["images", "error"]), default="images", show_default=True,
    help="PSNR: the mean over pictures, or the dB of their mean error.",
)  # fmt: skip


def parts_of(asked: Mapping[str, Any]) -> "Parts":
    """Return the parts of a protocol, from the flags of `reading`, `parts` and `pooling`."""
    from e2r_metrics.parts import Parts

    return Parts(
        reading_of(asked), matching_of(asked), view_of(asked), asked.get("pool") or "images",
        asked.get("reference") or "clean",
    )  # fmt: skip


def view_of(asked: Mapping[str, Any]) -> "View":
    """Return what of the pictures is scored; absent flags leave all of it."""
    from e2r_metrics.view import View, parse_crop

    side, multiple = (None, 1) if asked.get("crop") is None else parse_crop(asked["crop"])
    return View(asked.get("shave") or 0, multiple, asked.get("depth") or "stored", side)


def reading_of(asked: Mapping[str, Any]) -> "Reading":
    """Return how files become pixels, from the flags of `pixels`; absent ones are the usual."""
    from e2r_metrics.base.pictures import MOST_PIXELS, Reading, parse_colour

    flatten, most = asked.get("flatten"), asked.get("max_megapixels")
    return Reading(
        asked.get("value_range"),
        parse_colour(flatten) if flatten else None,
        most * 10**6 if most else MOST_PIXELS,
    )


def matching_of(asked: Mapping[str, Any]) -> "Matching":
    """Return how files find their partners, from the flags of `reading`."""
    from e2r_metrics.base.pairs import Matching

    if asked.get("pair") and asked.get("order", "name") != "name":
        raise click.UsageError("expected one of --pair and --order, found both")
    return Matching(bool(asked.get("recursive")), asked.get("pair"), asked.get("order") or "name")


engine = _all(
    click.option("--executor", type=click.Choice(["serial", "processes", "ray"]), default="serial",
                 show_default=True, help="Who restores; no pixel depends on it."),
    click.option("--workers", type=click.IntRange(min=1),
                 help="At once; one a GPU, or one a core, without."),
    click.option("--address", help="Of a Ray cluster; without, one on this machine."),
)  # fmt: skip
"""Who does the work; see `e2r_bench.run.engine`."""

margin = click.option(
    "--margin", "margins", multiple=True, type=NUMBERS_OF,
    help="METRIC=NUMBER in the metric's unit, for what counts as no difference.",
)  # fmt: skip
as_json = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
"""What it prints goes through `print_json`."""
json_form = click.option("--json", "form", flag_value="json", help="The same as --format json.")
dry_run = click.option(
    "--dry-run", is_flag=True, help="Say what it takes; write, fetch, train, restore nothing."
)
shard = click.option(
    "--shard", help="i/n: make this part of the arms and judge nothing, for `e2r-bench merge`."
)
training_seeds = click.option(
    "--training-seeds", type=WHOLE,
    help="Train every arm once with each; one training speaks of that adapter only.",
)  # fmt: skip
seeds = click.option("--seeds", type=WHOLE, help="Sample every arm once with each.")

scenes = click.option("--scenes", type=FILE, help="CSV of image,scene: what shows the same.")
cut = _all(crop, scenes)
"""Which part of a picture is looked at, and which pictures are of one scene."""

study_tasks = click.option(
    "--tasks", type=NAMES, default="denoise25,derain,dehaze", show_default=True
)
study_metrics = click.option(
    "--metrics", type=NAMES, default="psnr,lpips,fd_effnet,mmd_effnet", show_default=True
)

studied = _all(
    click.option("--data", type=NAMES, default="mini", help="'mini', a folder, or TASK=FOLDER,..."),
    cut,
    click.option("--limit", type=click.IntRange(min=3), help="The first so many of each set."),
    click.option("--device", default="auto", show_default=True, help="A torch device."),
    weights,
    offline,
    set_option,
)
"""What pictures a study looks at, and where it runs."""

trained = _all(
    click.option("--backbone", default="auto", show_default=True,
                 help="auto, kontext-nano, a hub id or a folder; arms are trained and run on it."),
    click.option("--train-data", type=Folders(alone="painted"),
                 help="KIND=FOLDER,... of pairs (denoise, dehaze: also clean ones), or 'painted'."),
    click.option("--drop-overlap", is_flag=True,
                 help="Leave out training pictures that stand in --data; each is recorded."),
    click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True,
                 help="Of each few-shot training; the profiles' own: 20, miniature 60."),
    click.option("--unit", type=click.Choice(["scene", "image"]), default="scene",
                 show_default=True,
                 help="What is independent; 'image' speaks for these images only."),
)  # fmt: skip
"""How the arms of claims and studies are trained and judged."""
