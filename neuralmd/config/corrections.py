"""Settings of what the mismatch of the two solutions is used for: the corrections, and a learned lambda."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from neuralmd.config.block import Block


class _FittedForStrides(Block):
    """What is fitted for gaps of certain lengths."""

    strides: tuple[Annotated[int, Field(ge=2)], ...] = Field(min_length=1)
    """Frames from anchor to anchor that it is fitted for; gaps of other lengths get the blend alone."""

    @field_validator("strides", mode="before")
    @classmethod
    def _list_is_a_tuple(cls, strides: object) -> object:
        # The model's block is completed before it is validated, and from then on a list of YAML is a Python list.
        return tuple(strides) if isinstance(strides, list) else strides


class LeastSquaresCorrectionConfig(_FittedForStrides):
    """A correction to the blend, linear in the mismatch of the two solutions, fitted when the training ends."""

    kind: Literal["least_squares"] = "least_squares"

    terms: int = Field(default=4, ge=1, le=16)
    """Polynomials of time for each feature of the mismatch."""


class BridgeCorrectionConfig(_FittedForStrides):
    """The kicks of a thermostat and of the field's errors, inferred from the mismatch in the middle of the gap."""

    kind: Literal["bridge"] = "bridge"

    rounds: int = Field(default=0, ge=0, le=4)
    """How often the gap is solved again with the inferred kicks; each costs what the first solve costs."""

    terms: int = Field(default=0, ge=0, le=16)
    """Polynomials of time of a least-squares correction of what the bridge leaves; 0 for none."""


class EquivariantCorrectionConfig(_FittedForStrides):
    """A small equivariant network, linear in the mismatch, that sees the path; fitted when the training ends."""

    kind: Literal["equivariant"] = "equivariant"

    bridge: bool = True
    """Whether the bridge comes first, and the network corrects what it leaves."""

    channels: int = Field(default=16, ge=1)
    """Features of each atom."""

    terms: int = Field(default=8, ge=1, le=16)
    """Polynomials of time."""

    steps: int = Field(default=1500, ge=1)
    """Steps of the fit, each on 64 windows."""


class LearnedBlendConfig(_FittedForStrides):
    """A monotone lambda for each element and length of gap, fitted by least squares when the training ends.

    Gaps of other lengths have the power blend with exponent 3.
    """

    kind: Literal["learned"] = "learned"


def _least_squares_unless_told(correction: object) -> object:
    return {"kind": "least_squares", **correction} if isinstance(correction, dict) and correction else correction


CorrectionConfig = Annotated[
    Annotated[
        LeastSquaresCorrectionConfig | BridgeCorrectionConfig | EquivariantCorrectionConfig,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_least_squares_unless_told),
]
"""What the mismatch of the solutions is used for; a block without a kind is the least-squares correction."""
