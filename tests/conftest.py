"""Fixtures and settings that all tests share."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from postgres_server import CannotRun, PostgresServer

REPOSITORY = Path(__file__).resolve().parent.parent

# A deadline per example would make a busy machine look like a defect. CI draws the same examples every time.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The data folder that lies beside the repository: recordings, data sets, routing outcomes."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data beside the repository (recordings and data sets, not in the clone)")
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL server, started by the first test that asks and shared by all."""
    try:
        server = PostgresServer()
    except CannotRun as error:
        pytest.skip(f"needs a PostgreSQL server: {error}")
    yield server
    server.close()


_numbers = itertools.count(1)


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> str:
    """The address of a store in PostgreSQL that holds nothing yet."""
    return postgres_server.url_of_schema(f"s{next(_numbers)}")
