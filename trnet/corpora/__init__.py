"""Corpora of speech and noise: one file each, in plain dicts from the name on the command line to the corpus."""

from trnet.corpora.crema_d import CREMA_D
from trnet.corpora.demand import DEMAND
from trnet.corpora.emodb import EMODB
from trnet.corpora.emovo import EMOVO
from trnet.corpora.esc50 import ESC50
from trnet.corpora.esd import ESD
from trnet.corpora.iemocap import IEMOCAP
from trnet.corpora.meld import MELD
from trnet.corpora.msp_podcast import MSP_PODCAST
from trnet.corpora.musan import MUSAN
from trnet.corpora.nemo import NEMO
from trnet.corpora.noise import NoiseCorpus
from trnet.corpora.noise_folder import NOISE_FOLDER
from trnet.corpora.ravdess import RAVDESS
from trnet.corpora.savee import SAVEE
from trnet.corpora.shemo import SHEMO
from trnet.corpora.source import Corpus
from trnet.corpora.speech import SpeechCorpus
from trnet.corpora.tess import TESS
from trnet.corpora.urdu import URDU

SPEECH: dict[str, SpeechCorpus] = {
    "crema_d": CREMA_D,
    "emodb": EMODB,
    "emovo": EMOVO,
    "esd": ESD,
    "iemocap": IEMOCAP,
    "meld": MELD,
    "msp_podcast": MSP_PODCAST,
    "nemo": NEMO,
    "ravdess": RAVDESS,
    "savee": SAVEE,
    "shemo": SHEMO,
    "tess": TESS,
    "urdu": URDU,
}

NOISE: dict[str, NoiseCorpus] = {"esc": ESC50, "musan": MUSAN, "demand": DEMAND, "nonspeech": NOISE_FOLDER}

CORPORA: dict[str, Corpus] = {**SPEECH, **NOISE}
