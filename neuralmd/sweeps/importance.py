"""How much each setting of a sweep mattered."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from neuralmd.errors import ConfigError
from neuralmd.sweeps.distributions import Choice, Distribution, Normal, Range, is_number
from neuralmd.sweeps.records import Record
from neuralmd.sweeps.results import Results, shown

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_FEWEST_TRIALS = 4
_FEWEST_BEST = 5
_SHARE_OF_BEST = 0.1


def importance_of(results: Results) -> dict[str, float]:
    """The share of each setting in what made the better trials better, in sum 1, the largest first.

    PED-ANOVA, which compares where the best trials lie (a tenth of all, at least five) with where all do. It knows
    settings that count for some configurations only. Empty for fewer than four complete trials, or fewer than two
    settings.

    Raises:
        ConfigError: If Optuna is not installed.

    Reference:
        Watanabe, Bansal & Hutter, PED-ANOVA, IJCAI (2023), arXiv:2304.10255.
    """
    complete = [record for record in results.ranked if record.state == "complete"]
    if len(complete) < _FEWEST_TRIALS or len(results.settings) < 2:
        return {}
    try:
        import optuna
    except ImportError:
        raise ConfigError(
            "the importance of settings needs the package optuna: pip install 'neuralmd[sweeps]'"
        ) from None
    from neuralmd.sweeps.study import quiet

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parameters = results.sweep.parameters
    used = [one.key for one in results.settings if any(one.key in record.values for record in complete)]
    spaces = {key: _space(key, parameters[key], complete) for key in used}
    best = max(_SHARE_OF_BEST, min(0.5, _FEWEST_BEST / len(complete)))
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Optuna's, that there are few trials: the report tells how many
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=best)
        study = optuna.create_study(direction=results.sweep.metric.goal)
        study.add_trials([_trial(record, spaces) for record in complete])
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {key: float(share) for key, share in found.items()}


def _trial(record: Record, spaces: Mapping[str, BaseDistribution]) -> FrozenTrial:
    from optuna import create_trial
    from optuna.distributions import CategoricalDistribution

    kept = {key: space for key, space in spaces.items() if key in record.values}
    values = {
        key: shown(record.values[key]) if isinstance(space, CategoricalDistribution) else record.values[key]
        for key, space in kept.items()
    }
    return create_trial(value=record.value, params=values, distributions=kept)


def _space(key: str, source: Distribution, records: Sequence[Record]) -> BaseDistribution:
    """Where a setting lay: its options, or from the lowest number to the highest."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    values = [record.values[key] for record in records if key in record.values]
    numbers = [float(value) for value in values if is_number(value)]
    if isinstance(source, Choice) or len(numbers) < len(values):
        return CategoricalDistribution(sorted({shown(value) for value in values}))
    low, high = min(numbers), max(numbers)
    return FloatDistribution(low, high, log=isinstance(source, Range | Normal) and source.scale == "log")
