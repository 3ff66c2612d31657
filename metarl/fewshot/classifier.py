"""Adapted classifiers in a file: everything that is needed to classify new examples."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from pydantic_core import to_json
from torch import Tensor, nn

from metarl.fewshot.configs import BackboneConfig, FewShotConfig, NormMode
from metarl.fewshot.episodes import EpisodeSamplers
from metarl.fewshot.episodic_learner import FewShotLearner, Fitted
from metarl.fewshot.from_config import Problem, make_backbone, make_learner
from metarl.fewshot.heads.configs import head_of
from metarl.fewshot.heads.learner import HeadLearner
from metarl.fewshot.presets import Algorithm
from metarl.fewshot.samplers import SinusoidSampler
from metarl.fewshot.sources import ArraySource, Scaling
from metarl.files import (
    FileError,
    check_finite,
    import_installed,
    load_weights,
    one_error,
    save_weights,
)


@dataclass(frozen=True, eq=False)
class Classifier:
    """A learner that has been fitted to one support set."""

    learner: FewShotLearner
    """With its trained network."""
    fitted: Fitted
    """The classifier of one task, ``[1, ...]`` by name."""
    class_names: Sequence[str]
    """One a class."""
    shape: tuple[int, ...]
    """Of one example."""
    backbone: BackboneConfig
    """What the learner's backbone was made from."""
    scaling: Scaling | None = None
    """Of the data that it was trained on; none of images."""

    @torch.no_grad()
    def probabilities(self, x: Tensor) -> Tensor:
        """Class probabilities ``[B, N]`` of examples.

        In transductive mode, and by a transductive head, each depends on all.

        Args:
            x: see :func:`checked_examples`.

        Raises:
            NonFiniteError: a score is not finite.
        """
        x = checked_examples(x, self.shape, self.scaling)
        self.learner.network.eval()
        with self.learner.autocast():
            scores = self.learner.scores(self.fitted, self.learner.inputs(x)[None])[0]
        check_finite(scores, "a score")
        return torch.softmax(scores.float(), -1)

    def predict(self, x: Tensor) -> list[str]:
        """Names of the most probable classes of examples; see :meth:`probabilities`."""
        return [self.class_names[index] for index in self.probabilities(x).argmax(-1).tolist()]

    def with_norm(self, norm: NormMode) -> "Classifier":
        """The same classifier with other batch statistics of the examples of one call.

        Raises:
            ValueError: its backbone does not go by what is asked.
        """
        return replace(self, learner=self.learner.with_norm(norm))

    def save(self, path: str | Path) -> None:
        """Keep it in a file that :func:`load_classifier` reads.

        Raises:
            NonFiniteError: if a weight is not finite.
        """
        content = {
            "algorithm": asdict(self.learner.config),
            "backbone": asdict(self.backbone),
            "network": self.learner.network.state_dict(),
            "fitted": {key: value.detach().cpu() for key, value in self.fitted.items()},
            "class_names": list(self.class_names),
            "shape": list(self.shape),
            "scaling": None if self.scaling is None else list(map(list, self.scaling)),
            "training_ways": _training_ways(self.learner),
            "head": _head(self.learner),
        }
        save_weights(Path(path), "classifier", content)


def checked_examples(x: Any, shape: tuple[int, ...], scaling: Scaling | None) -> Tensor:
    """Examples of a user in the units that learners take.

    Args:
        x: images ``[B, C, H, W]``, uint8 or floats in [0, 1]. Rows of a table ``[B, D]`` and series
            ``[B, channels, time]`` in the units of the file that was trained on, as they are in it:
            they are standardised here, by the mean and deviation of the train split.
        shape: of one example.
        scaling: of data that are no images.

    Raises:
        ValueError: they are something else, or there is no scaling.
    """
    given = tuple(x.shape) if isinstance(x, Tensor) else f"a {type(x).__name__}"
    if not isinstance(x, Tensor) or x.shape[1:] != shape:
        sizes = "; metarl adapt resizes files of images" if len(shape) == 3 else ""
        wanted = f"a tensor [B, {', '.join(map(str, shape))}], of the size trained on"
        raise ValueError(f"examples must be {wanted}, got {given}{sizes}")
    if len(shape) != 3:
        if scaling is None:
            raise ValueError(
                "nothing says by which mean and scale the training data were standardised, "
                "which older versions did not keep: train anew"
            )
        return scaling.standardised(x)
    if x.dtype == torch.uint8:
        return x
    numbers = x.float()
    low, high = map(float, numbers.aminmax()) if numbers.numel() else (0.0, 0.0)
    if not (x.is_floating_point() and low >= 0 and high <= 1):
        raise ValueError(
            "images are uint8 in 0..255 or floats in [0, 1], "
            f"got {str(x.dtype).removeprefix('torch.')} in [{low:.4g}, {high:.4g}]"
        )
    return numbers


def load_classifier(
    path: Path | str,
    device: str = "cpu",
    *,
    backbone: nn.Module | None = None,
    allow_code: bool = False,
) -> Classifier:
    """Read what ``metarl adapt`` saved; only tensors and plain data are unpickled.

    Args:
        path: the file.
        device: of the network.
        backbone: where it is one of your own: another of its kind, which takes the file's weights.
        allow_code: import a backbone that the file names as ``module:Class``, from the current
            folder, too; without it only what is installed.

    Raises:
        FileError: if the file is damaged, no classifier of ours, or needs another backbone.
    """
    content = load_weights(Path(path), "classifier")
    with one_error(FileError, str(path)):
        return _classifier(content, torch.device(device), backbone, allow_code)


def _classifier(
    content: dict[str, Any], device: torch.device, own: nn.Module | None, allow_code: bool
) -> Classifier:
    """What :meth:`Classifier.save` made plain."""
    shape = tuple(map(int, content["shape"]))
    algorithm: FewShotConfig = TypeAdapter(Algorithm).validate_json(to_json(content["algorithm"]))
    kind = TypeAdapter(BackboneConfig).validate_json(to_json(content["backbone"]))
    module, colon, _ = kind.backbone.partition(":")
    if colon and own is None and not allow_code:
        own_code = "is code of your own: give it as backbone, or allow_code=True"
        with one_error(ValueError, f"backbone {kind.backbone} {own_code}"):
            import_installed(module)
    problem = Problem(
        shape,
        num_outputs=content["training_ways"],
        regression=False,
        train_source=ArraySource("unused", torch.zeros(1, *shape), [1], ["unused"]),
    )
    unused = SinusoidSampler(1, 1)
    learner = make_learner(
        algorithm,
        make_backbone(kind, shape, torch.Generator(), own),
        problem,
        EpisodeSamplers(unused, unused, 1),
        iterations=1,
        seed=0,
        device=device,
    )
    learner.network.load_state_dict(content["network"])
    if (head := content.get("head")) is not None:
        learner = HeadLearner(learner, head_of(head["head"], head["options"]))
    fitted = {name: value.to(device) for name, value in content["fitted"].items()}
    kept = content.get("scaling")
    scaling = kept and Scaling(*map(tuple, kept))
    return Classifier(learner, fitted, tuple(content["class_names"]), shape, kind, scaling)


def _training_ways(learner: FewShotLearner) -> int:
    """Rows of the network's head; only a free head has more than one."""
    head = learner.network.state_dict().get("head_weight")
    return 1 if head is None else len(head)


def _head(learner: FewShotLearner) -> dict[str, Any] | None:
    """The head that is not the learner's own, as plain data."""
    if not isinstance(learner, HeadLearner):
        return None
    return {"head": learner.head.head, "options": learner.head.options}
