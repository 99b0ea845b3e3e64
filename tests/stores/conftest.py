import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from outlay.protocols.store import Store
from outlay.stores import open_store, store_at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outlay.db"


@pytest.fixture(params=["sqlite"])
def address(request: pytest.FixtureRequest) -> str:
    """The address of an empty store that several processes may share."""
    return f"sqlite:///{request.getfixturevalue('path')}"


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[Store]:
    found = store_at(path if request.param == "sqlite" else None)
    yield found
    await found.close()


@pytest.fixture(params=["memory", "sqlite"])
def store_factory(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[Store]]:
    """Opens another empty store each time: for properties, which need many."""
    numbers = itertools.count()
    return lambda: open_store(tmp_path / f"{next(numbers)}.db" if request.param == "sqlite" else None)
