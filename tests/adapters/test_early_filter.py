"""The early filter: what it draws, what it costs, and what every row says of it."""

import json
from collections import Counter

import numpy as np
import pytest

import e2r_bench
from e2r_adapters.catalog import METHODS
from e2r_adapters.early_filter import EarlyFilter, candidate
from e2r_adapters.editors import NANO
from e2r_adapters.editors.kontext import KONTEXT
from e2r_adapters.fidelity import Fidelity
from e2r_adapters.restorer import EditorRestorer, Settings
from e2r_adapters.sampling import noise_for
from e2r_baselines.method import Draw, Photo, spec_of
from e2r_baselines.tasks import TASKS
from e2r_bench.run.config import make_experiment
from e2r_bench.run.runner import run_experiment
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import eight_bit

DENOISE = TASKS["denoise25"]


def photos(count=3):
    rng = np.random.default_rng(1)
    return [Photo(f"p{i}", rng.random((24, 32, 3), np.float32)) for i in range(count)]


def restored(pipe, early, given=None, draws=None, batch=1, fidelity=None):
    draws = draws or [Draw(0, 3)]
    settings = Settings(2.5, 32, "native", batch, fidelity=fidelity, early=early)
    made = EditorRestorer(KONTEXT.open(pipe), settings).restore(given or photos(), DENOISE, draws)
    return {(one.photo_id, one.draw): one.pixels for one in made}


def always(place):
    return lambda results, photo, task: place


def darkest(results, photo, task):
    return int(np.argmin([result.mean() for result in results]))


def test_the_first_candidate_is_the_draw_without_a_filter(tiny_pipe):
    free = restored(tiny_pipe, None)
    first = restored(tiny_pipe, EarlyFilter(3, 1, always(0)))
    assert all(np.array_equal(free[key], first[key]) for key in free)


def test_candidates_are_named_by_seed_picture_and_place_alone():
    shape = (4, 3, 5)
    for place in (1, 2):
        drawn = candidate(Draw(7, 3), photos()[0], shape, "kontext", place)
        said = noise_for(7, "p0", shape, f"kontext candidate {place}")
        assert drawn.equal(said)
        assert drawn.equal(candidate(Draw(7, 50), photos()[0], shape, "kontext", place))
        for draw, photo in ((Draw(8, 3), photos()[0]), (Draw(7, 3), photos()[1])):
            assert not drawn.equal(candidate(draw, photo, shape, "kontext", place))
    assert not drawn.equal(candidate(Draw(7, 3), photos()[0], shape, "kontext", 1))


def test_the_full_schedule_starts_from_the_chosen_noise(tiny_pipe, monkeypatch):
    """Restated: with the other noise in the place of the first, no filter is needed."""
    chosen = restored(tiny_pipe, EarlyFilter(3, 1, always(2)))
    monkeypatch.setattr(
        "e2r_adapters.restorer.candidate",
        lambda draw, photo, shape, family: noise_for(
            draw.seed, photo.id, shape, f"{family} candidate 2"
        ),
    )
    restated = restored(tiny_pipe, None)
    assert all(np.array_equal(chosen[key], restated[key]) for key in chosen)


def test_the_judge_sees_candidates_as_they_would_be_written(tiny_pipe, monkeypatch):
    seen = []

    def judge(results, photo, task):
        seen.append((photo.id, task.name, results))
        return 1

    restored(tiny_pipe, EarlyFilter(2, 2, judge), photos(1))
    ((name, task, results),) = seen
    assert (name, task, len(results)) == ("p0", "denoise25", 2)
    alone = restored(tiny_pipe, None, photos(1), [Draw(0, 2)])
    assert np.array_equal(results[0], eight_bit(alone["p0", Draw(0, 2)]))
    assert results[0].dtype == np.uint8
    assert not np.array_equal(results[0], results[1])


