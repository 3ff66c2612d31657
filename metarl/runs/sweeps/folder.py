"""The folder of a sweep: a run folder a member, and ``sweep.json``, the table of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from metarl.files import one_error, replacing
from metarl.runs.config import CODEC, RunConfig, read_config
from metarl.runs.errors import InputError, written
from metarl.runs.evaluate import write_json
from metarl.runs.sweeps.grid import Member
from metarl.runs.sweeps.rows import DONE, TABLE_OF_ROWS, Row, row_of
from metarl.training.runtime import has_writer

TABLE = "sweep.json"


class Sweep:
    """Runs in one folder, and what is known of them.

    Args:
        folder: of the sweep; need not be there.
        members: to have in it, beside those that it has.

    Raises:
        InputError: the folder is damaged, or has a run of such a name that is another.
    """

    def __init__(self, folder: Path, members: Sequence[Member] = ()) -> None:
        self.folder = folder
        known = _known(folder / TABLE)
        self.rows = {row.run: row for row in known}
        self.members = {
            name: Member(folder / name, row.options, read_config(folder / name))
            for name, row in self.rows.items()
        }
        for member in members:
            _check_same(member)
            self.members[member.name] = member
            new = Row(
                run=member.name,
                options=dict(member.options),
                iterations=member.config.schedule.iterations,
            )
            self.rows.setdefault(member.name, new)
        held = folder.is_dir() and has_writer(folder)
        self.running = {row.run for row in known if held and row.state == "running"}
        for name, row in self.rows.items():
            self.rows[name] = row_of(self.folder / name, row, running=name in self.running)

    def make(self) -> None:
        """Make the folders of all runs, each with its config."""
        with written(self.folder, "output"):
            for member in self.members.values():
                member.folder.mkdir(parents=True, exist_ok=True)
                path = member.folder / "config.json"
                if not path.exists():
                    with replacing(path) as file:
                        file.write(CODEC.dump_json(member.config, indent=2))
        self.write()

    def write(self) -> None:
        """Write ``sweep.json``."""
        table = TABLE_OF_ROWS.dump_python({"runs": list(self.rows.values())})
        write_json(self.folder / TABLE, table)

    def began(self, name: str, job: str) -> None:
        """Take note that a run has begun, as that job if there is a number."""
        self.running.add(name)
        self._note(name, "", job)

    def ended(self, name: str, error: str | None = None) -> Row:
        """Take note that a run is not active, and what went wrong; what is known now.

        Args:
            name: of the run.
            error: empty if nothing did; by default what was known before.
        """
        self.running.discard(name)
        return self._note(name, self.rows[name].error if error is None else error, "")

    def _note(self, name: str, error: str, job: str) -> Row:
        old = replace(self.rows[name], error=error, job=job)
        self.rows[name] = row_of(self.folder / name, old, running=name in self.running)
        self.write()
        return self.rows[name]

    @property
    def missing(self) -> list[Member]:
        """The runs that are not done."""
        return [m for name, m in self.members.items() if self.rows[name].state not in DONE]


def is_trained(member: Member) -> bool:
    """Whether another process trains a run right now."""
    return has_writer(member.folder)


def _known(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    with one_error(InputError, f"{path} is damaged"):
        return TABLE_OF_ROWS.validate_json(path.read_bytes())["runs"]


def _check_same(member: Member) -> None:
    """Raise an :class:`InputError` if a folder of that name holds another run."""
    if not (member.folder / "config.json").exists():
        return
    if _deciding(read_config(member.folder)) != _deciding(member.config):
        raise InputError(f"{member.folder} is of another config; give another folder", "output")


def _deciding(config: RunConfig) -> RunConfig:
    """What decides the results of a run that trains to its end."""
    schedule = replace(config.schedule, time_limit=None)
    return replace(config, schedule=schedule, problem=replace(config.problem, trained_on=None))
