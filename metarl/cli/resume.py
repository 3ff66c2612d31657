"""``metarl resume``."""

from pydantic.dataclasses import dataclass

from metarl import runs
from metarl.cli.options import OpenRun
from metarl.cli.progress import quiet, say
from metarl.cli.train import run_session
from metarl.configs import STRICT, Count, Positive


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Resume(OpenRun):
    """Go on from the newest good checkpoint of a run, bit for bit on the CPU."""

    iterations: Count | None = None
    """Train to this many iterations in this session, instead of the run's own number."""
    time_limit: Positive | None = None
    """Seconds of training in this session."""
    patience: Count | None = None
    """Evaluations in a row without a better one after which it stops, instead of the run's own."""
    quiet: bool = False
    """Print the run folder alone, once."""


def resume(options: Resume) -> int:
    """Run ``metarl resume``."""
    tell = quiet if options.quiet else say
    session = runs.go_on(
        options.run,
        options.objects,
        iterations=options.iterations,
        time_limit=options.time_limit,
        patience=options.patience,
        device=options.device,
        say=tell,
    )
    if session.trainer.iteration >= session.trainer.schedule.iterations:
        tell(
            f"all of its {session.trainer.iteration} iterations are done; --iterations N does more"
        )
    return run_session(session, show=not options.quiet)
