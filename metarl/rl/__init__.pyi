from .acting import Acted
from .actor import Actor, load_policy
from .agent import Agent
from .configs import (
    PRESETS,
    ComposedConfig,
    ControlConfig,
    MAMLConfig,
    MAMLPPOConfig,
    MAMLTRPOConfig,
    MAMLVPGConfig,
    RandomInitConfig,
    ReptileConfig,
)
from .device_envs import DeviceEnv, DeviceEnvs
from .device_sampler import DeviceSampler
from .experience import Experience
from .gradient_agent import GradientAgent
from .learner import MAMLLearner
from .meta_problem import (
    MetaGradient,
    MetaProblem,
    Objective,
    OuterStep,
)
from .minari_data import read_minari, write_minari
from .named import make_maml, maml_parts
from .objectives import (
    ClippedSurrogate,
    ReptileDirection,
    Surrogate,
)
from .outer_steps import Adam, ClippedEpochs, NoStep
from .policy_spec import PolicySpec
from .recorded import RecordedTrajectories
from .recorder import TrajectoryRecorder
from .rollout import AdvantageBatch, Rollout
from .sampler import Sampler
from .simulation import SimulatedTasks
from .task_envs import DeferredEnvs, TaskEnvs
from .task_sampler import TaskSampler
from .trajectories import Trajectories
from .trust_region import TrustRegion
from .unknown_task import Source, UnknownEnvs, UnknownTask

__all__ = [
    "PRESETS",
    "Acted",
    "Actor",
    "Adam",
    "AdvantageBatch",
    "Agent",
    "ClippedEpochs",
    "ClippedSurrogate",
    "ComposedConfig",
    "ControlConfig",
    "DeferredEnvs",
    "DeviceEnv",
    "DeviceEnvs",
    "DeviceSampler",
    "Experience",
    "GradientAgent",
    "MAMLConfig",
    "MAMLLearner",
    "MAMLPPOConfig",
    "MAMLTRPOConfig",
    "MAMLVPGConfig",
    "MetaGradient",
    "MetaProblem",
    "NoStep",
    "Objective",
    "OuterStep",
    "PolicySpec",
    "RandomInitConfig",
    "RecordedTrajectories",
    "ReptileConfig",
    "ReptileDirection",
    "Rollout",
    "Sampler",
    "SimulatedTasks",
    "Source",
    "Surrogate",
    "TaskEnvs",
    "TaskSampler",
    "Trajectories",
    "TrajectoryRecorder",
    "TrustRegion",
    "UnknownEnvs",
    "UnknownTask",
    "load_policy",
    "make_maml",
    "maml_parts",
    "read_minari",
    "write_minari",
]
