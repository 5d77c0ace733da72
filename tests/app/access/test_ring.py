import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.access import ring as module
from app.access.keys import make_key
from app.access.ring import KeyRefused, KeyRing

START = datetime.now(UTC)


class Book:
    """Keys in memory, a clock that is set by hand, and counts of what was paid for."""

    def __init__(self, monkeypatch):
        self.keys, self.now, self.read, self.hashed = {}, 0.0, 0, 0
        self.ring = KeyRing(self.find, lambda: self.now, lambda: START + timedelta(seconds=self.now))
        plain = module.is_secret
        monkeypatch.setattr(module, "is_secret", lambda *words: self.count() or plain(*words))

    def add(self, **fields):
        key, token = make_key("alice", **fields)
        self.keys[key.id] = key
        return key, token

    def find(self, name):
        self.read += 1
        return self.keys.get(name)

    def count(self):
        self.hashed += 1

    def ask(self, token):
        return asyncio.run(self.ring.owner(token))


@pytest.fixture
def book(monkeypatch):
    return Book(monkeypatch)


def test_slow_hash_is_paid_once_for_a_key(book):
    key, token = book.add()
    for _ in range(5):
        assert book.ask(token) == key
    assert (book.read, book.hashed) == (1, 1)
    book.now += 60
    assert book.ask(token) == key
    assert (book.read, book.hashed) == (2, 1)


def test_revoked_key_is_noticed_within_seconds(book):
    key, token = book.add()
    assert book.ask(token) == key
    book.keys[key.id] = replace(key, revoked=datetime.now(UTC))
    assert book.ask(token) == key
    book.now += 5.1
    with pytest.raises(KeyRefused, match=f"{key.id} is revoked"):
        book.ask(token)


def test_removed_and_exchanged_keys_are_noticed_too(book):
    key, token = book.add()
    other, _ = make_key("mallory")
    book.ask(token)
    book.now += 6
    book.keys[key.id] = replace(key, digest=other.digest)
    with pytest.raises(KeyRefused, match="not known"):
        book.ask(token)
    assert book.hashed == 2
    del book.keys[key.id]
    with pytest.raises(KeyRefused, match="not known"):
        book.ask(token)


def test_expired_key_is_refused_without_reading_it_again(book):
    key, token = book.add(expires=START + timedelta(seconds=3))
    assert book.ask(token) == key
    book.now = 3.0
    with pytest.raises(KeyRefused, match="expired"):
        book.ask(token)
    assert book.read == 1


def test_wrong_secret_of_a_known_key_is_refused_each_time(book):
    key, token = book.add()
    wrong = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    for _ in range(2):
        with pytest.raises(KeyRefused, match="not known"):
            book.ask(wrong)
    assert book.hashed == 2
    assert book.ask(token) == key


@pytest.mark.parametrize("token", ["", "hello", "shp_0123456789ab_", "shp_zzzzzzzzzzzz_" + "A" * 43])
def test_text_that_is_no_key_costs_nothing(book, token):
    with pytest.raises(KeyRefused, match="shp_"):
        book.ask(token)
    assert (book.read, book.hashed) == (0, 0)


def test_unknown_key_costs_no_hash(book):
    _, token = make_key("nobody")
    with pytest.raises(KeyRefused, match="not known"):
        book.ask(token)
    assert (book.read, book.hashed) == (1, 0)


def test_memory_of_the_ring_is_bounded_and_holds_no_keys(book, monkeypatch):
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    monkeypatch.setattr(module, "is_secret", lambda *words: True)
    tokens = [book.add()[1] for _ in range(4)]
    for token in tokens:
        book.ask(token)
    assert len(book.ring._known) == 2
    assert not any(token.encode() in mark for token in tokens for mark in book.ring._known)
    book.ask(tokens[-1])
    assert book.read == 4
    book.ask(tokens[0])
    assert book.read == 5
