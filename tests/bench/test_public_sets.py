"""Public sets: what is declared, and that only what was declared is ever kept."""

import hashlib
import io
import json
import tarfile
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest

from e2r_bench.cli import main
from e2r_bench.run.fetch_sets import fetch_set, pictures_here
from e2r_bench.run.public_sets import PublicSet, public_sets
from e2r_metrics.base.digests import sha256_of_all
from e2r_metrics.base.errors import E2RError, UsageError
from e2r_metrics.base.pictures import write_png

HEAD = '[tiny]\ntitle = "two"\nn = 2\ntasks = []\nlicence = "CC0"\npage = "https://tiny.example"\n'


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("E2R_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = tmp_path / "source"
    for number in range(2):
        write_png(folder / f"{number:02d}.png", np.full((8, 8, 3), number, np.uint8))
    return folder


def declared(tmp_path: Path, archive: str, head: str = HEAD) -> PublicSet:
    file = tmp_path / "sets.toml"
    file.write_text(f'{head}[tiny.archive]\nstated_by = "the test"\n{archive}')
    return public_sets(file)["tiny"]


def tarred(pictures: Path, extra: tuple[str, ...] = ()) -> Path:
    path = pictures.parent / "tiny.tar.gz"
    with tarfile.open(path, "w:gz") as out:
        for file in sorted(pictures.iterdir()):
            out.add(file, f"top/in/{file.name}")
        for name in extra:
            entry = tarfile.TarInfo(name)
            entry.size = 3
            out.addfile(entry, io.BytesIO(b"xyz"))
    return path


def whole(path: Path, kind: str = "sha256") -> str:
    digest = hashlib.new(kind, path.read_bytes()).hexdigest()
    return f'url = "{path.as_uri()}"\nfile = "{path.name}"\n{kind} = "{digest}"\n'


def quiet(line: str) -> None:
    del line


def test_every_set_says_what_is_known_and_how_it_is_got() -> None:
    found = public_sets()
    assert {"CBSD68", "Kodak24", "Urban100", "BSD400", "WED", "Rain100L", "SOTS-outdoor"} <= {
        *found
    }
    for row in found.values():
        assert row.n > 0
        assert row.licence
        assert row.page.startswith("https://")
        assert row.how().startswith("e2r-bench data fetch" if row.archive else "by hand from")
        if row.archive:
            assert row.archive.stated_by
            assert row.archive.url.startswith("https://")


@pytest.mark.data
def test_the_hash_of_cbsd68_is_that_of_the_copy_at_hand(shared_data) -> None:
    archive = public_sets()["CBSD68"].archive
    files = [shared_data / "cbsd68" / f"{number:04d}.png" for number in range(68)]
    assert archive is not None
    assert sha256_of_all(files) == archive.sha256
    assert sum(file.stat().st_size for file in files) == archive.size


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_an_archive_is_checked_and_only_its_pictures_are_unpacked(tmp_path, pictures, kind) -> None:
    path = tarred(pictures, ("top/in/notes.txt", "top/in/._00.png", "top/other/03.png"))
    row = declared(tmp_path, whole(path, kind) + 'inside = ["top/in/"]\n')
    said: list[str] = []
    target = fetch_set(row, tmp_path / "sets", said.append)
    assert sorted(file.name for file in target.iterdir()) == ["00.png", "01.png"]
    assert (target / "01.png").read_bytes() == (pictures / "01.png").read_bytes()
    assert "CC0" in said[0]
    assert kind in said[1]
    assert "the test" in said[1]
    assert "size not stated" in said[2]
    path.unlink()
    said.clear()
    assert fetch_set(row, tmp_path / "sets", said.append) == target
    assert not said


def zipped(pictures: Path, extra: tuple[str, ...] = ()) -> Path:
    path = pictures.parent / "tiny.zip"
    with zipfile.ZipFile(path, "w") as out:
        for file in sorted(pictures.iterdir()):
            out.write(file, f"any/{file.name}")
        for name in extra:
            out.writestr(name, b"xyz")
    return path


@pytest.mark.parametrize("packed", [tarred, zipped])
@pytest.mark.parametrize(
    "member", ["../../escaped.png", "{there}/escaped.png", "a/../../escaped.png"]
)
def test_a_path_that_leaves_the_folder_is_not_followed(tmp_path, pictures, packed, member) -> None:
    path = packed(pictures, (member.format(there=tmp_path),))
    row = declared(tmp_path, whole(path), HEAD.replace("n = 2", "n = 3"))
    fetch_set(row, tmp_path / "deep" / "sets", quiet)
    inside = tmp_path / "deep" / "sets" / "tiny" / "escaped.png"
    assert list(tmp_path.rglob("escaped.png")) == [inside]


class Cut(io.BytesIO):
    """A connection that gives half of a file, and then breaks or just ends."""

    def __init__(self, content: bytes, breaks: bool) -> None:
        super().__init__(content[: len(content) // 2])
        self.breaks = breaks

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        if not found and self.breaks:
            raise ConnectionResetError("reset by peer")
        return found


@pytest.mark.parametrize("breaks", [True, False])
@pytest.mark.parametrize("kind", ["sha256", "md5", "singly"])
def test_half_a_download_is_never_taken_for_the_whole(
    tmp_path, pictures, kind, breaks, monkeypatch
) -> None:
    if kind == "singly":
        digest = sha256_of_all(sorted(pictures.iterdir()))
        singly = f'url = "{pictures.as_uri()}/{{name}}"\nfile = "x"\nsha256 = "{digest}"\n'
        row, cut = declared(tmp_path, singly + 'names = "{:02d}.png"\n'), pictures / "01.png"
    else:
        cut = tarred(pictures)
        row = declared(tmp_path, whole(cut, kind))
    opened = urllib.request.urlopen

    def halved(url: str, **asked: object) -> object:
        return Cut(cut.read_bytes(), breaks) if url == cut.as_uri() else opened(url)

    with monkeypatch.context() as patch:
        patch.setattr("urllib.request.urlopen", halved)
        with pytest.raises(E2RError, match="reset by peer" if breaks else "expected "):
            fetch_set(row, tmp_path / "sets", quiet)
    assert not list((tmp_path / "cache").rglob("*.gz"))
    assert not (tmp_path / "sets" / "tiny").exists()
    # What was half there stands in no way.
    fetch_set(row, tmp_path / "sets", quiet)
    assert pictures_here(row, tmp_path / "sets") == 2


def test_a_zip_and_single_files_do_as_well(tmp_path, pictures) -> None:
    fetch_set(declared(tmp_path, whole(zipped(pictures))), tmp_path / "a", quiet)
    digest = sha256_of_all(sorted(pictures.iterdir()))
    singly = f'url = "{pictures.as_uri()}/{{name}}"\nfile = "x"\nsha256 = "{digest}"\n'
    row = declared(tmp_path, singly + 'names = "{:02d}.png"\n')
    fetch_set(row, tmp_path / "b", quiet)
    for folder in ("a", "b"):
        assert pictures_here(row, tmp_path / folder) == 2


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_other_content_is_refused_and_nothing_is_kept(tmp_path, pictures, kind) -> None:
    path = tarred(pictures)
    row = declared(tmp_path, whole(path, kind))
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(E2RError, match=f"tiny: .*expected .*{kind}"):
        fetch_set(row, tmp_path / "sets", quiet)
    assert not (tmp_path / "sets").exists()
    assert not list((tmp_path / "cache").rglob("*.gz"))


def test_another_single_file_is_refused_and_nothing_is_kept(tmp_path, pictures) -> None:
    digest = sha256_of_all(sorted(pictures.iterdir()))
    singly = f'url = "{pictures.as_uri()}/{{name}}"\nfile = "x"\nsha256 = "{digest}"\n'
    row = declared(tmp_path, singly + 'names = "{:02d}.png"\n')
    write_png(pictures / "01.png", np.full((8, 8, 3), 9, np.uint8))
    with pytest.raises(E2RError, match="nothing is kept"):
        fetch_set(row, tmp_path / "sets", quiet)
    assert not (tmp_path / "sets" / "tiny").exists()


def test_another_count_is_refused(tmp_path, pictures) -> None:
    row = declared(tmp_path, whole(tarred(pictures)), HEAD.replace("n = 2", "n = 3"))
    with pytest.raises(E2RError, match="expected 3 pictures in what was fetched, found 2"):
        fetch_set(row, tmp_path / "sets", quiet)
    assert not (tmp_path / "sets").exists()
    (tmp_path / "sets" / "tiny").mkdir(parents=True)
    with pytest.raises(UsageError, match="expected the 3 pictures of tiny, found 0"):
        fetch_set(row, tmp_path / "sets", quiet)


@pytest.mark.parametrize(
    ("archive", "said"),
    [
        ('url = "u"\nfile = "f"\nsha256 = "7be5"\n', "expected one whole sha256 or md5"),
        ('url = "u"\nfile = "f"\n', "expected one whole sha256 or md5"),
        ('url = "u/{name}"\nfile = "f"\nmd5 = "' + 32 * "0" + '"\nnames = "{}"\n', "and a sha256"),
        ('url = "u"\nfile = "f"\nsha265 = "0"\n', "unknown key in .*sha265"),
    ],
)
def test_a_table_that_cannot_be_checked_is_refused(tmp_path, archive, said) -> None:
    with pytest.raises(UsageError, match=said):
        declared(tmp_path, archive)


def test_the_command_lists_and_refuses(tmp_path, pictures, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    pictures.rename(tmp_path / "data" / "LIVE1")
    assert main(["data", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["WED"]["hash"] is None
    assert rows["WED"]["size"] is None
    assert rows["LIVE1"]["here"].startswith("2 files in ")
    assert main(["data"]) == 0
    assert "hash      unknown" in capsys.readouterr().out
    assert main(["data", "fetch", "wed"]) == 2
    assert "by hand from https://" in capsys.readouterr().err
    assert main(["data", "fetch", "CBSD86"]) == 2
    assert "did you mean 'CBSD68'?" in capsys.readouterr().err


def test_a_host_that_is_silent_is_one_line_and_exit_code_one(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("e2r_metrics.base.fetch._answers", lambda url: False)
    assert main(["data", "fetch", "BSD400", "cbsd68", "--to", str(tmp_path / "sets")]) == 1
    said = capsys.readouterr().err
    assert "BSD400: could not be fetched: " in said
    assert "CBSD68: could not be fetched: raw.githubusercontent.com cannot be reached" in said
