"""`e2r-bench publish`: a finished run as a bundle that others can verify."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands.types import EXISTING_FOLDER, OUTPUT

if TYPE_CHECKING:
    from e2r_bench.bundle.manifest import Manifest
    from e2r_bench.store.info import RunInfo


class SetLicence(click.ParamType):
    """What a set's pictures may be used for: "CBSD68=CC BY 4.0" is ("CBSD68", "CC BY 4.0")."""

    name = "SET=LICENCE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """See the class."""
        if not isinstance(value, str):
            return value
        name, _, licence = (part.strip() for part in value.partition("="))
        if not (name and licence):
            self.fail(
                f"expected SET=LICENCE such as CBSD68='CC BY 4.0', found {value!r}", param, ctx
            )
        return name, licence


@click.command("publish", short_help="A finished run as a bundle that others verify.")
@click.argument("run", type=EXISTING_FOLDER)
@click.option("--out", type=OUTPUT, required=True, help="A name in .zip, or a new folder.")
@click.option("--hashes-only", is_flag=True, help="No pictures: their hashes alone.")
@click.option("--data-licence", "licences", type=SetLicence(), multiple=True,
              help="Include a set's clean pictures, since its licence allows it.")  # fmt: skip
def command(run: Path, out: Path, hashes_only: bool, licences: tuple[tuple[str, str], ...]) -> None:
    """Write a bundle of RUN: records, pictures, checksums, versions and licences.

    Equal runs give equal bytes. Clean and degraded pictures whose set states no licence are kept by
    hash alone, unless --data-licence states it. Note the digest that is printed where others read
    it: `verify --sha256` compares it.
    """
    from e2r_bench.api.bundles import publish
    from e2r_bench.api.run import open_run

    made = open_run(run)
    manifest = publish(made, out, hashes_only=hashes_only, licences=dict(licences))
    for line in _said(manifest, made.store.info):
        click.echo(line)
    click.echo(f"{out}: digest {manifest.digest}")


def _said(manifest: "Manifest", info: "RunInfo") -> Iterator[str]:
    size = sum(content.bytes for content in manifest.files.values())
    yield f"{len(manifest.files)} files, {size / 1e6:.1f} MB"
    reasons = [absent.reason for absent in manifest.absent.values()]
    for reason in dict.fromkeys(reasons):
        yield f"{reasons.count(reason)} pictures by hash alone: {reason}"
    for name, licences in manifest.licences.data.items():
        for licence in dict.fromkeys(licences.values()):
            scenes = ", ".join(
                scene for scene, said in licences.items() if scene and said == licence
            )
            yield f"data {name}{f' ({scenes})' if scenes else ''}: {licence}"
    for kind, table in (
        ("method", manifest.licences.methods),
        ("weights", manifest.licences.weights),
    ):
        yield from (f"{kind} {name}: {licence}" for name, licence in table.items())
    paths = [f"{key} = {value}" for key, value in info.settings.items() if _is_path(value)]
    if paths:
        yield f"run.json tells folders of this machine: {'; '.join(paths)}"


def _is_path(value: Any) -> bool:
    values = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(one, str) and ("/" in one or "\\" in one) for one in values)
