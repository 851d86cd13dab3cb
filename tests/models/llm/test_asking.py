"""Questions to a real server on loopback: faults, limits, budget, what is kept, and many at once."""

import logging
import sqlite3
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tests.llm_server import Raw, answering
from textclf.errors import ArtifactError, ConfigError, ResourceError
from textclf.models.llm import endpoint as endpoints
from textclf.models.llm.answer_cache import AnswerCache, Reply, cache_folder
from textclf.models.llm.asking import Asker
from textclf.models.llm.endpoint import Endpoint, UnknownFieldError
from textclf.models.llm.llm_classifier import LlmClassifier, Settings
from textclf.models.llm.money import Budget, Prices
from textclf.models.llm.options import Prompt
from textclf.models.llm.questions import Questions


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(endpoints, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(endpoints, "MOST_OWN_WAIT", 0.02)


def body(text="a text", **more):
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 50, **more}


def asker(server, budget=None, **changes):
    given = {"base_url": server.address, "checkpoint": "stand-in", "key_variable": "OPENAI_API_KEY", "retries": 3}
    return Asker(Endpoint(**given | changes), budget or Budget())


def classifier(server, **changes):
    names = ("negative", "positive")
    given = {"schema": False, "logprobs": False, "max_answer_tokens": 50, "concurrency": 4, "retries": 3} | changes
    settings = Settings("stand-in", server.address, "OPENAI_API_KEY", **given)
    return LlmClassifier(
        label_names=names, has_pairs=False, questions=Questions(names, {}, Prompt()), settings=settings
    )


def test_thirty_two_at_once_lose_and_double_no_row():
    numbers = {f"text {n}": "positive" if n % 3 else "negative" for n in range(200)}
    with answering(answer=numbers.get, delay=0.02) as server:
        found = classifier(server, concurrency=32).predict_proba([*numbers, *list(numbers)[:40]])
        assert (found[:200, 1] == [label == "positive" for label in numbers.values()]).all()
        assert (found[200:] == found[:40]).all()
        assert sorted(server.sent) == sorted(numbers)
        assert 1 < server.most_at_once <= 32  # how many, depends on what else the machine does


def test_what_was_answered_is_not_asked_again_by_whatever_process():
    with answering() as server:
        first = classifier(server).predict_proba(["a", "b"])
        again = classifier(server)
        assert (again.predict_proba(["b", "a"]) == first[::-1]).all()
        assert len(server.sent) == 2
        assert again.billed.tokens_in > 0
        classifier(server, temperature=0.5).predict_proba(["a"])  # another question
        assert len(server.sent) == 3


@pytest.mark.parametrize("status", [500, 502, 503, 529, 408, 409, 429])
def test_faults_that_pass_are_waited_out(status):
    with answering(faults=[(status, {}, {"error": {"message": "later"}})] * 2) as server:
        assert asker(server).replies([body()])[0].said == "positive"
        assert len(server.sent) == 3


@pytest.mark.parametrize(
    "content", [b"{", b"", b"<html>", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{"message": null}]}']
)
def test_answers_that_are_none_are_asked_again_and_then_refused(content):
    with answering(faults=[(200, {}, content)]) as server:
        assert asker(server).replies([body()])[0].said == "positive"
    with answering(always=(200, {}, content)) as server, pytest.raises(ArtifactError, match=r"no answer of OpenAI's"):
        asker(server, retries=1).replies([body()])


@pytest.mark.parametrize(
    ("headers", "least"), [({"Retry-After": "0.4"}, 0.4), ({"retry-after-ms": "400"}, 0.4), ({"Retry-After": "x"}, 0.0)]
)
def test_a_limit_of_rates_holds_back_every_request_for_as_long_as_it_says(headers, least):
    limited = (429, headers, {"error": {"message": "slow down"}})
    with answering(faults=[limited]) as server:
        begun = time.perf_counter()
        asker(server, concurrency=1).replies([body(str(n)) for n in range(3)])
        assert time.perf_counter() - begun >= least
        assert len(server.asked) == 3


