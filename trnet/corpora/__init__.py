"""Corpora of speech and noise: one file each, in plain dicts from the name on the command line to the function."""

from trnet.corpora.esc50 import ESC50, esc50_files, prepare_esc50
from trnet.corpora.iemocap import IEMOCAP, iemocap_files, prepare_iemocap
from trnet.corpora.musan import MUSAN, musan_files, prepare_musan
from trnet.corpora.nemo import NEMO, nemo_files, prepare_nemo
from trnet.corpora.noise_folder import NOISE_FOLDER, noise_folder_files, prepare_noise_folder

# name -> how the corpus is recognised on disk, and where to get it
SOURCES = {"iemocap": IEMOCAP, "nemo": NEMO, "esc": ESC50, "musan": MUSAN, "nonspeech": NOISE_FOLDER}

# name -> prepare(root, out, label_map, contract, nj): writes the data directory
SPEECH = {"iemocap": prepare_iemocap, "nemo": prepare_nemo}

# name -> prepare(root, out, contract, nj)
NOISE = {"esc": prepare_esc50, "musan": prepare_musan, "nonspeech": prepare_noise_folder}

# name -> files(root): every file that the preparation reads
FILES = {
    "iemocap": iemocap_files,
    "nemo": nemo_files,
    "esc": esc50_files,
    "musan": musan_files,
    "nonspeech": noise_folder_files,
}
