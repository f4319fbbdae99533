"""What a user writes to name a recording."""

from __future__ import annotations

import pytest

from concordant.core.errors import ConfigError
from concordant.models.readers.source import Source, parse_source


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.jsonl", {}),
        ("a.jsonl#m", {"model": "m"}),
        ("a.jsonl?model=m", {"model": "m"}),
        ("a.jsonl#org/m:1?id=key", {"model": "org/m:1", "columns": {"item": "key"}}),
        ("a.jsonl?id=key#m", {"model": "m", "columns": {"item": "key"}}),
        ("a.jsonl?id=p,v&sample=run,trial", {"columns": {"item": "p,v", "sample": "run,trial"}}),
        ("a.jsonl?where=a:1&where=b:x:y", {"where": (("a", "1"), ("b", "x:y"))}),
        ("a.jsonl?rows=models/A~1B/scores", {"rows": "models/A~1B/scores"}),
        ("a.jsonl?output=a%26b%25+c", {"columns": {"output": "a&b%+c"}}),
        ("a.jsonl?scorer=s&filter=f&format=json", {"scorer": "s", "filter": "f", "format": "json"}),
        ("a.jsonl?", {}),
    ],
)
def test_a_source_is_taken_apart(text, expected):
    path = parse_source("a.jsonl").path
    assert parse_source(text) == Source(path, **expected)


def test_a_file_whose_name_holds_the_marks_is_found(tmp_path):
    path = tmp_path / "what?#1.jsonl"
    path.write_text("{}")
    assert parse_source(str(path)) == Source(path)
    assert parse_source(f"{path}#m") == Source(path, model="m")
    assert parse_source(f"{path}?id=a#m") == Source(path, {"item": "a"}, model="m")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jsonl?ouptut=x", "there is no option 'ouptut'; did you mean output?"),
        ("a.jsonl?output", "allowed behind the '?' is key=value&key=value, got 'output'"),
        ("a.jsonl?where=topic", "allowed is where=COLUMN:VALUE, got where=topic"),
    ],
)
def test_a_source_that_cannot_be_understood(text, message):
    with pytest.raises(ConfigError, match=r"a.jsonl") as caught:
        parse_source(text)
    assert message in str(caught.value)
