"""VIE-Score (Ku et al., ACL 2024) from the answers of a vision-language model, which is yours.

The model is asked twice. Semantic consistency (SC): shown the input and the result with the
instruction, how far the edit succeeded, and how little else was changed. Perceptual quality (PQ):
shown the result alone, how natural it is, and how free of artefacts. Each number is from 0 to 10,
higher is better, and a part is as good as its worse number.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from e2r_metrics.base.errors import PictureError

_SHOWN = 80
_NUMBERS = 2
HIGHEST = 10.0


class VieScore(NamedTuple):
    """The three numbers that papers report, each in [0, 10], higher is better.

    Attributes:
        semantic: SC, the smaller of success and restraint.
        quality: PQ, the smaller of naturalness and freedom from artefacts.
        overall: the geometric mean of both.
    """

    semantic: float
    quality: float
    overall: float


def vie_score(semantic: str, quality: str) -> VieScore:
    """Return the scores of one picture from a model's answers to both questions.

    Args:
        semantic: its answer about consistency; see `scores_in`.
        quality: its answer about quality.

    Raises:
        PictureError: an answer that cannot be read. The authors' code then guesses a score; a
            guess is no measurement.
    """
    sc, pq = min(scores_in(semantic)), min(scores_in(quality))
    return VieScore(sc, pq, math.sqrt(sc * pq))


def scores_in(answer: str) -> tuple[float, float]:
    """Return the two numbers of an answer such as {"score": [8, 6.5], "reasoning": "..."}.

    Words or a fence around the JSON object are passed over; between its braces nothing is.

    Raises:
        PictureError: no such object, or not two numbers from 0 to 10.
    """
    content = _object_in(answer)
    found = content.get("score")
    if not isinstance(found, list) or len(found) != _NUMBERS or not all(map(_fits, found)):
        raise PictureError(
            f'expected "score": two numbers from 0 to 10, found {str(found)[:_SHOWN]!r}'
        )
    first, second = map(float, found)
    return first, second


def _object_in(answer: str) -> Mapping[str, Any]:
    start, end = answer.find("{"), answer.rfind("}")
    try:
        found = answer[start : end + 1] if start >= 0 else "null"
        content = json.loads(found, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise PictureError(f"expected an answer with one JSON object, found {answer[:_SHOWN]!r}")
    return content


def _each_once(pairs: Sequence[tuple[str, Any]]) -> Mapping[str, Any]:
    """Return an object; of a key that stands twice, which one is meant would be a guess."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found


def _fits(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0.0 <= value <= HIGHEST  # false of NaN
    )
