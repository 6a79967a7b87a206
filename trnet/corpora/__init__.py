"""Corpora of speech and noise: one file each, in plain dicts from the name on the command line to the function."""

from trnet.corpora.crema_d import CREMA_D
from trnet.corpora.demand import DEMAND, demand_files, prepare_demand
from trnet.corpora.emodb import EMODB
from trnet.corpora.emovo import EMOVO
from trnet.corpora.esc50 import ESC50, esc50_files, prepare_esc50
from trnet.corpora.esd import ESD
from trnet.corpora.iemocap import IEMOCAP, iemocap_files, prepare_iemocap
from trnet.corpora.labelled import LabelledCorpus
from trnet.corpora.meld import MELD
from trnet.corpora.msp_podcast import MSP_PODCAST
from trnet.corpora.musan import MUSAN, musan_files, prepare_musan
from trnet.corpora.nemo import NEMO, nemo_files, prepare_nemo
from trnet.corpora.noise_folder import NOISE_FOLDER, noise_folder_files, prepare_noise_folder
from trnet.corpora.ravdess import RAVDESS
from trnet.corpora.savee import SAVEE
from trnet.corpora.shemo import SHEMO
from trnet.corpora.tess import TESS
from trnet.corpora.urdu import URDU

# name -> a corpus of speech that is labelled recording by recording
LABELLED: dict[str, LabelledCorpus] = {
    "crema_d": CREMA_D,
    "emodb": EMODB,
    "emovo": EMOVO,
    "esd": ESD,
    "meld": MELD,
    "msp_podcast": MSP_PODCAST,
    "ravdess": RAVDESS,
    "savee": SAVEE,
    "shemo": SHEMO,
    "tess": TESS,
    "urdu": URDU,
}

# name -> how the corpus is recognised on disk, and where to get it
SOURCES = {
    **{"iemocap": IEMOCAP, "nemo": NEMO},
    **{"esc": ESC50, "musan": MUSAN, "demand": DEMAND, "nonspeech": NOISE_FOLDER},
    **{name: corpus.source for name, corpus in LABELLED.items()},
}

# name -> prepare(root, out, label_map, contract, nj, channel): writes the data directory
SPEECH = {
    **{"iemocap": prepare_iemocap, "nemo": prepare_nemo},
    **{name: corpus.prepare for name, corpus in LABELLED.items()},
}

# name -> prepare(root, out, contract, nj, channel)
NOISE = {
    "esc": prepare_esc50,
    "musan": prepare_musan,
    "demand": prepare_demand,
    "nonspeech": prepare_noise_folder,
}

# name -> files(root): every file that the preparation reads
FILES = {
    **{"iemocap": iemocap_files, "nemo": nemo_files},
    **{name: corpus.all_files for name, corpus in LABELLED.items()},
    **{"esc": esc50_files, "musan": musan_files, "demand": demand_files, "nonspeech": noise_folder_files},
}
