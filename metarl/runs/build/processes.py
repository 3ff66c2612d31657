"""What the processes of a run share out, and which learners cannot."""

from metarl.core.collectives import ranks
from metarl.runs.errors import InputError


def own_tasks(num_tasks: int) -> range:
    """Which tasks of a meta-batch are this process's.

    Raises:
        InputError: there are fewer tasks than processes.
    """
    if num_tasks < (size := ranks().size):
        wrong = f"must be at least {size}, the processes that share the tasks, got {num_tasks}"
        raise InputError(wrong, "meta_batch_size")
    return ranks().part(num_tasks)


def check_alone(learner: str, why: str) -> None:
    """Raise an :class:`InputError` where a learner of one process is started in several.

    Args:
        learner: its name.
        why: it is in one alone.
    """
    if (size := ranks().size) > 1:
        raise InputError(
            f"{learner} trains in one process, not in {size}: {why}; start it without torchrun, "
            "and several runs, of other seeds say, by metarl sweep"
        )
