"""A narrow task whose answers follow from one word."""

from __future__ import annotations

from outlay.routing.distil import Example

_SAYS = {
    "billing": ("charge", "invoice", "refund", "fee"),
    "technical": ("crash", "login", "bug", "screen"),
    "general": ("hours", "address", "hello", "branch"),
}


def examples(n: int = 600, noise: int = 0) -> list[Example]:
    """Texts whose label follows from one word in them; the last `noise` are labelled wrongly."""
    labels = list(_SAYS)
    found: list[Example] = []
    for i in range(n):
        label = labels[i % 3]
        word = _SAYS[label][i // 3 % 4]
        said = labels[(i + 1) % 3] if i >= n - noise else label
        found.append(Example(f"please help with the {word} number {i}", {"label": said}))
    return found
