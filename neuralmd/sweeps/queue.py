"""`Queue`: the trials of a sweep in a study of Optuna, which workers on several machines share.

A sweep of N trials has the places 0..N-1. Each is a waiting trial of the study from the start, so that workers take
what waits and never draw one too many. A place whose worker died waits again, as another trial of the study with the
same values; of several trials for one place, the oldest that did not die counts.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from neuralmd.sweeps.drawing import sampler_of
from neuralmd.sweeps.space import Sweep
from neuralmd.sweeps.study import first_line, quiet, turn

_PLACE = "place"
_FAILED = "failed"
_LEFT = "left"
_LOGGER = logging.getLogger(__name__)
_MOST_DEATHS = 2


@dataclass(frozen=True, eq=False)
class Claim:
    """A trial that a worker took.

    Attributes:
        place: Which of the sweep's trials it is.
        trial: The study's trial.
        key: What the storage knows it by.
    """

    place: int
    trial: optuna.Trial
    key: int


@dataclass(frozen=True, eq=False)
class Queue:
    """The trials of a sweep.

    Attributes:
        sweep: What they are drawn from.
        study: Where they are.
        storage: Where the study is.
        lock: A file by which workers take turns on SQLite, which locks no row; none for a server.
    """

    sweep: Sweep
    study: optuna.Study
    storage: RDBStorage
    lock: Path | None

    def close(self) -> None:
        """Close the connections to the database."""
        self.storage.remove_session()
        self.storage.engine.dispose()

    def fill(self, points: Sequence[Mapping[str, str]]) -> None:
        """Let every place wait that no trial has yet; `points` are its fixed values, empty where they are drawn."""
        with turn(self.lock):
            known = {_place(trial) for trial in self._trials()}
            for place, values in enumerate(points):
                if place not in known:
                    self.study.enqueue_trial(dict(values), user_attrs={_PLACE: place})

    def claim(self) -> Claim | None:
        """Take the next trial that waits; none if none does."""
        with turn(self.lock):
            self._revive()
            for waiting in self._trials(TrialState.WAITING):
                key = self._key(waiting)
                # First, because a trial that runs and never gave a sign of life is never taken for dead.
                self.storage.record_heartbeat(key)
                if not self.storage.set_trial_state_values(key, TrialState.RUNNING):
                    continue
                if self._has_another(waiting):
                    self._end(key, "another trial has its place")
                    continue
                self.study.sampler = sampler_of(self.sweep, _place(waiting))
                return Claim(_place(waiting), optuna.Trial(self.study, key), key)
        return None

    def finish(self, claim: Claim, value: float) -> bool:
        """Take a trial's value down; false if the trial was taken for dead meanwhile."""
        return self._tell(claim, TrialState.COMPLETE, value)

    def prune(self, claim: Claim) -> bool:
        """Take down that a trial was stopped early; false as for `finish`."""
        return self._tell(claim, TrialState.PRUNED, None)

    def fail(self, claim: Claim, reason: str) -> bool:
        """Take down why a trial failed, which is not tried again; false as for `finish`."""
        try:
            claim.trial.set_user_attr(_FAILED, reason)
        except UpdateFinishedTrialError:
            return False
        return self._tell(claim, TrialState.FAIL, None)

    def give_back(self, claim: Claim) -> None:
        """Let a trial wait again whose worker must leave."""
        with turn(self.lock):
            if self.storage.get_trial(claim.key).state == TrialState.RUNNING:
                self._end(claim.key, "its worker left")
                self._wait_again(claim.place)

    def finished(self) -> set[int]:
        """The places that are done, for good or for bad."""
        return {_place(one) for one in self._trials() if _counts(one) and one.state.is_finished()} | self.given_up()

    def given_up(self) -> set[int]:
        """The places whose workers died too often."""
        trials = self._trials()
        places = {_place(one) for one in trials} - {_place(one) for one in trials if _counts(one)}
        return {place for place in places if self._deaths(place) > _MOST_DEATHS}

    def is_over(self, places: int) -> bool:
        """Whether nothing of the first `places` waits or runs any more, or the target is reached."""
        return self.finished() >= set(range(places)) or self._has_reached_target()

    @contextmanager
    def beating(self, claim: Claim) -> Iterator[None]:
        """Give signs of life for a trial while the context lasts."""
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(self.storage.get_heartbeat_interval()):
                try:
                    self.storage.record_heartbeat(claim.key)
                except StorageInternalError as error:  # a server that is away for a moment
                    _LOGGER.warning("no sign of life could be given: %s", first_line(error))

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        trials = self.study.get_trials(deepcopy=False, states=states or None)
        return sorted((one for one in trials if _PLACE in one.user_attrs), key=lambda one: one.number)

    def _key(self, trial: FrozenTrial) -> int:
        study = self.storage.get_study_id_from_name(self.study.study_name)
        return self.storage.get_trial_id_from_study_id_trial_number(study, trial.number)

    def _has_another(self, trial: FrozenTrial) -> bool:
        """Whether another trial for the place counts: one that is done, or an older one that waits or runs."""
        others = [one for one in self._trials() if _place(one) == _place(trial) and one.number != trial.number]
        return any(_counts(one) and (one.state.is_finished() or one.number < trial.number) for one in others)

    def _revive(self) -> None:
        """Let the places wait again whose worker died."""
        with quiet():
            fail_stale_trials(self.study)
        trials = self._trials()
        for place in {_place(one) for one in trials} - {_place(one) for one in trials if _counts(one)}:
            if self._deaths(place) <= _MOST_DEATHS:
                self._wait_again(place)

    def _wait_again(self, place: int) -> None:
        former = [one for one in self._trials() if _place(one) == place][-1]
        fixed = {**former.system_attrs.get("fixed_params", {}), **former.params}
        self.study.enqueue_trial(fixed, user_attrs={_PLACE: place})

    def _deaths(self, place: int) -> int:
        trials = (one for one in self._trials(TrialState.FAIL) if _place(one) == place)
        return sum(_FAILED not in one.user_attrs and _LEFT not in one.user_attrs for one in trials)

    def _has_reached_target(self) -> bool:
        target = self.sweep.metric.target
        if target is None:
            return False
        sign = 1.0 if self.sweep.metric.goal == "minimize" else -1.0
        values = (one.value for one in self._trials(TrialState.COMPLETE) if one.value is not None)
        return any(sign * value <= sign * target for value in values)

    def _end(self, key: int, reason: str) -> None:
        self.storage.set_trial_user_attr(key, _LEFT, reason)
        self.storage.set_trial_state_values(key, TrialState.FAIL)

    def _tell(self, claim: Claim, state: TrialState, value: float | None) -> bool:
        try:
            self.study.tell(claim.trial, value, state)
        except (UpdateFinishedTrialError, ValueError):
            _LOGGER.warning("trial %d was taken for dead and given to another worker", claim.place)
            return False
        return True


def _place(trial: FrozenTrial) -> int:
    return trial.user_attrs[_PLACE]


def _counts(trial: FrozenTrial) -> bool:
    """Whether a trial stands for its place: all but one whose worker died or left."""
    return trial.state != TrialState.FAIL or _FAILED in trial.user_attrs
