"""CTC on the encoder: pieces of the training speakers alone, a loss that padding does not move, runs that go on."""

import itertools
import math
import shutil
from dataclasses import replace

import pytest
import torch
from near import assert_near
from tiny import SPEAKERS
from trnet.model.encoder import size_after
from trnet.train.run import Run
from trnet.train.text_normalisation import Transcripts, normalise, transcripts_of

from trnet.bin import train
from trnet.bin.score import header
from trnet.config import CTC, Classifier, Encoder, Features, Gate, Pooling
from trnet.eval.run_predictions import predict_run
from trnet.kaldi.data_dir import DataDir
from trnet.model import build_model
from trnet.model.ctc import CTCHead, ctc_loss, frames_needed, tapped
from trnet.runs.checkpoint import load_checkpoint
from trnet.train import loop
from trnet.train import tokenizer as pieces
from trnet.train.ctc import make_targets
from trnet.utils.errors import TrnetError
from trnet.utils.locks import only_one

pytestmark = pytest.mark.slow  # the module as a whole

WORDS = dict(zip(SPEAKERS, ("ako", "bako", "cedi", "dyfu", "egiz", "fuha"), strict=True))
VOCAB = {"model": "char", "vocab": 40}


def text_of(utt: str) -> str:
    """Two short words: the speaker's and the take's."""
    return f"{WORDS[utt[:3]]} {'ab'[int(utt[-1])]}!"


@pytest.fixture
def spoken(tiny):
    """spoken(exp, ctc, **training): the tiny corpus with transcripts that differ, CTC on."""

    def make(exp, ctc=VOCAB, **training):
        experiment = tiny.experiment(exp, **{"ctc_weight": 0.5, **training})
        experiment.data._tables["text"] = {utt: text_of(utt) for utt in experiment.data.utts}
        return replace(experiment, config=replace(experiment.config, ctc=CTC(**ctc)))

    return make


def outcome(experiment, name):
    """best.pt, last.pt and the lines of history.csv of fold 1, seed 1."""
    folder = experiment.run_folder(name, experiment.folds[0], 1)
    table = (folder / "history.csv").read_text().splitlines()
    return load_checkpoint(folder / "best.pt"), load_checkpoint(folder / "last.pt"), table


def same(a, b) -> bool:
    """To the bit, tensors inside dicts and lists too."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


# the text


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("„Ród smoka” to serial.", "ród smoka to serial"),
        ("Nie — no,ŻÓŁĆ!", "nie no żółć"),
        ("I'm not,  ’kay' [LAUGHTER] 'fine' it’s", "i'm not kay fine it's"),
        ("o\u0301 ﬁ ２", "ó fi 2"),  # composed, ligature, full width
        ("हिन्दी", "हिन्दी"),  # vowel signs are marks, not letters
        ("[BREATHING] ... ▁ '", ""),
    ],
)
def test_transcripts_are_spelled_without_case_and_punctuation(text, spelled):
    assert normalise(text) == spelled == normalise(spelled)


def test_what_is_not_said_or_not_heard_whole_has_no_transcript(spoken, tmp_path):
    """45 frames are 0.465 s; the utterances have 0.35 to 0.62 s."""
    data = spoken(tmp_path).data
    utts = data.utts
    data["text"].update({utts[0]: "", utts[1]: "[LAUGHTER]"})
    del data["text"][utts[2]]
    found = transcripts_of(data, utts, Features(max_frames=45))
    whole = [utt for utt in utts[3:] if float(data["utt2dur"][utt]) <= 0.465]
    assert list(found.texts) == whole and 5 < len(whole) < len(utts) - 3
    assert (found.silent, found.cut) == (3, len(utts) - 3 - len(whole))
    with pytest.raises(TrnetError, match="of 48 training utterances 3 have no transcript and 45 are longer than"):
        transcripts_of(data, utts, Features(max_frames=20))
    data["text"].clear()
    with pytest.raises(TrnetError, match="text: of 48 training utterances 48 have no transcript and 0 are longer"):
        transcripts_of(data, utts, Features())
    shutil.copytree(data.path, tmp_path / "tiny", ignore=shutil.ignore_patterns("text"))
    with pytest.raises(TrnetError, match="tiny/text: no such file; CTC needs it: .*or set training.ctc_weight: 0"):
        transcripts_of(DataDir(tmp_path / "tiny"), utts, Features())


@pytest.mark.parametrize("told", [None, "nan", "long", "-1"])
def test_a_duration_that_is_none_is_said(spoken, tmp_path, told):
    data = spoken(tmp_path).data
    utt = data.utts[3]
    if told is None:
        del data["utt2dur"][utt]
    else:
        data["utt2dur"][utt] = told
    with pytest.raises(TrnetError, match=f"utt2dur: {utt}: "):
        transcripts_of(data, data.utts, Features())


# the pieces


def spy(monkeypatch, inside=lambda: None) -> list[list[str]]:
    """The sentences of each call of SentencePiece's trainer; `inside` is called there."""
    whole, calls = pieces.SentencePieceTrainer.train, []

    def trained(sentence_iterator, **options):
        calls.append(list(sentence_iterator))
        inside()
        return whole(sentence_iterator=iter(calls[-1]), **options)

    monkeypatch.setattr(pieces.SentencePieceTrainer, "train", trained)
    return calls


