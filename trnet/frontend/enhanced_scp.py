"""The front-end for audio that was enhanced elsewhere: it is read from disk, by utterance id."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trnet.audio.pipes import check_allowed, is_pipe, piped
from trnet.audio.reading import SILENCE_RMS, read_audio
from trnet.frontend.base import FrontEnd
from trnet.frontend.checkpoint import files_sha256
from trnet.kaldi.data_dir import read_table
from trnet.kaldi.paths import resolve
from trnet.utils.errors import TrnetError
from trnet.utils.numbers import real

OPTION = "frontend_conf.allow_pipes: true"


class EnhancedScpFrontEnd(FrontEnd):
    """Hand out the audio that Kaldi ``wav.scp`` files list under the ids of the data dirs.

    The ids are those of stage 2's data dirs: ``utt`` of clean speech, ``utt-esc_20db`` of noisy speech. Each file holds
    the whole utterance that the data dir's own wav.scp names, enhanced, at the level it had there. Other sampling rates
    are resampled, channels averaged. The files' content is part of the fingerprint.
    """

    needs_ids = True
    path_options = ("scp", "allow_pipes")

    def __init__(self, scp: str | list[str], tolerance_s: float = 0.02, allow_pipes: bool = False) -> None:
        """Read the lists.

        Args:
            scp: a file of ``id path`` lines, or several; relative paths start where the recipe runs, those in it from
                its folder, or where nothing is there, from where the recipe runs.
            tolerance_s: a file may be so much shorter or longer than the utterance, seconds: its end is filled up
                with zeros or cut.
            allow_pipes: run the programs of entries ``command |``, without a shell, instead of refusing them. What
                they write is not part of the fingerprint, their names and arguments are.

        Raises:
            TrnetError: a list that is missing, malformed or names a pipe that may not run, an id that is listed twice,
                or an option of another type.
        """
        super().__init__()
        lists = [scp] if isinstance(scp, str) else scp
        if not isinstance(lists, list) or not lists or not all(isinstance(name, str) for name in lists):
            raise TrnetError(f"front-end enhanced_scp: frontend_conf.scp is {scp!r}: give a wav.scp or a list of them")
        try:
            self.tolerance = round(real(tolerance_s, 0, 3600) * self.sample_rate)
        except ValueError as error:
            raise TrnetError(f"front-end enhanced_scp: frontend_conf.tolerance_s: {error}: give seconds") from None
        if not isinstance(allow_pipes, bool):
            raise TrnetError(
                f"front-end enhanced_scp: frontend_conf.allow_pipes is {allow_pipes!r}: give true or false"
            )
        self.lists = lists
        self.files: dict[str, Path] = {}
        self.commands: dict[str, str] = {}
        for name in lists:
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
        """The listed audio of ``utt``, of the length of ``wav``, (samples,).

        Raises:
            TrnetError: not listed, unreadable, NaN, silent (below -100 dB), or of another length.
        """
        path = self.commands.get(utt) or self._file(utt)
        try:
            source = piped(self.commands[utt], "its command") if utt in self.commands else path
            found = torch.from_numpy(read_audio(source, self.sample_rate, where=str(path))).to(wav)
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
                    f"({len(missing)} of {len(self.files)} are missing): mend {' '.join(self.lists)}"
                )
            self.checkpoint_sha256 = files_sha256(self.files)
            if self.commands:
                told = json.dumps([self.checkpoint_sha256, self.commands], sort_keys=True)
                self.checkpoint_sha256 = hashlib.sha256(told.encode()).hexdigest()
        return super().describe()

    def _file(self, utt: str) -> Path:
        if utt not in self.files:
            raise TrnetError(
                f"front-end enhanced_scp: utterance {utt}: not listed in {' '.join(self.lists)}: enhance its audio and "
                "list it there"
            )
        return self.files[utt]
