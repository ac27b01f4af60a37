"""Some of the images of a run: one of several processes, on whatever machines, does each."""

import glob
import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from evodenoise.errors import ConfigError
from evodenoise.jobs.plan import Plan


@dataclass(frozen=True)
class Shard:
    """One of the parts that a run is cut into; together they are the whole, and no two overlap.

    Attributes
    ----------
    number : int
        Which, from 0.
    count : int
        How many there are.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read a shard as it is typed, for example ``3/16``.

        Raises
        ------
        ConfigError
            If there is no such shard.
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if not found:
            raise ConfigError(f"--shard {text!r} is not K/N; write for example --shard 3/16")
        number, count = map(int, found.groups())
        if number >= count:
            raise ConfigError(
                f"--shard {text}: there is no such shard; of N shards, K is 0 to N - 1"
            )
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, inside: Path) -> bool:
        """Tell whether an image is of this shard, by nothing but its path inside of the folder."""
        # Python's own hash differs from process to process.
        name = inside.as_posix().encode("utf-8", errors="surrogateescape")
        return int.from_bytes(hashlib.sha256(name).digest()) % self.count == self.number

    def pick(self, plan: Plan) -> Plan:
        """Leave the images of this shard in a plan."""
        return replace(plan, jobs=tuple(job for job in plan.jobs if self.holds(job.inside)))

    def report(self, path: Path) -> Path:
        """Name the report of this shard, which no other one writes to."""
        return path.with_stem(f"{path.stem}.{self.number}-of-{self.count}")


def list_shard_reports(path: Path) -> list[Path]:
    """Find the reports that shards have written in the place of one."""
    named = f"{glob.escape(path.stem)}.*-of-*{glob.escape(path.suffix)}"
    pattern = re.compile(rf"{re.escape(path.stem)}\.\d+-of-\d+{re.escape(path.suffix)}")
    return sorted(each for each in path.parent.glob(named) if pattern.fullmatch(each.name))
