import asyncio
import json
import math
import time

import pytest

from concordant.core.errors import ModelError
from concordant.core.model import Completion, ConcurrentModel, Request, assistant, user
from concordant.models.endpoint import Endpoint
from openai_server import Fault, serve

KEY = "sk-very-secret-0123456789"
ONE = Request(temperature=0.5, max_tokens=7, seed=3)


def ask(server, prompts, request=ONE, **options):
    """Ask all prompts at once, as the runner does, and close."""
    model = options.pop("model", None) or Endpoint(
        "tiny", **{"base_url": server.url, "first_wait": 0.005, "longest_wait": 1.0, **options}
    )

    async def run():
        try:
            return await asyncio.gather(*(model.complete(prompt, request) for prompt in prompts))
        finally:
            await model.aclose()

    return asyncio.run(run())


def ask_one(server, **options):
    return ask(server, ["hello"], **options)[0][0]


# -- what is asked and answered


def test_a_text_is_one_turn_of_the_user():
    with serve() as server:
        ((completion,),) = ask(server, ["hello"])
    assert completion == Completion("HELLO", tokens=3, finish_reason="stop")
    messages = [{"role": "user", "content": "hello"}]
    assert server.paths == ["/v1/chat/completions"]
    assert server.requests == [
        {"model": "tiny", "temperature": 0.5, "max_tokens": 7, "seed": 3, "messages": messages}
    ]


def test_a_conversation_is_sent_as_it_is():
    turns = [user("one"), assistant("two"), user("thrée \ud83d")]
    with serve() as server:
        ask(
            server, [turns], Request(n=2, seed=None, stop=("\n",)), extra='{"top_p": 0.9}', omit="temperature"
        )
    assert server.requests == [
        {"model": "tiny", "max_tokens": 256, "n": 2, "stop": ["\n"], "top_p": 0.9, "messages": turns}
    ]


def test_text_completions():
    def answer(body):
        logprobs = {"token_logprobs": [None, -0.25, -0.5]}
        return [{"text": body["prompt"] + "!", "finish_reason": "length", "logprobs": logprobs}]

    with serve(answer) as server:
        completion = ask_one(server, api="completions", logprobs=True)
        with pytest.raises(ModelError, match="api=completions takes texts, got a conversation; use api=chat"):
            ask(server, [[user("hello")]], api="completions")
    assert server.paths == ["/v1/completions"]
    assert server.requests[0]["logprobs"] == 1
    assert completion == Completion("hello!", -0.75, 2, "length")


def test_log_probabilities_of_a_chat_are_summed():
    def answer(body):
        tokens = [{"token": "a", "logprob": math.log(0.5)}, {"token": "b", "logprob": math.log(0.25)}]
        return [{"message": {"content": "ab"}, "logprobs": {"content": tokens}, "finish_reason": "stop"}]

    with serve(answer) as server:
        completion = ask_one(server, logprobs=True)
        silent = ask_one(server)
    assert server.requests[0]["logprobs"] is True
    assert (completion.logprob, completion.tokens) == (pytest.approx(math.log(0.125)), 2)
    assert "logprobs" not in server.requests[1]
    assert silent.logprob is None


def test_samples_come_in_the_order_of_their_index():
    body = {"choices": [{"index": 1, "message": {"content": "b"}}, {"index": 0, "message": {"content": "a"}}]}
    with serve(faults=[Fault(body=json.dumps(body).encode())]) as server:
        (completions,) = ask(server, ["hello"], Request(n=2))
    assert [c.text for c in completions] == ["a", "b"]
    assert [c.tokens for c in completions] == [None, None]


def test_samples_that_a_server_does_not_give_are_asked_for_with_further_seeds():
    with serve(lambda body: [f"seed {body['seed']}"]) as server:
        (completions,) = ask(server, ["hello"], Request(n=3, seed=5))
    assert [c.text for c in completions] == ["seed 5", "seed 6", "seed 7"]
    assert [body.get("n") for body in server.requests] == [3, 2, None]


