import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, utils

from concordant.core.errors import ModelError
from concordant.core.items import Items
from concordant.core.model import Request, user
from concordant.models.endpoint import Endpoint
from concordant.models.huggingface import load_huggingface
from concordant.models.language import GenerativeModel
from concordant.models.predictors import PredictorModel
from concordant.models.text_classifier import TextClassifier
from openai_server import serve
from tiny_models import save_gpt2, save_gpt2_classifier, save_llama

TEXTS = ["a", "b c d", "q w e r t y u i o p", "z z", "1 2 3 4 5 6"]
ITEMS = Items.from_records([{"id": str(i), "input": text} for i, text in enumerate(TEXTS)])


def change(folder, name, **fields):
    """Write other values into a JSON file of a model."""
    path = Path(folder) / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.fixture
def copy(tmp_path, gpt2):
    """A copy of a model that may be spoilt."""
    return Path(shutil.copytree(gpt2, tmp_path / "copy"))


# -- generators


def test_a_causal_model_from_a_folder(llama):
    model = load_huggingface(llama, batch_size=2)
    assert isinstance(model, GenerativeModel)
    assert (model.name, model.batch_size) == (Path(llama).name, 8)
    frame = model.respond(ITEMS, Request(max_tokens=6, n=2, temperature=1.0))
    assert frame.schema == {
        "output": pl.String,
        "logprob": pl.Float64,
        "tokens": pl.Int64,
        "error": pl.String,
    }
    assert len(frame) == 10
    assert (frame["logprob"] < 0).all()
    assert utils.logging.is_progress_bar_enabled()


def test_a_server_with_a_model_behind_it_answers_as_the_model_itself(llama):
    local = load_huggingface(llama, chat=True)

    def answer(body):
        settings = {name: body.get(name) for name in ("temperature", "max_tokens", "seed")}
        made = local.language_model.generate(
            [body["messages"]], n=body.get("n", 1), stop=body.get("stop", ()), **settings
        )
        choices = []
        for completion in made[0]:
            share = [{"logprob": completion.logprob / completion.tokens}] * completion.tokens
            said = {"message": {"content": completion.text}, "finish_reason": completion.finish_reason}
            choices.append({**said, "logprobs": {"content": share}})
        return choices

    async def ask(url, request):
        model = Endpoint("tiny", base_url=url, logprobs=True, concurrency=2)
        answers = await asyncio.gather(*(model.complete(text, request) for text in TEXTS))
        await model.aclose()
        return [completion for samples in answers for completion in samples]

    with serve(answer) as server:
        for request in (Request(max_tokens=8), Request(max_tokens=8, n=2, temperature=0.8, stop=("a",))):
            remote = asyncio.run(ask(server.url, request))
            frame = local.respond(ITEMS, request)
            assert [completion.text for completion in remote] == frame["output"].to_list()
            assert [completion.tokens for completion in remote] == frame["tokens"].to_list()
            np.testing.assert_allclose(
                [completion.logprob for completion in remote], frame["logprob"], atol=1e-4
            )


def test_half_precision(llama):
    model = load_huggingface(llama, dtype="bfloat16")
    assert model.language_model.model.dtype == torch.bfloat16
    assert model.respond(ITEMS, Request(max_tokens=3))["error"].is_null().all()
    assert load_huggingface(llama).language_model.model.dtype == torch.float32


def test_fingerprints_follow_weights_and_settings(tmp_path, copy):
    def of(folder, **options):
        return load_huggingface(folder, **options).fingerprint

    first = of(copy)
    assert first == of(copy, name="another", batch_size=1)
    assert first != of(copy, dtype="bfloat16")
    assert first != of(save_gpt2(tmp_path / "other", seed=1))
    (copy / "chat_template.jinja").write_text("{{ messages }}")
    assert first != of(copy)


# -- classifiers


def logits_alone(folder):
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        return np.vstack([model(**tokenizer(text, return_tensors="pt")).logits.numpy() for text in TEXTS])


def test_a_classifier_answers_with_its_labels_and_probabilities(bert):
    model = load_huggingface(bert, batch_size=2)
    frame = model.respond(ITEMS, Request())
    logits = logits_alone(bert)
    assert isinstance(model, PredictorModel)
    assert model.classes == ["bad", "fair", "good"]
    assert frame["output"].to_list() == np.array(model.classes)[logits.argmax(axis=1)].tolist()
    expected = torch.tensor(logits).softmax(-1).numpy()
    np.testing.assert_allclose(frame["probabilities"].to_numpy(), expected, atol=1e-5)
    assert list(model.predictor.predict(TEXTS)) == frame["output"].to_list()


@pytest.mark.parametrize("pad", [True, False])
def test_a_scorer_answers_with_numbers(tmp_path, pad):
    folder = save_gpt2_classifier(tmp_path / "scorer", pad=pad)
    model = load_huggingface(folder, batch_size=3)
    frame = model.respond(ITEMS, Request())
    assert frame.columns == ["output"]
    np.testing.assert_allclose(frame["output"].to_numpy(), logits_alone(folder)[:, 0], atol=1e-4)
    assert model.classes is None


