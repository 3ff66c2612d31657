"""Configs of the heads, by the names of ``--head``."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError
from pydantic.dataclasses import dataclass

from metarl.configs import STRICT, Count, Natural, NonNegative, Positive, UnitInterval, complaint

HeadName = Literal["prototypes", "simpleshot", "ridge", "bd-cspn", "laplacianshot", "tim", "pt-map"]
TRANSDUCTIVE = ("bd-cspn", "laplacianshot", "tim", "pt-map")
"""Heads that use the queries jointly."""
Steps = Annotated[Natural, Field(le=100_000)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class HeadConfig:
    """What every head has to say of itself."""

    centred: ClassVar[bool] = False
    """Whether it wants the mean feature of the train classes."""
    head: str

    @property
    def transductive(self) -> bool:
        """Whether the class of a query depends on the other queries, by the head itself."""
        return self.head in TRANSDUCTIVE

    @property
    def title(self) -> str:
        """Its name; of a transductive one with that word."""
        return f"{self.head} (transductive)" if self.transductive else self.head

    @property
    def options(self) -> dict[str, Any]:
        """All of it but the name."""
        return {name: value for name, value in asdict(self).items() if name != "head"}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PrototypesConfig(HeadConfig):
    """Nearest class mean, squared distance (Snell et al. 2017): the rule of ``protonet``."""

    head: Literal["prototypes"] = "prototypes"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SimpleShotConfig(HeadConfig):
    """SimpleShot, CL2N (Wang et al. 2019): features less those classes' mean, unit length."""

    centred: ClassVar[bool] = True
    head: Literal["simpleshot"] = "simpleshot"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RidgeConfig(HeadConfig):
    """Ridge regression to one-hot labels, in closed form: the rule of ``r2d2``.

    Features have unit length here, which makes λ mean the same on every backbone.
    """

    head: Literal["ridge"] = "ridge"
    regularisation: Positive = 1.0
    """λ, for the sum over the support set."""
    scale: Positive = 10.0
    """Of the outputs, to class scores: probabilities depend on it, classes do not."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BDCSPNConfig(HeadConfig):
    """BD-CSPN (Liu et al. 2020): queries shifted onto the support set, which they then enlarge.

    Features have unit length.
    """

    head: Literal["bd-cspn"] = "bd-cspn"
    scale: Positive = 10.0
    """ε, of cosines, in the weights of examples and in class scores."""
    num_confident: Count = 8
    """Z, queries a class at most that join the support set, those most certain of that class."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LaplacianShotConfig(HeadConfig):
    """LaplacianShot (Ziko et al. 2020): near queries get like classes.

    Features as of ``simpleshot``. The authors' rectified prototypes are left out; they choose λ on
    validation classes, of 0.1 to 1.5.
    """

    centred: ClassVar[bool] = True
    head: Literal["laplacianshot"] = "laplacianshot"
    weight: NonNegative = 0.7
    """λ of the Laplacian term; with 0 it is ``simpleshot``."""
    num_neighbours: Count = 2
    """Nearest queries that pull at a query; the authors' 3 counts the query itself."""
    num_steps: Steps = 20
    """Updates of the assignments."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TIMConfig(HeadConfig):
    """TIM-GD (Boudiaf et al. 2020): class vectors that inform most about the queries' classes.

    From class means, Adam minimises 0.1 cross entropy of the support set - H(classes of the
    queries) + 0.1 H(class of a query). Features have unit length.
    """

    head: Literal["tim"] = "tim"
    temperature: Positive = 15.0
    """τ of class scores, -τ/2 ||w - f||²."""
    lr: NonNegative = 1e-4
    """Step size of Adam."""
    num_steps: Steps = 1000
    """Steps of Adam; the authors' evaluations have 1000."""
    support_weight: NonNegative = 0.1
    """Of the support set's cross entropy."""
    marginal_weight: NonNegative = 1.0
    """Of the entropy of the mean class distribution, which takes queries to be balanced."""
    conditional_weight: NonNegative = 0.1
    """Of the mean entropy of a query's class distribution."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PTMAPConfig(HeadConfig):
    """PT-MAP (Hu et al. 2021): power transform, then classes of equal size by optimal transport.

    It assumes BALANCED queries, as many of every class: test episodes are, yours may not be.
    """

    head: Literal["pt-map"] = "pt-map"
    power: Annotated[float, Field(gt=0, le=1)] = 0.5
    """β: features (after a ReLU, else with their sign kept) to f^β."""
    regularisation: Positive = 10.0
    """λ, of squared distances in [0, 4]: before they are balanced, shares go by exp(-λ d²)."""
    step_size: UnitInterval = 0.2
    """α: share of the way of class means to their new estimates."""
    num_steps: Steps = 20
    """Such steps."""


HEADS: dict[HeadName, type[HeadConfig]] = {
    "prototypes": PrototypesConfig,
    "simpleshot": SimpleShotConfig,
    "ridge": RidgeConfig,
    "bd-cspn": BDCSPNConfig,
    "laplacianshot": LaplacianShotConfig,
    "tim": TIMConfig,
    "pt-map": PTMAPConfig,
}
"""Configs by the names of their heads."""


def head_of(name: HeadName, options: Mapping[str, Any]) -> HeadConfig:
    """The head of a name, with some of its options.

    Raises:
        ValueError: it has no such option, or not that value.

    >>> head_of("tim", {"num_steps": 100}).title
    'tim (transductive)'
    """
    try:
        return HEADS[name](**options)
    except ValidationError as error:
        raise ValueError(f"{name}: {complaint(error)}") from error
