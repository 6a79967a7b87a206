"""MP3, FLAC and Ogg: whether the frames or pages of a file are those that it states, and of one recording.

See `trnet.audio.containers` for the rule. These hold no length in bytes: MP3 is gone through from frame to frame by
their headers, the others are searched for the beginning of a second stream, which takes a small part of what decoding
takes.
"""

import functools
import re
from typing import BinaryIO

from trnet.utils.errors import TrnetError

BLOCK = 1 << 20  # bytes read at once
FLAC_START = re.compile(rb"fLaC[\0\x80]\0\0\x22")
OGG_PAGE, OGG_FIRST = re.compile(rb"OggS\0"), re.compile(rb"OggS\0[\2\6]")
PAGE = 27 + 255 + 255 * 255  # bytes of the longest Ogg page
MP3_SYNC = re.compile(rb"\xff[\xe2-\xef\xf2-\xff]")
LONGEST_FRAME = 2048  # bytes of an MP3 frame and the next one's head
MPEG_SLACK = 2 * 1152  # samples that an MP3's decoder may leave out at the ends
RESYNC = 1 << 16  # bytes that may lie between two MP3 frames, a picture say
SECOND = ("holds a second recording behind the first", "split or re-encode it")

# By MPEG version (2.5, none, 2, 1) and layer (none, III, II, I).
_KBITS_1 = {
    3: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_KBITS_2 = {
    3: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    1: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HZ = (44100, 48000, 32000)


class Damaged(TrnetError):
    """What is wrong with a file; its text reads behind the file's name."""


def check(stream: BinaryIO, head: bytes, size: int) -> int:
    """Check that MP3, FLAC and Ogg hold what they state; anything else passes.

    Returns:
        samples a channel that decoding must give at least; 0 where the decoder knows better.

    Raises:
        Damaged: If it holds less than is stated, or a second recording.
    """
    start = _behind_tags(stream, 0)
    if start:
        stream.seek(start)
        head = stream.read(64)
    if head.startswith(b"fLaC"):
        _check_flac(stream, start, size)
    elif head.startswith(b"OggS"):
        _check_ogg(stream, start, size)
    elif start or MP3_SYNC.match(head):
        return _check_mp3(stream, start, size)
    return 0


def find(stream: BinaryIO, mark: bytes, pattern: re.Pattern[bytes], start: int) -> int | None:
    """The first place from `start` on where a pattern of less than 64 bytes is found, which begins with `mark`."""
    stream.seek(start)
    buffer, base = b"", start
    while block := stream.read(BLOCK):
        buffer += block
        at = buffer.find(mark)
        while at >= 0:
            if pattern.match(buffer, at):
                return base + at
            at = buffer.find(mark, at + 1)
        drop = max(0, len(buffer) - 64)
        buffer, base = buffer[drop:], base + drop
    return None


def _behind_tags(stream: BinaryIO, place: int) -> int:
    """Where the ID3v2 tags that begin at a place end."""
    while True:
        stream.seek(place)
        head = stream.read(10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:]) > 127:
            return place
        length = sum(byte << 7 * (3 - i) for i, byte in enumerate(head[6:]))
        place += 10 + length + (10 if head[5] & 16 else 0)


def _check_flac(stream: BinaryIO, start: int, size: int) -> None:
    place, last = start + 4, False
    while not last and place + 4 <= size:  # metadata may hold anything, pictures say
        stream.seek(place)
        head = stream.read(4)
        last = bool(head[0] & 128)
        place += 4 + int.from_bytes(head[1:], "big")
    if find(stream, b"fLaC", FLAC_START, place) is not None:
        raise Damaged(*SECOND)


def _check_ogg(stream: BinaryIO, start: int, size: int) -> None:
    place = start
    while True:  # several streams may begin together: sound and pictures
        stream.seek(place)
        head = stream.read(PAGE)
        if not OGG_FIRST.match(head) or len(head) < 27 + head[26]:
            break
        place += 27 + head[26] + sum(head[27 : 27 + head[26]])
    if find(stream, b"OggS\0", OGG_FIRST, place) is not None:
        raise Damaged(*SECOND)
    base = max(start, size - PAGE)
    stream.seek(base)
    tail = stream.read()
    pages = [found.start() for found in OGG_PAGE.finditer(tail)]
    last = tail[pages[-1] :] if pages else b""
    whole = len(last) >= 27 and len(last) >= 27 + last[26] + sum(last[27 : 27 + last[26]])
    if not whole or not last[5] & 4:
        raise Damaged("was cut off: its last page does not end the stream", "fetch it again, or re-encode what is left")


@functools.lru_cache(maxsize=4096)
def _mp3_frame(head: bytes) -> tuple[int, int, int] | None:
    """Bytes and samples of the frame with these four bytes, and where a stated length would be; None: no header."""
    if len(head) < 4 or head[0] != 255 or head[1] & 0xE0 != 0xE0:
        return None
    version, layer, rate, kbits = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 2 & 3, head[2] >> 4
    if version == 1 or layer == 0 or rate == 3 or kbits in (0, 15):
        return None
    hertz = _HZ[rate] >> {3: 0, 2: 1, 0: 2}[version]
    bits = 1000 * (_KBITS_1 if version == 3 else _KBITS_2)[layer][kbits]
    padding, mono = head[2] >> 1 & 1, head[3] >> 6 == 3
    side = ((17 if mono else 32) if version == 3 else (9 if mono else 17)) if layer == 1 else 32
    if layer == 3:
        return (12 * bits // hertz + padding) * 4, 384, 4 + side
    samples = 576 if layer == 1 and version != 3 else 1152
    return samples // 8 * bits // hertz + padding, samples, 4 + side


def _stated_frames(buffer: bytes, at: int, mark: int) -> int | None:
    """Frames behind an MP3's first one at `at` (Xing, Info at `mark`; VBRI); 0: not stated; None: it is audio."""
    if buffer[at + mark : at + mark + 4] in (b"Xing", b"Info") and buffer[at + mark + 4 : at + mark + 7] == b"\0\0\0":
        return int.from_bytes(buffer[at + mark + 8 : at + mark + 12], "big") if buffer[at + mark + 7] & 1 else 0
    if buffer[at + 36 : at + 42] == b"VBRI\0\1":
        return int.from_bytes(buffer[at + 50 : at + 54], "big")
    return None


def _check_mp3(stream: BinaryIO, place: int, size: int) -> int:
    """From frame to frame; between them may lie ID3v2 tags, and up to 64 KiB of anything else."""
    stated, count, samples, cut, missed = None, 0, 0, False, 0
    buffer, base = b"", place
    while place + 4 <= size and missed <= RESYNC:
        if place + LONGEST_FRAME > base + len(buffer) and base + len(buffer) < size or place < base:
            stream.seek(place)
            buffer, base = stream.read(BLOCK), place
        at = place - base
        frame = _mp3_frame(buffer[at : at + 4])
        if frame is None or (missed and _mp3_frame(buffer[at + frame[0] : at + frame[0] + 4]) is None):
            behind = _behind_tags(stream, place) if buffer.startswith(b"ID3", at) else place
            following = MP3_SYNC.search(buffer, at + 1)
            step = behind - place or (following.start() if following else len(buffer)) - at
            missed += 0 if behind > place else step
            place += max(1, step)
            continue
        length, each, mark = frame
        header = _stated_frames(buffer, at, mark)
        if header is not None and (count or stated is not None):
            raise Damaged(*SECOND)
        if header is None:
            cut = place + length > size
            count, samples = count + (not cut), samples + (0 if cut else each)
        else:
            stated = header
        place, missed = place + length, 0
    if not stated:  # what is there counts, and the decoder must not stop before
        return max(0, samples - MPEG_SLACK)
    if count < stated - 1 or (count < stated and cut):  # some encoders count the first frame, which says so
        raise Damaged(f"holds {count} of the {stated} frames that its header states", "fetch or copy it again")
    if count > stated + 1:
        raise Damaged(
            f"holds {count} frames, its header states {stated}: two recordings, or a part of one", "re-encode it"
        )
    return 0
