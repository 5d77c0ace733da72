import pytest

from models import errors

KINDS = {
    "MoleculeError": "invalid_molecule",
    "SamplerError": "invalid_sampler",
    "WeightsError": "weights_unavailable",
    "DataError": "invalid_data",
    "FormatError": "invalid_format",
}


@pytest.mark.parametrize("name", KINDS)
def test_error_has_a_stable_reason(name):
    kind = getattr(errors, name)
    assert issubclass(kind, errors.ModelError)
    assert kind("words").reason == KINDS[name]
    assert str(kind("words")) == "words"


def test_error_may_carry_a_narrower_reason():
    assert errors.MoleculeError("words", reason="radical").reason == "radical"
    assert errors.MoleculeError("words").reason == "invalid_molecule"  # the class is left as it was
