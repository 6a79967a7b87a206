"""SentencePiece models of the training speakers alone: the same bytes for the same text, made once."""

import pytest
from tiny import SPEAKERS
from training import VOCAB, WORDS, run_of, same_weights, spoken, text_of

from trnet.config import CTC
from trnet.runs.text_normalisation import normalise
from trnet.train import tokenizer
from trnet.utils.errors import TrnetError
from trnet.utils.locks import only_one


def spy(monkeypatch, inside=lambda: None) -> list[list[str]]:
    """The sentences of each call of SentencePiece's trainer; `inside` is called there."""
    whole, calls = tokenizer.SentencePieceTrainer.train, []

    def trained(sentence_iterator, **options):
        calls.append(list(sentence_iterator))
        inside()
        return whole(sentence_iterator=iter(calls[-1]), **options)

    monkeypatch.setattr(tokenizer.SentencePieceTrainer, "train", trained)
    return calls


def test_pieces_are_trained_once_a_fold_on_its_training_speakers_alone(tiny, tmp_path, monkeypatch):
    session, calls = spoken(tiny, tmp_path), spy(monkeypatch)
    for number in (1, 4):
        del calls[:]
        fold = run_of(session, "baseline_c", number).fold
        speakers = {fold.test_speaker, fold.valid_speaker}
        tokens = [session.data(run_of(session, "baseline_c", number, seed)).tokens.by_utt for seed in (1, 2)]
        (read,) = calls
        assert read == [normalise(text_of(utt)) for utt in fold.train] and len(read) == 32
        assert not any(WORDS[spk] in sentence.split() for spk in speakers for sentence in read)
        assert all(any(WORDS[spk] in sentence for sentence in read) for spk in set(SPEAKERS) - speakers)
        assert [set(each) for each in tokens] == [set(fold.train)] * 2
        assert session.data(run_of(session, "trnet_wo_high", number)).tokens is not None and len(calls) == 1


def test_held_out_text_need_not_be_there(tiny, tmp_path):
    """The same tokens, the same stamp without it."""
    whole, part = (spoken(tiny, tmp_path / name) for name in ("whole", "part"))
    runs = [run_of(session, "baseline_c") for session in (whole, part)]
    part.experiment.data._tables["text"] = {utt: text_of(utt) for utt in runs[0].fold.train}
    tokens = [session.data(run).tokens.by_utt for session, run in zip((whole, part), runs, strict=True)]
    assert same_weights(*tokens)
    files = [tmp_path / name / "pieces/fold1/pieces.model" for name in ("whole", "part")]
    assert files[0].read_bytes() == files[1].read_bytes()
    stamps = [session.experiment.stamp(run) for session, run in zip((whole, part), runs, strict=True)]
    assert stamps[0].made_from == stamps[1].made_from


@pytest.mark.parametrize("model", ["unigram", "bpe", "char"])
def test_the_same_text_gives_the_same_bytes_whatever_its_order(model):
    texts = {f"u{i:03}": f"{'ab' * (i % 3)} {'cde'[i % 3]}a {'abc'[i % 2]}{i % 7}" for i in range(60)}
    conf = CTC(model=model, vocab=18)
    first = tokenizer.train_tokenizer(texts, conf)
    assert first == tokenizer.train_tokenizer(dict(reversed(texts.items())), conf)
    assert first != tokenizer.train_tokenizer(texts | {"u000": "dd ee"}, conf)


def test_pieces_are_made_anew_where_they_are_damaged_or_of_other_settings(tmp_path, monkeypatch):
    folder, texts = tmp_path / "fold1", {"a": "ala ma kota", "b": "kot ma ale"}

    def alone():
        with pytest.raises(TrnetError, match="another process is at work"), only_one(folder):
            pass

    calls, path = spy(monkeypatch, alone), folder / "pieces.model"
    tokenizer.fold_tokenizer(folder, texts, CTC(**VOCAB))
    content = path.read_bytes()
    tokenizer.fold_tokenizer(folder, texts, CTC(**VOCAB))
    assert len(calls) == 1
    path.write_bytes(content[:-5])
    assert tokenizer.fold_tokenizer(folder, texts, CTC(**VOCAB)).vocab_size() == 9  # <unk>, blank, aeklmot
    assert len(calls) == 2 and path.read_bytes() == content
    assert tokenizer.fold_tokenizer(folder, texts, CTC(model="bpe", vocab=12)).vocab_size() == 12
    assert tokenizer.fold_tokenizer(folder, texts | {"b": "x"}, CTC(**VOCAB)).piece_to_id("x") > 0
    assert len(calls) == 4


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"model": "unigram", "vocab": 200}, r"200 unigram .* 1 transcripts.*\b8\b"),
        ({"model": "bpe", "vocab": 200}, r"200 bpe .* 1 transcripts.*\b23\b"),
        ({"model": "unigram", "vocab": 5}, r"5 unigram .*\b8\b"),
        ({"model": "char", "vocab": 5}, r"5 char .*\b8\b"),
    ],
)
def test_a_vocabulary_that_does_not_fit_the_text_is_refused_with_one_that_does(conf, message):
    """ "ala ma kot" has 6 letters, to which the word boundary and <unk> come."""
    with pytest.raises(TrnetError, match="^ctc.vocab: " + message):
        tokenizer.train_tokenizer({"a": "ala ma kot"}, CTC(**conf))
    assert tokenizer.train_tokenizer({"a": "ala ma kot"}, CTC(model=conf["model"], vocab=8))
