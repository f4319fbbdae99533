"""The study of process distillation: problems and teachers, what each student is taught, and how it is judged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concordant.core.errors import ConfigError, DataError
from concordant.core.items import Items
from concordant.studies import orca as study
from concordant.studies.orca import NAMES, judged, stages, up_to
from concordant.studies.running_arithmetic import (
    DIAL,
    EOS,
    LARGEST,
    SIGNS,
    WORDS,
    Problem,
    draw_problems,
    solution,
    token_row,
    words_of,
    worked,
)
from concordant.studies.small_decoder import greedy_rows, new_decoder, trained
from concordant.studies.study import Scale
from concordant.versions.traces import read_steps

problems = st.builds(
    Problem,
    st.integers(0, DIAL - 1),
    st.just(("+", "-", "*", "+")),
    st.tuples(*[st.integers(0, DIAL - 1)] * 4),
)


def by_python(problem: Problem) -> list[int]:
    """Work a problem out with the operators of the language."""
    value, found = problem.start, []
    for sign, digit in zip(problem.signs, problem.digits, strict=True):
        value = eval(f"({value} {sign} {digit}) % {DIAL}")
        found.append(value)
    return found


@given(problems, st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_teachers_agree_on_the_answer_and_the_right_ones_on_every_value(problem: Problem, seed: int) -> None:
    import polars as pl

    levels = ("answer", "short", "long", "style")
    replies = [solution(problem, level, np.random.default_rng(seed)) for level in levels]
    assert problem.values() == by_python(problem)
    assert {reply.rpartition(" : ")[2] for reply in replies} == {str(problem.values()[-1])}
    answer, short, long, style = read_steps(pl.Series(replies)).to_list()
    assert answer == []
    assert short == long == [str(value) for value in problem.values()]
    assert len(style) == len(long)
    assert all(wrong != right for wrong, right in zip(style, long, strict=True))


def test_a_line_that_is_worked_out_is_true() -> None:
    for value in range(DIAL):
        for sign in SIGNS:
            for digit in range(DIAL):
                text, after = worked(value, sign, digit)
                left, total = text.split(" = ")
                assert eval(left) == int(total)
                assert 0 <= int(total) <= LARGEST
                assert after == int(total) % DIAL == eval(f"({value} {sign} {digit}) % {DIAL}")


def test_problems_have_so_many_lines_that_do_something() -> None:
    drawn = draw_problems(np.random.default_rng(0), 300, 5, [2, 4])
    counts = [
        sum((sign, digit) != ("+", 0) for sign, digit in zip(p.signs, p.digits, strict=True)) for p in drawn
    ]
    assert set(counts) == {2, 4}
    assert 100 < counts.count(2) < 200
    assert not any(
        sign == "*" and digit in (0, 1) for p in drawn for sign, digit in zip(p.signs, p.digits, strict=True)
    )
    assert {len(p.digits) for p in drawn} == {5}
    with pytest.raises(ConfigError, match="there is no level of detail 'lang'; did you mean long"):
        solution(drawn[0], "lang", np.random.default_rng(0))  # type: ignore[arg-type]


def test_rows_of_tokens_say_the_texts_again() -> None:
    problem = draw_problems(np.random.default_rng(1), 1, 4, [3])[0]
    reply = solution(problem, "long", np.random.default_rng(0))
    ids, given_ = token_row(problem.question(), reply)
    assert words_of(ids[given_:]) == reply
    assert words_of([*ids[given_:], 5, 6]) == reply  # what stands behind the end means nothing
    assert words_of(ids[1:given_]) == problem.question()
    assert ids[-1] == EOS
    assert len(set(WORDS)) == len(WORDS)


def lessons(n: int = 40) -> dict[str, list[tuple[list[int], int]]]:
    lengths = {"answer": 3, "short": 6, "long": 12, "style": 12}
    return {name: [([i] * length, 1) for i in range(n)] for name, length in lengths.items()}


def test_students_have_equal_examples_or_equal_tokens() -> None:
    taught = stages(lessons(), 10)
    count = {name: sum(map(len, parts)) for name, parts in taught.items()}
    tokens = {name: sum(len(ids) for part in parts for ids, _ in part) for name, parts in taught.items()}
    equal_examples = ["answer", "short", "long", "style", "progressive", "mixed"]
    assert {count[name] for name in equal_examples} == {10}
    as_long = [name for name in taught if name.endswith("_as_long")]
    assert sorted(as_long) == ["answer_as_long", "progressive_as_long", "short_as_long"]
    assert {tokens[name] for name in as_long} == {tokens["long"]} == {120}
    assert tokens["progressive"] == tokens["mixed"] == 90
    # The intermediate teacher first, and each teacher on problems of its own.
    short, long = taught["progressive"]
    assert ({len(ids) for ids, _ in short}, {len(ids) for ids, _ in long}) == ({6}, {12})
    assert not {ids[0] for ids, _ in short} & {ids[0] for ids, _ in long}
    assert taught["mixed"] == [short + long]
    assert taught["long_half"] == [long]
    assert [len(ids) for ids, _ in up_to(lessons(2)["short"], 20)] == [6] * 4


def test_students_are_judged_by_answer_and_steps() -> None:
    rows = [{"input": f"q{i}", "reference": 4, "trace": "1 ; 2 ; 4 ; answer : 4"} for i in range(4)]
    said = ["1 ; 2 ; 4 ; answer : 4", "3 ; 2 ; 4 ; answer : 4", "5 ; 6 ; 0 ; answer : 0", "answer : 4"]
    found = judged("x", lambda text: said[int(text[1:])], Items.from_records(rows), prefix="longer_")
    assert found["x.longer_accuracy"] == 0.75
    assert found["x.longer_step_agreement_score"] == pytest.approx((1 + 2 / 3 + 0 + 0) / 4)
    assert found["x.longer_right_with_wrong_trace_rate"] == pytest.approx(2 / 3)
    nothing = judged("x", lambda text: "answer : 0", Items.from_records(rows))
    assert nothing == {"x.accuracy": 0, "x.step_agreement_score": 0, "x.right_with_wrong_trace_rate": 0}


def test_a_decoder_learns_rows_and_says_them_again() -> None:
    rows = [token_row(f"{i} ?", f"answer : {(i + 1) % 5}") for i in range(5)]
    model = new_decoder(len(WORDS), width=16, layers=1, positions=7, seed=0)
    trained(model, rows * 80, rate=1e-2, tokens=28, seed=0)
    replies = greedy_rows(model, [ids[:given_] for ids, given_ in rows], 7, end=EOS)
    assert [words_of(ids) for ids in replies] == [f"answer : {(i + 1) % 5}" for i in range(5)]


def test_a_student_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        ConfigError, match="at full scale needs a causal language model in CONCORDANT_ORCA_MODEL"
    ):
        study.orca(Scale.full, 0)
    files = {}
    for name, text in (
        ("SHORT", "7; answer: 7"),
        ("LONG", "3 + 4 = 7; answer: 7"),
        ("TEST", "3 + 4 = 7; answer: 7"),
    ):
        path = tmp_path / f"{name}.jsonl"
        path.write_text(
            "".join(f'{{"input": "what is {i} + 4 ?", "reference": "{text}"}}\n' for i in range(2))
        )
        files[f"CONCORDANT_ORCA_{name}"] = str(path)
    for name, value in {"CONCORDANT_ORCA_MODEL": "named", **files}.items():
        monkeypatch.setenv(name, value)
    from concordant.studies import small_language, your_models

    pocket = small_language.released_language_model("250k-chat-v1")
    monkeypatch.setattr(your_models, "your_model", lambda name: pocket)
    monkeypatch.setattr(small_language, "taught", lambda model, rows, **how: model)
    monkeypatch.setattr(study, "_reply", lambda model, question: "3 + 4 = 7; answer: 7")
    found = study.orca(Scale.full, 0)
    assert found["style.accuracy"] == found["long.step_agreement_score"] == 1.0
    (tmp_path / "SHORT.jsonl").write_text('{"input": "another ?", "reference": "1; answer: 1"}\n')
    with pytest.raises(DataError, match="must answer the same questions, in the same order"):
        study.orca(Scale.full, 0)
