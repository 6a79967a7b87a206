"""Files that hold less than their container states, or a second recording, are refused; what is whole passes."""

import io
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trnet.audio.containers import Damaged, check_container
from trnet.audio.reading import inspect_audio, read_audio
from trnet.utils.errors import TrnetError

RATE = 16000
KINDS = {
    "wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "adpcm.wav": ("WAV", "IMA_ADPCM"),
    "wavex.wav": ("WAVEX", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "sph": ("NIST", "PCM_16"),
    "voc": ("VOC", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
}
LAST_BYTE_IS_NO_AUDIO = {"voc"}  # but the mark of the end


def sound(seconds: float = 1.0, key: int = 1) -> np.ndarray:
    return np.random.default_rng(key).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def encoded(kind: str, samples: np.ndarray) -> bytes:
    stream, (container, subtype) = io.BytesIO(), KINDS[kind]
    soundfile.write(stream, samples, RATE, format=container, subtype=subtype)
    return stream.getvalue()


@pytest.fixture
def held(tmp_path) -> Callable[[str, bytes], Path]:
    """held(kind, content): a file of that kind with that content."""

    def write(kind: str, content: bytes) -> Path:
        path = tmp_path / f"a.{kind}"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_passes_with_tags_or_padding_behind_it(kind, held):
    content = encoded(kind, sound())
    length = len(read_audio(held(kind, content), RATE))
    for behind in (b"TAG" + b"x" * 125, bytes(9000), b"APETAGEX" + b"x" * 5000):
        assert check_container(io.BytesIO(content + behind)) == 0
        if kind not in ("sph", "voc", "w64", "opus"):  # libsndfile takes it for audio, or stumbles
            assert len(read_audio(held(kind, content + behind), RATE)) == length


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("left", [0.5, 0.9, -1])
def test_a_file_that_was_cut_is_refused(kind, left, held):
    content = encoded(kind, sound())
    if left == -1 and kind in LAST_BYTE_IS_NO_AUDIO:
        return
    path = held(kind, content[: left if left == -1 else round(left * len(content))])
    with pytest.raises(TrnetError, match=path.name) as caught:
        inspect_audio(path)
    assert "; " in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_two_recordings_in_a_file_are_refused(kind, held):
    """``cat a b``, also of the same one twice, and of another kind behind where the first one's end is stated."""
    first = encoded(kind, sound())
    for second in (encoded(kind, sound(0.5, 2)), first):
        with pytest.raises(TrnetError, match="a second recording|two recordings"):
            read_audio(held(kind, first + second), RATE)
    if kind not in ("flac", "mp3", "ogg", "opus"):
        with pytest.raises(TrnetError, match="a second recording"):
            read_audio(held(kind, first + encoded("flac", sound(0.5, 2))), RATE)


def riff(stated: int, body: bytes) -> bytes:
    form = struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    riff_size = min(stated + 36, 2**32 - 1)
    return b"RIFF" + struct.pack("<I", riff_size) + b"WAVEfmt " + form + b"data" + struct.pack("<I", stated) + body


PCM = (sound() * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize("stated", [2**32 - 1, 2**32 - 256, 0x7FFFF000, 2**31 - 1, 2**31, 0x7FFFFF00])
def test_the_length_of_a_stream_is_none(stated, held):
    assert len(read_audio(held("wav", riff(stated, PCM)), RATE)) == RATE
    with pytest.raises(TrnetError, match="a second recording"):
        read_audio(held("wav", 2 * riff(stated, PCM)), RATE)


def test_other_containers_of_streams_pass(held):
    au = encoded("au", sound())
    au = au[:8] + b"\xff" * 4 + au[12:]
    assert len(read_audio(held("au", au), RATE)) == RATE
    with pytest.raises(TrnetError, match="a second recording"):
        read_audio(held("au", au + au), RATE)
    aiff = encoded("aiff", sound())
    at = aiff.find(b"SSND")
    for none in (b"\0\0\0\0", b"\x7f\0\0\x08"):
        stream = aiff[:4] + none + aiff[8 : at + 4] + none + aiff[at + 8 :]
        assert len(read_audio(held("aiff", stream), RATE)) == RATE
    w64 = encoded("w64", sound())
    at = w64.find(b"data")
    assert len(read_audio(held("w64", w64[: at + 16] + b"\xff" * 8 + w64[at + 24 :]), RATE)) == RATE
    sphere = encoded("sph", sound()).replace(b"sample_count", b"sample_xxxxx")
    assert len(read_audio(held("sph", sphere), RATE)) == RATE


def test_a_header_that_states_less_than_there_is_is_refused(held):
    """As of a recorder that was killed: libsndfile would give the second that the header knows of, or none."""
    for stated in (0, 2 * 4000):
        with pytest.raises(TrnetError, match="its header states"):
            read_audio(held("wav", riff(stated, PCM)), RATE)
    with pytest.raises(TrnetError, match="holds no samples"):
        read_audio(held("wav", riff(0, b"")), RATE)


def test_a_flac_of_unknown_length_is_read_to_its_end(held):
    flac = bytearray(encoded("flac", sound(20.0)))
    flac[8 + 13] &= 0xF0
    flac[8 + 14 : 8 + 18] = bytes(4)  # the number of samples in STREAMINFO
    assert len(read_audio(held("flac", bytes(flac)), RATE)) == 20 * RATE


def mp3(samples: np.ndarray) -> tuple[bytes, bytes]:
    """The frame that states the length, and the others."""
    content = encoded("mp3", samples)
    second = content.find(content[:2], 4)
    assert b"Xing" in content[:second] or b"Info" in content[:second]
    return content[:second], content[second:]


def cbr(seconds: float) -> bytes:
    """An MP3 of one bitrate without a stated length."""
    stream = io.BytesIO()
    options = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT", "compression_level": 0.5}
    soundfile.write(stream, sound(seconds), RATE, **options)
    content = stream.getvalue()
    second = content.find(content[:2], 4)
    return content[second:] if b"Info" in content[:second] else content


def test_an_mp3_without_a_length_is_read_as_far_as_it_goes(held):
    whole = cbr(2.0)
    length = len(read_audio(held("mp3", whole), RATE))
    assert abs(length - 2 * RATE) < 4 * 1152
    assert 0 < len(read_audio(held("mp3", whole[: len(whole) // 2]), RATE)) < length  # cannot be known
    assert len(read_audio(held("mp3", whole + whole), RATE)) > 1.9 * length  # goes on, and is read


def test_an_mp3_that_libsndfile_would_stop_in_is_refused(held):
    """Of varying bitrate and without a length: it takes one from the first frame's bitrate and ends there."""
    head, frames = mp3(np.concatenate([sound(4.0), np.zeros(40 * RATE, np.float32), sound(1.0)]))
    with pytest.raises(TrnetError, match="can be decoded"):
        read_audio(held("mp3", frames), RATE)
    assert check_container(io.BytesIO(head + frames)) == 0


def test_an_mp3_of_which_a_part_was_cut_out_is_refused(held):
    head, frames = mp3(sound(4.0))
    with pytest.raises(TrnetError, match="of the .* frames that its header states"):
        read_audio(held("mp3", head + frames[: len(frames) // 2]), RATE)
    with pytest.raises(TrnetError, match="frames, its header states"):
        read_audio(held("mp3", head + frames + frames), RATE)


def test_pictures_and_tags_before_the_audio_are_passed_over(held):
    tag = b"ID3\x04\0\0\0\0\x02\0" + bytes(256)
    for kind in ("mp3", "flac"):
        content = encoded(kind, sound())
        assert len(read_audio(held(kind, tag + content), RATE)) == RATE
        with pytest.raises(Damaged):
            check_container(io.BytesIO(tag + content + content))


def test_what_is_no_audio_passes_to_the_decoder(held):
    for content in (
        b"",
        b"RIFF",
        b"RIFFxxxxWAVE",
        b"no audio at all",
        bytes(100),
        b"ID3",
        b"OggS",
        b"fLaC",
        b"\xff\xfb",
    ):
        with pytest.raises(TrnetError, match="a.wav"):
            read_audio(held("wav", content), RATE)


def test_headers_are_read_and_not_the_file():
    """Where the header states lengths, the same few reads whatever the length of the audio."""

    class Counted(io.BytesIO):
        taken = 0

        def read(self, size=-1):
            part = super().read(size)
            self.taken += len(part)
            return part

    for kind in ("wav", "rf64", "w64", "aiff", "au", "sph"):
        stream = Counted(encoded(kind, sound(20.0)))
        started = time.perf_counter()
        check_container(stream)
        assert stream.taken < 5000 and time.perf_counter() - started < 1