def test_samples_after_a_failure_are_failures_and_samples_too_many_are_dropped():
    with serve(lambda body: ["first"], faults=[None, Fault(400)]) as server:
        (completions,) = ask(server, ["hello"], Request(n=3))
    assert [c.text for c in completions] == ["first", "", ""]
    assert [c.error is None for c in completions] == [True, False, False]
    with serve(lambda body: ["first", "second"]) as server:
        assert len(ask(server, ["hello"])[0]) == 1


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None, "refusal": "I cannot."}, "I cannot."),
        ({"content": None, "tool_calls": []}, ""),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab"),
    ],
)
def test_other_forms_of_a_message(message, text):
    with serve(lambda body: [{"message": message, "finish_reason": "stop"}]) as server:
        assert ask_one(server).text == text


def test_connections_are_kept_and_bounded():
    with serve(latency=0.01) as server:
        answers = ask(server, [f"question {i}" for i in range(40)], concurrency=4)
    assert [a[0].text for a in answers] == [f"QUESTION {i}" for i in range(40)]
    assert server.connections <= 4
    assert server.most_in_flight <= 4


def test_a_prompt_that_does_not_fit_into_the_buffers():
    prompt = "long " * 2_000_000
    with serve() as server:
        assert ask(server, [prompt], timeout=30)[0][0].text == prompt.upper()


def test_the_same_model_in_one_event_loop_after_another():
    with serve() as server:
        model = Endpoint("tiny", base_url=server.url)
        assert isinstance(model, ConcurrentModel)
        for _ in range(3):
            assert ask(server, ["hello"], model=model)[0][0].text == "HELLO"

        async def close_and_go_on():
            await model.aclose()
            first = await model.complete("a", ONE)
            await model.aclose()
            second = await model.complete("b", ONE)
            await model.aclose()
            return first[0].text + second[0].text

        assert asyncio.run(close_and_go_on()) == "AB"


# -- faults

TRANSIENT = {
    "429": Fault(429),
    "429 with Retry-After": Fault(429, headers={"Retry-After": "0.02"}),
    "500": Fault(500),
    "502 in HTML": Fault(502, body=b"<html>bad gateway</html>"),
    "503 with a date": Fault(503, headers={"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}),
    "504": Fault(504),
    "529": Fault(529),
    "half a body": Fault(keep=0.5),
    "headers only": Fault(keep=0.0),
    "bad JSON": Fault(body=b'{"choices": [{'),
    "not UTF-8": Fault(body=b"\xff\xfe\x00"),
    "nested without end": Fault(body=b"[" * 200_000),
    "an empty body": Fault(body=b""),
    "a closed connection": Fault(close=True),
    "too slow": Fault(delay=1.0),
}


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
def test_a_transient_fault_is_asked_again_and_nothing_else(fault):
    def faults(body, attempt):
        return fault if attempt == 1 and body["messages"][0]["content"] == "faulty" else None

    with serve(faults=faults) as server:
        answers = ask(server, ["fine", "faulty", "well"], timeout=0.3)
    assert [a[0].text for a in answers] == ["FINE", "FAULTY", "WELL"]
    assert sorted(server.asked.values()) == [1, 1, 2]


REASONS = {
    "429": "HTTP 429: ",
    "half a body": "the answer broke off",
    "bad JSON": "the answer is not JSON: it begins with '{\"choices\": [{'",
    "an empty body": "the answer is not JSON: it is empty",
    "a closed connection": "the connection broke: ServerDisconnectedError",
    "too slow": "no answer within 0.1 s",
}


@pytest.mark.parametrize(("name", "reason"), REASONS.items())
def test_a_fault_that_stays_is_recorded_after_the_retries(name, reason):
    with serve(faults=lambda body, attempt: TRANSIENT[name]) as server:
        completion = ask_one(server, retries=2, timeout=0.1)
    assert completion.text == ""
    assert completion.error.startswith(reason)
    assert completion.error.endswith("(asked 3 times)")
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 413, 422, 501])
def test_a_refused_prompt_is_not_asked_again(status):
    fault = Fault(status, body=b'{"error": {"message": "too\nlong\x1b[31m"}}')
    with serve(faults=[fault]) as server:
        completion = ask_one(server)
    assert completion.error == f'HTTP {status}: {{"error": {{"message": "too long [31m"}}}}'
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error": {"message": "overloaded"}}', "the answer has no choices: "),
        (b'{"choices": []}', "the answer has no choices: "),
        (b"[1, 2]", "the answer has no choices: [1, 2]"),
        (b'{"choices": [{"message": "hello"}]}', "the answer has choices of another form: "),
        (b'{"choices": [{"delta": {}}]}', "the answer has choices of another form: "),
        (b'{"choices": [null]}', "the answer has choices of another form: "),
    ],
)
def test_an_answer_without_choices_is_an_error(body, reason):
    with serve(faults=[Fault(body=body)]) as server:
        assert ask_one(server).error.startswith(reason)
    assert len(server.requests) == 1


