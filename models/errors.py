"""Everything the science code can refuse to do, and why.

Each error carries a `reason`, a short machine word that is stable across versions, and a message that says what was
wrong, which value, what is allowed, and what to do.
"""


class ModelError(Exception):
    """Base of all refusals; `reason` is a stable word for programs."""

    reason = "error"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason


class MoleculeError(ModelError):
    """The molecule given cannot be read, or is outside of what the model can sample."""

    reason = "invalid_molecule"


class StructureError(ModelError):
    """The protein structure given cannot be read, or has no backbone."""

    reason = "invalid_structure"


class SamplerError(ModelError):
    """The sampler settings do not fit together or do not fit the model."""

    reason = "invalid_sampler"


class WeightsError(ModelError):
    """A weights file is missing, unknown or does not match its checksum."""

    reason = "weights_unavailable"


class DataError(ModelError):
    """A data file is missing or does not have the layout that was asked for."""

    reason = "invalid_data"


class FormatError(ModelError):
    """A structure cannot be written in the requested file format."""

    reason = "invalid_format"


class FinishError(ModelError):
    """The finishing options have a value that is not allowed, or do not fit together."""

    reason = "invalid_finish"


class BackboneError(ModelError):
    """What is asked of a backbone cannot be, or does not fit together."""

    reason = "invalid_backbone"
