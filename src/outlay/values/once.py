"""A property that is worked out once and then kept."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

# A protocol's property is a `property` to pyright, and a `cached_property` none: what has one would fit no protocol.
if TYPE_CHECKING:
    once = property
else:
    once = cached_property