def test_long_texts_are_cut_and_conversations_rendered(tmp_path):
    folder = save_gpt2_classifier(tmp_path / "scorer", n_labels=2)
    model = load_huggingface(folder).predictor
    assert isinstance(model, TextClassifier)
    long, cut = model.predict(["a " * 500, "a " * 63])
    assert long == cut
    turns = [user("a b")]
    rendered = model.tokenizer.apply_chat_template(turns, tokenize=False)
    ids = model.tokenizer(rendered, add_special_tokens=False)["input_ids"]
    assert ids.count(model.tokenizer.bos_token_id) == 1  # the template writes it, and nothing else may
    with torch.no_grad():
        expected = model.model(torch.tensor([ids])).logits.double().softmax(-1)
    np.testing.assert_allclose(model.probabilities([turns]), expected.numpy(), rtol=1e-6)
    model.tokenizer.chat_template = None
    np.testing.assert_array_equal(model.probabilities([turns]), model.probabilities(["user: a b"]))


# -- what cannot be loaded


def test_pickles_only_on_the_users_word(copy):
    weights = load_huggingface(copy).language_model.model.state_dict()
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"holds no safetensors weights$"):
        load_huggingface(copy)
    torch.save(weights, copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="only pickles, which --trust-pickle would allow"):
        load_huggingface(copy)
    model = load_huggingface(copy, trust_pickle=True)
    assert model.respond(ITEMS, Request(max_tokens=2))["error"].is_null().all()


def test_code_of_a_model_only_on_the_users_word(copy):
    change(
        copy,
        "config.json",
        auto_map={"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
        model_type="own",
    )
    (copy / "own.py").write_text("raise SystemExit('the code of the model was run')")
    with pytest.raises(ModelError, match=r"brings code of its own: pass --trust-code \(trust_code=True\)"):
        load_huggingface(copy)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"},
            "got architectures T5ForCond",
        ),
        ({"architectures": ["BertForMaskedLM"], "model_type": "vit"}, "got architectures BertForMaskedLM"),
        ({"architectures": None}, r"allowed are causal language models and sequence classifiers, .* none"),
        (
            {
                "architectures": ["GPT2ForSequenceClassification"],
                "problem_type": "multi_label_classification",
            },
            "classifiers of several labels at once",
        ),
        ({"model_type": "unheard-of"}, "cannot be loaded: ValueError"),
    ],
)
def test_models_of_another_kind(copy, config, message):
    change(copy, "config.json", **config)
    with pytest.raises(ModelError, match=message):
        load_huggingface(copy)


def test_folders_that_hold_no_model(tmp_path, copy):
    with pytest.raises(ModelError, match="there is no such folder"):
        load_huggingface(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="hf:empty cannot be loaded: "):
        load_huggingface(tmp_path / "empty")
    (copy / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelError, match="hf:copy cannot be loaded: "):
        load_huggingface(copy)


def test_a_model_that_the_hub_does_not_give(monkeypatch):
    asked = {}

    def snapshot_download(name, **options):
        asked.update(options, name=name)
        raise OSError("no such model\nand more")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(ModelError, match=r"hf:some/name is neither a folder .* gives: no such model$"):
        load_huggingface("some/name@v1")
    assert (asked["name"], asked["revision"]) == ("some/name", "v1")
    assert not {"*.bin", "*.py"} & set(asked["allow_patterns"])


def test_a_model_of_the_hub(monkeypatch, gpt2):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **options: gpt2)
    assert load_huggingface("some/name", revision="v2").name == "some/name@v2"


def test_a_device_that_is_not_there(llama):
    with pytest.raises(ModelError, match="the device 'cuda:99' cannot be used"):
        load_huggingface(llama, device="cuda:99")


def test_a_chat_template_that_refuses_is_the_error_of_the_caller(tmp_path):
    folder = save_llama(tmp_path / "strict", chat=True)
    Path(folder, "chat_template.jinja").write_text("{{ raise_exception('no system turns') }}")
    model = load_huggingface(folder, chat=True)
    with pytest.raises(Exception, match="no system turns"):
        model.respond(ITEMS, Request())


def test_a_folder_without_a_tokenizer(copy):
    for path in (*copy.glob("tokenizer*"), *copy.glob("vocab*")):
        path.unlink()
    with pytest.raises(
        ModelError, match=r"copy holds no tokenizer \(none of tokenizer.json, .*save_pretrained"
    ):
        load_huggingface(copy)


def test_torn_weights(copy):
    path = copy / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    expected = rf"model.safetensors is torn: its header speaks of {len(whole):,} bytes, and it has {len(whole) - 100:,}"
    with pytest.raises(ModelError, match=expected):
        load_huggingface(copy)
    path.write_bytes(whole[:50])
    with pytest.raises(
        ModelError, match=r"hf:copy cannot be loaded: model.safetensors is torn within its header"
    ):
        load_huggingface(copy)


def test_weights_stored_in_half_precision_run_in_single_precision_on_a_cpu(copy):
    model = load_huggingface(copy).language_model.model
    model.half().save_pretrained(copy)
    change(copy, "config.json", dtype="float32")
    again = load_huggingface(copy)
    assert {weight.dtype for weight in again.language_model.model.parameters()} == {torch.float32}
    assert again.respond(ITEMS, Request(max_tokens=4))["error"].is_null().all()
