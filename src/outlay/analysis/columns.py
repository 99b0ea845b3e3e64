"""Plain text as wide as there is room: a table (names to the left, figures to the right), and notes."""

from __future__ import annotations

from collections.abc import Sequence

GAP = "  "
SEPARATOR = " · "
#: Names are cut down to this, and no further.
_LEAST = 12


def lines(rows: Sequence[Sequence[str]], *, names: int, width: int) -> list[str]:
    """The rows as aligned lines without trailing spaces. The first `names` columns are names: where lines would be
    wider than `width` characters, the longest of them are cut in the middle, as far as they stay apart. Figures are
    never cut, so that lines can be wider all the same.
    """
    columns = [list(column) for column in zip(*rows, strict=True)]
    over = sum(max(map(len, column)) for column in columns) + len(GAP) * (len(columns) - 1) - width
    for i, least in _cuts([max(map(len, column)) for column in columns[:names]], over):
        columns[i] = cut(columns[i], least)
    widths = [max(map(len, column)) for column in columns]
    cells = zip(*columns, strict=True)
    return [
        GAP.join(
            cell.ljust(w) if i < names else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def cut(names: Sequence[str], width: int) -> list[str]:
    """The names with their middles cut out, so that none is longer than `width` characters; longer where they would
    not tell them apart otherwise."""
    whole = len(set(names))
    for room in range(width, max(map(len, names), default=0)):
        for head in (room // 2, room * 3 // 4, room // 4):
            found = [_without_middle(name, room, head) for name in names]
            if len(set(found)) == whole:
                return found
    return list(names)


def _cuts(widths: list[int], over: int) -> list[tuple[int, int]]:
    """How wide the columns of names should be: the widest gives first."""
    before = list(widths)
    for _ in range(over):
        longest = max(range(len(widths)), key=lambda i: widths[i])
        if widths[longest] <= _LEAST:
            break
        widths[longest] -= 1
    return [(i, width) for i, width in enumerate(widths) if width < before[i]]


def _without_middle(name: str, width: int, head: int) -> str:
    return name if len(name) <= width else f"{name[:head]}…{name[len(name) - (width - 1 - head) :]}"


def broken(parts: Sequence[str], width: int) -> list[str]:
    """What is said, one after the other, on as few lines of `width` characters as there need be. A part stays whole."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(SEPARATOR) + len(part) <= width:
            lines[-1] += SEPARATOR + part
        else:
            lines.append(part)
    return lines
