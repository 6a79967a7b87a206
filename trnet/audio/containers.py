"""Whether an audio file holds what its container states: all of it, and nothing behind it.

libsndfile reads what is there and says nothing where a file was cut short, and of recordings joined by ``cat`` it
reads the first. Here the headers are read, a few dozen bytes of each file; `trnet.audio.bitstreams` has MP3, FLAC, Ogg.
A length that a program wrote which could not know it (0 or all ones, as into a pipe) is none.
"""

import os
import re
from typing import BinaryIO, Literal

from trnet.audio import bitstreams
from trnet.audio.bitstreams import SECOND, Damaged

Order = Literal["big", "little"]
STRAY = 4096  # so many bytes behind the stated end, neither zeros nor tags nor chunks, are no lost audio
UNKNOWN = 1 << 62  # 64-bit lengths from here on are none
# What 32-bit headers of streams hold: all ones and a little less (ffmpeg), half of it and a little more or less (SoX,
# arecord, which round to blocks).
PLACEHOLDERS = ((0xFFFF0000, 0xFFFFFFFF), (0x7EFFFF00, 0x7F00FFFF), (0x7FFF0000, 0x8000FFFF))

RIFF_TAIL, W64_TAIL = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a", b"\x2e\x91\xcf\x11\xa5\xd6"
STARTS = re.compile(
    rb"(RIFF|RIFX|RF64|FORM|riff" + re.escape(W64_TAIL) + rb"|\.snd\0|dns\.|caff\x00\x01|NIST_1A|fLaC|OggS\0|"
    rb"Creative Voice File)",
    re.S,
)
NAME = re.compile(rb"[ -~]{4}")  # of a chunk
TAGS = re.compile(rb"TAG|APETAGEX|LYRICSBEGIN|ID3")
IN_STREAM = {  # a header in the middle of audio whose length is not stated
    **dict.fromkeys(
        (b"RIFF", b"RIFX", b"RF64"), re.compile(rb"(RIFF|RIFX|RF64).{4}WAVE(fmt |JUNK|ds64|bext|LIST)", re.S)
    ),
    b"FORM": re.compile(rb"FORM.{4}AIF[CF]", re.S),
    **dict.fromkeys((b".snd", b"dns."), re.compile(rb"\.snd\0\0[\0-\3].{5}\0\0\0[\1-\x1b]\0", re.S)),
}


def check_container(stream: BinaryIO) -> int:
    """Check that a seekable file holds what its container states; it is left at its beginning.

    Returns:
        samples a channel that decoding must give at least, where only the container's frames tell; 0 elsewhere.

    Raises:
        Damaged: If it holds less than is stated, or more.
    """
    try:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        head = stream.read(64)
        check = _CHECKS.get(head[:4])
        if check is not None:
            check(stream, head, size)
        elif head.startswith(b"Creative Voice File"):
            _check_voc(stream, head, size)
        else:
            return bitstreams.check(stream, head, size)
        return 0
    finally:
        stream.seek(0)


def _is_stated(length: int) -> bool:
    """Whether a header's length of 32 bits is one."""
    return length > 0 and not any(low <= length <= high for low, high in PLACEHOLDERS)


def _check_audio(start: int, length: int, size: int) -> None:
    """What begins at `start` is there to its end."""
    if start + length > size:
        raise Damaged(f"holds {max(0, size - start)} of the {length} bytes that its header states", "fetch it again")


def _check_rest(stream: BinaryIO, end: int, size: int) -> None:
    """Behind the end of a container are tags or padding at most."""
    stream.seek(end)
    rest = stream.read(STRAY)
    padding = len(rest) - len(rest.lstrip(b"\0"))
    if STARTS.match(rest, padding):
        raise Damaged(*SECOND)
    if size - end > STRAY and padding < len(rest) and not TAGS.match(rest, padding):
        raise Damaged(
            f"holds {size - end} bytes behind the end that its header states, as if the recording went on",
            "re-encode it, or cut them off",
        )


