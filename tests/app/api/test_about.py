import json

from app.intake.limits import limits


def test_models_are_listed_with_their_cards(client, weights):
    listed = client.get("/v1/models").json()["models"]
    cards = json.loads((weights / "registry.json").read_text())["models"]
    assert {card["name"] for card in listed} == set(cards)
    assert [card["name"] for card in listed if card["served"]] == ["molecules-small"]
    for card in listed:
        assert {"sha256", "network", "training", "data", "date", "version"} <= set(card)


def test_limits_are_those_of_this_service(client, small_settings):
    assert client.get("/v1/limits").json() == json.loads(json.dumps(limits(small_settings)))
    assert client.get("/v1/limits").json()["molecules_per_request"] == small_settings.max_molecules
