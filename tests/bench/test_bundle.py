"""A published run: what goes into a bundle, and that whatever is changed in one is found."""

import json
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2r_bench.bundle import reasons
from e2r_bench.bundle.licences import DataLicences
from e2r_bench.bundle.manifest import NAME, Manifest, safe, sealed, text
from e2r_bench.bundle.verify import Verdict, verify
from e2r_bench.bundle.writing import Asked, publish
from e2r_bench.cli import main
from e2r_bench.commands.verify import _told
from e2r_bench.run import mini
from e2r_bench.run.config import Experiment
from e2r_bench.run.runner import run_experiment
from e2r_bench.run.services import open_resolver
from e2r_bench.store.store import Store, open_store
from e2r_metrics import Session
from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import read_image, write_png

ROOT = Path(__file__).parents[2]
ROWS = "run/per_image.jsonl"
PICTURE = "run/images/nlm/denoise25/seed0_steps0/b.png"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run on three photographs of one's own, and bundles of it."""
    place = tmp_path_factory.mktemp("bundles")
    rng = np.random.default_rng(5)
    for name in "abc":
        smooth = rng.integers(0, 256, (6, 6, 3)).repeat(8, 0).repeat(8, 1)
        write_png(place / "photos" / f"{name}.png", smooth.astype(np.uint8))
    experiment = Experiment(
        methods=("nlm",), tasks=("denoise25", "derain"), data=(str(place / "photos"),),
        metrics=("psnr", "ssim"), device="cpu", offline=True, out=place / "run",
    )  # fmt: skip
    store = run_experiment(experiment).store
    allowed = {"photos": "CC BY 4.0: a test's own"}
    for name, hashes, given_licences in (
        ("open", False, allowed), ("closed", False, {}), ("hashes", True, {}),
    ):  # fmt: skip
        publish(store, place / name, Asked(hashes, DataLicences(given_licences)), {})
    return SimpleNamespace(place=place, store=store, photos=place / "photos")


@pytest.fixture
def bundle(made: SimpleNamespace, tmp_path: Path) -> Path:
    """A copy of a whole bundle, to be spoilt."""
    return Path(shutil.copytree(made.place / "open", tmp_path / "bundle"))


def checked(path: Path, data: tuple[str, ...] = (), published: str | None = None) -> Verdict:
    session = Session(open_resolver((), True, lambda _: None))
    return verify(path, session, data, published, lambda *_: None)


def read(bundle: Path) -> Manifest:
    return Manifest.model_validate_json((bundle / NAME).read_bytes())


def forge(bundle: Path) -> None:
    """Make the manifest anew, as somebody would who wants a changed file to go unseen."""
    before = read(bundle)
    files = {
        name: content.model_copy(
            update={"sha256": sha256_of(bundle / name), "bytes": (bundle / name).stat().st_size}
        )
        for name, content in before.files.items()
        if (bundle / name).exists()
    }
    (bundle / NAME).write_bytes(text(sealed(before.model_copy(update={"files": files}))))


def alter_pixel(bundle: Path) -> None:
    pixels = read_image(bundle / PICTURE).copy()
    pixels[3, 4, 1] ^= 1
    write_png(bundle / PICTURE, pixels)


def alter_row(bundle: Path) -> None:
    lines = (bundle / ROWS).read_text().splitlines(keepends=True)
    row = json.loads(lines[0])
    row["value"] = row["value"] * 1.01
    lines[0] = json.dumps(row, separators=(",", ":")) + "\n"
    (bundle / ROWS).write_text("".join(lines))


def drop_row(bundle: Path) -> None:
    lines = (bundle / ROWS).read_text().splitlines(keepends=True)
    (bundle / ROWS).write_text("".join([*lines[:7], *lines[8:]]))


def move_row(bundle: Path) -> None:
    """Say of one row that it is of a picture that nobody has."""
    content = (bundle / ROWS).read_text()
    (bundle / ROWS).write_text(content.replace('"image":"b"', '"image":"z"', 1))


