"""R2-D2 (Bertinetto et al. 2019): features are trained through ridge regression on them."""

import torch
from torch import Tensor
from torch.nn import functional

from metarl.fewshot.episodic_learner import Fitted
from metarl.fewshot.headed_network import RidgeNetwork
from metarl.fewshot.heads.ridge import ridge_weights, with_ones
from metarl.fewshot.metric import MetricLearner


class R2D2Classifier(MetricLearner):
    """Classifies by ridge regression to one-hot labels, in closed form."""

    network: RidgeNetwork

    @property
    def repeats(self) -> bool:
        """No: a graph holds no solver."""
        return False

    def summarise(self, embeddings: Tensor, labels: Tensor, num_ways: int) -> Fitted:
        """Weights of class scores ``[M, D + 1, N]``, the last row the bias."""
        targets = functional.one_hot(labels, num_ways).to(embeddings)
        regularisation = torch.exp(self.network.log_regularisation)
        weights = ridge_weights(embeddings, targets, regularisation)
        return {"weights": torch.exp(self.network.log_scale) * weights}

    def compare(self, fitted: Fitted, embeddings: Tensor) -> Tensor:
        """Outputs of the regression, scaled."""
        return with_ones(embeddings) @ fitted["weights"]
