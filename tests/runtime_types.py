"""The checker that jaxtyping's import hook applies to every function of neuralmd under test."""

from __future__ import annotations

from typing import Any, Self

from beartype import BeartypeConf, FrozenDict, beartype

# jaxtyping decorates functions one by one, where beartype cannot know what Self is. An int may stand for a float.
check = beartype(conf=BeartypeConf(is_pep484_tower=True, hint_overrides=FrozenDict({Self: Any})))
