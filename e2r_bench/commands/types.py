"""Click parameter types: what a flag's text means, and what is wrong with it, said once for all."""

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from e2r_bench.commands.lists import CommaList, split
from e2r_metrics.base.addresses import is_address
from e2r_metrics.base.errors import UsageError

_NUMBER = re.compile(r"\d+", re.ASCII)
_OPTION = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


class Names(CommaList):
    """One or more names by comma: "a, b" is ["a", "b"]."""

    name = "NAME,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """See the class."""
        found = split(value) if isinstance(value, str) else list(value)
        if isinstance(value, str) and not found:
            self.fail(f"expected one or more names by comma, found {value!r}", param, ctx)
        self.refuse_repeated(found, param, ctx)
        return tuple(found)


class Numbers(CommaList):
    """One or more whole numbers by comma: "0, 1" is [0, 1].

    Args:
        least: smaller numbers are refused.
    """

    name = "N,..."

    def __init__(self, least: int = 0) -> None:
        self._least = least

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """See the class."""
        if not isinstance(value, str):
            self.refuse_repeated(list(value), param, ctx)
            return tuple(value)
        parts = split(value)
        if not parts or not all(_NUMBER.fullmatch(part) for part in parts):
            self.fail(
                f"expected whole numbers by comma, such as 1,4,8, found {value!r}", param, ctx
            )
        numbers = tuple(int(part) for part in parts)
        if min(numbers) < self._least:
            self.fail(f"expected numbers from {self._least} on, found {min(numbers)}", param, ctx)
        self.refuse_repeated(numbers, param, ctx)
        return numbers


class Folders(CommaList):
    """Folders by name: "denoise=A,derain=B" is {"denoise": "A", "derain": "B"}.

    Args:
        alone: a word that may stand instead of all, as {"": word}.
    """

    name = "TASK=FOLDER,..."

    def __init__(self, alone: str | None = None) -> None:
        self._alone = alone

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, str]:
        """See the class."""
        if not isinstance(value, str):
            return dict(value)
        parts = split(value)
        if self._alone is not None and parts == [self._alone]:
            return {"": self._alone}
        pairs = [part.partition("=") for part in parts]
        if not pairs or not all(name and folder for name, _, folder in pairs):
            self.fail(f"expected TASK=FOLDER,..., found {value!r}", param, ctx)
        found = [(name.strip(), folder.strip()) for name, _, folder in pairs]
        self.refuse_repeated([name for name, _ in found], param, ctx)
        return dict(found)


class Variants(CommaList):
    """Variants of metrics: "psnr=y,ssim=gauss" is {"psnr": "y", "ssim": "gauss"}."""

    name = "METRIC=VARIANT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, str]:
        """See the class."""
        if not isinstance(value, str):
            return dict(value)
        pairs = [part.partition("=") for part in split(value)]
        if not pairs or not all(name and variant for name, _, variant in pairs):
            self.fail(f"expected METRIC=VARIANT such as psnr=y, found {value!r}", param, ctx)
        self.refuse_repeated([name for name, _, _ in pairs], param, ctx)
        return {name: variant for name, _, variant in pairs}


class NumbersOf(CommaList):
    """Numbers above zero by metric: "psnr=0.3,lpips=0.01" is {"psnr": 0.3, "lpips": 0.01}."""

    name = "METRIC=NUMBER"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, float]:
        """See the class."""
        if not isinstance(value, str):
            return dict(value)
        found: dict[str, float] = {}
        parts = split(value)
        self.refuse_repeated([part.partition("=")[0].strip() for part in parts], param, ctx)
        for part in parts:
            name, _, given = part.partition("=")
            try:
                found[name.strip()] = float(given)
            except ValueError:
                self.fail(f"expected METRIC=NUMBER such as psnr=0.3, found {part!r}", param, ctx)
            # A NaN is not above zero either.
            if not 0 < found[name.strip()] < float("inf"):
                self.fail(f"expected a finite number above 0, found {part!r}", param, ctx)
        return found


class MethodOption(click.ParamType):
    """An option of methods: "a.steps=4" is ("a", "steps", "4"), "steps=4" is ("", "steps", "4")."""

    name = "[INSTANCE.]OPTION=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str, str]:
        """See the class."""
        if not isinstance(value, str):
            return value
        target, equals, given = value.partition("=")
        instance, dot, option = target.rpartition(".")
        if not (equals and given and _OPTION.fullmatch(option)) or (dot and not instance):
            self.fail(
                "expected OPTION=VALUE such as guidance=3.5, or INSTANCE.OPTION=VALUE such as "
                f"a.adapter=FILE, found {value!r}",
                param,
                ctx,
            )
        return instance, option, given


class Finite(click.FloatRange):
    """A number in a range; neither infinity nor NaN, which every comparison lets through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See the class."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"expected a finite number, found {value}", param, ctx)
        return number


class Output(click.Path):
    """A file or folder of this machine to write to; addresses are refused."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See the class."""
        if is_address(str(value)):
            self.fail(
                f"expected a path on this machine, found the address {value}: only `run` writes "
                "there, by `fsspec`; write here and copy it",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


class Colour(click.ParamType):
    """A colour's name or hex code, kept as text."""

    name = "COLOUR"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See the class."""
        from e2r_metrics.base.pictures import parse_colour

        try:
            parse_colour(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)
        return value


NAMES = Names()
WHOLE = Numbers()
POSITIVE = Numbers(least=1)
VARIANTS = Variants()
NUMBERS_OF = NumbersOf()
OPTION = MethodOption()
OUTPUT = Output()
COLOUR = Colour()
ABOVE_ZERO = Finite(min=0, min_open=True)
SHARE = Finite(min=0, max=1, min_open=True, max_open=True)
FILE = click.Path(path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def joined(variants: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return several `--variant` as one mapping; the last one wins."""
    return {name: variant for one in variants for name, variant in one.items()}


def flat(margins: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return several `--margin` as one mapping; the last one wins."""
    return {name: value for one in margins for name, value in one.items()}


def method_options(given: Iterable[tuple[str, str, str]], under: Any = None) -> dict[str, Any]:
    """Return `--set` as `Experiment.method` has it, over what a file set.

    Args:
        given: instance ("" for every method that has it), option and value.
        under: the file's; what is no table is left to the experiment's own check.
    """
    found = _table(under)
    for instance, option, value in given:
        if instance:
            found[instance] = {**_table(found.get(instance)), option: value}
        else:
            found[option] = value
    return found


def _table(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
