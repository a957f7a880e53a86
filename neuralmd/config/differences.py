"""In which settings two experiments differ."""

from __future__ import annotations

from collections.abc import Sequence

from neuralmd.config.experiment import Experiment
from neuralmd.config.files import Scalar, flatten

_MOST_TOLD = 3


def differences(before: Experiment, after: Experiment, free: Sequence[str] = ()) -> list[str]:
    """Each setting that two experiments do not share, as `data.stride (20 -> 10)`, in the order of the schema.

    A setting that only one of them has, since a block or a list differs, counts like any other; null and none are one.

    Args:
        before: One experiment.
        after: The other.
        free: What the settings begin with that may differ.
    """
    old, new = flatten(before), flatten(after)
    return [
        f"{key} ({_told(old.get(key))} -> {_told(new.get(key))})"
        for key in dict.fromkeys((*new, *old))
        if old.get(key) != new.get(key) and not key.startswith(tuple(free))
    ]


def listed(changes: Sequence[str]) -> str:
    """The first few differences with commas between, and how many there are beside them."""
    more = len(changes) - _MOST_TOLD
    return ", ".join(changes[:_MOST_TOLD]) + (f" and {more} more" if more > 0 else "")


def _told(value: Scalar) -> str:
    return "none" if value is None else str(value)
