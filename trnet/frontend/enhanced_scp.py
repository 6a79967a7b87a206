"""The front-end ``enhanced_scp``: audio enhanced elsewhere, read from disk by utterance id."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trnet.audio.pipes import check_allowed, is_pipe, piped
from trnet.audio.reading import SILENCE_RMS, read_audio
from trnet.frontend.base import FrontEnd, check_option
from trnet.frontend.checkpoint import files_sha256
from trnet.kaldi.data_dir import read_table
from trnet.kaldi.paths import resolve
from trnet.utils.errors import TrnetError

OPTION = "frontend_conf.allow_pipes: true"


class EnhancedScpFrontEnd(FrontEnd):
    """Audio listed in Kaldi ``wav.scp`` files under the ids of the data dirs.

    The ids are those of stage 2's data dirs: ``utt`` for clean speech, ``utt-esc_20db`` for noisy speech. Each file is
    the whole utterance of the data dir's own wav.scp, enhanced, at the same level. Other sampling rates are resampled,
    channels averaged. The content of the files is part of the fingerprint.
    """

    needs_ids = True
    path_options = ("scp", "allow_pipes")

    def __init__(self, scp: str | list[str], tolerance_s: float = 0.02, allow_pipes: bool = False) -> None:
        """Read the lists.

        Args:
            scp: a file of ``id path`` lines, or several, relative to the recipe's folder; paths in it are relative to
                the file's folder, or if nothing is there, to the recipe's.
            tolerance_s: largest difference in length from the utterance, seconds; the end is zero-padded or cut.
            allow_pipes: run the programs of entries ``command |``, without a shell; otherwise these are errors. The
                fingerprint includes their names and arguments, not their output.

        Raises:
            TrnetError: If a list is missing, malformed, has an id twice or a pipe that is not allowed.
        """
        super().__init__()
        self.lists = [scp] if isinstance(scp, str) else scp
        if not self.lists:
            raise TrnetError("front-end enhanced_scp: frontend_conf.scp is empty: give a wav.scp or a list of them")
        self.tolerance = round(check_option("enhanced_scp", "tolerance_s", tolerance_s, 0, 3600) * self.sample_rate)
        self.files: dict[str, Path] = {}
        self.commands: dict[str, str] = {}
        for name in self.lists:
            for utt, entry in read_table(Path(name)).items():
                if utt in self.files or utt in self.commands:
                    known = self.files.get(utt) or self.commands[utt]
                    raise TrnetError(f"{name}: {utt} is listed again, as {entry}: it is already {known}")
                if is_pipe(entry):
                    check_allowed(entry, allow_pipes, f"front-end enhanced_scp: {name}: {utt}", OPTION)
                    self.commands[utt] = entry
                else:
                    self.files[utt] = resolve(entry, Path(name))

    def enhance_utterance(self, utt: str, wav: Tensor) -> Tensor:
        """The listed audio (samples,) of ``utt``. TrnetError if unlisted, unreadable, silent, or of another length."""
        command = self.commands.get(utt)
        path = command or str(self._file(utt))
        try:
            source = piped(command, "its command") if command else self._file(utt)
            found = torch.from_numpy(read_audio(source, self.sample_rate, where=path)).to(wav)
        except TrnetError as error:
            raise TrnetError(f"front-end enhanced_scp: utterance {utt}: {error}") from error
        if abs(len(found) - len(wav)) > self.tolerance:
            raise TrnetError(
                f"front-end enhanced_scp: utterance {utt}: {path}: is {len(found)} samples long (at {self.sample_rate} "
                f"Hz), the utterance {len(wav)}: enhance the whole file that the data dir's wav.scp names"
            )
        if found.square().mean().sqrt() < SILENCE_RMS:
            raise TrnetError(f"front-end enhanced_scp: utterance {utt}: {path}: is silent: enhance it again")
        out = torch.zeros_like(wav)
        shared = min(len(found), len(wav))
        out[:shared] = found[:shared]
        return out

    def describe(self) -> dict[str, Any]:
        """As for every front-end; reads the files through."""
        if self.checkpoint_sha256 is None:
            if missing := [utt for utt, path in self.files.items() if not path.is_file()]:
                raise TrnetError(
                    f"front-end enhanced_scp: utterance {missing[0]}: {self.files[missing[0]]}: no such file "
                    f"({len(missing)} of {len(self.files)} are missing): correct {' '.join(self.lists)}"
                )
            self.checkpoint_sha256 = files_sha256(self.files)
            if self.commands:
                both = json.dumps([self.checkpoint_sha256, self.commands], sort_keys=True)
                self.checkpoint_sha256 = hashlib.sha256(both.encode()).hexdigest()
        return super().describe()

    def _file(self, utt: str) -> Path:
        if utt not in self.files:
            raise TrnetError(
                f"front-end enhanced_scp: utterance {utt}: not listed in {' '.join(self.lists)}: enhance its audio and "
                "list it there"
            )
        return self.files[utt]
