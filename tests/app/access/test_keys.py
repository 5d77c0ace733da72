from datetime import UTC, datetime, timedelta

from app.access.keys import hash_secret, is_secret, make_key, split_token


def test_key_opens_with_its_own_text_only():
    key, token = make_key("alice")
    other, _ = make_key("bob")
    name, secret = split_token(token)
    assert name == key.id
    assert is_secret(secret, key.digest)
    assert not is_secret(secret, other.digest)
    assert not is_secret(secret[:-1] + ("A" if secret[-1] != "A" else "B"), key.digest)


def test_what_is_kept_does_not_hold_the_secret():
    key, token = make_key("alice")
    assert token.split("_", 2)[2] not in repr(key)
    assert key.digest.startswith("scrypt$16384$8$1$")
    assert hash_secret("same") != hash_secret("same")  # salted


def test_text_that_is_no_key_is_not_split():
    _, token = make_key("alice")
    for text in (
        "",
        "shp_",
        token[:-1],
        token + "A",
        token.replace("shp", "shq"),
        token + "\n",
        "ü" * 60,
        token.upper(),
    ):
        assert split_token(text) is None, text


def test_state_follows_the_clock_and_revocation_is_final():
    now = datetime.now(UTC)
    key, _ = make_key("alice", expires=now + timedelta(seconds=10))
    assert key.state(now) == "active"
    assert key.state(now + timedelta(seconds=10)) == "expired"
    revoked = type(key)(**{**vars(key), "revoked": now})
    assert revoked.state(now + timedelta(seconds=60)) == "revoked"