def test_texts_of_the_server_are_cut():
    with serve(faults=[Fault(400, body=b"x" * 100_000)]) as server:
        assert len(ask_one(server).error) == len("HTTP 400: ") + 300


def test_retry_after_is_waited_for():
    with serve(faults=[Fault(429, headers={"Retry-After": "0.2"})]) as server:
        start = time.perf_counter()
        assert ask_one(server, first_wait=0.0).error is None
        assert 0.2 <= time.perf_counter() - start < 1.0


def test_no_wait_goes_beyond_the_deadline():
    with serve(faults=[Fault(429, headers={"Retry-After": "30"})]) as server:
        start = time.perf_counter()
        completion = ask_one(server, longest_wait=60.0, deadline=5.0)
        assert time.perf_counter() - start < 1.0
    assert completion.error.startswith("HTTP 429")


def test_all_attempts_together_keep_the_deadline():
    with serve(faults=lambda body, attempt: Fault(delay=5.0)) as server:
        start = time.perf_counter()
        completion = ask_one(server, timeout=0.2, deadline=0.3, first_wait=0.01)
        assert time.perf_counter() - start < 0.6
    assert completion.error.endswith("(asked 2 times)")


def test_proxies_of_the_environment_only_where_it_is_trusted(monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with serve() as proxy, serve() as server:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        assert ask_one(server).text == "HELLO"
        assert proxy.paths == []
        assert ask_one(server, trust_env=True).text == "HELLO"
        assert proxy.paths == [f"{server.url}/chat/completions"]
    assert len(server.requests) == 1


def test_nobody_there():
    with serve() as server:
        pass
    completion = ask_one(server, retries=1)
    assert completion.error.startswith(f"no connection to {server.url}: ")
    assert completion.error.endswith("(asked 2 times)")


@pytest.mark.parametrize("status", [404, 405, 307])
def test_a_wrong_route_or_model_ends_the_run(status):
    fault = Fault(status, body=b"no model tiny", headers={"Location": "http://127.0.0.1:9/elsewhere"})
    message = f"answered {status}: check base_url and the name .* no model tiny"
    with serve(faults=[fault]) as server, pytest.raises(ModelError, match=message):
        ask_one(server)
    assert len(server.requests) == 1


def test_a_spent_quota_ends_the_run():
    fault = Fault(429, body=b'{"error": {"code": "insufficient_quota"}}')
    with (
        serve(faults=[fault]) as server,
        pytest.raises(ModelError, match=r"the quota of the key in .* is spent"),
    ):
        ask_one(server)


def test_a_bounded_rate():
    with serve() as server:
        start = time.perf_counter()
        ask(server, [str(i) for i in range(13)], requests_per_minute=600)
        elapsed = time.perf_counter() - start
    assert len(server.requests) == 13
    assert elapsed > 0.29  # ten at once, and one each tenth of a second


# -- secrets


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_ends_the_run_and_is_not_shown(monkeypatch, status):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    fault = Fault(status, body=f"Incorrect API key provided: {KEY}".encode())
    with (
        serve(faults=[fault]) as server,
        pytest.raises(ModelError, match="OPENAI_API_KEY, which is set") as caught,
    ):
        ask_one(server)
    assert KEY not in str(caught.value)
    assert len(server.requests) == 1


def test_the_key_is_sent_and_kept_nowhere(monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    with serve(faults=[None, Fault(400, body=f"what is {KEY}?".encode())]) as server:
        model = Endpoint("tiny", base_url=server.url, key_env="MY_KEY")

        async def run():
            answers = [(await model.complete("hello", ONE))[0] for _ in range(2)]
            seen = repr(model) + repr(vars(model)) + str(model.__dict__) + model.fingerprint
            await model.aclose()
            return answers, seen

        (_, refused), seen = asyncio.run(run())
    assert [headers["authorization"] for headers in server.headers] == [f"Bearer {KEY}"] * 2
    assert refused.error == "HTTP 400: what is (key)?"
    assert KEY not in seen + caplog.text


def test_no_key_no_header_and_none_needed_for_ones_own_server(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serve(faults=[None, Fault(401)]) as server:
        assert ask_one(server).text == "HELLO"
        with pytest.raises(ModelError, match="OPENAI_API_KEY, which is not set"):
            ask_one(server)
    assert "authorization" not in server.headers[0]


def test_openai_itself_needs_a_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    model = Endpoint("gpt")
    with pytest.raises(ModelError, match=r"api\.openai\.com/v1 needs a key: .* OPENAI_API_KEY is not set"):
        asyncio.run(model.complete("hello", ONE))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-\n-two lines")
    with pytest.raises(ModelError, match="holds characters that no header can"):
        asyncio.run(model.complete("hello", ONE))
    assert b'"max_completion_tokens": 7' in model._body("hello", ONE, 1, 0)


def test_the_base_url_of_the_environment(monkeypatch):
    with serve() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/")
        assert ask(server, ["hello"], base_url=None)[0][0].text == "HELLO"


def test_fingerprints_tell_servers_models_and_settings_apart_and_not_how_they_are_asked():
    def of(model="a", base_url="http://127.0.0.1:1/v1", **options):
        return Endpoint(model, base_url=base_url, **options).fingerprint

    different = [
        of(),
        of("b"),
        of(base_url="http://127.0.0.1:2/v1"),
        of(api="completions"),
        of(logprobs=True),
    ]
    different += [of(extra={"top_p": 0.5}), of(omit=("seed",)), of(max_tokens_field="limit")]
    assert len(set(different)) == len(different)
    assert of() == of(concurrency=3, retries=1, key_env="OTHER", name="another")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": ""}, "the name of the model of an endpoint is empty"),
        ({"base_url": "127.0.0.1:8000"}, "base_url must be like http://127.0.0.1:8000/v1, got"),
        ({"base_url": "http://"}, "base_url must be like"),
        ({"base_url": f"http://me:{KEY}@host/v1"}, "must hold no user, password or query"),
        ({"base_url": f"http://host/v1?key={KEY}"}, "must hold no user, password or query"),
        ({"api": "responses"}, "api must be chat or completions, got 'responses'"),
        ({"concurrency": 0}, "concurrency must be at least 1, got 0"),
    ],
)
def test_options_that_can_never_work(options, message):
    with pytest.raises(ModelError, match=message) as caught:
        Endpoint(**{"model": "tiny", "base_url": "http://host/v1", **options})
    assert KEY not in str(caught.value)
