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


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest) -> str:
    """The address of an empty store that several processes may share."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres")
    return f"sqlite:///{request.getfixturevalue('path')}"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    name = {"sqlite": "path", "postgres": "postgres"}.get(request.param)
    found = store_at(request.getfixturevalue(name) if name else None)
    yield found
    await found.close()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store_factory(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[Store]]:
    """Opens another empty store each time: for properties, which need many."""
    numbers = itertools.count()
    server = request.getfixturevalue("postgres_server") if request.param == "postgres" else None

    def another() -> AbstractAsyncContextManager[Store]:
        if server is not None:
            return open_store(server.url_of_schema(f"{request.node.originalname}_{next(numbers)}"))
        return open_store(tmp_path / f"{next(numbers)}.db" if request.param == "sqlite" else None)

    return another
