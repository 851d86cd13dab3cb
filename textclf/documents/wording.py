"""Numbers and long texts as a reader sees them: percent, points, p-values, durations, sizes, spreads, excerpts.

It imports nothing, so that every room can use it.
"""

from __future__ import annotations

import math

MISSING = "–"
"""Stands for a value that was not measured or is undefined."""


def percent(share: float) -> str:
    """Return a share in percent with one decimal, `100 %` for all and `0 %` for none only."""
    shown = f"{100 * share:.1f}"
    if shown == "100.0":
        return "100 %" if share == 1 else "> 99.9 %"
    if shown == "0.0":
        return "0 %" if share == 0 else "< 0.1 %"
    return f"{shown} %"


def rounded_percent(share: float) -> str:
    """Return a share in whole percents, below 10 % with one decimal; 0 % for none and 100 % for all only."""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    if 0.995 <= share < 1:
        return "> 99 %"
    return f"{share * 100:.0f} %" if share >= 0.1 or share == 0 else f"{share * 100:.1f} %"


def ratio_percent(ratio: float) -> str:
    """Return a ratio in whole percents; below 10 % with two digits, from 2 on as `229 ×`."""
    if ratio < 0.0001:
        return "under 0.01 %"
    if ratio >= 2:
        return f"{ratio:,.0f} ×" if ratio >= 10 else f"{ratio:.1f} ×"
    return f"{ratio * 100:.0f} %" if ratio >= 0.095 else f"{ratio * 100:.2g} %"


def times(ratio: float) -> str:
    """Return a ratio as `1.7 times`, or below a tenth as `1/162`."""
    if 0 < ratio < 0.1:
        return f"1/{1 / ratio:,.0f}"
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.1f} times"


def points(difference: float) -> str:
    """Return the size of a difference of two shares in points (hundredths): `1.2 points`, `1 point`."""
    size = f"{abs(difference) * 100:.1f}"
    return f"{size} {'point' if size == '1.0' else 'points'}".replace(".0 ", " ") if size != "0.0" else "0 points"


def decimals(value: float | None, digits: int = 3) -> str:
    """Return a number with that many decimals; a dash where there is none."""
    return MISSING if value is None else f"{value:.{digits}f}"


def thousands(value: float | None) -> str:
    """Return a whole number with commas between thousands; a dash where there is none."""
    return MISSING if value is None else f"{value:,.0f}"


def parameters(whole: float, trained: float | None) -> str:
    """Return a number of weights: `22,713,986`, and `22,713,986 (770 trained)` where not all of them were."""
    partly = trained is not None and trained != whole
    return thousands(whole) + (f" ({thousands(trained)} trained)" if partly else "")


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign; the minus is a real one."""
    return f"{value:+.{digits}f}".replace("-", "−")


def interval(low: float, high: float, digits: int = 3) -> str:
    """Return an interval as `0.912 to 0.934`."""
    return " to ".join(f"{round(end, digits) + 0.0:.{digits}f}".replace("-", "−") for end in (low, high))


def spread(mean: float, deviation: float, digits: int = 3) -> str:
    """Return a mean with its standard deviation, `0.912 ± 0.004`; without it where it is nan."""
    return decimals(mean, digits) + (f" ± {deviation:.{digits}f}" if deviation == deviation else "")


def p_value(p: float) -> str:
    """Return a p-value: `< 0.001`, three decimals below 0.1, else two."""
    if p < 0.001:
        return "< 0.001"
    return f"{min(p, 1.0):.3f}" if p < 0.1 else f"{min(p, 1.0):.2f}"


def p_equals(p: float) -> str:
    """Return a p-value in running text: `p = 0.012`, `p < 0.001`."""
    return f"p {p_value(p)}" if p < 0.001 else f"p = {p_value(p)}"


def in_seconds(value: float | None) -> str:
    """Return a measured time, `12.3 s`, or `45.6 ms` below a tenth of a second; a dash where there is none."""
    if value is None or value >= 0.1:
        return MISSING if value is None else f"{value:,.1f} s"
    return in_milliseconds(value)


def in_milliseconds(value: float | None) -> str:
    """Return a time that is given in seconds as `45.6 ms`; a dash where there is none."""
    return MISSING if value is None else f"{value * 1000:,.1f} ms"


def money(amount: float | None, currency: str = "") -> str:
    """Return an amount with three digits that count, as `0.0123 USD` or `12.30 EUR`; a dash where there is none."""
    if amount is None:
        return MISSING
    digits = 2 if amount == 0 or amount >= 1 else min(12, 2 - math.floor(math.log10(amount)))
    return f"{amount:,.{digits}f} {currency}".rstrip()


def duration(seconds: float) -> str:
    """Return how long something takes, in rough units: `5.2 s`, `1 min 5 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes < 10 else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def megabytes(size: float | None) -> str:
    """Return a number of bytes: `2.4 MB`, `268 MB`, from 10 GB on `12 GB`; a dash where there is none."""
    if size is None:
        return MISSING
    if size >= 1e10:
        return f"{size / 1e9:,.0f} GB"
    return f"{size / 1e6:,.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"


def excerpt(text: str, most: int) -> str:
    """Return a text on one line, cut to so many characters."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
