from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outlay.protocols.store import Store
from outlay.stores import store_at


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store that several processes may share."""
    return request.getfixturevalue("postgres") if request.param == "postgres" else f"sqlite:///{tmp_path / 'outlay.db'}"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    place = {"memory": lambda: None, "sqlite": lambda: tmp_path / "outlay.db"}
    found = store_at(place.get(request.param, lambda: request.getfixturevalue("postgres"))())
    yield found
    await found.close()
