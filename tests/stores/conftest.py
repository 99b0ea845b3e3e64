from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outlay.protocols.store import Store
from outlay.stores import store_at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outlay.db"


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[Store]:
    found = store_at(path if request.param == "sqlite" else None)
    yield found
    await found.close()
