"""Data, weights and run folders at an address: in memory, and at an S3 API on loopback."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import lab
import pytest

from e2r_bench.cli import main
from e2r_bench.run.config import make_experiment
from e2r_bench.run.runner import run_experiment
from e2r_bench.run.staging import LOCK, staged
from e2r_metrics.base.addresses import fetched, is_address, listed, open_address
from e2r_metrics.base.errors import UsageError

RUN = ["run", "--methods", "degraded", "--tasks", "derain", "--metrics", "psnr", "--device", "cpu"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2R_CACHE", str(tmp_path / "cache"))
    fsspec.filesystem("memory").store.clear()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of a bucket of an S3 API of this machine."""
    pytest.importorskip("s3fs", reason="pip install 'e2r-bench[s3]'")
    server = pytest.importorskip("moto.server", reason="pip install 'moto[server]'")
    mine = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    mine.start()
    host, port = mine.get_host_and_port()
    told = {
        "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1",
        "FSSPEC_S3_ENDPOINT_URL": f"http://{host}:{port}",
    }  # fmt: skip
    before = {key: os.environ.get(key) for key in told}
    os.environ.update(told)
    fsspec.config.set_conf_env(fsspec.config.conf)
    fsspec.filesystem("s3").mkdir("bucket")
    yield "s3://bucket"
    mine.stop()
    fsspec.config.conf.pop("s3", None)
    for key, value in before.items():
        os.environ.pop(key) if value is None else os.environ.update({key: value})


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> str:
    return "memory://bucket" if request.param == "memory" else request.getfixturevalue("s3")


