from .agent import OnlineAgent
from .cells import GRU, LSTM, Dense, Feedforward, Normaliser, Recurrent, State, dense_of
from .configs import EncoderConfig
from .contexts import (
    Context,
    LastTransition,
    NoContext,
    PrototypeContext,
    SupportSample,
    Transitions,
)
from .encoders import RecurrentEncoder, TaskEncoder, TransitionEncoder
from .heads import ChoicesHead, GaussianHead, SwitchesHead
from .loss import embedding_logits, embedding_loss
from .memories import HeldContext, LastStep, Prototype
from .online_actor import online_actor
from .online_policy import Memory, OnlinePolicy
from .prototypes import (
    OnlinePrototypes,
    Trajectories,
    nearest_accuracy,
    whole_prototypes,
)
from .training import EncoderTrainer
from .trial_data import HardNegatives, TrialData, first_prototypes
from .trials import ReturnSpan, TrialRecorder, Trials

__all__ = [
    "GRU",
    "LSTM",
    "ChoicesHead",
    "Context",
    "Dense",
    "EncoderConfig",
    "EncoderTrainer",
    "Feedforward",
    "GaussianHead",
    "HardNegatives",
    "HeldContext",
    "LastStep",
    "LastTransition",
    "Memory",
    "NoContext",
    "Normaliser",
    "OnlineAgent",
    "OnlinePolicy",
    "OnlinePrototypes",
    "Prototype",
    "PrototypeContext",
    "Recurrent",
    "RecurrentEncoder",
    "ReturnSpan",
    "State",
    "SupportSample",
    "SwitchesHead",
    "TaskEncoder",
    "Trajectories",
    "TransitionEncoder",
    "Transitions",
    "TrialData",
    "TrialRecorder",
    "Trials",
    "dense_of",
    "embedding_logits",
    "embedding_loss",
    "first_prototypes",
    "nearest_accuracy",
    "online_actor",
    "whole_prototypes",
]