def test_pieces_are_trained_once_a_fold_on_its_training_speakers_alone(spoken, tmp_path, monkeypatch):
    experiment, calls, tasks = spoken(tmp_path), spy(monkeypatch), []
    monkeypatch.setattr("trnet.runs.experiment.train_runs", lambda task, *_: tasks.append(task))
    for fold in (experiment.folds[0], experiment.folds[3]):
        del calls[:]
        speakers = {fold.test_speaker, fold.valid_speaker}
        experiment.train("baseline_c", fold, 1)
        (read,) = calls
        assert read == [normalise(text_of(utt)) for utt in fold.train] and len(read) == 32
        assert not any(WORDS[spk] in sentence.split() for spk in speakers for sentence in read)
        assert all(any(WORDS[spk] in sentence for sentence in read) for spk in set(SPEAKERS) - speakers)
        for name, seed in (("baseline_c", 2), ("trnet_wo_high", 1)):
            experiment.train(name, fold, seed)
        assert len(calls) == 1
        assert [set(task.targets.pieces) for task in tasks[-3:]] == [set(fold.train)] * 3


def test_held_out_text_need_not_be_there(spoken, tmp_path):
    """The same pieces, the same stamp without it."""
    whole, part = spoken(tmp_path / "whole"), spoken(tmp_path / "part")
    fold = whole.folds[0]
    part.data._tables["text"] = {utt: whole.data["text"][utt] for utt in fold.train}
    assert same(dict(whole._ctc_targets(fold).pieces), dict(part._ctc_targets(fold).pieces))
    files = [tmp_path / name / "pieces/fold1/pieces.model" for name in ("whole", "part")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert whole.stamp("baseline_c", fold, 1).made_from == part.stamp("baseline_c", fold, 1).made_from


@pytest.mark.parametrize("model", ["unigram", "bpe", "char"])
def test_the_same_text_gives_the_same_bytes_whatever_its_order(model):
    texts = {f"u{i:03}": f"{'ab' * (i % 3)} {'cde'[i % 3]}a {'abc'[i % 2]}{i % 7}" for i in range(60)}
    conf = CTC(model=model, vocab=18)
    first = pieces.train_pieces(texts, conf)
    assert first == pieces.train_pieces(dict(reversed(texts.items())), conf)
    assert first != pieces.train_pieces(texts | {"u000": "dd ee"}, conf)


def test_pieces_are_made_anew_where_they_are_damaged_or_of_other_settings(tmp_path, monkeypatch):
    folder, texts = tmp_path / "fold1", {"a": "ala ma kota", "b": "kot ma ale"}

    def alone():
        with pytest.raises(TrnetError, match="another process is at work"), only_one(folder):
            pass

    calls, path = spy(monkeypatch, alone), folder / "pieces.model"
    pieces.fold_pieces(folder, texts, CTC(**VOCAB))
    content = path.read_bytes()
    pieces.fold_pieces(folder, texts, CTC(**VOCAB))
    assert len(calls) == 1
    path.write_bytes(content[:-5])
    assert pieces.fold_pieces(folder, texts, CTC(**VOCAB)).vocab_size() == 9  # <unk>, word boundary, a e k l m o t
    assert len(calls) == 2 and path.read_bytes() == content
    assert pieces.fold_pieces(folder, texts, CTC(model="bpe", vocab=12)).vocab_size() == 12
    assert pieces.fold_pieces(folder, texts | {"b": "x"}, CTC(**VOCAB)).piece_to_id("x") > 0
    assert len(calls) == 4


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"model": "unigram", "vocab": 200}, r"200 unigram pieces are too many for 1 transcripts; lower it to \d+ or"),
        ({"model": "bpe", "vocab": 200}, r"200 bpe pieces are too many for 1 transcripts; lower it to \d+ or less"),
        ({"model": "unigram", "vocab": 5}, "5 unigram pieces are too few .* set it to 8 or more"),
        ({"model": "char", "vocab": 5}, "5 char pieces are too few .* set it to 8 or more"),
    ],
)
def test_a_vocabulary_that_does_not_fit_the_text_is_refused_with_one_that_does(conf, message):
    """ "ala ma kot" has 6 letters, to which the word boundary and <unk> come."""
    with pytest.raises(TrnetError, match="^ctc.vocab: " + message):
        pieces.train_pieces({"a": "ala ma kot"}, CTC(**conf))
    assert pieces.train_pieces({"a": "ala ma kot"}, CTC(model=conf["model"], vocab=8))


