"""A frontier and a sweep in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from outlay.analysis.text import one_line
from outlay.forecast.foresight import not_asked
from outlay.forecast.frontier.choosing import Measured, Swing, widest
from outlay.forecast.frontier.search import Frontier
from outlay.forecast.frontier.sweep import Step, Sweep
from outlay.forecast.render import dollars
from outlay.values.percent import percent

#: Rows of designs; more than that nobody compares by eye.
_SHOWN = 24
TAKEN = "taken as right, since nothing is declared of them (--right NAME=SHARE): {}"
_HEAD = f"{'':<3}{'dollars':>11}{'P95 s':>10}{'success':>16}{'per dollar':>12}  design"


def rendered(found: Frontier) -> str:
    """The designs that nothing beats, what single levers do, and what follows for the limits."""
    size = found.space.size
    looked = sum(one.runs == found.runs for one in found.measured)
    lines = [
        f"frontier of {found.flow} · {size:,} designs, {looked:,} of them in {found.runs:,} runs each · "
        f"{found.took:.1f} s",
        "",
        _HEAD,
        *(_row(str(i), one) for i, one in enumerate(found.best[:_SHOWN], 1)),
    ]
    if len(found.best) > _SHOWN:
        lines.append(f"   … and {len(found.best) - _SHOWN:,} more: --json has them all")
    if found.base not in found.best:
        lines.append(_row("–", found.base))
    lines += ["", *_swings(found.swings), *_limits(found), *_single(found), *_words(found), "assumed"]
    width = max((len(one.about) for one in found.assumed), default=0)
    lines += [f"  {one.about:<{width}}  {one_line(one.value, 60)} ({one.source})" for one in found.assumed]
    return "\n".join(line.rstrip() for line in lines)


def _row(mark: str, one: Measured) -> str:
    """The figures and the change to make, each argument on a line of its own."""
    first, *others = [one_line(str(change), 200) for change in one.design.changes] or ["as it is"]
    more = [f"{'':<{len(_HEAD) - len('design')}}{change}" for change in others]
    return "\n".join([f"{mark:<3}{figures(one)}  {first}", *more])


def figures(one: Measured) -> str:
    success = f"{percent(one.success, 1)} ± {percent(one.error, 1)}"
    return f"{dollars(one.dollars):>11}{_seconds(one.seconds):>10}{success:>16}{one.per_dollar:>12,.1f}"


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if value < 1_000 else f"{value:,.0f}"


def _swings(swings: Sequence[Swing]) -> list[str]:
    lines: list[str] = []
    for of in ("dollars", "seconds", "success"):
        found = widest(swings, of)
        if found is not None:
            moved = getattr(found, of)
            by = f"{moved * 100:+.1f} points" if of == "success" else _share(moved)
            lines.append(f"{of:<8} move most by {found.lever}: {by} {found.choice}")
        else:
            lines.append(f"{of:<8} no single lever moves them")
    if not swings:
        return []
    width = max(len(one.choice) for one in swings)
    lines += ["", "one lever at a time, from the flow as it is"]
    lines += [
        f"  {one.choice:<{width}}{_share(one.dollars):>9} dollars{_share(one.seconds):>9} seconds"
        f"{one.success * 100:>+8.1f} points of success"
        for one in swings
    ]
    return [*lines, ""]


def _share(moved: float) -> str:
    """+52.2%, or ×1,670 where a percentage says nothing any more."""
    return f"{percent(moved, 1, signed=True)}" if moved < 9 else f"×{moved + 1:,.0f}"


def _limits(found: Frontier) -> list[str]:
    if not found.limits.any:
        return []
    if found.cheapest is not None:
        one = found.cheapest
        edge = found.limits.success is not None and one.success - one.error < found.limits.success
        note = f"  (its success is within the error of {one.runs:,} runs of the limit)" if edge else ""
        return ["cheapest design within the limits", f"   {figures(one)}{note}", *_diff(one), ""]
    assert found.nearest is not None
    broken = " and ".join(found.limits.broken_by(found.nearest))
    return [f"no design keeps to the limits; the nearest one misses {broken}", _row("", found.nearest), ""]


def _diff(one: Measured) -> list[str]:
    return [f"     {change}" for change in one.design.changes] or ["     nothing is to be changed"]


def _single(found: Frontier) -> list[str]:
    if found.single is None:
        return ["one call is what the flow is: there is nothing to hold it against", ""]
    lines = [f"one call instead ({found.of})", f"   {figures(found.single)}"]
    if found.single_batch is not None:
        lines.append(f"   {figures(found.single_batch)}  in the batch lane")
    if found.smallest is None:
        return [*lines, "no flow of this space beats one call on quality per dollar", ""]
    calls = f"{found.smallest.calls:.2g}"
    lines.append(
        f"the smallest flow that beats it on quality per dollar{' (in the same lane)' if found.single_batch else ''} "
        f"takes {calls} call{'' if calls == '1' else 's'}"
    )
    return [*lines, f"   {figures(found.smallest)}", *_diff(found.smallest), ""]


def _words(found: Frontier) -> list[str]:
    lines: list[str] = []
    if found.unasked:
        lines.append(not_asked(found.unasked))
    if not found.judged:
        lines.append("success is “completed, nothing skipped”: how often answers are right was not declared (--right)")
    if found.silent:
        lines.append(TAKEN.format(", ".join(found.silent)))
    lines += [
        f"as it is, {percent(count / found.runs, 1)} of runs end in an error: {one_line(error, 120)}"
        for error, count in found.failures
    ]
    if found.impossible:
        design, reason = found.impossible[0]
        more = f", and {len(found.impossible) - 1:,} more" if len(found.impossible) > 1 else ""
        lines.append(f"no flow: {one_line(str(design), 100)} ({one_line(reason, 160)}){more}")
    if found.space.left_out:
        lines.append(
            f"left out, to keep the space small, since alone they gain less: {', '.join(found.space.left_out)}"
        )
    return [*lines, ""] if lines else []


def swept(found: Sweep) -> str:
    """What tighter limits do, beside the flow that knows nothing of them."""
    lines = [
        f"budget sweep of {found.flow} · {found.runs:,} runs at each limit · {found.took:.1f} s",
        f"without limits: P95 {dollars(found.dollars)} and {found.seconds:,.1f} s, "
        f"success {percent(found.success.share, 1)}",
        "",
        f"{'limit':>18}{'success':>10}{'answered':>10}{'overruns':>10}    {'blind: success':>14}{'overruns':>10}",
    ]
    lines += [_step(step) for step in found.steps]
    lines += ["", "blind: the same runs without the limit, a success where they complete within it"]
    if found.silent:
        lines.append(TAKEN.format(", ".join(found.silent)))
    return "\n".join(lines)


def _step(step: Step) -> str:
    limit = dollars(step.limit) if step.unit == "dollars" else f"{step.limit:,.1f} s"
    return (
        f"{percent(step.share):>6}{limit:>12}{percent(step.success.share, 1):>10}"
        f"{percent(step.answered.share, 1):>10}{step.overruns:>10,}"
        f"    {percent(step.blind_success.share, 1):>14}{step.blind_overruns:>10,}"
    )
