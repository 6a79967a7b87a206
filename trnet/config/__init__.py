"""The experiment's settings: what a YAML file may say, and what it then means."""

from trnet.config.experiment import Config, Folds, ModelConfig, Simulation, load_config, with_settings
from trnet.config.features import FEATURES, Fbank, Features
from trnet.config.files import merge, read_settings
from trnet.config.model import ENCODERS, POOLINGS, Classifier, Encoder, Gate, Pooling
from trnet.config.parts import Part, load_class, source_digest
from trnet.config.section import Section, build, check_value, later, problem, within
from trnet.config.system import CTC, LOSSES, Loss, System
from trnet.config.training import MOST_EPOCHS, Optimizer, Schedule, Training

__all__ = [
    "CTC",
    "ENCODERS",
    "FEATURES",
    "LOSSES",
    "MOST_EPOCHS",
    "POOLINGS",
    "Classifier",
    "Config",
    "Encoder",
    "Fbank",
    "Features",
    "Folds",
    "Gate",
    "Loss",
    "ModelConfig",
    "Optimizer",
    "Part",
    "Pooling",
    "Schedule",
    "Section",
    "Simulation",
    "System",
    "Training",
    "build",
    "check_value",
    "later",
    "load_class",
    "load_config",
    "merge",
    "problem",
    "read_settings",
    "source_digest",
    "with_settings",
    "within",
]
