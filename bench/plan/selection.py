"""What every command that measures is told: on what, with which environments, and whereto."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from bench.contract.case import CALLING, DEVICES
from bench.contract.catalog import backend_names, training_backends, workload_names
from bench.contract.errors import OwnModelError, UsageError
from bench.contract.paths import ROOT
from bench.own_models.adopt import GeneratedWorkload, ModelOptions, adopt, stem
from bench.plan import checks

REFERENCE = "jax"
SEEDS = 2**32  # NumPy takes seeds below
DECIDED: Any = None  # the default where other options decide: __post_init__ puts what they say in its place


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What to work on, with whose interpreters, and where to. Of `devices` None means that the machine decides.

    `launches` is how many processes a case gets, one seed each from `seed` on. `dataset`, `loss` and `unsafe` are said
    of the user's own models; what becomes of them is `adopted`. `packages` are installed into the backends'
    environments besides their own.
    """

    workloads: tuple[str, ...] = DECIDED
    backends: tuple[str, ...] = DECIDED
    devices: tuple[str, ...] | None = None
    reference: str = DECIDED
    python: Mapping[str, Path] = field(default_factory=dict)
    seed: int = 0
    launches: int = DECIDED
    output: Path = ROOT / "results"
    pass_env: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    gpu: int | None = None
    shared_gpu: bool = False
    adopted: tuple[GeneratedWorkload, ...] = ()
    dataset: InitVar[str | None] = None
    loss: InitVar[str | None] = None
    unsafe: InitVar[bool] = False

    LAUNCHES: ClassVar[str] = "--launches"
    LEAST_LAUNCHES: ClassVar[int] = 1

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, from the first on."""
        return tuple(range(self.seed, self.seed + self.launches))

    @property
    def told_apart(self) -> bool:
        """Whether workloads of one name are told apart by something else."""
        return False

    @property
    def training(self) -> tuple[str, ...]:
        """Those of the backends that can train."""
        return tuple(backend for backend in self.backends if backend in training_backends())

    def __post_init__(self, dataset: str | None, loss: str | None, unsafe: bool) -> None:
        """Put what is decided in the place of what was left out; UsageError where something cannot be."""
        if self.devices is not None:
            self._settle(devices=checks.several_of("--devices", self.devices, DEVICES, "device"))
        checks.check_whole("--gpu", self.gpu, 0, or_none=True)
        checks.check_flag("--shared-gpu", self.shared_gpu)
        checks.check_whole("--seed", self.seed, 0)
        checks.check_whole(self.LAUNCHES, self.launches, self.LEAST_LAUNCHES)
        self._settle(
            python=checks.interpreters(self.python),
            output=Path(self.output),
            pass_env=checks.names("--pass-env", self.pass_env),
            packages=checks.packages("--with", self.packages),
        )
        self._settle_backends()
        if self.seed + self._most_launches() > SEEDS:
            most = f"{self._most_launches()} launches"
            raise UsageError(f"--seed {self.seed}: with {most} the seeds would pass {SEEDS - 1}")
        self._settle_workloads(dataset, loss, unsafe)

    def _settle(self, **values: Any) -> None:
        """Set fields, which nobody does but __post_init__."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _settle_backends(self) -> None:
        """The backends and the one that is the reference; one that cannot train takes part in other tasks alone."""
        able, tasks = training_backends(), self._tasks()
        every = backend_names() if set(tasks) & set(CALLING) else able
        chosen = every if self.backends is None else self.backends
        backends = checks.several_of("--backends", chosen, backend_names(), "backend")
        idle = [backend for backend in backends if backend not in able]
        if idle and "train" in tasks and (len(tasks) == 1 or len(idle) == len(backends)):
            raise UsageError(
                f"--backends {idle[0]}: Keras cannot train on it; it takes part in run --tasks predict and "
                "generate alone"
            )
        usual = REFERENCE if REFERENCE in backends else next((one for one in backends if one in able), backends[0])
        reference = usual if self.reference is None else self.reference
        checks.check_one_of("--reference", reference, backend_names(), "backend")
        if reference not in backends:
            raise UsageError(f"--reference {reference}: not among the backends of this run ({', '.join(backends)})")
        if reference in idle and "train" in tasks:
            raise UsageError(f"--reference {reference}: Keras cannot train on it; name one of {', '.join(able)}")
        self._settle(backends=backends, reference=reference)

    def _settle_workloads(self, dataset: str | None, loss: str | None, unsafe: bool) -> None:
        """The workloads, with a file to be written in the place of each model of the user's own."""
        generated = {one.path for one in self.adopted}  # of options made from others, or of a run that goes on
        given = self._default_workloads() if self.workloads is None else self.workloads
        named = checks.workloads(given, generated)
        stems = [stem(name) for name in named]
        for name in stems:
            if stems.count(name) > 1 and not self.told_apart:
                words = f"two are called {name}, and a report could not tell them apart; rename one"
                raise UsageError(f"--workloads: {words}")
        asked = ModelOptions(
            None if dataset is None else checks.dataset(dataset),
            None if loss is None else checks.loss(loss),
            unsafe,
            *self._sizes(),
        )
        others = [name for name in named if name not in generated]
        try:
            adopted_as, adopted = adopt(others, asked, self.output)
        except OwnModelError as error:
            raise checks.FileOptionError(str(error)) from None
        becomes = dict(zip(others, adopted_as, strict=True))
        workloads = tuple(becomes.get(name, name) for name in named)
        self._settle(workloads=workloads, adopted=(*self.adopted, *adopted))

    def _tasks(self) -> tuple[str, ...]:
        return ("train",)

    def _most_launches(self) -> int:
        """How many launches of a case there may be in the end."""
        return self.launches

    def _default_workloads(self) -> tuple[str, ...]:
        return workload_names()

    def _sizes(self) -> tuple[tuple[int, ...] | None, int | None]:
        """The batch sizes and epochs that were asked for."""
        return None, None
