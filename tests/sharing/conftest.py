from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outlay.protocols.store import Store
from outlay.stores import store_at


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    found = store_at(tmp_path / "outlay.db" if request.param == "sqlite" else None)
    yield found
    await found.close()
