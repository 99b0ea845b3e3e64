"""McNemar's test: do two ways succeed equally often on the same cases?"""

from __future__ import annotations

#: What counts as evidence, by convention.
LEVEL = 0.05


def mcnemar(only_a: int, only_b: int) -> float:
    """The exact two-sided p-value (McNemar 1947, binomial as in Edwards 1948): how likely so uneven a split of the
    cases in which just one of both succeeded is, if either were as likely as the other. 1 where there is none."""
    if min(only_a, only_b) < 0:
        raise ValueError(f"counts are not negative: {only_a}, {only_b}")
    n, least = only_a + only_b, min(only_a, only_b)
    ways = tail = 1
    for k in range(least):
        ways = ways * (n - k) // (k + 1)
        tail += ways
    return min(1.0, 2 * tail / 2**n)  # whole numbers up to here: exact for any n


def least_cases(level: float = LEVEL) -> int:
    """How many cases must differ, all one way, before the test can tell: with fewer, no outcome is evidence."""
    return next(n for n in range(1, 10_000) if mcnemar(0, n) < level)


def needed(only_a: int, only_b: int, level: float = LEVEL) -> int:
    """How many more cases must go to the side that has more of them for `level`; 0 where it is reached."""
    least, most = sorted((only_a, only_b))
    return next(more for more in range(10_000) if mcnemar(least, most + more) < level)
