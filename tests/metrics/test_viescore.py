"""VIE-Score: what a model may answer, and the example program against a real server."""

import json
import math
import shlex
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2r_metrics import PictureError, resolve
from e2r_metrics.viescore import VieScore, scores_in, vie_score

PROGRAM = Path(__file__).parents[2] / "examples" / "vie_score.py"


def test_the_formula_of_the_paper():
    found = vie_score('{"score": [8, 6.5], "reasoning": "a"}', '{"score": [4, 9]}')
    assert found == VieScore(6.5, 4.0, math.sqrt(6.5 * 4.0))
    assert vie_score('{"score": [0, 10]}', '{"score": [10, 10]}').overall == 0.0
    assert vie_score('{"score": [10, 10]}', '{"score": [10, 10]}') == (10.0, 10.0, 10.0)


READ = {
    '```json\n{"score": [1, 2]}\n```': (1.0, 2.0),
    'Here it is: {"reasoning": "a } b", "score": [10, 0]} as asked': (10.0, 0.0),
}


@pytest.mark.parametrize("answer", READ)
def test_words_around_an_answer_are_passed_over(answer):
    assert scores_in(answer) == READ[answer]


REFUSED = [
    "", "8 and 6", "[8, 6]", "{", "}{", '{"score": [8, 6]', '{"score": 8}', '{"score": [8]}',
    '{"score": [8, 6, 5]}', '{"score": ["8", "6"]}', '{"score": [true, 6]}', '{"score": [11, 6]}',
    '{"score": [-1, 6]}', '{"score": [NaN, 6]}', '{"score": [1e400, 6]}', '{"scores": [8, 6]}',
    '{"score": [8, 6]} {"score": [1, 2]}', '{"score": null}', '{"a":' * 3000 + "1" + "}" * 3000,
    '{"score": [8, 6], "score": [1, 2]}',
]  # fmt: skip


@pytest.mark.parametrize("answer", REFUSED, ids=range(len(REFUSED)))
def test_answers_that_say_no_score_are_refused(answer):
    with pytest.raises(PictureError, match=r"expected .*found") as caught:
        scores_in(answer)
    assert len(str(caught.value)) < 200


SCORES = st.lists(st.floats(0, 10) | st.integers(0, 10), min_size=2, max_size=2)


@given(SCORES, SCORES, st.text("abc \n}", max_size=9))
def test_whatever_json_says_is_read_back(semantic, quality, said):
    answers = [json.dumps({"reasoning": said, "score": x}) for x in (semantic, quality)]
    found = vie_score(*answers)
    assert (found.semantic, found.quality) == (min(semantic), min(quality))
    assert found.overall == pytest.approx(math.sqrt(min(semantic) * min(quality)))
    assert min(found) <= found.overall <= max(found.semantic, found.quality) + 1e-9


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(answer):
    try:
        found = scores_in(answer)
    except PictureError:
        return
    assert all(0 <= value <= 10 for value in found)


class _Judge(BaseHTTPRequestHandler):
    """Answers by how many pictures it is shown, and remembers what it was sent."""

    asked: ClassVar = []
    answers: ClassVar = {2: '{"score": [9, 4]}', 1: '{"score": [9, 9]}'}

    def do_POST(self):
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.headers["Authorization"], content))
        parts = content["messages"][0]["content"]
        said = self.answers[sum(part["type"] == "image_url" for part in parts)]
        reply = json.dumps({"choices": [{"message": {"content": said}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def judge(monkeypatch):
    """A judge at an address of this machine, and the metric that asks it."""
    monkeypatch.setattr(_Judge, "asked", [])
    server = HTTPServer(("127.0.0.1", 0), _Judge)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("VIE_URL", f"http://127.0.0.1:{server.server_port}/v1/chat/completions")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("VIE_KEY", "secret")
    monkeypatch.setenv("VIE_MODEL", "a-model")
    line = shlex.join([sys.executable, str(PROGRAM), "remove the rain"])
    (metric,) = resolve([f"command:name=vie better=higher low=0 high=10 against=degraded {line}"])
    yield metric
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_example_asks_a_judge(judge, session):
    white, black = (np.full((4, 5, 3), level, np.uint8) for level in (255, 0))
    assert session.per_image(judge, [white], [black]) == [6.0]
    (semantic, quality) = (content for _, content in _Judge.asked)
    assert {key for key, _ in _Judge.asked} == {"Bearer secret"}
    shown = [part["image_url"]["url"] for part in semantic["messages"][0]["content"][1:]]
    assert shown[1:] == [quality["messages"][0]["content"][1]["image_url"]["url"]]
    assert shown[0] != shown[1]
    assert "remove the rain" in semantic["messages"][0]["content"][0]["text"]
    assert "secret" not in judge.protocol


def test_an_answer_without_score_fails_the_picture(judge, session, monkeypatch):
    monkeypatch.setattr(_Judge, "answers", {2: "I cannot judge people.", 1: '{"score": [9, 9]}'})
    white = np.full((4, 5, 3), 255, np.uint8)
    with pytest.raises(PictureError, match=r"vie, .*found 1: .*found 'I cannot judge people\.'"):
        session.per_image(judge, [white], [white])
