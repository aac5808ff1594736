"""`cite`: entries are whole, are about things that there are, and none is forgotten."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from e2r_baselines.method import options_of
from e2r_bench.cli import main
from e2r_bench.report.cite import Cited, Work, bibtex, cited, works
from e2r_bench.run.config import Experiment
from e2r_bench.run.plan import known_methods
from e2r_bench.run.public_sets import public_sets
from e2r_bench.run.runner import run_experiment
from e2r_bench.store.info import RunInfo
from e2r_metrics import CATALOG

ROOT = Path(__file__).parents[2]
NEEDED = {
    "article": {"author", "title", "journal", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "misc": {"author", "title", "howpublished"},
}
SOURCE = re.compile(r"doi:10\.\d{4,}/\S+|arXiv:\d{4}\.\d{4,5}|.*(page|README|repository|card).*")


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> RunInfo:
    place = tmp_path_factory.mktemp("cite")
    experiment = Experiment(
        methods=("nlm",), tasks=("denoise25",), limit=1, metrics=("psnr", "ssim"), device="cpu",
        offline=True, out=place / "run",
    )  # fmt: skip
    return run_experiment(experiment).store.info


def test_every_entry_is_whole_and_says_where_it_was_checked() -> None:
    for work in works():
        assert NEEDED[work.type] <= work.fields.keys(), work.key
        assert SOURCE.fullmatch(work.source), work.source
        assert work.methods or work.metrics or work.sets, work.key
        assert re.fullmatch(r"(19|20)\d\d", work.fields.get("year", "2000"))
        for value in work.fields.values():
            assert value.count("{") == value.count("}")
            assert '"' not in re.sub(r'\\"', "", value)
            assert re.search(r"(?<!\\)[&%#$_]", re.sub(r"https?://\S+", "", value)) is None


def test_entries_are_about_what_there_is() -> None:
    for work in works():
        assert set(work.methods) <= known_methods().keys(), work.key
        names = {key.partition(":")[0] for key in CATALOG} | CATALOG.keys()
        assert set(work.metrics) <= names, work.key
        assert set(work.sets) <= {*public_sets(), "mini"}, work.key


def test_everything_that_has_a_paper_has_an_entry() -> None:
    known = works()
    methods = {name for work in known for name in work.methods}
    for name, method in known_methods().items():
        spec = method.make(options_of(method, {}))
        assert spec.control or name in methods, f"{name}: add a table to report/citations.toml"
    metrics = {name for work in known for name in work.metrics}
    for key, metric in CATALOG.items():
        ours = metric.paper in ("-", "this project")
        assert ours or {key, metric.name} & metrics, f"{key}: add a table to citations.toml"
    sets = {name for work in known for name in work.sets}
    assert sets == {*public_sets(), "mini"}


def surname(work: Work) -> str:
    """The first author's last name, without accents and braces."""
    plain = re.sub(r"\\[\"'vc.]?\{?([a-zA-Z])\}?", r"\1", work.fields["author"])
    first = re.sub(r"[^A-Za-z, ]", "", plain.partition(" and ")[0])
    return first.partition(",")[0].split()[-1].casefold()


def test_names_and_years_agree_with_the_catalogs() -> None:
    """Two people wrote them down: a surname and a year that differ are a mistake of one."""
    said = {(key, metric.name): metric.paper for key, metric in CATALOG.items()}
    said |= {(name, name): row.title for name, row in public_sets().items()}
    for names, text in said.items():
        mine = [one for one in works() if {*names} & {*one.metrics, *one.sets}]
        years = re.findall(r"(?:19|20)\d\d(?!\d)", text)
        if text in ("-", "this project") or not years:
            continue
        if names[1] == "dists":  # early access in the one, print in the other
            years.append("2022")
        agree = [one for one in mine
                 if surname(one) in text.casefold() and one.fields["year"] in years]  # fmt: skip
        assert agree, (names, text, [(surname(one), one.fields.get("year")) for one in mine])


def test_a_run_cites_what_it_used_and_nothing_else(info: RunInfo) -> None:
    found = cited(info)
    keys = [work.key for work in found.works]
    assert keys == [
        "buades2005nlm", "wang2004ssim", "scharstein2014middlebury", "vanderwalt2014skimage",
    ]  # fmt: skip
    assert found.unknown == ()


def test_what_has_no_entry_is_named(info: RunInfo) -> None:
    method = info.methods["nlm"].model_copy(update={"method": "folder:their\nresults"})
    task = info.tasks["denoise25"].model_copy(update={"data": "cbsd68/test"})
    other = info.model_copy(update={"methods": {"x": method}, "tasks": {"denoise25": task}})
    found = cited(other)
    assert found.unknown == ("method folder:their\nresults",)
    assert {"martin2001bsds", "roth2005foe"} <= {work.key for work in found.works}
    last = bibtex(found, "1").splitlines()[-1]
    assert last == "% no entry here for method folder:their results: cite whom it comes from"


def test_bibtex_has_balanced_braces_and_each_key_once() -> None:
    text = bibtex(Cited(works(), ()), "0.1")
    entries = re.findall(r"^@(\w+)\{([a-z0-9]+),\n((?:  .*,\n)+)\}$", text, re.MULTILINE)
    assert len(entries) == len(works()) + 1
    assert len({key for _, key, _ in entries}) == len(entries)
    for _, key, body in entries:
        for line in body.splitlines():
            assert re.fullmatch(r"  [a-z]+ = \{.*\},", line), (key, line)
            assert line.count("{") == line.count("}")


def test_the_command_prints_both(info: RunInfo, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(info.settings["out"])
    assert main(["cite", run]) == 0
    assert "@article{wang2004ssim," in capsys.readouterr().out
    assert main(["cite", run, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["works"][0]["key"] == "buades2005nlm"
    assert main(["cite", "/no/such/run"]) == 2


def test_the_citation_file_says_what_the_project_is() -> None:
    import yaml

    content = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert content["cff-version"] == "1.2.0"
    assert content["type"] == "software"
    assert content["license"] == project["license"]
    assert content["title"] == project["name"]
    assert [one["name"] for one in content["authors"]] == [a["name"] for a in project["authors"]]