# the loss


def by_hand(log_probs: torch.Tensor, target: list[int]) -> float:
    """-log of the sum over all paths (T of them) that spell the target: repeats joined, blanks (0) left out."""
    total, (frames, signs) = 0.0, log_probs.shape
    for path in itertools.product(range(signs), repeat=frames):
        spelled = [sign for sign, _ in itertools.groupby(path) if sign]
        total += math.exp(sum(log_probs[t, sign] for t, sign in enumerate(path))) if spelled == target else 0
    return -math.log(total)


TARGETS = [[1, 2], [2, 2], [1], [2, 1, 2]]
LENGTHS = [4, 3, 1, 4]


@pytest.fixture
def scores():
    """Log-probabilities (4, 4, 3) that are random, also behind the ends."""
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(1)
    return torch.randn(4, 4, 3).log_softmax(2)


def test_ctc_sums_over_all_alignments_and_divides_by_pieces(scores):
    targets = [torch.tensor(t) for t in TARGETS]
    expected = [by_hand(s[:n], t) / len(t) for s, n, t in zip(scores, LENGTHS, TARGETS, strict=True)]
    loss = ctc_loss(scores, torch.tensor(LENGTHS), targets)
    assert loss.item() == pytest.approx(sum(expected) / 4, rel=1e-4)
    # an item without a target adds zero, and is counted; a batch of such items is zero
    some = ctc_loss(scores, torch.tensor(LENGTHS), [targets[0], None, None, targets[3]])
    assert some.item() == pytest.approx((expected[0] + expected[3]) / 4, rel=1e-4)
    assert ctc_loss(scores, torch.tensor(LENGTHS), [None] * 4).item() == 0


def test_frames_behind_the_end_move_neither_loss_nor_gradient(scores):
    targets, lengths = [torch.tensor(t) for t in TARGETS], torch.tensor(LENGTHS)
    scores.requires_grad_()
    ctc_loss(scores, lengths, targets).backward()
    for row, length, target in zip(range(4), LENGTHS, targets, strict=True):
        alone = scores.detach()[row : row + 1, :length].requires_grad_()
        ctc_loss(alone, torch.tensor([length]), [target]).backward()
        assert_near(scores.grad[row, :length], alone.grad[0] / 4)
        assert not scores.grad[row, length:].any()


def test_the_frames_that_a_target_needs(scores):
    """One less, and there is no alignment."""
    for target in ([1], [1, 2], [2, 2], [1, 1, 2]):
        target = torch.tensor(target)
        need = frames_needed(target)
        assert need == len(target) + sum(a == b for a, b in itertools.pairwise(target.tolist()))
        loss = ctc_loss(scores[:1], torch.tensor([need]), [target])
        assert torch.isfinite(loss)
        if need > 1:
            assert ctc_loss(scores[:1], torch.tensor([need - 1]), [target]).item() == math.inf


