import functools
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from concordant.core.errors import ModelError
from concordant.models.fingerprints import files_fingerprint, fingerprint

SHIFT = 1


def add_shift(x):
    return x + SHIFT


def closed_over(value):
    return lambda x: x > value


def default_argument(value):
    def compare(x, value=value):
        return x > value

    return compare


class Threshold:
    def __init__(self, at):
        self.at = at

    def __call__(self, x):
        return x > self.at

    def predict(self, x):
        return x > self.at


def data(seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(40, 3))
    return x, (x[:, 0] > 0).astype(int)


@pytest.mark.parametrize(
    "make",
    [
        closed_over,
        default_argument,
        Threshold,
        lambda value: Threshold(value).predict,
        lambda value: functools.partial(np.power, value),
        lambda value: {"a": [value, (value,)], "b": {value}},
        lambda value: np.full((2, 2), value),
        lambda value: np.array([value, None], dtype=object),
        lambda value: pl.DataFrame({"a": [value]}),
        lambda value: make_pipeline(FunctionTransformer(kw_args={"a": value})),
        lambda value: np.random.default_rng(value),
    ],
)
def test_equal_values_and_only_they_have_equal_fingerprints(make):
    assert fingerprint(make(1)) == fingerprint(make(1))
    assert fingerprint(make(1)) != fingerprint(make(2))


def test_two_functions_on_one_line_differ():
    first, second = (lambda x: x + 1), (lambda x: x + 2)
    assert fingerprint(first) != fingerprint(second)


def test_a_function_is_known_by_the_global_values_it_names(monkeypatch):
    before = fingerprint(add_shift)
    monkeypatch.setitem(add_shift.__globals__, "SHIFT", 2)
    assert fingerprint(add_shift) != before


def test_neither_memory_layout_nor_the_order_of_a_dictionary_counts():
    table = np.arange(6.0).reshape(2, 3)
    assert fingerprint(table) == fingerprint(np.asfortranarray(table))
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


def test_an_object_that_holds_itself():
    loop = []
    loop.append(loop)
    assert fingerprint(loop) == fingerprint(loop)


def test_what_is_nested_too_deeply_is_said():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ModelError, match="nested too deeply"):
        fingerprint(deep)
    while deep:  # taken apart by hand, so that freeing it does not recurse
        deep = deep[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda c: LogisticRegression(C=c),
        lambda c: RandomForestClassifier(3, random_state=int(c), max_features=1),
        lambda c: make_pipeline(StandardScaler(), LogisticRegression(C=c)),
    ],
)
def test_estimators_by_their_parameters_and_what_they_learnt(make):
    x, y = data()
    other_x, other_y = data(1)
    fitted = fingerprint(make(1.0).fit(x, y))
    assert fitted == fingerprint(make(1.0).fit(x, y))
    assert fitted != fingerprint(make(1.0).fit(other_x, other_y))
    assert fitted != fingerprint(make(2.0).fit(x, y))
    assert fitted != fingerprint(make(1.0))


def test_torch_modules_by_weights_and_layers():
    torch = pytest.importorskip("torch")

    def module(seed, activation):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return torch.nn.Sequential(torch.nn.Linear(2, 2), activation)

    first = fingerprint(module(0, torch.nn.ReLU()))
    assert first == fingerprint(module(0, torch.nn.ReLU()))
    assert first != fingerprint(module(1, torch.nn.ReLU()))
    assert first != fingerprint(module(0, torch.nn.Tanh()))


def test_the_same_in_another_process():
    code = """
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from concordant.models.fingerprints import fingerprint
x = np.arange(20.0).reshape(-1, 1)
forest = RandomForestClassifier(3, random_state=0).fit(x, (x[:, 0] > 9).astype(int))
print(fingerprint(forest), fingerprint({"a", "b", "c"}), fingerprint(lambda x: {x, "a", "b"}))
"""
    runs = {subprocess.check_output([sys.executable, "-c", code]) for _ in range(2)}
    assert len(runs) == 1


def test_files_by_their_content(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"one")
    second.write_bytes(b"two")
    before = files_fingerprint([first, second])
    assert before == files_fingerprint([second, first])
    assert before != files_fingerprint([first, second], "option")
    second.write_bytes(b"too")
    assert before != files_fingerprint([first, second])
    with pytest.raises(ModelError, match="gone: the model cannot be read"):
        files_fingerprint([tmp_path / "gone"])
