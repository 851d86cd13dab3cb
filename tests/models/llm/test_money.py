import re

import pytest

from textclf.models.llm.answer_cache import Reply
from textclf.models.llm.money import Account, Budget, Prices, price_table, prices_of
from textclf.models.llm.options import LlmModel


def model(**changes):
    return LlmModel(**{"name": "llm", "checkpoint": "gpt-4.1-mini", "base_url": "https://api.openai.com/v1/"} | changes)


def test_the_table_has_a_source_and_a_date_and_whole_rows():
    table = price_table()
    assert table["currency"] == "USD"
    for service in table["services"]:
        assert service["source"].startswith("https://")
        assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", str(service["date"]))
        for prices in service["models"].values():
            assert set(prices) <= {"input", "cached", "output"} >= {"input", "output"}
            assert 0 < prices.get("cached", prices["input"]) <= prices["input"] < prices["output"]


def test_the_table_is_asked_for_its_own_services_and_currency_alone():
    found = prices_of(model(), "USD")
    assert (found.input, found.cached, found.output, found.currency) == (0.4, 0.1, 1.6, "USD")
    assert "2026" in found.source
    assert prices_of(model(checkpoint="unknown"), "USD") is None
    assert prices_of(model(base_url="http://127.0.0.1:8000/v1"), "USD") is None
    assert prices_of(model(), "EUR") is None
    given = prices_of(model(price_input=1.0, price_output=2.0), "EUR")
    assert (given.input, given.cached, given.output, given.currency) == (1.0, 1.0, 2.0, "EUR")


def test_cached_tokens_have_their_own_price():
    assert Prices(10.0, 20.0, 1.0, "USD").of(1_000_000, 100_000, 400_000) == pytest.approx(6 + 0.4 + 2)


def test_a_budget_holds_what_requests_under_way_may_cost():
    budget = Budget(Prices(1e6, 1e6, 1e6, "USD"), limit=250.0)
    message = [{"role": "user", "content": "x" * 50}]
    held = budget.hold(message, 10)
    assert held == 50 + 32 + 10
    assert budget.hold(message, 10) == held
    assert budget.hold(message, 10) is None
    budget.settle(held, 5.0)
    assert budget.hold(message, 10) == held
    assert Budget(None, None).hold(message, 10) == 0


def test_an_account_knows_no_tokens_where_the_server_does_not_say():
    account = Account(Prices(1.0, 1.0, 1.0, "USD"), concurrency=2)
    account.add(Reply("a", "stop", 1.0, 10, 2, 4), 1)
    account.add(Reply("a", "stop", 3.0, 10, 2), 3)
    costs = account.costs()
    assert costs["price_per_1000_texts"] == pytest.approx(1000 * 24e-6 / 4)
    assert (costs["input_tokens"], costs["cached_input_tokens"], costs["output_tokens"]) == (20, 4, 4)
    assert costs["latency_median_seconds"] == 3.0
    assert account.whole_seconds == 2.0
    account.add(Reply("a", "stop", 1.0), 1)
    assert not {"price_per_1000_texts", "input_tokens"} & set(account.costs())
    account.clear()
    assert account.costs() == {}
