import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api.negotiation import JSON, OFFERS, ZIP, negotiate
from app.errors import Problem
from models.export.formats import FORMATS

SDF, PDB = FORMATS["sdf"].media_type, FORMATS["pdb"].media_type
TYPES = [offer.media_type for offer in OFFERS]


@pytest.mark.parametrize("media_type", TYPES)
def test_every_type_can_be_asked_for(media_type):
    assert negotiate(media_type, OFFERS).media_type == media_type


@pytest.mark.parametrize("name", FORMATS)
def test_file_types_carry_their_format(name):
    assert negotiate(FORMATS[name].media_type, OFFERS).file_format is FORMATS[name]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
        ("chemical/*", SDF),
        ("Chemical/X-PDB", PDB),
        (f"{JSON};q=0.5, {PDB};q=0.9", PDB),
        (f"{JSON};q=0.5, {PDB}", PDB),
        (f"{PDB};q=0, chemical/*", SDF),
        (f"{SDF};q=0, chemical/*", PDB),
        (f"{SDF} ; q=0.2 , {ZIP} ; q=0.3", ZIP),
        (f"{PDB}, {SDF}", SDF),
        (f"{PDB}, */*", PDB),
        (f"chemical/*, {PDB}", PDB),
        (f"{JSON};q=0, */*;q=0.1", SDF),
        (f"{JSON};charset=utf-8", JSON),
        (f"{PDB};q=0.5, */*;q=0.4", PDB),
        (f"{PDB};q=what, {SDF};q=0.1", SDF),
    ],
)
def test_heaviest_type_is_chosen_and_the_first_offer_among_equals(accept, chosen):
    assert negotiate(accept, OFFERS).media_type == chosen


@pytest.mark.parametrize("accept", ["text/html", "image/png, text/*", f"{JSON};q=0", "nonsense", "*/*;q=0"])
def test_nothing_that_can_be_made_is_a_problem_that_lists_what_can(accept):
    with pytest.raises(Problem) as caught:
        negotiate(accept, OFFERS)
    assert (caught.value.status, caught.value.reason) == (406, "not_acceptable")
    assert all(media_type in caught.value.detail for media_type in TYPES)
    assert accept in caught.value.detail


WORDS = st.sampled_from(
    [*TYPES, "*/*", "chemical/*", "text/html", ";", ",", "q=", "=", "0.5", "nan", "-1", "inf", " ", "\x00", "é"]
)


@settings(deadline=None)
@given(st.lists(WORDS, max_size=12).map("".join))
def test_any_header_is_answered(accept):
    try:
        assert negotiate(accept, OFFERS) in OFFERS
    except Problem as problem:
        assert problem.status == 406
        assert len(problem.detail) < 500