def rename_scene(bundle: Path) -> None:
    content = (bundle / ROWS).read_text()
    (bundle / ROWS).write_text(content.replace('"scene":"b"', '"scene":"a"', 1))


def alter_summary(bundle: Path) -> None:
    path = bundle / "run/summary.csv"
    lines = path.read_text().splitlines(keepends=True)
    number = re.search(r"\d+\.\d{6,}", lines[1])
    assert number is not None
    lines[1] = lines[1].replace(number[0], str(float(number[0]) + 0.5))
    path.write_text("".join(lines))


def drop_summary_line(bundle: Path) -> None:
    path = bundle / "run/summary.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], *lines[3:]]))


def swap(bundle: Path) -> None:
    other = bundle / PICTURE.replace("/b.png", "/c.png")
    one, two = (bundle / PICTURE).read_bytes(), other.read_bytes()
    (bundle / PICTURE).write_bytes(two)
    other.write_bytes(one)


def edit_manifest(bundle: Path) -> None:
    content = (bundle / NAME).read_text()
    (bundle / NAME).write_text(content.replace("CC BY 4.0", "CC0"))


def reword_manifest(bundle: Path) -> None:
    """Leave its meaning as it is."""
    content = json.loads((bundle / NAME).read_text())
    (bundle / NAME).write_text(json.dumps(content))


FAULTS: Mapping[str, tuple[Callable[[Path], object], str, str]] = {
    "one pixel": (alter_pixel, "altered", PICTURE),
    "one row": (alter_row, "altered", ROWS),
    "a row less": (drop_row, "altered", ROWS),
    "swapped files": (swap, "swapped", PICTURE),
    "a file more": (lambda b: (b / "run/extra.txt").write_text("x"), "added", "run/extra.txt"),
    "a file less": (lambda b: (b / PICTURE).unlink(), "missing", PICTURE),
    "a licence in the manifest": (edit_manifest, "manifest", NAME),
    "the spelling of the manifest": (reword_manifest, "manifest", NAME),
    "a folder for a file": (
        lambda b: ((b / PICTURE).unlink(), (b / PICTURE).mkdir()), "missing", PICTURE,
    ),
}  # fmt: skip


