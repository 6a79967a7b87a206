"""The experiment's settings: what a YAML file may say, and what it then means."""

from trnet.config.experiment import Config, Folds, ModelConfig, Simulation, load_config, with_settings
from trnet.config.features import FEATURES, Fbank, Features, Upstream
from trnet.config.files import merge, read_settings
from trnet.config.model import ENCODERS, POOLINGS, ClassifierConf, EncoderConf, GateConf, PoolingConf
from trnet.config.parts import Part, load_class, own_code, source_digest
from trnet.config.section import Section, build, check_value, later, problem, within
from trnet.config.system import CTC, LOSSES, LossConf, System
from trnet.config.training import MOST_EPOCHS, Optimizer, Schedule, Training

__all__ = [
    "CTC",
    "ENCODERS",
    "FEATURES",
    "LOSSES",
    "MOST_EPOCHS",
    "POOLINGS",
    "ClassifierConf",
    "Config",
    "EncoderConf",
    "Fbank",
    "Features",
    "Folds",
    "GateConf",
    "LossConf",
    "ModelConfig",
    "Optimizer",
    "Part",
    "PoolingConf",
    "Schedule",
    "Section",
    "Simulation",
    "System",
    "Training",
    "Upstream",
    "build",
    "check_value",
    "later",
    "load_class",
    "load_config",
    "merge",
    "own_code",
    "problem",
    "read_settings",
    "source_digest",
    "with_settings",
    "within",
]