def network(kind: str, conf: Encoder):
    """A network of 21 mels; 21 -> 11 -> 6 bins in residual blocks, 21 -> 10 -> 5 in plain ones."""
    torch.manual_seed(2)
    sections = {"encoder": conf, "pooling": Pooling(attention=4), "classifier": Classifier(), "gate": Gate()}
    plain = {name: vars(section) for name, section in sections.items() if kind == "trnet" or name != "gate"}
    return build_model({"model": kind, "model_conf": {"num_mels": 21, "num_classes": 4, **plain}})


@pytest.mark.parametrize("kind", ["ser", "trnet"])
@pytest.mark.parametrize(("type_", "tap", "bins"), [("residual", 2, 6), ("residual", 1, 11), ("plain", 2, 5)])
def test_the_gradient_reaches_the_blocks_before_the_tap_and_a_batch_is_its_items(kind, type_, tap, bins):
    torch.use_deterministic_algorithms(True)
    conf = Encoder(type=type_, channels=[4, 6, 8], kernel=3)
    model = network(kind, conf).eval()
    head = CTCHead(21, conf, tap, 5)
    assert sum(p.numel() for p in head.parameters()) == (conf.channels[tap - 1] * bins + 1) * 6
    lengths, targets = torch.tensor([43, 30, 17]), [torch.tensor([1, 1, 3]), None, torch.tensor([5])]
    x = torch.randn(3, 43, 21)

    def loss_of(rows: slice, frames: int):
        heard_x = x[rows, :frames]
        with tapped(model, tap) as heard:
            model(*(heard_x,) * (1 if kind == "ser" else 2), lengths[rows])
        ((maps, left),) = heard
        assert left.lengths.tolist() == size_after(tap, lengths[rows], conf).tolist()
        return ctc_loss(head(maps), left.lengths, targets[rows])

    loss = loss_of(slice(0, 3), 43)
    alone = [loss_of(slice(i, i + 1), int(lengths[i])) for i in range(3)]
    assert loss.item() == pytest.approx(sum(a.item() for a in alone) / 3, rel=1e-4) and alone[1].item() == 0
    loss.backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    blocks = {int(name.partition("blocks.")[2][0]) for name in reached if "blocks." in name}
    assert blocks == set(range(tap)) and head.project.weight.grad.any()
    assert not any("pooling" in name or "classifier" in name for name in reached)
    model(*(x,) * (1 if kind == "ser" else 2), lengths)  # nobody listens any more


def test_transcripts_that_cannot_be_aligned_are_left_out_and_counted(spoken, tmp_path):
    """Residual blocks leave 9 of 33 frames and 5 of 17; one piece a character, and one before each word."""
    config = spoken(tmp_path).config
    texts = {"fits": "abcdefgh", "long": "abcdefghi", "twins": "aabcdefg", "short": "abcdefgh"}
    processor = pieces.SentencePieceProcessor(model_proto=pieces.train_pieces(texts, config.ctc))
    length = {"fits": 33, "long": 33, "twins": 33, "short": 17}
    targets = make_targets(Transcripts(texts, silent=3, cut=0), processor, length, config)
    assert list(targets.pieces) == ["fits"] and targets.pieces["fits"].min() >= 1
    assert len(targets.pieces["fits"]) == 9 and frames_needed(targets.pieces["fits"]) == 9
    assert "listens to 1 utterances, not to 3 whose pieces do not fit" in targets.told
    assert targets.told.endswith("not to 3 without a transcript") and "cut" not in targets.told
    with pytest.raises(TrnetError, match="none of 4 transcripts .*; raise ctc.vocab or lower ctc.tap"):
        make_targets(Transcripts(texts, 0, 0), processor, dict.fromkeys(texts, 10), config)


