"""Answers: what is known of a curve already, from artifacts or the store, seed by seed."""

import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from statistics import median
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from mtl_core import checks
from mtl_core.errors import DataMissing, InputError
from mtl_core.kept import Kept
from mtl_core.runs import kinds
from mtl_core.runs.kinds import Kind
from mtl_core.runs.library.artifacts import Artifact, Content, Made, grouped, restricted
from mtl_core.runs.queue.listing import Runs
from mtl_core.runs.queue.records import Record, index_of
from mtl_core.runs.queue.store import Store
from mtl_core.training.pool import cores

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Answer", "Answers", "Origin", "other_data"]

V = TypeVar("V")
Origin = Literal["own", "imported", "shipped"]
_RANK = ("running", "queued", "failed", "cancelled")


@dataclass(frozen=True)
class Answer:
    """All that is known of some runs of an experiment.

    A run that is here more than once counts once: shipped before imported before own.

    Args:
        config: the experiment; its seeds are those that are asked for.
        own: runs of this machine's store by seed.
    """

    config: Any
    shipped: Artifact | None = None
    imported: Artifact | None = None
    own: Mapping[int, Record] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        return kinds.of(self.config)

    def source(self, seed: int) -> Artifact | Record | None:
        """Where a seed's run is."""
        for artifact in (self.shipped, self.imported):
            if artifact is not None and seed in artifact.config.seeds:
                return artifact
        return self.own.get(seed)

    def origin(self, seed: int) -> Origin | None:
        """Where a seed's run comes from, in a word."""
        source = self.source(seed)
        if source is None:
            return None
        if isinstance(source, Record):
            return "own"
        return "shipped" if source is self.shipped else "imported"

    @cached_property
    def origins(self) -> tuple[Origin, ...]:
        """Where its runs come from, each once."""
        found = (self.origin(seed) for seed in self.config.seeds)
        return tuple(dict.fromkeys(origin for origin in found if origin is not None))

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """Its runs that are in the store and nowhere else."""
        found = (self.source(seed) for seed in self.config.seeds)
        return tuple(source for source in found if isinstance(source, Record))

    @cached_property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The artifacts that hold any of its runs."""
        found = (self.source(seed) for seed in self.config.seeds)
        return tuple({id(one): one for one in found if isinstance(one, Artifact)}.values())

    def states(self) -> dict[int, str]:
        """Seed to ``done``, the state of its run in the store, or ``new``."""
        return dict(self._states)

    @cached_property
    def _states(self) -> Mapping[int, str]:
        found = {}
        for seed in self.config.seeds:
            source = self.source(seed)
            if isinstance(source, Record):
                found[seed] = str(source.state)
            else:
                found[seed] = "new" if source is None else "done"
        return found

    @cached_property
    def state(self) -> str:
        """Of all asked seeds together: ``running`` or ``queued`` while any is; else ``failed`` or
        ``cancelled`` when any is; ``new`` when any was never asked for; else ``done``."""
        states = set(self._states.values())
        return next((state for state in (*_RANK, "new") if state in states), "done")

    @property
    def active(self) -> bool:
        """Whether any of its runs is queued or running."""
        return self.state in ("queued", "running")

    @cached_property
    def done(self) -> tuple[int, ...]:
        """Seeds whose runs are finished."""
        return tuple(seed for seed, state in self.states().items() if state == "done")

    @property
    def missing(self) -> tuple[int, ...]:
        """Seeds whose runs are neither finished nor on their way."""
        idle = ("new", "failed", "cancelled")
        return tuple(seed for seed, state in self.states().items() if state in idle)

    @property
    def share(self) -> float:
        """How much of all asked runs is done, from 0 to 1."""
        shares = [
            source.share if isinstance(source, Record) else float(source is not None)
            for source in map(self.source, self.config.seeds)
        ]
        return sum(shares) / len(shares)

    @property
    def errors(self) -> tuple[str, ...]:
        """Why runs failed, each reason once."""
        return tuple(dict.fromkeys(record.error for record in self.records if record.error))

    @cached_property
    def made(self) -> tuple[Made, ...]:
        """Where its runs come from: groups of seeds, as in a manifest."""
        groups: list[Made] = []
        for artifact in self.artifacts:
            own = [seed for seed in self.config.seeds if self.source(seed) is artifact]
            groups += restricted(artifact.made, own)
        return (*groups, *(_made(record) for record in self.records if record.info))

    def said(self, name: str) -> str:
        """Its provenance under a name; different values are joined by ``; ``."""
        words = dict.fromkeys(str(group[name]) for group in self.made if group.get(name))
        return "; ".join(words) or "–"

    @property
    def numbers(self) -> str:
        """``measured`` or ``published``."""
        return "; ".join(dict.fromkeys(str(a.manifest["numbers"]) for a in self.artifacts)) or (
            "measured"
        )

    @property
    def versions(self) -> Mapping[str, str]:
        """Library to its version; of runs made with several, the first run's."""
        return next((group["versions"] for group in self.made if group.get("versions")), {})

    @property
    def factors(self) -> Mapping[str, str]:
        """How each quantity was measured."""
        return next((group["factors"] for group in self.made if group.get("factors")), {})

    @property
    def version(self) -> tuple[object, ...]:
        """A key for what is computed from its rows: it changes when any of them does."""
        return (
            self.config.id,
            self.config.seeds,
            *(artifact.stamp for artifact in self.artifacts),
            *((record.seed, record.changed) for record in self.records),
        )