def _check_riff(stream: BinaryIO, head: bytes, size: int) -> None:
    order: Order = "big" if head.startswith((b"RIFX", b"FORM")) else "little"
    place, long, unfinished = 12, 0, False
    while place + 8 <= size:
        stream.seek(place)
        chunk = stream.read(8)
        name, length = chunk[:4], int.from_bytes(chunk[4:], order)
        if STARTS.match(chunk) or not NAME.fullmatch(name):
            break
        if name == b"ds64":
            stream.seek(place + 16)
            long = int.from_bytes(stream.read(8), "little")
        elif name == b"data" and length == 0xFFFFFFFF and 0 < long < UNKNOWN:
            length = long
            _check_audio(place + 8, length, size)
        elif name in (b"data", b"SSND"):
            if not _is_stated(length) and (length or name == b"SSND"):
                _check_stream(stream, place + 8, head[:4])
                return
            _check_audio(place + 8, length, size)
            unfinished = not length
        elif name in (b"fmt ", b"COMM", b"ds64"):
            _check_audio(place + 8, length, size)
        place = min(size, place + 8 + length + length % 2)
    if unfinished and size - place > STRAY:
        raise Damaged(f"holds {size - place} bytes, of which its header states none to be audio", "re-encode it")
    _check_rest(stream, place, size)


def _check_w64(stream: BinaryIO, head: bytes, size: int) -> None:
    if head[4:10] != W64_TAIL:
        return
    place = 40
    while place + 24 <= size:
        stream.seek(place)
        chunk = stream.read(24)
        length = int.from_bytes(chunk[16:], "little")  # of the chunk's own head, too
        if chunk[4:16] != RIFF_TAIL or length < 24:
            break
        if chunk[:4] == b"data":
            if length >= UNKNOWN:
                return
            _check_audio(place + 24, length - 24, size)
        place = min(size, place + (length + 7) // 8 * 8)
    _check_rest(stream, place, size)


def _check_caf(stream: BinaryIO, head: bytes, size: int) -> None:
    place = 8
    while place + 12 <= size:
        stream.seek(place)
        chunk = stream.read(12)
        length = int.from_bytes(chunk[4:], "big")
        if STARTS.match(chunk) or not NAME.fullmatch(chunk[:4]):
            break
        if chunk[:4] == b"data" and length >= UNKNOWN:
            return
        if chunk[:4] == b"data":
            _check_audio(place + 12, length, size)
        place = min(size, place + 12 + length)
    _check_rest(stream, place, size)


def _check_au(stream: BinaryIO, head: bytes, size: int) -> None:
    order: Order = "big" if head.startswith(b".snd") else "little"
    start, length = (int.from_bytes(head[place : place + 4], order) for place in (4, 8))
    if not _is_stated(length):
        _check_stream(stream, start, head[:4])
        return
    _check_audio(start, length, size)
    _check_rest(stream, start + length, size)


def _check_nist(stream: BinaryIO, head: bytes, size: int) -> None:
    lines = head.split(b"\n")
    if len(lines) < 2 or not lines[1].strip().isdigit():
        return
    start = int(lines[1])
    stream.seek(0)
    fields = dict(re.findall(rb"^(\w+) -\S+ (\S+)", stream.read(min(start, 1 << 16)), re.MULTILINE))
    numbers = [fields.get(name, b"") for name in (b"sample_count", b"sample_n_bytes", b"channel_count")]
    if not all(number.isdigit() for number in numbers) or b"embedded" in fields.get(b"sample_coding", b""):
        return  # no length, or compressed
    count, width, channels = map(int, numbers)
    length = count * width * channels
    _check_audio(start, length, size)
    _check_rest(stream, start + length, size)


def _check_voc(stream: BinaryIO, head: bytes, size: int) -> None:
    place = int.from_bytes(head[20:22], "little")
    while place < size:
        stream.seek(place)
        block = stream.read(4)
        if block[:1] == b"\0":  # the end
            _check_rest(stream, place + 1, size)
            return
        length = int.from_bytes(block[1:], "little")
        _check_audio(place + 4, length, size)
        place += 4 + length


def _check_stream(stream: BinaryIO, start: int, kind: bytes) -> None:
    """Audio of unknown length has no second header in it: read through, as nothing states where it would be."""
    if bitstreams.find(stream, kind, IN_STREAM[kind], start) is not None:
        raise Damaged(*SECOND)


_CHECKS = {
    **dict.fromkeys((b"RIFF", b"RIFX", b"RF64", b"FORM"), _check_riff),
    b"riff": _check_w64,
    b"caff": _check_caf,
    **dict.fromkeys((b".snd", b"dns."), _check_au),
    b"NIST": _check_nist,
}