# runs


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """The teacher and trnet of fold 1, trained with CTC; not to be changed."""
    experiment = tiny.experiment(tmp_path_factory.mktemp("ctc"), ctc_weight=0.5)
    experiment.data._tables["text"] = {utt: text_of(utt) for utt in experiment.data.utts}
    experiment = replace(experiment, config=replace(experiment.config, ctc=CTC(**VOCAB)))
    for name in ("baseline_c", "trnet"):
        experiment.train(name, experiment.folds[0], 1)
    return experiment


def test_every_system_learns_to_spell_and_says_so(trained, spoken, tmp_path, capsys):
    for name in ("baseline_c", "trnet"):
        best, last, table = outcome(trained, name)
        rows = last["history"]
        for row in rows:
            parts = row["task"] + 0.5 * row["low"] + 0.5 * row["high"] + 0.5 * row["ctc"]
            assert row["loss"] == pytest.approx(parts, rel=1e-5) and math.isfinite(row["ctc"])
        assert rows[2]["ctc"] < rows[0]["ctc"] - 0.1  # of 20 runs with 5 seeds the least fell by 0.47
        assert table[0].endswith("valid_uar,c_clean,c_noisy,ctc") and table[1].endswith(f",{rows[0]['ctc']}")
        assert "ctc" not in best
    spoken(tmp_path, max_epochs=1).train("baseline_c", trained.folds[0], 1)
    # 12 letters, word boundary, <unk> and CTC's blank, from 8 channels of 6 bins and a bias: 15 * 49
    told = "baseline_c fold 1 seed 1: CTC listens to 32 utterances; its head has 735 parameters, in training only"
    assert capsys.readouterr().out.count(told) == 1


def test_a_run_trained_with_ctc_is_scored_and_teaches_like_any_other(trained):
    """best.pt has the keys of a network without CTC; trnet of this fixture had it as a teacher."""
    fold = trained.folds[0]
    for name in ("baseline_c", "trnet"):
        predict_run(trained, name, fold, 1, [])
        rows = (trained.run_folder(name, fold, 1) / "predictions.csv").read_text().splitlines()
        assert len(rows) == 1 + len(fold.test)
    assert header(trained, [("trnet", fold, 1)])["Training"].endswith("conditions draw, CTC 0.5 (char)")


