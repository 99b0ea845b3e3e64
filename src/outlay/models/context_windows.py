"""How much a model can hold, from the snapshot that genai-prices ships beside its prices."""

from __future__ import annotations

from functools import cache


@cache
def context_window(provider: str, model: str) -> int | None:
    """Tokens of input and output together; None where it is not known. `provider` is genai-prices' exact id."""
    # Imported here because it costs 0.17 s of CPU, which `outlay --help` should not pay.
    from genai_prices.data_snapshot import get_snapshot

    seller = next((p for p in get_snapshot().providers if p.id == provider), None)
    info = None if seller is None else seller.find_model(model.lower())
    return None if info is None else info.context_window
