"""A search over versions: the first at which something is slower, or computes something else, by halving.

Pure: which version is next follows from what was found of others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from bench.contract.errors import UsageError
from bench.contract.outcomes import BAD, GOOD
from bench.plan.options import RunOptions
from bench.plan.variants import NAME, VERSION


@dataclass(frozen=True, kw_only=True)
class BisectOptions(RunOptions):
    """What `bisect` was asked for: between which versions of a package the first lies that is slower than the good one.

    `fail_slower` (a fraction) is by how much it has to be slower; `launches` is the most that a step may take of each
    case until that is sure.
    """

    package: str = "keras"
    good: str = ""
    bad: str = ""
    profile: str = "quick"
    workloads: tuple[str, ...] | None = ("mlp",)  # type: ignore[assignment]
    until: str | None = "decided"
    fail_slower: float | None = 0.05

    def __post_init__(
        self, dataset: str | None, loss: str | None, unsafe: bool, script: str | None, fit: int | None
    ) -> None:
        """As that of a run which compares both versions; UsageError where they cannot be."""
        if not NAME.fullmatch(str(self.package)):
            raise UsageError(f"--package {self.package!r}: expected a package's name, such as keras or keras-nightly")
        for option, version in (("--good", self.good), ("--bad", self.bad)):
            if not VERSION.fullmatch(str(version)):
                raise UsageError(f"{option} {version!r}: expected a version of {self.package}, such as 3.15.1")
        self._settle(vary=self.varied(self.bad))
        super().__post_init__(dataset, loss, unsafe, script, fit)

    def varied(self, version: str) -> str:
        """What is varied to hold a version against the good one."""
        return f"{self.package}={self.good},{version}"

    def step(self, version: str) -> RunOptions:
        """The options of the run that holds a version against the good one."""
        given = {field.name: getattr(self, field.name) for field in fields(RunOptions)}
        return RunOptions(**{**given, "vary": self.varied(version)})

    def name(self) -> str:
        """What the search is called: the same for the same question."""
        asked = {name: value for name, value in vars(self).items() if name not in ("output", "resume", "adopted")}
        digest = hashlib.sha256(repr(sorted(asked.items(), key=lambda item: item[0])).encode()).hexdigest()
        return f"{self.package}-{self.good}-{self.bad}-{digest[:8]}"


def versions_between(options: BisectOptions, published: Sequence[str]) -> list[str]:
    """The versions from the good one to the bad one, of those that are published, oldest first.

    UsageError where one of the two is not among them, or the bad one is not the newer.
    """
    for option, version in (("--good", options.good), ("--bad", options.bad)):
        if version not in published:
            newest = f"its newest are {', '.join(published[-3:])}" if published else "it has none here"
            raise UsageError(f"{option} {version}: {options.package} has no such version; {newest}")
    first, last = published.index(options.good), published.index(options.bad)
    if first >= last:
        raise UsageError(f"--bad {options.bad}: is not newer than --good {options.good}; give them the other way round")
    return list(published[first : last + 1])


def next_version(versions: Sequence[str], found: Mapping[str, str]) -> str | None:
    """The version to look at next; None where the search has ended.

    `versions` go from the good one to the bad one, and `found` has GOOD, BAD or something else for those looked at. The
    bad one is looked at first: without a difference there is nothing to search for. Then it is always the one in the
    middle of those that may be the first bad one, or its nearest neighbour where that one could not be decided.
    """
    if versions[-1] not in found:
        return versions[-1]
    if found[versions[-1]] != BAD:
        return None
    between = [version for version in suspects(versions, found)[:-1] if version not in found]
    middle = (len(between) - 1) // 2
    return between[middle] if between else None


def suspects(versions: Sequence[str], found: Mapping[str, str]) -> list[str]:
    """The versions of which each may be the first bad one: those after the last good one, up to the first bad one."""
    bad = next(number for number, version in enumerate(versions) if found.get(version) == BAD)
    good = max(number for number in range(bad) if number == 0 or found.get(versions[number]) == GOOD)
    return list(versions[good + 1 : bad + 1])
