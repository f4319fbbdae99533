import asyncio
import sys

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import SVC

from concordant.core.errors import ConfigError, ModelError
from concordant.core.items import Items
from concordant.core.model import BatchModel, Completion, ConcurrentModel, Request, user
from concordant.models.adapters import as_model
from concordant.models.functions import AsyncFunctionModel, FunctionModel, name_of
from concordant.models.language import GenerativeModel
from concordant.models.predictors import PredictorModel

ONE = Request()
TEXTS = Items.from_records(
    [{"id": i, "input": text} for i, text in zip("abc", ("one", "two", "three"), strict=True)]
)
NUMBERS = Items.from_arrays(np.arange(6.0).reshape(3, 2), ids=["a", "b", "c"])
TABLE = Items.from_arrays(pl.DataFrame({"x": [1.0, 2.0, 3.0], "kind": ["u", "v", "u"]}), ids=["a", "b", "c"])


def outputs(model, items, request=ONE):
    return model.respond(items, request)["output"].to_list()


# -- functions


def test_a_function_of_one_text():
    assert outputs(as_model(str.upper), TEXTS) == ["ONE", "TWO", "THREE"]


def test_a_function_of_a_column_of_texts():
    assert outputs(as_model(lambda texts: [len(t) for t in texts], batched=True), TEXTS) == [3, 3, 5]


def test_arrays_and_tables_are_given_as_columns():
    assert outputs(as_model(lambda x: x.sum(axis=1)), NUMBERS) == [1.0, 5.0, 9.0]
    assert outputs(as_model(lambda frame: frame["x"] * 2), TABLE) == [2.0, 4.0, 6.0]


def test_single_rows_of_arrays_and_tables():
    assert outputs(as_model(lambda row: float(row[1]), batched=False), NUMBERS) == [1.0, 3.0, 5.0]
    assert outputs(as_model(lambda row: row["kind"], batched=False), TABLE) == ["u", "v", "u"]


def test_lists_of_numbers_become_an_array_where_they_are_of_one_length():
    even = Items.from_records([{"input": [1.0, 2.0]}, {"input": [3.0, 4.0]}])
    ragged = Items.from_records([{"input": [1.0]}, {"input": [3.0, 4.0]}])
    assert outputs(as_model(lambda x: x.sum(axis=1)), even) == [3.0, 7.0]
    assert outputs(as_model(sum), ragged) == [1.0, 7.0]


def test_choices_are_part_of_what_is_asked():
    items = Items.from_records([{"input": "Which?", "choices": ["red", "blue"]}])
    (asked,) = outputs(as_model(lambda prompt: prompt), items)
    assert asked.startswith("Which?")
    assert "A. red\nB. blue" in asked


def test_conversations_are_lists_of_messages():
    items = Items.from_records([{"input": [user("hello"), user("again")]}])
    assert outputs(as_model(lambda turns: turns[-1]["content"]), items) == ["again"]


def test_samples_are_calls_side_by_side():
    counter = iter(range(100))
    model = as_model(lambda text: f"{text}{next(counter)}", fingerprint="counted")
    assert outputs(model, TEXTS, Request(n=2)) == ["one0", "one1", "two2", "two3", "three4", "three5"]
    batched = as_model(lambda x: x[:, 0])
    assert outputs(batched, NUMBERS, Request(n=2)) == [0.0, 0.0, 2.0, 2.0, 4.0, 4.0]
    assert outputs(as_model(lambda frame: frame["x"]), TABLE, Request(n=2)) == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]


def test_the_request_is_given_where_asked_for():
    model = as_model(lambda text, request: f"{text} {request.temperature}", with_request=True)
    assert outputs(model, TEXTS, Request(temperature=0.5))[0] == "one 0.5"


def test_completions_keep_their_log_probabilities():
    model = as_model(lambda text: Completion(text, logprob=-1.0, tokens=2))
    frame = model.respond(TEXTS, ONE)
    assert frame["logprob"].to_list() == [-1.0] * 3
    assert frame["tokens"].to_list() == [2] * 3


def test_a_returned_frame_keeps_its_columns():
    model = as_model(lambda texts: pl.DataFrame({"output": texts, "score": [1.0, 2.0, 3.0]}), batched=True)
    assert model.respond(TEXTS, ONE)["score"].to_list() == [1.0, 2.0, 3.0]


def test_outputs_may_be_vectors():
    frame = as_model(lambda x: np.hstack([x, x])).respond(NUMBERS, ONE)
    assert frame["output"].dtype == pl.Array(pl.Float64, 4)