def _made(record: Record) -> Made:
    info = {name: value for name, value in record.info.items() if name != "created"}
    at = record.finished_at or record.started_at or record.queued_at
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    return {
        "seeds": [record.seed],
        "created": created,
        **info,
        "duration_seconds": round(record.seconds, 3),
    }


class Answers:
    """Looks runs up, of any kind.

    Args:
        store: runs of this machine; None when the store cannot be used.
        shipped: artifacts that came with the app, by id.
        imported: artifacts that a user brought, by id.
    """

    def __init__(
        self,
        store: Store | None,
        shipped: Mapping[str, Artifact],
        imported: Mapping[str, Artifact] | None = None,
    ) -> None:
        self.store = store
        self.shipped = shipped
        self.imported = imported or {}

    def find(self, config: Any) -> Answer:
        """What is known of a config's seeds."""
        own = self.store.runs(config.id) if self.store else []
        return self._answer(config, own)

    def find_id(self, run: str) -> Answer | None:
        """What is known of the experiment with this id, all its seeds; None when nothing is.

        An id from when seeds were a part of it leads to these seeds.
        """
        seeds: tuple[int, ...] = ()
        own, configs = self._known(run)
        if not configs and (former := self._former(run)):
            run, seeds = former
            own, configs = self._known(run)
        if not configs:
            return None
        known = {seed for config in configs for seed in config.seeds}
        wanted = known & set(seeds) or known
        return self._answer(checks.with_seeds(configs[0], _few(wanted)), own)

    def current(self, run: str) -> str:
        """The id of today of an experiment; any other text stays as it is."""
        if self._known(run)[1]:
            return run
        former = self._former(run)
        return former[0] if former else run

    def finished(self, kind: str) -> list[Answer]:
        """All experiments of a kind with their finished runs, shipped ones first."""
        return list(self.derive(f"finished {kind}", lambda: self._finished(kind)))

    def _finished(self, kind: str) -> tuple[Answer, ...]:
        experiments = self.store.listing().experiments if self.store else {}
        shelved = {
            run: artifact.config
            for found in (self.shipped, self.imported)
            for run, artifact in found.items()
            if artifact.config.kind == kind
        }
        answers = [
            self._all_of(config, _done(experiments[run]) if run in experiments else ())
            for run, config in shelved.items()
        ]
        for run, runs in experiments.items():
            if run in shelved or runs.config.kind != kind:
                continue
            if own := _done(runs):
                config = own[0].config
                answers.append(runs.derive("finished", partial(_whole, config, own)))
        return tuple(answers)

    def alike(self, config: Any) -> list[Answer]:
        """All experiments with a config's baseline and their finished runs, shipped ones first."""
        baseline, _ = index_of(config)
        own: dict[str, list[Record]] = {}
        for record in self.store.runs(state="done", baseline=baseline) if self.store else ():
            own.setdefault(record.config.id, []).append(record)
        configs = dict(self._by_baseline().get(baseline, {}))
        configs |= {run: found[0].config for run, found in own.items() if run not in configs}
        return [self._all_of(one, own.get(run, ())) for run, one in configs.items()]

    def derive(self, name: str, make: Callable[[], V], *, finished: bool = True) -> V:
        """What follows from all experiments, made once until one of them changes.

        All sessions share it.

        Args:
            name: of what is made.
            finished: whether finished runs alone count.
        """
        version: Hashable = None
        if self.store:
            listing = self.store.listing()
            version = listing.done_version if finished else listing.version
        return self._made_once((name, finished, version), make)

    def _made_once(self, key: tuple[Hashable, ...], make: Callable[[], V]) -> V:
        """What follows from the artifacts and what the key names."""
        artifacts = (*self.shipped.values(), *self.imported.values())
        # As long as the artifacts are kept, no others have their addresses.
        key = (*key, len(self.shipped), *map(id, artifacts))
        made: V = _derived.get(key, lambda: (artifacts, make()))[1]
        return made

    def _by_baseline(self) -> Mapping[str, Mapping[str, Any]]:
        """The experiments of artifacts by that of their baseline: id to config."""

        def make() -> dict[str, dict[str, Any]]:
            sorted_in: dict[str, dict[str, Any]] = {}
            for found in (self.shipped, self.imported):
                for run, artifact in found.items():
                    sorted_in.setdefault(index_of(artifact.config)[0], {})[run] = artifact.config
            return sorted_in

        return self._made_once(("by baseline",), make)

    def main(self, answer: Answer) -> "pd.DataFrame":
        """The rows so far of an answer's main table: a training's trajectory, or a front."""
        return self.table(answer, answer.kind.main)

    def table(self, answer: Answer, name: str) -> "pd.DataFrame":
        """The rows so far of a table of an answer's kind."""
        place = None if self.store is None else self.store.path
        key = (place, name, answer.config.id, answer.config.seeds)
        return _tables.get(key, lambda: self._table(answer, name), answer.version).copy()

    def _table(self, answer: Answer, name: str) -> "pd.DataFrame":
        import pandas as pd

        parts = []
        for artifact in answer.artifacts:
            own = [seed for seed in answer.config.seeds if answer.source(seed) is artifact]
            rows = artifact.table(name)
            every = set(own) == set(artifact.config.seeds)
            parts.append(rows if every else rows[rows["seed"].isin(own)])
        if self.store is not None:
            parts += [_own(self.store, record, name) for record in answer.records]
        filled = [rows for rows in parts if len(rows)]
        form = answer.kind.tables[name]
        if len(filled) <= 1:
            return filled[0].reset_index(drop=True) if filled else form.frame([])
        return form.tidied(pd.concat(filled, ignore_index=True))

    def notes(self, answer: Answer) -> list[str]:
        """Why quantities of its runs are missing, or measured another way."""
        found = {note for artifact in answer.artifacts for note in artifact.notes}
        if self.store and answer.records:
            own = checks.with_seeds(answer.config, [r.seed for r in answer.records])
            found |= {*self.store.notes(own)}
        return sorted(found)

    def content(self, answer: Answer) -> Content:
        """Its finished runs as the content of an artifact. Raises InputError without any."""
        if not answer.done:
            raise InputError(
                f"run {answer.config.id} is {answer.state}; only finished runs can be exported"
            )
        done = self.find(checks.with_seeds(answer.config, answer.done))
        former = {
            run: seeds for artifact in done.artifacts for run, seeds in artifact.former.items()
        }
        # A worker that lost its data at the end could not say where they come from.
        unsaid = [_made(record) for record in done.records if not record.info]
        return Content(
            done.config,
            {name: self.table(done, name) for name in done.kind.tables},
            grouped([_UNKNOWN | dict(group) for group in (*done.made, *unsaid)]),
            self.notes(done),
            former,
        )

    def estimate_seconds(self, *configs: Any, elsewhere: bool = False) -> float | None:
        """How long the runs of some configs may take here, side by side.

        From the last finished run of the same pace; None where one of them has none here.

        Args:
            elsewhere: whether, where there is none, those that ship tell.
        """
        total, runs = 0.0, 0
        for config in configs:
            each = self._seconds(config, elsewhere)
            if each is None:
                return None
            total += each * len(config.seeds)
            runs += len(config.seeds)
        return total / max(min(cores(), runs), 1)

    def _seconds(self, config: Any, elsewhere: bool) -> float | None:
        """What a process takes for one run of a config."""
        kind = kinds.of(config)
        pace = kind.pace(config)
        last = self.store.last_finished(kind.name, pace) if self.store else None
        if last is not None:
            return last.seconds * kind.cost(config) / max(kind.cost(last.config), 1e-9)
        each = self.derive("paces", self._paces).get((kind.name, pace)) if elsewhere else None
        return None if each is None else each * kind.cost(config)

    def _paces(self) -> dict[tuple[str, str], float]:
        """Seconds for a unit of cost, by kind and pace, of the runs that ship."""
        found: dict[tuple[str, str], list[float]] = {}
        for artifact in self.shipped.values():
            kind, config = artifact.kind, artifact.config
            seconds = sum(group.get("duration_seconds", 0.0) for group in artifact.made)
            cost = kind.cost(config) * len(config.seeds)
            if seconds > 0 and cost > 0:
                found.setdefault((kind.name, kind.pace(config)), []).append(seconds / cost)
        return {key: median(each) for key, each in found.items()}

    def _known(self, run: str) -> tuple[list[Record], list[Any]]:
        """Of an experiment's id: its runs in the store, and configs with all seeds it has."""
        own = self.store.runs(run) if self.store else []
        configs = [artifact.config for artifact in self._artifacts(run)]
        return own, [*configs, *(record.config for record in own)]

    def _all_of(self, config: Any, own: Sequence[Record]) -> Answer:
        """All seeds of an experiment that are here."""
        known = {seed for a in self._artifacts(config.id) for seed in a.config.seeds}
        known |= {record.seed for record in own}
        return self._answer(checks.with_seeds(config, _few(known)), own)

    def _artifacts(self, run: str) -> list[Artifact]:
        found = (self.shipped.get(run), self.imported.get(run))
        return [artifact for artifact in found if artifact is not None]

    def _answer(self, config: Any, own: Iterable[Record]) -> Answer:
        run = config.id
        return Answer(
            config,
            self.shipped.get(run),
            self.imported.get(run),
            {record.seed: record for record in own},
        )

    def _former(self, run: str) -> tuple[str, tuple[int, ...]] | None:
        for found in (self.shipped, self.imported):
            for artifact in found.values():
                if run in artifact.former:
                    return artifact.config.id, artifact.former[run]
        return self.store.former(run) if self.store else None