def test_a_date_to_come_again_is_understood():
    from datetime import UTC, datetime, timedelta
    from email.utils import format_datetime

    class Refused(Exception):
        response = type("Response", (), {"headers": {}})

    Refused.response.headers = {"retry-after": format_datetime(datetime.now(UTC) + timedelta(seconds=90))}
    assert 80 < endpoints._retry_after(Refused()) <= 90


def test_a_limit_for_longer_than_is_allowed_ends_it_with_what_to_do():
    with answering(always=(429, {"Retry-After": "4000"}, {"error": {"message": "quota"}})) as server:
        with pytest.raises(ArtifactError, match=r"wants no request for 4,000 s .*quota.*model.longest_wait=300"):
            asker(server).replies([body()])
        assert len(server.sent) == 1


@pytest.mark.parametrize(
    ("always", "said"),
    [
        ((429, {}, {"error": {"message": "too many"}}), "still limits the rate after 3 tries .*model.concurrency"),
        ((500, {}, {"error": {"message": "broken"}}), "failed in 3 tries .*500: broken.*its log"),
        ((401, {}, {"error": {"message": "bad key"}}), "does not accept a request without a key .*OPENAI_API_KEY"),
        ((403, {}, {"error": {"message": "no"}}), "does not accept a request without a key"),
        ((404, {}, {"error": {"message": "no such model"}}), "has no model 'stand-in'.*model.checkpoint.*/models"),
        ((400, {}, {"error": {"message": "context length"}}), "refused a request: 400: context length"),
        ((418, {}, b"teapot"), "refused a request: 418"),
    ],
)
def test_faults_that_stay_are_refused_in_a_paragraph(always, said):
    with answering(always=always) as server:
        with pytest.raises((ArtifactError, ConfigError), match=f"(?s){said}") as caught:
            asker(server, retries=2).replies([body()])
        assert "\n" not in str(caught.value)


def test_a_server_that_is_too_slow_is_given_up():
    with answering(delay=1.0) as server, pytest.raises(ArtifactError, match=r"within model.timeout=0.1 s in 2 tries"):
        asker(server, timeout=0.1, retries=1).replies([body()])


def test_a_server_that_is_not_there_is_told_of_at_once():
    with answering() as server:
        gone = server.address
    server.address = gone
    begun = time.perf_counter()
    with pytest.raises(ArtifactError, match=r"No server answers at .*transformers serve"):
        asker(server, retries=20).first(body())
    assert time.perf_counter() - begun < 5


def test_the_other_requests_end_when_one_is_refused_and_what_came_is_kept():
    with answering(delay=0.05) as server:
        server.faults = [0.1, (401, {}, {"error": {"message": "revoked"}})]
        asked = asker(server, concurrency=2)
        with pytest.raises(ConfigError, match="revoked"):
            asked.replies([body(str(n)) for n in range(50)])
        assert len(server.sent) < 10
        assert len(server.asked) == sum(reply is not None for reply in asked.kept([body(str(n)) for n in range(50)]))


def test_a_field_that_the_server_does_not_know_is_told_apart():
    with answering(knows_schema=False) as server, pytest.raises(UnknownFieldError, match="not supported"):
        asker(server).first(body(response_format={"type": "json_schema"}))


def test_the_budget_is_never_passed_and_a_higher_one_goes_on(monkeypatch):
    prices = Prices(1000.0, 1000.0, 1000.0, "USD")  # a thousandth for each token
    bodies = [body(f"text {n}") for n in range(40)]
    with answering() as server:
        with pytest.raises(ResourceError, match=r"model.max_cost=0.3 USD is passed") as caught:
            asker(server, Budget(prices, 0.3), concurrency=4).replies(bodies)
        assert "go on" in str(caught.value) or "goes on" in str(caught.value)
        done = len(server.asked)
        assert 0 < done < 40
        more = asker(server, Budget(prices, 10.0), concurrency=4)
        assert len(more.replies(bodies)) == 40
        assert len(server.asked) == 40
        assert more.budget.paid == pytest.approx(sum(0.001 * (2 + 1) for _ in range(40 - done)))


