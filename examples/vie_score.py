"""A VIE-Score of each picture by a vision-language model, for `--metrics command:LINE`.

VIE_URL: an address that speaks the chat completions of OpenAI's API. VIE_KEY: its key. VIE_MODEL:
the model.
Usage: vie_score.py INSTRUCTION RESTORED REFERENCE VALUES, as in
--metrics "command:name=vie better=higher low=0 high=10 margin=0.5 against=degraded
python examples/vie_score.py 'remove the rain'" (one line; half a point counts as no difference).
"""

import base64
import csv
import json
import os
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from e2r_metrics import PictureError
from e2r_metrics.viescore import vie_score

FORM = (
    'Answer with JSON alone: {"score": [first, second], "reasoning": "one sentence"}, '
    "each number from 0 to 10."
)
SEMANTIC = (
    "The first picture was edited into the second. Instruction: {instruction}\n"
    "First number: how well the second follows the instruction (0 not at all, 10 perfectly). "
    "Second number: how little else was changed (0 another picture, 10 nothing that need not be)."
)
QUALITY = (
    "First number: how natural this picture looks (0 not at all, 10 as a photograph). "
    "Second number: how free it is of artefacts (0 full of them, 10 none)."
)


def ask(question: str, *pictures: Path) -> str:
    """Return the model's answer to a question about PNG pictures."""
    parts: list[Mapping[str, object]] = [{"type": "text", "text": f"{question}\n{FORM}"}]
    for picture in pictures:
        data = base64.b64encode(picture.read_bytes()).decode()
        address = f"data:image/png;base64,{data}"
        parts.append({"type": "image_url", "image_url": {"url": address}})
    asked = {
        "model": os.environ["VIE_MODEL"],
        "temperature": 0,
        "messages": [{"role": "user", "content": parts}],
    }
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {os.environ['VIE_KEY']}",
    }
    request = urllib.request.Request(os.environ["VIE_URL"], json.dumps(asked).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]


def main() -> None:
    """Write image,value of every picture; the program fails where one has no score."""
    instruction, *places = sys.argv[1:]
    restored, reference, values = map(Path, places)
    with values.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["image", "value"])
        for picture in sorted(restored.iterdir()):
            semantic = ask(
                SEMANTIC.format(instruction=instruction), reference / picture.name, picture
            )
            found = vie_score(semantic, ask(QUALITY, picture))
            table.writerow([picture.name, found.overall])


if __name__ == "__main__":
    try:
        main()
    except (OSError, KeyError, ValueError, PictureError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
