"""EmoDB, the Berlin database of acted German emotions (Burkhardt et al., Interspeech 2005): 535 recordings, 16 kHz.

``wav/03a01Fa.wav``: speaker, sentence, the emotion's German initial, version.
"""

from collections.abc import Iterator
from pathlib import Path

from trnet.corpora.speech import SpeechCorpus, Utterance, named, recordings

WOMEN = ("08", "09", "13", "14", "16")
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}


def read_emodb(folder: Path) -> Iterator[Utterance]:
    """The utterances of EmoDB, labelled W, L, E, A, F, T or N."""
    pattern = rf"(\d\d)({'|'.join(SENTENCES)})([WLEAFTN])[a-z]"
    for path, match in named(EMODB.files(folder), pattern, "03a01Fa.wav"):
        speaker, sentence, emotion = match.groups()
        yield Utterance(path.stem, speaker, emotion, path, "f" if speaker in WOMEN else "m", SENTENCES[sentence])


EMODB = SpeechCorpus(
    title="EmoDB",
    layout="wav/[01][0-9][ab][0-9][0-9]*",
    origin="emodb.bilderbar.info",
    folders=("emodb", "EMODB", "EmoDB"),
    files=recordings("wav"),
    read=read_emodb,
)