def test_a_run_at_an_address_is_the_serial_run(
    store: str, data: Path, serial: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        with staged(f"{store}/run") as stage:
            asked = lab.experiment(data, stage.folder)
            assert not run_experiment(asked, methods=lab.CATALOG).failures
    files, root = open_address(f"{store}/run")
    there = listed(files, root)
    assert LOCK not in there
    files.get(root, str(tmp_path / "run"), recursive=True)
    assert lab.differing(tmp_path / "run", serial) == []


def test_a_run_that_broke_off_is_there_and_goes_on_elsewhere(
    store: str, data: Path, serial: Path, tmp_path: Path
) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "second derain" and done:
            raise KeyboardInterrupt

    address = f"{store}/broken"
    with pytest.raises(KeyboardInterrupt), staged(address) as stage:
        run_experiment(lab.experiment(data, stage.folder), methods=lab.CATALOG, watch=stop)
    files, root = open_address(address)
    before = listed(files, root)
    assert 100 < len(before) < len(lab.contents(serial))
    assert LOCK not in before
    with staged(address) as stage:
        run_experiment(lab.experiment(data, stage.folder), methods=lab.CATALOG)
    files.get(root, str(tmp_path / "run"), recursive=True)
    assert lab.differing(tmp_path / "run", serial) == []


def test_an_address_is_held_by_one(store: str) -> None:
    entered, told = threading.Barrier(6), list[str]()

    def one() -> None:
        entered.wait(30)
        try:
            with staged(f"{store}/held"):
                told.append("held")
                done.wait(30)
        except UsageError as error:
            told.append(str(error))
            if len(told) == 6:
                done.set()

    done = threading.Event()
    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert told.count("held") == 1
    assert all("is in use by process" in one for one in told if one != "held")
    with staged(f"{store}/held"):
        pass


def test_a_lock_of_the_dead_is_taken_over_and_others_are_not(store: str) -> None:
    import socket

    files, root = open_address(f"{store}/dead")
    held = {"pid": 2**22 + 1, "host": socket.gethostname(), "since": "then"}
    files.pipe_file(f"{root}/{LOCK}", json.dumps(held).encode())
    with staged(f"{store}/dead"):
        pass
    files.pipe_file(f"{root}/{LOCK}", json.dumps(held | {"host": "elsewhere"}).encode())
    with pytest.raises(UsageError, match=r"on elsewhere since then; .*remove .*/dead/.lock.json"):
        staged(f"{store}/dead").__enter__()


def put(store: str, name: str, folder: Path) -> str:
    files, root = open_address(f"{store}/{name}")
    for path in folder.iterdir():
        files.pipe_file(f"{root}/{path.name}", path.read_bytes())
    return f"{store}/{name}"


def test_the_command_reads_and_writes_addresses(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = put(store, "photos", lab.pictures(tmp_path / "photos", 3))
    assert main([*RUN, "--data", photos, "--out", f"{store}/told"]) == 0
    assert main([*RUN, "--data", str(tmp_path / "photos"), "--out", str(tmp_path / "told")]) == 0
    files, root = open_address(f"{store}/told")
    rows = files.cat_file(f"{root}/per_image.jsonl")
    assert rows == (tmp_path / "told" / "per_image.jsonl").read_bytes()
    info = json.loads(files.cat_file(f"{root}/run.json"))
    assert info["tasks"]["derain"]["data"] == "photos"
    assert info["passed"]["out"] == f"{store}/told"
    assert f"{store}/told" in capsys.readouterr().out
    assert not [path for path in Path.cwd().iterdir() if path.name.endswith(":")]


def test_what_changed_at_an_address_is_read_again(store: str, tmp_path: Path) -> None:
    address = put(store, "data", lab.pictures(tmp_path / "a", 2))
    first = fetched(address)
    assert sorted(path.name for path in first.iterdir()) == ["00.png", "01.png"]
    assert first.name == "data"
    files, root = open_address(address)
    files.pipe_file(f"{root}/00.png", (tmp_path / "a" / "01.png").read_bytes())
    files.rm_file(f"{root}/01.png")
    assert [path.name for path in fetched(address).iterdir()] == ["00.png"]
    assert (first / "00.png").read_bytes() == (tmp_path / "a" / "01.png").read_bytes()


def test_weights_at_an_address_are_a_folder_here(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "some.pt").write_bytes(b"1")
    where = put(store, "weights", tmp_path / "w")
    assert main(["weights", "--weights", where]) == 0
    assert main(["weights", "--weights", f"{store}/nothing"]) == 2
    assert "found nothing there" in capsys.readouterr().err


def test_weights_at_an_address_work_in_a_settings_file_as_the_flag_does(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "some.pt").write_bytes(b"1")
    where = put(store, "weights", tmp_path / "w")
    folder = make_experiment({"methods": ["degraded"], "weights": [where]}, "a file").weights[0]
    assert folder == fetched(where)
    assert (folder / "some.pt").read_bytes() == b"1"
    asked, data = tmp_path / "a.toml", str(lab.pictures(tmp_path / "photos", 2))
    for weights, code, said in (
        (where, 0, ""),
        (f"{store}/nothing", 2, "found nothing there"),
        ("nobody://a/b", 2, "expected an address of files"),
    ):
        asked.write_text(f'weights = ["{weights}"]', encoding="utf-8")
        out = str(tmp_path / f"run{code}")
        assert main([RUN[0], str(asked), *RUN[1:], "--data", data, "--out", out]) == code
        assert said in capsys.readouterr().err


def test_weights_at_an_address_in_a_settings_file_are_not_fetched_offline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = tmp_path / "a.toml"
    asked.write_text('offline = true\nweights = ["s3://a/b"]', encoding="utf-8")
    assert main([RUN[0], str(asked), *RUN[1:]]) == 2
    assert "--offline: expected paths of this machine, found s3://a/b" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "hf://datasets/a/b"], "only one process can create a lock"),
        (["--data", "nobody://a/b"], "expected an address of files"),
        (["--out", "memory://a/b", "--offline"], ""),
        (["--out", "s3://a/b", "--offline"], "--offline: expected paths of this machine"),
        (["--data", "derain=s3://a/b", "--offline"], "--offline: expected paths of this machine"),
        (["--weights", "s3://a/b", "--offline"], "--offline: expected paths of this machine"),
        (["--data", "memory://nothing/there"], "found nothing there"),
    ],
)
def test_addresses_that_will_not_do_are_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(lab.pictures(tmp_path / "photos", 2))]
    assert main([*RUN, *data, *words]) == (2 if said else 0)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", ["score", "claims", "merge"])
def test_weights_at_an_address_are_refused_offline_by_every_command(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = str(tmp_path)
    words = {"score": [here, here], "claims": [], "merge": [here, "--out", f"{here}/m"]}[command]
    assert main([command, *words, "--weights", "s3://a/b", "--offline"]) == 2
    assert "expected paths of this machine, found s3://a/b" in capsys.readouterr().err


def test_a_driver_that_is_not_installed_is_named_with_its_pip_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(protocol: str) -> Callable[..., object]:
        raise ImportError(f"Install something to access {protocol}")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(UsageError, match=r"for s3:// .* pip install 'e2r-bench\[s3\]'"):
        open_address("s3://bucket/x")
    with pytest.raises(UsageError, match="Install something to access ftp"):
        open_address("ftp://host/x")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://a", True),
        ("hf://a", True),
        ("s3:/a", True),
        ("C:/a", False),
        ("a/b", False),
        ("", False),
    ],
)
def test_addresses_are_told_from_paths(text: str, address: bool) -> None:
    assert is_address(text) is address
