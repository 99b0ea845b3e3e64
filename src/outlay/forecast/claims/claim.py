"""A published figure beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["holds", "holds only if", "wrong", "ours only", "cited"]
Unit: TypeAlias = Literal["$", "%", "s", "×", ""]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number as it is printed, and as it comes out here. `places` are the decimals that are printed; a `%` is
    stated in per cent."""

    name: str
    printed: float | None
    ours: float | None
    places: int = 0
    unit: Unit = ""

    @property
    def agrees(self) -> bool:
        """Equal at the precision that is printed. Halves may have been rounded either way."""
        if self.printed is None or self.ours is None:
            return True
        return abs(self.ours - self.printed) <= 0.5 * 10**-self.places * (1 + 1e-6)

    def show(self, value: float | None) -> str:
        """`$0.030`, `83.41 %`, `9.6 s`; a dash where there is none."""
        if value is None:
            return "–"
        text = f"{value:,.{self.places}f}"
        if self.unit == "$":
            return f"${text}"
        return f"{text} {self.unit}" if self.unit in ("%", "s") else f"{text}{self.unit}"


@dataclass(frozen=True, slots=True)
class Claim:
    """What is said, by whom, and each of its figures. `only_if`: what must be so for our figures to be what they are.

    A claim without anything to compute is `cited`; one whose printed figures are not at hand is `ours only`.
    """

    section: str
    claim: str
    source: str
    figures: tuple[Figure, ...] = ()
    only_if: str = ""
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        if not any(figure.ours is not None for figure in self.figures):
            return "cited"
        if all(figure.printed is None for figure in self.figures):
            return "ours only"
        if not all(figure.agrees for figure in self.figures):
            return "wrong"
        return "holds only if" if self.only_if else "holds"

    @property
    def printed(self) -> str:
        return self._list("printed")

    @property
    def ours(self) -> str:
        return self._list("ours")

    def _list(self, which: Literal["printed", "ours"]) -> str:
        shown = [(one.name, one.show(getattr(one, which))) for one in self.figures]
        return ", ".join(f"{name} {value}".strip() for name, value in shown if value != "–")