def _done(runs: Runs) -> list[Record]:
    return [record for record in runs.records.values() if record.state == "done"]


def _whole(config: Any, own: Sequence[Record]) -> Answer:
    """All finished seeds of an experiment that is in the store alone."""
    asked = checks.with_seeds(config, _few(record.seed for record in own))
    return Answer(asked, own={record.seed: record for record in own})


_UNKNOWN: dict[str, Any] = {
    "seeds": [],
    "created": "1970-01-01T00:00:00Z",
    "device": "unknown",
    "versions": dict.fromkeys(("python", "torch", "numpy"), "unknown"),
    "data_fingerprint": "unknown",
    "factors": {},
    "duration_seconds": 0.0,
}
"""What a manifest says of runs whose provenance was not recorded, in a manifest's order."""


def other_data(answer: Answer) -> str | None:
    """A line to show when runs were made on other data than this machine has."""
    marks = {str(group.get("data_fingerprint", "unknown")) for group in answer.made} - {"unknown"}
    if not marks:
        return None
    if "imported" in answer.origins and answer.kind.own_file(answer.config):
        return None  # somebody else's file; another one may have its path here
    try:
        here = answer.kind.fingerprint(answer.config)
    except DataMissing:
        return None
    except InputError as error:
        return f"made on a file that cannot be read now ({error})"
    others = sorted(marks - {here})
    if not others:
        return None
    return f"made on other data (fingerprint {', '.join(others)}) than this machine has ({here})"


def _few(seeds: Iterable[int]) -> Sequence[int]:
    """As many as one config can ask for; a store may have more."""
    return sorted(seeds)[: checks.MOST_SEEDS]


_derived: Kept[tuple[object, Any]] = Kept(most=24)


def _bytes(frame: "pd.DataFrame") -> int:
    # About: to ask each column takes as long as to make the frame.
    return 8 * frame.size


# A run that is carried out has another table every second, which takes the place of the one before.
_tables: "Kept[pd.DataFrame]" = Kept(most=256, most_bytes=48 * 2**20, size=_bytes)
_parts: "Kept[pd.DataFrame]" = Kept(most=1_024, most_bytes=48 * 2**20, size=_bytes)


def _own(store: Store, record: Record, name: str) -> "pd.DataFrame":
    """A table of a run of the store; what has not changed is read once."""
    key = (store.path, name, record.key)
    return _parts.get(key, lambda: store.table(record.config, name), record.changed)
