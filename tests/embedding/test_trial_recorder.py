"""Which trials a recorder keeps."""

import numpy as np

from metarl.embedding import Transitions, TrialRecorder


def test_of_trials_that_end_early_the_first_of_every_environment_is_taken() -> None:
    """Else most would be of tasks that are soon solved: here the first ends at every step."""
    recorder = TrialRecorder(3, 1, horizon=4, task_vectors=lambda: np.zeros((3, 1), np.float32))
    step = Transitions(
        *(np.zeros((3, 2), np.float32),) * 2,
        np.ones(3, np.float32),
        np.zeros((3, 2), np.float32),
        *(np.array([True, False, False]),) * 2,
    )
    recorder.begin()
    for _ in range(3):
        recorder(step, step.ended)
    recorder(step, np.ones(3, bool))
    np.testing.assert_array_equal(recorder.take().returns[:, 0], [1.0, 4.0, 4.0])
