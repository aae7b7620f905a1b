"""The whole of it: search on every split, make it simple, judge it on what was held out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from optimizer.clock import Clock, SystemClock
from optimizer.errors import InputError
from optimizer.tune.evaluate import Evaluator, Problem, Score, Task
from optimizer.tune.search import Search, Trial
from optimizer.tune.space import Plain, Space
from optimizer.tune.splits import ODD
from optimizer.tune.study import Study
from optimizer.tune.verdict import Verdict, judged, verdict
from optimizer.tune.workers import Pool

BATCH = 8
"""Trials of one search that are asked for at once: another number would lead elsewhere."""

_TASK_S = 0.05
"""A task lasts about this long at least, or handing it over would cost more than it."""

_SIMPLER_SHARE = 0.02
"""A parameter goes back to what it was if that costs at most this part of the gain on the tuned weeks."""


@dataclass(frozen=True, slots=True)
class Options:
    """How long to search, from which seed, and how often the mode may change on a day with a car."""

    trials: int = 200
    seed: int = 1
    limit: float = 8.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; `best_eur_per_year` is the odd weeks' best so far, beside the one in use."""

    done: int
    total: int
    gain_eur: float


OnProgress = Callable[[Progress], None]


class Tuning:
    """One run of `tune`."""

    def __init__(self, problem: Problem, space: Space, options: Options, clock: Clock | None = None) -> None:
        self._problem, self._space, self._options = problem, space, options
        self._clock = clock or SystemClock()
        self._searches = {
            split.name: Search(space, (options.seed, number), options.limit)
            for number, split in enumerate(problem.splits)
        }
        self._each_s = _TASK_S

    def run(self, pool: Pool, study: Study, on_progress: OnProgress = lambda _progress: None) -> Verdict:
        """Return what was found and how it did on the held-out weeks."""
        self._begin(study)
        done, total = 0, self._options.trials
        while done < total:
            count = min(BATCH, total - done)
            asked = [
                (name, values) for name, search in self._searches.items() for values in search.ask(count)
            ]
            scores = self._scores(asked, pool, study, self._told(on_progress, done))
            for number, search in enumerate(self._searches.values()):
                search.tell(scores[number * count : (number + 1) * count])
            done += count
        return self._judged(self._simpler(pool, study))

    def _begin(self, study: Study) -> None:
        """Try what is in use: that compiles for all processes, takes the time, and proves an old study."""
        task, evaluator = Task(ODD, (self._space.current,)), Evaluator(self._problem)
        evaluator.scores(task)
        began_s = self._clock.monotonic_s()
        (score,) = evaluator.scores(task)
        self._each_s = self._clock.monotonic_s() - began_s
        known = study.get(ODD, self._space.current)
        if known is None:
            study.put(ODD, self._space.current, score)
        elif known != score:
            raise InputError(
                f"--study {study.path}: was begun with another version of sunmode or of the strategy: "
                "name another file"
            )

    def _told(self, on_progress: OnProgress, done: int) -> Callable[[float], None]:
        def tell(share: float) -> None:
            trials = self._searches[ODD].trials
            gain_eur = trials[0].score.cost_eur - self._searches[ODD].best.score.cost_eur if trials else 0.0
            searches = len(self._searches)
            now = round((done + share * min(BATCH, self._options.trials - done)) * searches)
            on_progress(Progress(now, self._options.trials * searches, gain_eur))

        return tell

    def _scores(
        self,
        asked: Sequence[tuple[str, Plain]],
        pool: Pool,
        study: Study,
        on_share: Callable[[float], None] = lambda _share: None,
    ) -> list[Score]:
        """Return the scores in the order they were asked for; what the study knows is not tried again."""
        found = [study.get(split, values) for split, values in asked]
        missing = [place for place, score in enumerate(found) if score is None]
        groups = self._groups(asked, missing, pool.width)
        tasks = [Task(asked[group[0]][0], tuple(asked[place][1] for place in group)) for group in groups]
        left = len(missing)
        for number, scores in pool.run(tasks):
            for place, score in zip(groups[number], scores, strict=True):
                found[place] = score
                study.put(*asked[place], score)
            left -= len(scores)
            on_share(1.0 - left / len(asked))
        on_share(1.0)
        return [score for score in found if score is not None]

    def _groups(
        self, asked: Sequence[tuple[str, Plain]], missing: Sequence[int], width: int
    ) -> list[list[int]]:
        """Return the places of each task: of one split, long enough, and enough of them for all workers."""
        size = math.ceil(_TASK_S / max(self._each_s, 1e-6))
        size = max(1, min(size, math.ceil(len(missing) / width)))
        groups = []
        for name in self._searches:
            places = [place for place in missing if asked[place][0] == name]
            groups += [places[begin : begin + size] for begin in range(0, len(places), size)]
        return groups

    def _simpler(self, pool: Pool, study: Study) -> dict[str, Trial]:
        """Return each search's best with every parameter as it was that hardly matters."""
        best = {name: search.best for name, search in self._searches.items()}
        for knob in self._space.knobs:
            was = self._space.current[knob.name]
            tried = {
                name: {**trial.values, knob.name: was}
                for name, trial in best.items()
                if trial.values[knob.name] != was
            }
            allowed = [(name, values) for name, values in tried.items() if self._space.is_allowed(values)]
            for (name, values), score in zip(allowed, self._scores(allowed, pool, study), strict=True):
                if self._is_as_good(name, score):
                    best[name] = Trial(values, score)
        return best

    def _is_as_good(self, name: str, score: Score) -> bool:
        search = self._searches[name]
        best, first = search.best.score, search.trials[0].score
        spare_eur = _SIMPLER_SHARE * max(0.0, first.cost_eur - best.cost_eur)
        return score.changes_per_day <= self._options.limit and score.cost_eur <= best.cost_eur + spare_eur

    def _judged(self, best: dict[str, Trial]) -> Verdict:
        found = [
            judged(self._problem, split, self._space.current, best[split.name].values, self._options.seed)
            for split in self._problem.splits
        ]
        told = [replace(one, tuned_values=self._space.changed(one.tuned_values)) for one in found]
        return verdict(told, self._options.limit)