@pytest.mark.parametrize(("candidates", "steps", "n"), [(2, 1, 3), (4, 2, 3), (3, 3, 1)])
def test_the_model_is_evaluated_n_and_m_times_m(tiny_pipe, candidates, steps, n):
    calls = Counter()
    tiny_pipe.transformer.register_forward_pre_hook(lambda *_: calls.update(n=1))
    restored(tiny_pipe, EarlyFilter(candidates, steps, darkest), photos(1), [Draw(0, n)])
    options = {"backbone": NANO, "candidates": candidates, "filter_steps": steps}
    spec = spec_of(METHODS["kontext"], options)
    assert calls["n"] == n + candidates * steps == n + spec.extra_evaluations


def test_batches_and_company_choose_the_same(tiny_pipe):
    early, draws = EarlyFilter(3, 1, darkest), [Draw(0, 2), Draw(1, 2)]
    together = restored(tiny_pipe, early, draws=draws, batch=4)
    alone = {}
    for photo in photos():
        for draw in draws:
            alone |= restored(tiny_pipe, early, [photo], [draw])
    assert together.keys() == alone.keys()
    for key, pixels in together.items():
        assert np.allclose(pixels, alone[key], atol=1e-4)


def test_the_choice_is_the_judges(tiny_pipe):
    by_darkness = restored(tiny_pipe, EarlyFilter(4, 2, darkest), draws=[Draw(0, 2)])
    tries = [
        restored(tiny_pipe, EarlyFilter(4, 2, always(k)), draws=[Draw(0, 2)]) for k in range(4)
    ]
    for key, pixels in by_darkness.items():
        means = [eight_bit(one[key]).mean() for one in tries]
        assert np.array_equal(pixels, tries[int(np.argmin(means))][key])


def test_candidates_are_held_to_the_input_as_the_result_is(tiny_pipe):
    seen = []

    def judge(results, photo, task):
        seen.extend(results)
        return 0

    restored(tiny_pipe, EarlyFilter(2, 2, judge), photos(1), fidelity=Fidelity(1))
    alone = restored(tiny_pipe, None, photos(1), [Draw(0, 2)], fidelity=Fidelity(1))
    assert np.array_equal(seen[0], eight_bit(alone["p0", Draw(0, 2)]))


# What is asked


def spec(**options):
    return spec_of(METHODS["kontext_lora"], {"backbone": NANO, **options})


def test_without_candidates_nothing_changes():
    assert spec(candidates=1).builds == spec().builds
    assert spec().extra_evaluations == 0


def test_the_build_says_judge_and_cost_and_the_oracle_is_marked():
    by_niqe = spec(candidates="6", filter_steps="10", judge="niqe")
    assert by_niqe.builds[0].name.endswith(" filter 6x10 by niqe:matlab")
    assert (by_niqe.extra_evaluations, by_niqe.feed, by_niqe.control) == (60, "degraded", False)
    oracle = spec(candidates=6, judge="oracle")
    assert oracle.builds[0].name.endswith("filter 6x4 by the truth (ORACLE, an upper bound)")
    assert (oracle.feed, oracle.control) == ("both", True)
    both = spec(candidates=2, consistency=0.5)
    assert both.builds[0].name.endswith(" consistency 0.5 filter 2x4 by consistency")