def test_what_one_item_raises_is_its_error():
    def model(text):
        if text == "two":
            raise ValueError("no twos")
        return text

    frame = as_model(model).respond(TEXTS, ONE)
    assert frame["output"].to_list() == ["one", None, "three"]
    assert frame["error"].to_list() == [None, "ValueError: no twos", None]
    mixed = as_model(lambda text: Completion(model(text))).respond(TEXTS, ONE)
    assert mixed["error"].to_list() == [None, "ValueError: no twos", None]


def test_what_every_item_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        as_model(lambda text: 1 / 0).respond(TEXTS, ONE)


@pytest.mark.parametrize(
    ("function", "items", "message"),
    [
        (lambda x: x[:2, 0], NUMBERS, r"returned 2 outputs for 3 items .*the first without one is 'c'"),
        (lambda x: [1.0] * 4, NUMBERS, r"returned 4 outputs for 3 items \(items 'a' to 'c'\)"),
        (
            lambda x: np.array([1.0, np.nan, np.nan]),
            NUMBERS,
            r"2 of 3 items have an output that is missing or NaN \('b', 'c'\)",
        ),
        (lambda x: np.array([[1.0, 2.0], [1.0, np.nan], [1.0, 2.0]]), NUMBERS, r"1 of 3 items .*\('b'\)"),
        (
            lambda text: None if text == "two" else text,
            TEXTS,
            r"1 of 3 items have an output that is missing or NaN \('b'\)",
        ),
        (lambda text: object(), TEXTS, "outputs of the type object; allowed are texts, numbers"),
        (lambda text: None, TEXTS, r"3 of 3 items have an output that is missing"),
    ],
)
def test_too_few_too_many_and_missing_outputs_name_the_items(function, items, message):
    with pytest.raises(ModelError, match=message):
        as_model(function, name="mine").respond(items, ONE)


def test_names():
    assert name_of(test_names) == "test_names"
    assert name_of(LogisticRegression()) == "LogisticRegression"
    assert as_model(lambda x: x).name == "lambda"


def test_an_async_function():
    in_flight = []

    async def shout(prompt):
        in_flight.append(prompt)
        await asyncio.sleep(0)
        if prompt == "bad":
            raise ValueError("bad prompt")
        return Completion(prompt.upper(), tokens=1) if prompt == "c" else prompt.upper()

    model = as_model(shout, concurrency=3, fingerprint="shout")
    assert isinstance(model, AsyncFunctionModel)
    assert isinstance(model, ConcurrentModel)

    async def ask():
        answers = [await model.complete(prompt, Request(n=2)) for prompt in ("a", "c", "bad")]
        await model.aclose()
        return answers

    plain, whole, bad = asyncio.run(ask())
    assert plain == [Completion("A")] * 2
    assert whole == [Completion("C", tokens=1)] * 2
    assert bad[0].error == "ValueError: bad prompt"
    assert len(in_flight) == 6


# -- predictors


def test_a_classifier_keeps_its_probabilities():
    x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array(["no", "no", "yes", "yes"])
    fitted = LogisticRegression().fit(x, y)
    model = as_model(fitted)
    frame = model.respond(Items.from_arrays(x), ONE)
    assert isinstance(model, PredictorModel)
    assert frame["output"].to_list() == ["no", "no", "yes", "yes"]
    assert model.classes == ["no", "yes"]
    np.testing.assert_array_equal(frame["probabilities"].to_numpy(), fitted.predict_proba(x))
    assert frame["probabilities"].dtype == pl.Array(pl.Float64, 2)


def test_samples_of_a_predictor_are_copies():
    x = np.array([[0.0], [1.0], [2.0]])
    model = as_model(LinearRegression().fit(x, [0.0, 2.0, 4.0]))
    assert outputs(model, Items.from_arrays(x), Request(n=2)) == pytest.approx([0, 0, 2, 2, 4, 4])


def test_numbers_are_a_column_and_a_column_of_predictions_is_flattened():
    x = np.array([0.0, 1.0, 2.0])
    model = as_model(LinearRegression().fit(x[:, None], x[:, None] * 2))
    frame = model.respond(Items.from_arrays(x), ONE)
    assert frame["output"].dtype == pl.Float64
    assert frame["output"].to_list() == pytest.approx([0.0, 2.0, 4.0])


def test_probabilities_are_optional():
    x = np.array([[0.0], [1.0], [2.0], [3.0]])
    frame = as_model(SVC().fit(x, [0, 0, 1, 1])).respond(Items.from_arrays(x), ONE)
    assert frame.columns == ["output"]


