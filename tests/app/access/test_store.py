from datetime import UTC, datetime, timedelta

import pytest

from app.access.keys import make_key
from app.access.store import KeyStore


@pytest.fixture
def store(database):
    return KeyStore(database)


def test_key_comes_back_as_it_was(store):
    until = datetime.now(UTC) + timedelta(days=90)
    plain, _ = make_key("alice")
    full, _ = make_key("bob Ω", frozenset({"sample", "admin"}), until, 0, 20_000)
    store.add(plain)
    store.add(full)
    assert store.find(plain.id) == plain
    assert store.find(full.id) == full
    assert store.find("0" * 12) is None
    assert store.all() == [plain, full]


def test_revoked_key_stays_in_the_list_with_its_first_time(store):
    key, _ = make_key("alice")
    store.add(key)
    first = store.revoke(key.id)
    assert first.state(datetime.now(UTC)) == "revoked"
    assert store.revoke(key.id).revoked == first.revoked
    assert store.find(key.id) == first
    assert store.revoke("0" * 12) is None
