"""What of a store's address may stand on a screen."""

import pytest

from outlay.stores.addresses import shown


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (".outlay/outlay.db", ".outlay/outlay.db"),
        ("sqlite:////tmp/outlay.db", "sqlite:////tmp/outlay.db"),
        ("postgresql://db.example:5432/runs", "postgresql://db.example:5432/runs"),
        ("postgresql://me@db.example/runs", "postgresql://me@db.example/runs"),
        ("postgresql://me:secret@db.example/runs?sslmode=require", "postgresql://me@db.example/runs"),
        ("postgresql://me@/runs?host=/run/db&password=secret", "postgresql://me@/runs"),
        ("postgresql://me:sec@secret@db.example/runs", "postgresql://me@db.example/runs"),
        ("postgresql://me:1,h2:2@a,b/runs", "postgresql://me@a,b/runs"),
        # What should have been escaped, and may be a part of the password.
        ("postgresql://me:secret/x@db.example/runs", "postgresql://…"),
        ("postgresql://me:secret?x@db.example/runs", "postgresql://…"),
        ("postgresql://me:secret#x@db.example/runs", "postgresql://…"),
        ("postgresql://me@h:secret/x@db.example/runs", "postgresql://…"),
        ("postgresql://me:[secret@db.example/runs", "postgresql://…"),
        ("mysql://me:secret@db.example/runs", "mysql://me@db.example/runs"),
    ],
)
def test_neither_password_nor_settings_are_shown(address: str, text: str):
    assert shown(address) == text
