"""A forecast in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from outlay.analysis.text import one_line
from outlay.forecast.assumptions import LENGTH_OF_A_STAND_IN, Assumed
from outlay.forecast.closed import NotApplicable
from outlay.forecast.figures import HUNDRED, Range, Success
from outlay.forecast.foresight import AgentShare, Forecast
from outlay.protocols.prices import did_you_mean
from outlay.runtime.directory import default_prices
from outlay.values.percent import percent

_BARS = "▁▂▃▄▅▆▇█"
_INDENT = "  "


def rendered(found: Forecast) -> str:
    """Percentiles with their histograms, who makes them, what limits do, and every assumption."""
    lines = [f"forecast · {found.runs:,} runs of the real flow in virtual time · {found.took:.1f} s", ""]
    lines += [f"{'':<12}{'P5':>10}{'P50':>11}{'P95':>11}", *_ranges(found), *_success(found), ""]
    lines += _who(found)
    lines += _limits(found)
    lines += [
        f"error in {percent(count / found.runs, 1)} of runs: {one_line(error, 100)}" for error, count in found.failures
    ]
    lines += ["", *_table(found), ""]
    lines += [f"closed form: {_closed(found)}", "assumed"]
    width = max((len(one.about) for one in found.assumed), default=0)
    lines += [f"{_INDENT}{one.about:<{width}}  {one_line(one.value, 60)} ({one.source})" for one in found.assumed]
    lines += [f"! {warning}" for warning in found.warnings]
    return "\n".join(line.rstrip() for line in lines)


def _ranges(found: Forecast) -> list[str]:
    lines: list[str] = []
    if found.dollars is None:
        lines.append(f"{'dollars':<12}{'unpriced':>10}")
    else:
        mark = "≥ " if found.unpriced else ""
        lines.append(_range(f"{mark}dollars", found.dollars, dollars))
    lines.append(_range("seconds", found.seconds, lambda value: f"{value:,.1f}"))
    lines.append(_range("calls", found.calls, lambda value: f"{value:,.0f}"))
    return lines


def _range(name: str, found: Range, show: Callable[[float], str]) -> str:
    figures = f"{show(found.p5):>10} {show(found.p50):>10} {show(found.p95):>10}"
    return f"{name:<12}{figures}    {bars(found.bins)}"


def _success(found: Forecast) -> list[str]:
    lines = [_rate("success", found.success)]
    if found.right is not None:
        lines.append(_rate("and right", found.right))
    for one in found.routers:
        manages = "" if one.success is None else f"; with its routes it manages {percent(one.success, 1)}"
        lines.append(f"{one.router} routes right {percent(one.accuracy, 1)} of the time, its ceiling{manages}")
    return lines


def _rate(name: str, rate: Success) -> str:
    """Percentiles of a hundred runs, in the columns of the other figures."""
    figures = f"{percent(rate.p5):>10} {percent(rate.p50):>10} {percent(rate.p95):>10}"
    whole = f"{percent(rate.share, 1)} of all ({percent(rate.low, 1)} to {percent(rate.high, 1)})"
    return f"{name:<12}{figures}    of {HUNDRED} runs; {whole}"


def _who(found: Forecast) -> list[str]:
    parts: list[str] = []
    if found.agents and found.dollars is not None and found.dollars.mean:
        dearest = found.agents[0]
        parts.append(f"{dearest.name} makes {percent(dearest.of_dollars)} of the cost")
    if found.agents:
        slowest = max(found.agents, key=lambda one: one.of_slowest)
        parts.append(f"{slowest.name} {percent(slowest.of_slowest)} of the slowest runs' time")
    lines = [", ".join(parts)] if parts else []
    if found.critical_path:
        lines.append(f"critical path {' → '.join(found.critical_path)}")
    if found.unpriced:
        guess = did_you_mean(default_prices(), *found.unpriced)
        lines.append(f"no price is known for {', '.join(found.unpriced)}: {guess}give it in outlay.toml")
    return lines


def _limits(found: Forecast) -> list[str]:
    return [
        f"{limit.text} stops {percent(limit.stops.share, 1)} of runs "
        f"({percent(limit.stops.low, 1)} to {percent(limit.stops.high, 1)})"
        for limit in found.limits
    ]


def _table(found: Forecast) -> list[str]:
    """By agent: percentiles of dollars and of seconds of work in a run, and how often it answers when asked."""
    width = max([len("agent"), *(len(one.name) for one in found.agents)])
    judged = any(one.right is not None for one in found.agents)
    lines = [
        f"{'agent':<{width}}{'calls':>7}{'dollars P5':>12}{'P50':>11}{'P95':>11}{'of cost':>9}"
        f"{'seconds P5':>12}{'P50':>7}{'P95':>7}{'success':>9}{'right':>8}{'static tokens a turn':>22}"
    ]
    for one in found.agents:
        success = "" if one.success is None else f"{percent(one.success.share, 1)}"
        right = "" if one.right is None else f"{percent(one.right, 1)}"
        spent = [_spent(one, amount) for amount in (one.spent.p5, one.spent.p50, one.spent.p95)]
        share = "" if one.unpriced else f"{percent(one.of_dollars)}"
        lines.append(
            f"{one.name:<{width}}{one.calls:>7.2f}{spent[0]:>12}{spent[1]:>11}{spent[2]:>11}{share:>9}{one.worked.p5:>12,.1f}{one.worked.p50:>7,.1f}"
            f"{one.worked.p95:>7,.1f}{success:>9}{right:>8}{one.static_tokens:>22,}"
        )
    if not judged:
        at = len(lines[0]) - 30
        lines = [line[:at] + line[at + 8 :] for line in lines]
    return lines


def _spent(one: AgentShare, amount: float) -> str:
    if not one.unpriced:
        return dollars(amount)
    return f"≥ {dollars(amount)}" if one.dollars else "unpriced"


def _closed(found: Forecast) -> str:
    closed = found.closed
    if isinstance(closed, NotApplicable):
        return str(closed)
    right = "" if closed.right is None else f" · right {percent(closed.right, 1)}"
    mark = "≥ " if found.unpriced else ""
    cost = "unpriced" if found.dollars is None else f"{mark}{dollars(closed.dollars)}"
    # else two figures that differ would stand beside each other without a word
    lengths = "; it asks no stand-in, but takes default lengths" if any(map(_of_a_stand_in, found.assumed)) else ""
    success = f"success {percent(closed.clean, 1)}{right}"
    return f"{cost} · {closed.seconds.mean:.1f} s · {closed.calls:.2f} calls · {success}{lengths}"


def _of_a_stand_in(one: Assumed) -> bool:
    return one.value == LENGTH_OF_A_STAND_IN


def dollars(amount: float) -> str:
    """Four decimals, six for what would else read as nothing."""
    return f"${amount:,.4f}" if amount >= 0.001 or not amount else f"${amount:,.6f}"


def bars(counts: Sequence[int]) -> str:
    """A histogram on one line."""
    most = max(counts) or 1
    return "".join(_BARS[min(len(_BARS) - 1, count * len(_BARS) // (most + 1))] for count in counts)