def test_a_judges_weights_are_the_methods():
    files = spec(candidates=2, judge="brisque").builds[0].files
    assert "brisque-live" in files
    assert files[0] == NANO


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"candidates": 0}, "at least 1"),
        ({"candidates": 2, "filter_steps": 0}, "at least 1"),
        ({"judge": "niqe"}, "expected several candidates"),
        ({"filter_steps": 2}, "expected several candidates"),
        ({"candidates": 2, "judge": "niq"}, "niqe"),
        ({"candidates": 2, "judge": "psnr"}, "judge"),
        ({"candidates": "two"}, "candidates"),
    ],
)
def test_what_cannot_be_is_one_line(options, said):
    with pytest.raises(UsageError, match=said) as caught:
        spec(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("table", [{"judge": "command:x"}, {"a": {"judge": "command:x"}}])
def test_a_program_needs_to_be_allowed(table):
    settings = {"methods": ["a=kontext"], "method": table}
    with pytest.raises(UsageError, match="--allow-commands"):
        make_experiment(settings, "the command line")
    assert make_experiment(settings, "the command line", allow_commands=True)


def test_whoever_calls_the_function_names_the_program(tmp_path):
    """In a file somebody else may have named it; there, as on the line, it has to be allowed."""
    path = tmp_path / "settings.toml"
    path.write_text(
        'methods = ["a=kontext"]\nmethod = {judge = "command:x"}\ntasks = ["none"]\n'
        f'out = "{tmp_path}/run"\n'
    )
    settings = {"methods": ["a=kontext"], "method": {"judge": "command:x"}, "tasks": ["none"],
                "out": tmp_path / "run"}  # fmt: skip
    with pytest.raises(UsageError, match="--allow-commands"):
        e2r_bench.run(path)
    for given, allowed in ((settings, False), (path, True)):
        with pytest.raises(UsageError, match="unknown task 'none'"):
            e2r_bench.run(given, allow_commands=allowed)


# A run


def test_rows_and_run_json_say_what_was_chosen_by_whom_for_how_much(base, tmp_path):
    settings = {
        "methods": ["free=kontext", "seen=kontext", "by-input=kontext"],
        "method": {
            "backbone": base, "max_sequence_length": 32,
            "seen": {"candidates": 3, "filter_steps": 1, "judge": "oracle"},
            "by-input": {"candidates": 2, "filter_steps": 1},
        },
        "tasks": ["denoise25"], "limit": 2, "crop": 32, "steps": [2], "metrics": ["psnr"],
        "out": tmp_path / "run",
    }  # fmt: skip
    outcome = run_experiment(make_experiment(settings, "test"))
    assert not outcome.failures
    info = json.loads((tmp_path / "run" / "run.json").read_text())["methods"]
    assert {name: one["extra_evaluations"] for name, one in info.items()} == {
        "degraded": 0, "clean": 0, "free": 0, "seen": 3, "by-input": 2,
    }  # fmt: skip
    assert [name for name, one in info.items() if one["control"]] == ["degraded", "clean", "seen"]
    notes = {row.method: row.note for row in outcome.store.rows().all if row.metric == "psnr"}
    assert notes["seen"] == "NFE 5 = 2 + 3 of its filter"
    assert (notes["by-input"], notes["free"]) == ("NFE 4 = 2 + 2 of its filter", "")
    assert all("ORACLE" in r.build for r in outcome.store.rows().all if r.method == "seen")
    summary = outcome.store.summary()
    assert set(summary[summary.method == "seen"].note) == {notes["seen"]}


def test_the_study_runs_from_the_command_line(base, tmp_path, capsys):
    from e2r_bench.cli import main

    asked = [
        "study", "filter", "--method", "kontext", "--set", f"backbone={base}",
        "--set", "max_sequence_length=32", "--candidates", "2", "--filter-steps", "1",
        "--steps", "2", "--seeds", "0,1", "--tasks", "denoise25", "--limit", "3", "--crop", "32",
        "--metrics", "psnr", "--out", str(tmp_path / "study"),
    ]  # fmt: skip
    assert main([*asked, "--dry-run"]) == 0
    assert "by-oracle" in capsys.readouterr().out
    assert not (tmp_path / "study").exists()
    assert main(asked) == 0
    text = (tmp_path / "study" / "studies" / "filter" / "README.md").read_text()
    for said in (
        "the mean draw (NFE 2)",
        "the mean draw of 4 steps (NFE 4)",
        "the mean picture of 2 draws (NFE 4)",
        "chosen by consistency (NFE 4)",
    ):
        assert said in text