def as_zip(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(file, file.relative_to(folder).as_posix())
    return path


def test_a_bundle_is_reproduced_to_the_last_bit(made: SimpleNamespace) -> None:
    found = checked(made.place / "open")
    assert found.word == "reproduced"
    # 3 methods x 2 tasks x 3 images x (2 metrics + 3 shares)
    assert (found.rows.equal, found.rows.within, found.rows.unchecked) == (90, 0, {})
    assert found.summary.equal == 3 * 2 * 5 * 3
    assert not found.wrong


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_changed_is_found_and_named(bundle: Path, fault: str, packed: bool) -> None:
    spoil, kind, name = FAULTS[fault]
    spoil(bundle)
    found = checked(as_zip(bundle) if packed else bundle)
    assert found.word == "failed"
    assert (kind, name) in {(one.kind, one.name) for one in found.wrong}


def test_swapped_files_are_named_with_each_other(bundle: Path) -> None:
    swap(bundle)
    said = [str(one) for one in checked(bundle).wrong]
    assert len(said) == 2
    assert "/b.png: holds what was published as" in said[0]
    assert said[0].endswith("/c.png")


FORGERIES: Mapping[str, tuple[Callable[[Path], object], str, str]] = {
    "one pixel": (alter_pixel, "row", "altered"),
    "one row": (alter_row, "row", "altered"),
    "a row less": (drop_row, "row", "removed"),
    "a row of nothing": (move_row, "row", "added"),
    "another scene": (rename_scene, "row", "scene 'a', expected 'b'"),
    "swapped files": (swap, "row", "altered"),
    "the summary": (alter_summary, "summary", "altered"),
    "text for a number": (
        lambda b: (b / "run/summary.csv").write_text(
            re.sub(r"\d+\.\d{6,}", "much", (b / "run/summary.csv").read_text(), count=1)
        ), "summary", "altered",
    ),
    "text for a seed": (
        lambda b: (b / "run/summary.csv").write_text(
            (b / "run/summary.csv").read_text().replace(",0,0,psnr", ",x,0,psnr", 1)
        ), "summary", "expected seeds",
    ),
    "a column of the summary": (
        lambda b: (b / "run/summary.csv").write_text(
            re.sub(r"^(?=.)", "more,", (b / "run/summary.csv").read_text(), flags=re.M)
        ), "summary", "expected the columns of this version",
    ),
    "a line of the summary": (drop_summary_line, "summary", "its line is gone"),
    "a torn row": (lambda b: (b / ROWS).write_text("{}\n"), "altered", "expected a row"),
    "no run.json": (lambda b: (b / "run/run.json").unlink(), "missing", "nothing says"),
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_change_that_the_manifest_was_made_to_fit_is_found_by_measuring(
    bundle: Path, forgery: str
) -> None:
    spoil, kind, said = FORGERIES[forgery]
    spoil(bundle)
    forge(bundle)
    wrong = checked(bundle).wrong
    assert any(one.kind == kind and said in one.said for one in wrong), wrong


def test_a_forged_manifest_has_another_digest_than_its_publisher_stated(bundle: Path) -> None:
    stated = read(bundle).digest
    assert checked(bundle, published=stated).word == "reproduced"
    edit_manifest(bundle)
    forge(bundle)
    assert checked(bundle).word == "reproduced"
    assert [one.kind for one in checked(bundle, published=stated).wrong] == ["manifest"]


def test_versions_in_the_manifest_are_those_of_run_json(bundle: Path) -> None:
    before = read(bundle)
    other = before.model_copy(update={"versions": {**before.versions, "numpy": "0.1"}})
    (bundle / NAME).write_bytes(text(sealed(other)))
    assert "versions" in checked(bundle).wrong[0].said


def test_an_archive_writes_nothing_outside_and_hides_nothing(bundle: Path, tmp_path: Path) -> None:
    packed = as_zip(bundle)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("../outside.txt", "x")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(ROWS, "x")
    found = {(one.kind, one.name) for one in checked(packed).wrong}
    assert found == {("added", "'../outside.txt'"), ("added", ROWS)}
    assert not (tmp_path / "outside.txt").exists()


def test_a_damaged_archive_names_the_file(bundle: Path) -> None:
    packed = as_zip(bundle)
    content = bytearray(packed.read_bytes())
    with zipfile.ZipFile(packed) as archive:
        place = archive.getinfo(PICTURE).header_offset + 200
    content[place] ^= 255
    packed.write_bytes(content)
    assert [(one.kind, one.name) for one in checked(packed).wrong] == [("altered", PICTURE)]


def test_no_more_is_read_than_the_manifest_states(bundle: Path) -> None:
    with (bundle / ROWS).open("ab") as stream:
        stream.truncate(10**9)
    assert [one.kind for one in checked(bundle).wrong] == ["altered"]


def test_equal_runs_give_equal_bytes(made: SimpleNamespace, tmp_path: Path) -> None:
    copy = shutil.copytree(made.place / "run", tmp_path / "elsewhere")
    for path in copy.rglob("*.png"):
        path.touch()
    asked = Asked(False, DataLicences({}))
    for folder, name in ((made.place / "run", "one.zip"), (copy, "two.zip")):
        publish(open_store(folder), tmp_path / name, asked, {})
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    publish(made.store, tmp_path / "folder", asked, {})
    assert checked(tmp_path / "folder").digest == checked(tmp_path / "two.zip").digest


def test_hashes_alone_give_integrity_only(made: SimpleNamespace) -> None:
    folder = made.place / "hashes"
    assert not list(folder.rglob("*.png"))
    found = checked(folder)
    assert (found.word, found.rows.equal, found.absent) == ("integrity only", 0, 30)
    assert list(found.rows.unchecked) == ["the picture is in the bundle by hash alone"]
    told = json.loads(json.dumps(_told(found)))
    assert told["rows"]["unchecked"] == dict(found.rows.unchecked)
    # What rows alone give is compared all the same.
    assert found.summary.equal == 3 * 2 * 5 * 3


def test_pictures_without_a_licence_are_published_by_hash_and_made_again(
    made: SimpleNamespace,
) -> None:
    folder = made.place / "closed"
    shown = {p.relative_to(folder).parts[2] for p in folder.rglob("*.png")}
    assert shown == {"nlm"}
    alone = checked(folder)
    assert (alone.word, alone.rows.equal) == ("integrity only", 0)
    assert any("give --data" in why for why in alone.rows.unchecked)
    again = checked(folder, data=(str(made.photos),))
    assert (again.word, again.rows.equal) == ("reproduced", 90)


def test_another_set_is_not_taken_for_the_published_one(
    made: SimpleNamespace, tmp_path: Path
) -> None:
    other = shutil.copytree(made.photos, tmp_path / "photos")
    pixels = read_image(other / "b.png").copy()
    pixels[0, 0, 0] ^= 1
    write_png(other / "b.png", pixels)
    found = checked(made.place / "closed", data=(str(other),))
    assert found.word == "failed"
    assert {one.kind for one in found.wrong} == {"data"}
    assert all(one.name.endswith("/b.png") for one in found.wrong)


def test_crops_of_mini_whose_licence_nobody_states_are_made_again_from_the_wheel(
    tmp_path: Path,
) -> None:
    experiment = Experiment(
        methods=("degraded",), tasks=("denoise25",), limit=9, metrics=("psnr",), device="cpu",
        offline=True, out=tmp_path / "run",
    )  # fmt: skip
    store = run_experiment(experiment).store
    manifest = publish(store, tmp_path / "b.zip", Asked(False, DataLicences({})), {})
    assert {Path(name).stem for name in manifest.absent} == {"motorcycle_150_040"}
    assert len(manifest.absent) == 4  # clean and degraded, and the two controls that show them
    assert checked(tmp_path / "b.zip").word == "reproduced"


def test_the_data_card_and_the_bundle_state_the_same_licences() -> None:
    card = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", card, re.MULTILINE))
    for scene, photo in mini.PHOTOGRAPHS.items():
        told = rows[scene].partition(",")[0]
        assert told == ("none stated in the package; published for research"
                        if photo.licence is None else photo.licence.partition(":")[0])  # fmt: skip


def test_within_tolerance_is_counted_and_beyond_it_is_not(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (bundle / ROWS).read_text()
    value = json.loads(content.splitlines()[0])["value"]
    (bundle / ROWS).write_text(content.replace(repr(value), repr(value * (1 + 1e-14)), 1))
    forge(bundle)
    found = checked(bundle)
    assert (found.word, found.rows.within) == ("reproduced", 1)
    assert found.rows.largest["psnr:rgb"] < 1e-11
    monkeypatch.setitem(reasons.TOLERANCE, "float64", 1e-16)
    assert checked(bundle).word == "failed"


def test_reasons_go_by_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": "2.7 -> 2.15"}
    assert reasons.reason("psnr:rgb", 3.0, False, versions).startswith("altered: golden")
    assert reasons.reason("psnr:rgb", 3.0, True, versions).startswith("rounding")
    assert reasons.reason("lpips:alex", 3.0, False, versions).startswith("rounding")
    assert reasons.reason("lpips:alex", 3.0, False, {}).startswith("altered, or")
    assert reasons.reason("lpips:alex", 3e3, False, versions).startswith("altered, or")
    monkeypatch.setattr(reasons, "_goldens", lambda: ("ssim:gauss uint8",))
    reasons._moved.cache_clear()
    assert reasons.reason("ssim:gauss", 3.0, False, versions).startswith("library")
    assert reasons.reason("psnr:rgb", 3.0, False, versions).startswith("altered")
    reasons._moved.cache_clear()


def test_the_commands_say_what_they_found(
    made: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = str(made.place / "run"), tmp_path / "b.zip"
    assert main(["publish", run, "--out", str(out), "--data-licence", "photos=CC0"]) == 0
    said = capsys.readouterr().out
    assert "data photos: CC0" in said
    assert "run.json tells folders of this machine" in said
    digest = said.rsplit(maxsplit=1)[1]
    assert main(["verify", str(out), "--offline", "--sha256", digest]) == 0
    assert capsys.readouterr().out.rstrip().endswith("verdict: reproduced")
    assert main(["verify", str(out), "--offline", "--sha256", "0" * 64, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "failed"
    assert told["findings"][0]["kind"] == "manifest"


def test_what_cannot_be_published_is_one_line(
    made: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(made.place / "run", tmp_path / "run")
    (tmp_path / "taken.zip").write_bytes(b"a picture")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").touch()
    for out, flags, said in (
        ("taken.zip", (), "found another"),
        ("taken", (), "found one that is taken"),
        ("b.zip", ("--data-licence", "photo=CC0"), "did you mean 'photos'"),
        ("b.zip", ("--data-licence", "CC0"), "expected SET=LICENCE"),
    ):
        assert main(["publish", str(run), "--out", str(tmp_path / out), *flags]) == 2
        assert said in capsys.readouterr().err
    (run / PICTURE.removeprefix("run/")).unlink()
    assert main(["publish", str(run), "--out", str(tmp_path / "b.zip")]) == 2
    assert "it lacks nlm on denoise25/b" in capsys.readouterr().err
    assert not (tmp_path / "b.zip").exists()


def test_a_shard_is_not_published(made: SimpleNamespace, tmp_path: Path) -> None:
    store = open_store(made.place / "run")
    settings = {**store.info.settings, "shard": "1/2"}
    shard = Store(store.folder, store.info.model_copy(update={"settings": settings}))
    with pytest.raises(UsageError, match="expected a whole run, found a shard"):
        publish(shard, tmp_path / "b.zip", Asked(False, DataLicences({})), {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["b.zip", "b"])
def test_a_file_that_changes_while_it_is_published_is_not_published(
    out: str, made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if it had been another when it was hashed.
    monkeypatch.setattr("e2r_bench.bundle.writing.sha256_of", lambda _: "0" * 64)
    with pytest.raises(UsageError, match="changed while it was published"):
        publish(open_store(made.place / "run"), tmp_path / out, Asked(False, DataLicences({})), {})
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_bundle_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / NAME).write_text('{"format": 9}')
    for name, said in (("x.zip", "expected a folder or a zip"), ("old", "of this version")):
        with pytest.raises(UsageError, match=said):
            checked(tmp_path / name)
    with pytest.raises(UsageError, match=f"found no {NAME}"):
        checked(tmp_path)


@given(st.text(max_size=30))
def test_safe_names_lie_below_the_bundle(name: str) -> None:
    try:
        safe(name)
    except ValueError:
        return
    assert Path("/base").joinpath(name).parts[:2] == ("/", "base")
    assert ".." not in Path(name).parts


def test_pictures_without_a_truth_are_verified_too(made: SimpleNamespace, tmp_path: Path) -> None:
    for name in "abc":
        big = read_image(made.photos / f"{name}.png").repeat(6, 0).repeat(6, 1)
        write_png(tmp_path / "large" / f"{name}.png", big)
    experiment = Experiment(
        methods=("nlm",), tasks=("denoise25",), data=(str(tmp_path / "large"),), no_truth=True,
        metrics=("niqe",), device="cpu", offline=True, out=tmp_path / "run",
    )  # fmt: skip
    store = run_experiment(experiment).store
    rows = store.rows().index.count
    assert rows > 0
    for name, licences in (("open", {"large": "CC0"}), ("closed", {})):
        publish(store, tmp_path / f"{name}.zip", Asked(False, DataLicences(licences)), {})
    found = checked(tmp_path / "open.zip")
    assert (found.wrong, found.rows.equal) == ((), rows)
    alone = checked(tmp_path / "closed.zip")
    assert (alone.wrong, alone.word) == ((), "integrity only")
    assert any(why.startswith("the input is") for why in alone.rows.unchecked)
