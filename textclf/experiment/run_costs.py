"""Costs of a run as its report and its card tell them: size, memory, speed, tokens and money."""

from __future__ import annotations

from textclf.documents.wording import in_milliseconds, megabytes, money, parameters
from textclf.tracking.record import RunRecord, currency_of


def cost_rows(record: RunRecord) -> list[tuple[str, str]]:
    """Return what the classifier costs, as name and figure."""
    costs = record.costs
    whole = costs.get("num_parameters")
    currency = currency_of(record)
    prices = [
        (what, money(costs[name], currency))
        for name, what in (
            ("price_per_1000_texts", "price of predicting 1,000 texts"),
            ("price_of_training", "price of training"),
            ("paid", "paid by this run for answers that were not kept from before"),
        )
        if name in costs
    ]
    tokens = (
        [
            (
                "tokens of the answers to the test split",
                f"{costs['input_tokens']:,.0f} in ({costs['cached_input_tokens']:,.0f} of them cached by the server), "
                f"{costs['output_tokens']:,.0f} out",
            )
        ]
        if "input_tokens" in costs
        else []
    )
    counted = [] if whole is None else [("parameters", parameters(whole, costs.get("num_trainable_parameters")))]
    return [
        *counted,
        ("size of the saved classifier", megabytes(costs.get("size_bytes"))),
        ("peak memory of training and testing", megabytes(costs.get("peak_memory_bytes"))),
        ("predicting the test split", f"{costs['test_examples_per_second']:,.0f} examples/s"),
        (
            "a single example",
            f"{in_milliseconds(costs.get('latency_median_seconds'))} (median), "
            f"{in_milliseconds(costs.get('latency_p95_seconds'))} (95 % within)",
        ),
        *tokens,
        *prices,
    ]