def test_a_table_goes_to_an_estimator_as_it_was_fitted():
    pandas = pytest.importorskip("pandas")
    table = pl.DataFrame({"b": [0.0, 1.0, 2.0], "a": [5.0, 5.0, 4.0], "further": ["x", "y", "z"]})
    items = Items.from_arrays(table)
    features = pandas.DataFrame({"a": [5.0, 5.0, 4.0], "b": [0.0, 1.0, 2.0]})
    fitted = LinearRegression().fit(features, [0.0, 1.0, 2.0])
    assert outputs(as_model(fitted), items) == pytest.approx(fitted.predict(features).tolist())
    plain = LinearRegression().fit(features[["b", "a"]].to_numpy(), [0.0, 1.0, 2.0])
    assert outputs(as_model(plain), Items.from_arrays(table.select("b", "a"))) == pytest.approx(
        [0.0, 1.0, 2.0]
    )


def test_without_pandas_a_table_stays_a_polars_frame(monkeypatch):
    class Fitted:
        feature_names_in_ = np.array(["x"])

        def predict(self, table):
            assert isinstance(table, pl.DataFrame)
            return table["x"].to_numpy()

    monkeypatch.setitem(sys.modules, "pandas", None)
    assert outputs(as_model(Fitted()), TABLE) == [1.0, 2.0, 3.0]


def test_columns_that_an_estimator_lacks_are_named():
    class Fitted:
        feature_names_in_ = np.array(["x", "kindness"])

        def predict(self, table):
            return table["x"]

    with pytest.raises(ModelError, match=r"the inputs lack 1 columns, first 'kindness'; did you mean kind\?"):
        as_model(Fitted()).respond(TABLE, ONE)


class Own:
    """A predictor by the protocol of this package, not of scikit-learn."""

    classes_ = ("red", "blue")

    def __init__(self, table):
        self.table = np.array(table)

    def predict(self, x):
        raise AssertionError("the most probable label is taken")

    def probabilities(self, x):
        return self.table[: len(x)]


def test_the_most_probable_class_is_predicted():
    model = as_model(Own([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]))
    assert outputs(model, TEXTS) == ["red", "blue", "red"]


def test_faults_of_probabilities_name_the_items():
    with pytest.raises(ModelError, match=r"1 of 3 items have NaN probabilities \('b'\)"):
        as_model(Own([[0.9, 0.1], [np.nan, 0.8], [0.5, 0.5]])).respond(TEXTS, ONE)
    with pytest.raises(ModelError, match="returned 2 outputs for 3 items"):
        as_model(Own([[0.9, 0.1], [0.2, 0.8]])).respond(TEXTS, ONE)


# -- language models


class Echo:
    name = "echo"
    fingerprint = "echo-1"
    batch_size = 2

    def __init__(self, lost=0):
        self.lost = lost

    def generate(self, prompts, *, n=1, temperature=0.0, max_tokens=256, seed=0, stop=()):
        lists = [[Completion(f"{prompt}/{seed}", logprob=-0.5, tokens=1)] * n for prompt in prompts]
        return lists[: len(lists) - self.lost]

    def score(self, prompts, completions):
        return [np.zeros(1) for _ in prompts]


def test_a_language_model_continues_the_prompts():
    model = as_model(Echo())
    frame = model.respond(TEXTS, Request(n=2, seed=7))
    assert isinstance(model, GenerativeModel)
    assert (model.name, model.fingerprint, model.batch_size) == ("echo", "echo-1", 8)
    assert frame["output"].to_list() == ["one/7", "one/7", "two/7", "two/7", "three/7", "three/7"]
    assert frame["logprob"].to_list() == [-0.5] * 6


def test_a_language_model_that_loses_prompts_or_samples():
    with pytest.raises(ModelError, match="returned 2 lists of completions for 3 items"):
        as_model(Echo(lost=1)).respond(TEXTS, ONE)
    short = Echo()
    short.generate = lambda prompts, **_: [[Completion("x")]] * len(prompts)
    with pytest.raises(ModelError, match=r"3 of 3 items do not have 2 completions \('a', 'b', 'c'\)"):
        as_model(short).respond(TEXTS, Request(n=2))


# -- what is a model


def test_models_pass_through():
    model = FunctionModel(str.upper)
    assert isinstance(model, BatchModel)
    assert as_model(model) is model
    with pytest.raises(ConfigError, match="allowed options: none"):
        as_model(model, name="other")


@pytest.mark.parametrize("value", [None, 3, "hf:name", object(), LogisticRegression])
def test_what_is_not_a_model(value):
    with pytest.raises(ModelError, match="is not a model"):
        as_model(value)


def test_an_option_of_another_adapter():
    with pytest.raises(ConfigError, match="'batchsize'; allowed options: name, batched"):
        as_model(str.upper, batchsize=3)