@pytest.mark.parametrize("method", ["train_epoch", "save"])
def test_a_stopped_run_goes_on_to_the_very_same_end(spoken, trained, tmp_path, monkeypatch, method):
    experiment, fold = spoken(tmp_path), trained.folds[0]
    teacher = trained.run_folder("baseline_c", fold, 1)
    shutil.copytree(teacher, experiment.run_folder("baseline_c", fold, 1))
    owner = loop.Trajectory if method == "train_epoch" else Run
    whole, calls = getattr(owner, method), []

    def stopping(self, *args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(self, *args, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(owner, method, stopping)
        experiment.train("trnet", fold, 1)
    assert len(outcome(experiment, "trnet")[1]["history"]) == 1
    experiment.train("trnet", fold, 1)
    assert same(outcome(experiment, "trnet"), outcome(trained, "trnet"))


def test_a_last_pt_without_the_head_is_refused(spoken, tmp_path):
    experiment = spoken(tmp_path, max_epochs=1)
    fold = experiment.folds[0]
    experiment.train("baseline_c", fold, 1)
    path = experiment.run_folder("baseline_c", fold, 1) / "last.pt"
    state = load_checkpoint(path)
    assert set(state.pop("ctc")) == {"project.weight", "project.bias"}
    torch.save(state, path)
    with pytest.raises(TrnetError, match="last.pt: .*missing project.weight"):
        spoken(tmp_path, max_epochs=2).train("baseline_c", fold, 1)


def test_without_ctc_nothing_is_as_if_it_were_there(tiny, spoken, trained, tmp_path, monkeypatch):
    """Off: whatever the section says and whether or not there is text, the same bits and the same stamp."""
    monkeypatch.setattr(pieces, "SentencePieceTrainer", None)
    plain, off = tiny.experiment(tmp_path / "plain"), spoken(tmp_path / "off", {"tap": 1, "vocab": 7}, ctc_weight=0.0)
    off.data._tables["text"] = {}
    fold = plain.folds[0]
    for experiment in (plain, off):
        experiment.train("baseline_c", fold, 1)
    assert same(outcome(plain, "baseline_c"), outcome(off, "baseline_c"))
    _, last, table = outcome(plain, "baseline_c")
    assert "ctc" not in last and "ctc" not in table[0] and len(last["optimizer"]["param_groups"]) == 1
    assert not (tmp_path / "off/pieces").exists()
    stamps = [experiment.stamp("baseline_c", fold, 1).made_from for experiment in (plain, off)]
    assert stamps[0] == stamps[1] and "ctc" not in stamps[0]
    settings = "batch_size bucketing grad_clip lr plateau_factor plateau_patience precision train_conditions"
    assert sorted(stamps[0]["training"]) == [*settings.split(), "valid_conditions"]
    # CTC changes what is learned, not where it starts, nor in which order the speech is heard
    with_ctc = outcome(trained, "baseline_c")
    assert with_ctc[0]["model"].keys() == last["model"].keys()
    assert not same(with_ctc[1]["model"], last["model"])


def test_the_network_starts_as_it_does_without_ctc(spoken, tiny, tmp_path, monkeypatch):
    starts = []
    monkeypatch.setattr(loop.Trajectory, "train", lambda self, bar: starts.append(self.model.state_dict()))
    for experiment in (spoken(tmp_path / "on"), tiny.experiment(tmp_path / "off")):
        with pytest.raises(IndexError):  # the epoch that was not trained
            experiment.train("trnet_wo_high", experiment.folds[0], 1)
    assert same(*starts)


def test_what_changes_ctc_trains_anew_and_what_it_does_not_hear_does_not(spoken, tmp_path):
    fold = spoken(tmp_path).folds[0]

    def made_from(change=lambda text: None, **options):
        experiment = spoken(tmp_path, **options)
        change(experiment.data["text"])
        return experiment.stamp("trnet_wo_high", fold, 1).made_from

    first = made_from()
    assert first == made_from(lambda text: text.update({fold.test[0]: "x", fold.valid[0]: "y"}))
    assert first == made_from(lambda text: text.update({fold.train[0]: text[fold.train[0]].upper()}))
    changes = [
        made_from(lambda text: text.update({fold.train[0]: "x"})),
        *(made_from(ctc=VOCAB | {key: value}) for key, value in (("tap", 1), ("vocab", 41), ("model", "bpe"))),
    ]
    weight = made_from(ctc_weight=0.25)
    assert [key for key in first if first[key] != weight[key]] == ["training"]
    for changed in changes:
        assert [key for key in first if first[key] != changed[key]] == ["ctc"]


def test_bf16_keeps_the_head_in_float32(spoken, tmp_path):
    experiment = spoken(tmp_path, max_epochs=1, precision="bf16")
    experiment.train("trnet_wo_high", experiment.folds[0], 1)
    last = outcome(experiment, "trnet_wo_high")[1]
    assert math.isfinite(last["history"][0]["ctc"]) and last["ctc"]["project.weight"].dtype == torch.float32


def test_the_norm_that_is_clipped_is_that_of_network_and_head(spoken, tmp_path, monkeypatch):
    clipped, whole = [], torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda p, norm: whole(clipped.append(len(p)) or p, norm))
    experiment = spoken(tmp_path, max_epochs=1)
    experiment.train("baseline_c", experiment.folds[0], 1)
    model = outcome(experiment, "baseline_c")[1]["optimizer"]["param_groups"]
    assert set(clipped) == {sum(len(group["params"]) for group in model)}


def test_a_vocabulary_too_large_for_the_corpus_ends_the_command_in_one_line(tiny, tmp_path, fails):
    conf = tmp_path / "conf.yaml"
    conf.write_text(f"base: {tiny.config_path}\ntraining: {{ctc_weight: 0.5}}\n")
    options = ["--config", str(conf), "--dump", str(tiny.dump), "--exp", str(tmp_path / "exp"), "--part", "teacher"]
    message = fails(train.main, [*options, "--corpus-data", str(tiny.data.path)])
    assert "error: ctc.vocab: 200 unigram pieces are too many for 32 transcripts; lower it to" in message
