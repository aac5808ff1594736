"""Everything of the seam can be sent to another process: work is named, pickled, made there."""

import pickle
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch

from e2r_baselines.catalog import METHODS, method_named
from e2r_baselines.checks import check_restored
from e2r_baselines.method import (
    DETERMINISTIC,
    Build,
    Compute,
    Draw,
    Method,
    MethodSpec,
    Photo,
    Restored,
    options_of,
    spec_of,
)
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.pictures import write_png

T = TypeVar("T")


def sent(thing: T) -> T:
    return pickle.loads(pickle.dumps(thing))


def same(one: MethodSpec, other: MethodSpec) -> bool:
    names = ("name", "title", "source", "licence", "builds", "tasks", "version", "feed", "control")
    return all(getattr(one, name) == getattr(other, name) for name in names)


@pytest.fixture
def named(tmp_path: Path) -> dict[str, Method]:
    write_png(tmp_path / "b.png", np.zeros((6, 8, 3), np.uint8))
    torch.save({"a": torch.ones(1)}, tmp_path / "net.pth")
    return {
        kind: method_named(f"{kind}:{rest}")
        for kind, rest in {
            "folder": tmp_path, "command": f"{sys.executable} x.py",
            "spandrel": tmp_path / "net.pth",
        }.items()
    }  # fmt: skip


@pytest.mark.parametrize("name", [*METHODS, "folder", "command", "spandrel"])
def test_a_method_and_what_it_makes_can_be_sent(name: str, named: dict[str, Method]) -> None:
    method = named.get(name) or METHODS[name]
    there = sent(method)
    assert (there.name, there.options, there.runs) == (method.name, method.options, method.runs)
    assert sent(options_of(method, {})) == options_of(method, {})
    spec = spec_of(method)
    for copy in (spec_of(there), sent(spec)):
        assert same(copy, spec)
        assert (copy.inputs is None) == (spec.inputs is None)
        if spec.peak_bytes:
            assert copy.peak_bytes
            build = spec.builds[0]
            assert copy.peak_bytes(build, 9, 9) == spec.peak_bytes(build, 9, 9)
    for build in spec.builds:
        assert sent(build) == build
        assert hash(sent(build)) == hash(build)


@pytest.mark.parametrize("name", [*METHODS, "folder", "command"])
def test_an_opener_finds_its_function_after_the_journey(
    name: str, named: dict[str, Method]
) -> None:
    spec = sent(spec_of(named.get(name) or METHODS[name]))
    build = spec.builds[0]
    if build.files:
        missing = {file: Path("/nowhere/model.ckpt") for file in build.files}
        with pytest.raises(Exception, match=r"no such file|expected"):
            spec.open(build, missing, Compute())
    else:
        assert hasattr(spec.open(build, {}, Compute()), "restore")


def test_small_types_can_be_sent() -> None:
    pixels = np.random.default_rng(0).random((4, 5, 3), dtype=np.float32)
    photo, restored = sent(Photo("a", pixels)), sent(Restored("a", DETERMINISTIC, pixels))
    assert (photo.id, restored.photo_id, restored.draw) == ("a", "a", DETERMINISTIC)
    np.testing.assert_array_equal(photo.pixels, pixels)
    np.testing.assert_array_equal(restored.pixels, pixels)
    for thing in (Compute("cuda:1", "bfloat16", 3, 64), Draw(3, 28), Build("x", ("y",), True)):
        assert sent(thing) == thing
    assert {Build("x", own_files={"file": Path("a")}), Build("x")}


def restore_there(method: Method, photo: Photo) -> Restored:
    spec = spec_of(method)
    restorer = spec.open(spec.builds[0], {}, Compute())
    (result,) = restorer.restore([photo], TASKS["derain"], [DETERMINISTIC])
    check_restored(result, photo.pixels.shape)
    return result


def test_a_fresh_process_restores_what_it_was_sent(named: dict[str, Method]) -> None:
    """Spawned, so that it has nothing but what was pickled."""
    photo = Photo("b", np.random.default_rng(0).random((6, 8, 3), dtype=np.float32))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for name, expected in (("degraded", photo.pixels), ("folder", 0 * photo.pixels)):
            method = named.get(name) or METHODS[name]
            found = pool.submit(_spawned, sys.path, method, photo).result()
            np.testing.assert_array_equal(found.pixels, expected)


def _spawned(path: list[str], method: Method, photo: Photo) -> Restored:
    sys.path[:] = path
    return restore_there(method, photo)
