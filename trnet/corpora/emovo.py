"""EMOVO (Costantini et al., LREC 2014): six Italian actors, 14 sentences, 588 recordings at 48 kHz, stereo.

``f1/gio-f1-b1.wav``: emotion, actor, sentence.
"""

from collections.abc import Iterator
from pathlib import Path

from trnet.corpora.speech import SpeechCorpus, Utterance, named, recordings

SENTENCES = {
    "b1": "Gli operai si alzano presto.",
    "b2": "I vigili sono muniti di pistola.",
    "b3": "La cascata fa molto rumore.",
    "l1": "L'autunno prossimo Tony partirà per la Spagna nella prima metà di ottobre.",
    "l2": "Ora prendo la felpa di là ed esco per fare una passeggiata.",
    "l3": "Un attimo dopo s'è incamminato ed è inciampato.",
    "l4": "Vorrei il numero telefonico del Signor Piatti.",
    "n1": "La casa forte vuole col pane.",
    "n2": "La forza trova il passo e l'aglio rosso.",
    "n3": "Il gatto sta scorrendo nella pera.",
    "n4": "Insalata pastasciutta coscia d'agnello limoncello.",
    "n5": "Uno quarantatré dieci mille cinquantasette venti.",
    "d1": "Sabato sera cosa farà?",
    "d2": "Porti con te quella cosa?",
}


def read_emovo(folder: Path) -> Iterator[Utterance]:
    """The utterances of EMOVO, labelled dis, gio, neu, pau, rab, sor or tri."""
    pattern = rf"(dis|gio|neu|pau|rab|sor|tri)-([fm][1-3])-({'|'.join(SENTENCES)})"
    for path, match in named(EMOVO.files(folder), pattern, "gio-f1-b1.wav"):
        emotion, actor, sentence = match.groups()
        yield Utterance(f"{actor}-{path.stem}", actor, emotion, path, actor[0], SENTENCES[sentence])


EMOVO = SpeechCorpus(
    title="EMOVO",
    layout="[fm][1-3]",
    origin="voice.fub.it/activities/corpora/emovo",
    folders=("EMOVO",),
    files=recordings("[fm][1-3]"),
    read=read_emovo,
)