def test_a_server_that_counts_no_tokens_uses_up_the_budget_by_the_most_it_can_be():
    with answering(counts_tokens=False) as server:
        budget = Budget(Prices(1.0, 1.0, 1.0, "USD"), 1.0)
        asker(server, budget).replies([body()])
        assert budget.paid > 0


def test_a_killed_process_loses_no_answer(tmp_path):
    code = (
        "import sys\n"
        "from tests.models.llm.test_asking import asker, body\n"
        "from types import SimpleNamespace\n"
        "asker(SimpleNamespace(address=sys.argv[1]), concurrency=2).replies([body(str(n)) for n in range(200)])\n"
    )
    with answering(delay=0.02) as server:
        process = subprocess.Popen([sys.executable, "-c", code, server.address])
        deadline = time.monotonic() + 30
        while len(server.asked) < 12 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        process.wait()
        time.sleep(0.1)
        before = len(server.asked)
        asker(server, concurrency=8).replies([body(str(n)) for n in range(200)])
        assert before >= 12
        assert len(server.asked) <= 200 + 2  # those under way when it was killed


def test_two_processes_share_the_file():
    caches = [AnswerCache() for _ in range(2)]

    def write(cache, name):
        for number in range(100):
            cache.write(f"{name} {number}", "m", Reply("a", "stop", 0.1))

    threads = [threading.Thread(target=write, args=(cache, n)) for n, cache in enumerate(caches)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(AnswerCache().read(f"{n} {k}" for n in range(2) for k in range(100))) == 200


def test_a_damaged_file_of_answers_is_refused_and_named():
    cache_folder().mkdir(parents=True)
    (cache_folder() / "answers.sqlite").write_bytes(b"no database at all, but some text" * 100)
    with pytest.raises(ArtifactError, match=r"answers.sqlite.*Delete it.*TEXTCLF_ANSWER_CACHE"):
        AnswerCache()


def test_neither_texts_nor_keys_are_in_the_file_of_answers(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "qzx-very-secret-key")
    with answering(key="qzx-very-secret-key") as server:
        asked = asker(server)
        asked.replies([body("a private text")])
        assert server.keys == ["Bearer qzx-very-secret-key"]
        rows = str(sqlite3.connect(asked.cache.path).execute("SELECT * FROM answers").fetchall())
        whole = asked.cache.path.read_bytes()
    assert "private" not in rows
    assert b"qzx" not in whole
    assert asked.cache.path.stat().st_mode & 0o077 == 0


def test_a_wrong_key_is_not_repeated_in_the_error(monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_SERVER", "qzx-wrong-key-123456")
    with answering(key="another") as server, pytest.raises(ConfigError) as caught:
        asker(server, key_variable="MY_SERVER").replies([body()])
    assert "MY_SERVER" in str(caught.value)
    assert "qzx" not in str(caught.value)


def test_a_key_is_wanted_for_a_server_elsewhere():
    with pytest.raises(ConfigError, match=r"OPENAI_API_KEY is not set.*model.key_variable=null"):
        endpoints.key_for("https://example.org/v1", "OPENAI_API_KEY")
    assert endpoints.key_for("https://example.org/v1", None) is None
    assert endpoints.key_for("http://localhost:8000/v1", "OPENAI_API_KEY") is None


def test_what_no_label_names_is_nan_and_counted():
    table = {"a": "positive", "b": Raw("I think it is positive"), "c": Raw("")}
    with answering(answer=table.get) as server:
        model = classifier(server)
        found = model.predict_proba(list(table))
        assert np.isnan(found[1:]).all()
        assert found[0].tolist() == [0, 1]
        assert model.billed.unread == {"I think it is positive": 1, "(nothing)": 1}
        (_, other, _) = model.predict(list(table))
        assert (other.label, other.score, other.are_given) == ("abstain", 0.0, False)
