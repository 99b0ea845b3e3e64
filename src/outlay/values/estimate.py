"""About how many tokens a text has, where nobody has counted them."""

from __future__ import annotations

from typing import Final

#: A rough figure for English; where there is measured usage, it corrects what this gives.
CHARACTERS_PER_TOKEN: Final = 4


def estimated_tokens(characters: int) -> int:
    """Tokens of so many characters, rounded up."""
    return -(-characters // CHARACTERS_PER_TOKEN)
