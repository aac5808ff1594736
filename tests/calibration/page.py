"""The table of rules in docs/statistics.md: each rule with the rates that were simulated for it.

`python tests/calibration/page.py` writes it anew; a test compares it with the committed rates.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
RATES = ROOT / "results" / "calibration" / "rates.csv"
PAGE = ROOT / "docs" / "statistics.md"
START, END = "<!-- rates: written by tests/calibration/page.py -->", "<!-- rates end -->"
SKEWED = ("log-normal(0.5)", "log-normal(1)", "Weibull(0.7)", "mixed shapes")
SYMMETRIC = ("normal", "heavy tails (t, 4)")


def load() -> pd.DataFrame:
    """Return all committed rates, a row each."""
    return pd.read_csv(RATES)


def _most(rows: pd.DataFrame) -> str:
    return f"{rows.rate.max():.1%}"


def _least(rows: pd.DataFrame) -> str:
    return f"{rows.rate.min():.1%}"


def _verdicts(rates: pd.DataFrame, quantity: str, values: Sequence[str]) -> tuple[str, str]:
    """Return the largest rates from 40 images on, and below."""
    rows = rates[rates.quantity.str.endswith(quantity) & rates["values"].isin(values)]
    rows = rows[rows.test.str.startswith("verdict,") & (rows.scenario != "clustered")]
    return _most(rows[rows.n >= 40]), _most(rows[rows.n < 40])


def lines(rates: pd.DataFrame) -> list[tuple[str, str]]:
    """Return rule and rates, in the order of the page."""

    def of(test: str, quantity: str) -> pd.DataFrame:
        return rates[(rates.test == test) & (rates.quantity == quantity)]

    made: list[tuple[str, str]] = []
    for quantity, rule in (
        ("false direction", "A direction (better, worse) needs the permutation test over scenes "
         "and the skewness-aware t test, Holm over the parts"),
        ("false equivalence", "A size below the margin needs two one-sided skewness-aware t tests, "
         "Holm over the parts"),
        ("equivalence falsely refuted", "A size above the margin, which alone refutes equivalence, "
         "needs a direction and a one-sided test, Holm over the parts"),
    ):  # fmt: skip
        calm, skew = (_verdicts(rates, quantity, v) for v in (SYMMETRIC, SKEWED))
        made.append((rule, f"falsely shown at most {calm[0]} (symmetric) and {skew[0]} (skewed) "
                     f"from 68 images on, {calm[1]} and {skew[1]} with 10 to 32"))  # fmt: skip
    unseen = rates[(rates.high == 1.0) & rates["values"].str.contains("failures")]
    unseen = unseen[unseen.quantity.isin(["false direction", "false equivalence"])]
    made.append(("Failures rarer than 3 in n can be absent from the sample: no test then sees "
                 "them, and every verdict below 60 scenes says so",
                 f"false verdicts up to {_most(unseen)}"))  # fmt: skip
    every = "'better in every part' wrongly {}"
    made.append(("\"Every\" is an intersection-union test: supported where each part passes by "
                 "itself, refuted where one part, adjusted, shows the opposite",
                 f"wrongly supported at most {_most(of('claim', every.format('supported')))}, "
                 f"wrongly refuted at most {_most(of('claim', every.format('refuted')))}, over 200 "
                 "configurations"))  # fmt: skip
    made.append(("Directions decide claims of a direction, sizes claims of equivalence; the other "
                 "is told beside it",
                 "a claim and its opposite both held in "
                 f"{_most(of('claim', 'a claim and its opposite both hold'))}; wrong directions at "
                 f"most {_most(of('claim', 'some wrong direction'))} a claim"))  # fmt: skip
    cover = of("interval that allows for skewness", "coverage of 95%")
    made.append(("Intervals invert the same tests; simultaneous ones are Bonferroni's, cut or "
                 "stretched to agree with Holm's decisions",
                 "95% intervals of one part cover at least "
                 f"{_least(cover[(cover.n >= 40) & cover['values'].isin(SYMMETRIC)])} (symmetric), "
                 f"{_least(cover[(cover.n >= 40) & cover['values'].isin(SKEWED)])} (skewed)"
                 ))  # fmt: skip
    photos = rates[rates.scenario == "real photographs"]
    made.append(("The same on differences of four denoisers on 296 photographs, n from 10 to 100",
                 f"false directions at most {_most(photos[photos.quantity == 'false direction'])}, "
                 "false equivalence at most "
                 f"{_most(photos[photos.quantity == 'false equivalence'])}, coverage at least "
                 f"{_least(photos[photos.quantity == 'coverage of 95%'])}"))  # fmt: skip
    made += _studies(rates)
    return made


def _studies(rates: pd.DataFrame) -> list[tuple[str, str]]:
    def of(test: str, quantity: str) -> pd.DataFrame:
        return rates[(rates.test == test) & (rates.quantity == quantity)]

    seeds = of("seeds needed", "coverage of 95%")
    short = of("seeds needed", "plan too small")
    usual = short[short["values"] != "log-normal(1)"]
    ten = of("table alone", "supported")
    sets = rates[rates.test.str.contains("jackknife and swaps|swap permutation")]
    false = sets[sets.quantity.isin(["false positives", "false equivalence"])]
    covered = sets[sets.quantity == "coverage of 90%"]
    return [
        ("Trainings, sampling seeds and scenes are crossed random effects; Cochran's rule weighs "
         "them; one training speaks of two adapters only",
         "false directions of recipes at most "
         f"{_most(of('verdict on recipes', 'false direction'))}, with 2 to 8 trainings that spread "
         "by 0 to 0.37 dB; intervals cover at least "
         f"{_least(of('interval over trainings and scenes', 'coverage of 95%'))}"),
        ("A knee: paired differences to the longest schedule, nested tests from both ends",
         f"claimed in {_most(of('knee', 'claimed where nothing changes'))} of curves of noise at "
         f"most; its interval covers at least {_least(of('knee', 'coverage of 95%'))}"),
        ("Seeds needed: t, with a chi-square interval of fewer degrees of freedom",
         f"covers at least {_least(seeds[seeds['values'] != 'log-normal(1)'])}, but "
         f"{_least(seeds)} for a log-normal(1) spread; the plan is too small in {_most(usual)} at "
         f"most ({_most(short)})"),
        ("A table alone: the spread of configurations that are alike, one rounding unit taken off",
         f"falsely decided in {_most(of('table alone', 'falsely decided'))} at most; a claim that "
         f"is true by ten spreads supported in {_least(ten[~ten['values'].str.contains('0.2')])} "
         "at least"),
        ("Set metrics: swaps, and the score interval of jackknife and swap errors",
         f"false positives and false equivalence at most {_most(false)}, 90% intervals cover "
         f"{_least(covered)} to {_most(covered)} where nothing differs"),
    ]  # fmt: skip


def table(rates: pd.DataFrame) -> str:
    """Return the table in Markdown."""
    rows = [f"| {rule} | {found} |" for rule, found in lines(rates)]
    return "\n".join(["| rule | simulated |", "| --- | --- |", *rows])


def parts_of(page: str) -> tuple[str, str, str]:
    """Return what stands before, inside and behind the marks."""
    before, _, rest = page.partition(START)
    inside, _, behind = rest.partition(END)
    return before, inside.strip(), behind


def main() -> None:
    """Write the table into the page."""
    before, _, behind = parts_of(PAGE.read_text("utf-8"))
    PAGE.write_text(f"{before}{START}\n{table(load())}\n{END}{behind}", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
