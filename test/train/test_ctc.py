"""CTC on the encoder: what is aligned, a loss that each item gives alone, runs that go on."""

import math
import re

import pytest
import torch
from training import VOCAB, Stopped, history, outcome, run_of, same_outcome, spoken, stop_at, train

from trnet.bin import train as train_command
from trnet.config import CTC, ModelConfig, build
from trnet.model.batch import Batch
from trnet.model.ctc import frames_needed
from trnet.model.encoders.convolutional import ResidualEncoder
from trnet.model.systems import make_system
from trnet.runs.checkpoint import load_checkpoint, save_checkpoint
from trnet.runs.text_normalisation import Transcripts
from trnet.train import tokenizer
from trnet.train.ctc import CTCLoss, check_tap, make_tokens
from trnet.train.ser_job import SERJob
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole


def same(a, b) -> bool:
    """To the bit, tensors inside dicts and lists too."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def system_of(kind: str, encoder: dict):
    """A system of 21 mels; 21 -> 11 -> 6 bins in residual blocks, 21 -> 10 -> 5 in plain ones."""
    torch.manual_seed(2)
    sections = {"features": {"num_mel_bins": 21}, "encoder": encoder, "pooling": {"attention": 4}}
    system = {"input": "noisy"} if kind == "ser" else {"bridge": True}
    return make_system(build(ModelConfig, sections | {"system": system}), 4)


@pytest.mark.parametrize("kind", ["ser", "trnet"])
@pytest.mark.parametrize(("type_", "tap", "bins"), [("residual", 2, 6), ("residual", 1, 11), ("plain", 2, 5)])
def test_the_gradient_reaches_the_blocks_before_the_tap_and_a_batch_is_its_items(kind, type_, tap, bins):
    torch.use_deterministic_algorithms(True)
    channels = [4, 6, 8]
    model = system_of(kind, {"type": type_, "channels": channels, "kernel": 3})
    loss = CTCLoss(model, CTC(tap=tap), 5)
    assert sum(p.numel() for p in loss.parameters()) == (channels[tap - 1] * bins + 1) * 6
    lengths, targets = torch.tensor([43, 30, 17]), (torch.tensor([1, 1, 3]), None, torch.tensor([5]))
    x = torch.randn(3, 43, 21)

    def loss_of(rows: slice, frames: int):
        part = x[rows, :frames]
        inputs = {"noisy": part} | ({"enhanced": part} if kind == "trnet" else {})
        batch = Batch((), lengths[rows], lengths[rows], text=targets[rows], **inputs)
        return loss(model(batch), batch)

    for module in model.modules():  # in training, where it listens, but with norms that each item passes alone
        module.train(not isinstance(module, torch.nn.BatchNorm1d))
    whole = loss_of(slice(0, 3), 43)
    alone = [loss_of(slice(i, i + 1), int(lengths[i])) for i in range(3)]
    assert whole.item() == pytest.approx(sum(a.item() for a in alone) / 3, rel=1e-4) and alone[1].item() == 0
    whole.backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    blocks = {int(name.partition("blocks.")[2][0]) for name in reached if "blocks." in name}
    assert blocks == set(range(tap)) and loss.head.project.weight.grad.any()
    assert not any("pooling" in name or "classifier" in name for name in reached)
    model.eval()(Batch((), lengths, lengths, noisy=x, enhanced=x))
    assert not loss._tapped  # nobody listens in validation


@pytest.mark.parametrize("encoder", ["light", "ecapa_tdnn", "own_parts:MeanEncoder"])
def test_an_encoder_without_blocks_is_refused_in_one_line(encoder):
    model = system_of("ser", {"type": encoder})
    for work in (lambda: check_tap(model, CTC()), lambda: CTCLoss(model, CTC(), 5)):
        with pytest.raises(TrnetError, match="CTC: .*Encoder") as caught:
            work()
        assert "\n" not in str(caught.value)


def test_a_tap_beyond_the_blocks_is_refused():
    with pytest.raises(TrnetError, match="ctc.tap: 2 .* 1 "):
        check_tap(system_of("ser", {"channels": [4]}), CTC())


def test_transcripts_that_cannot_be_aligned_are_left_out_and_counted():
    """Residual blocks leave 9 of 33 frames and 5 of 17; one piece a character, and one before each word."""
    conf = CTC(**VOCAB)
    encoder = ResidualEncoder(24, channels=[8, 8], kernel=3)
    texts = {"fits": "abcdefgh", "long": "abcdefghi", "twins": "aabcdefg", "short": "abcdefgh"}
    processor = tokenizer.SentencePieceProcessor(model_proto=tokenizer.train_tokenizer(texts, conf))
    length = {"fits": 33, "long": 33, "twins": 33, "short": 17}
    tokens = make_tokens(Transcripts(texts, silent=5, cut=0), processor, length, encoder, conf)
    assert list(tokens.by_utt) == ["fits"] and tokens.by_utt["fits"].min() >= 1
    assert len(tokens.by_utt["fits"]) == 9 and frames_needed(tokens.by_utt["fits"]) == 9
    assert re.findall("[0-9]+", tokens.summary) == ["1", "3", "5"]  # none is cropped
    with pytest.raises(TrnetError, match="none of 4 .*ctc.vocab.*ctc.tap"):
        make_tokens(Transcripts(texts, 0, 0), processor, dict.fromkeys(texts, 10), encoder, conf)


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """The teacher and trnet of fold 1, trained with CTC; not to be changed."""
    session = spoken(tiny, tmp_path_factory.mktemp("ctc"))
    for name in ("baseline_c", "trnet"):
        train(session, name)
    return session


def outcome_of(session, name):
    """best.pt, last.pt and the lines of history.csv of fold 1, seed 1."""
    best, last, table = outcome(session, name)
    return best, last, table.read_text().splitlines()


def test_every_system_learns_to_spell(trained):
    for name in ("baseline_c", "trnet"):
        best, last, table = outcome_of(trained, name)
        rows = last["history"]
        for row in rows:
            parts = row["task"] + 0.5 * row.get("low", 0) + 0.5 * row.get("high", 0) + 0.5 * row["ctc"]
            assert row["loss"] == pytest.approx(parts, rel=1e-5) and math.isfinite(row["ctc"])
        assert rows[2]["ctc"] < rows[0]["ctc"] - 0.1  # of 20 runs with 5 seeds the least fell by 0.47
        assert table[0].endswith("valid_uar,c_clean,c_noisy,ctc") and table[1].endswith(f",{rows[0]['ctc']}")
        assert "losses" not in best and not any("head" in key for key in best["model"])
    # 12 letters, word boundary, <unk> and CTC's blank, from 8 channels of 6 bins and a bias: 15 * 49
    assert sum(value.numel() for value in last["losses"].values()) == 735


@pytest.mark.parametrize("method", ["train_epoch", "_save"])
def test_a_stopped_run_goes_on_to_the_very_same_end(tiny, trained, tmp_path, monkeypatch, method):
    session = spoken(tiny, tmp_path)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, method, 2)
        train(session, "baseline_c")
    assert len(history(session, "baseline_c")) == 1
    train(session, "baseline_c")
    assert same(outcome_of(session, "baseline_c"), outcome_of(trained, "baseline_c"))


def test_a_run_of_an_older_version_goes_on_and_one_without_the_head_is_refused(tiny, trained, tmp_path):
    """It kept the head under another name."""
    session = spoken(tiny, tmp_path, max_epochs=2)
    train(session, "baseline_c")
    path = run_of(session, "baseline_c").last
    state = load_checkpoint(path)
    head = {key.removeprefix("ctc.head."): value for key, value in state.pop("losses").items()}
    assert set(head) == {"project.weight", "project.bias"}
    save_checkpoint(path, state)
    with pytest.raises(TrnetError, match="last.pt: .*missing ctc.head.project.weight"):
        train(spoken(tiny, tmp_path), "baseline_c")
    save_checkpoint(path, state | {"ctc": head})
    train(spoken(tiny, tmp_path), "baseline_c")
    assert same_outcome(outcome(spoken(tiny, tmp_path), "baseline_c"), outcome(trained, "baseline_c"))


def test_without_ctc_nothing_is_as_if_it_were_there(tiny, trained, tmp_path, monkeypatch):
    """Off: whatever the section says and whether or not there is text, the same bits and the same stamp."""
    monkeypatch.setattr(tokenizer, "SentencePieceTrainer", None)
    plain = tiny.session(tmp_path / "plain", max_epochs=1)
    off = spoken(tiny, tmp_path / "off", {"tap": 1, "vocab": 7}, ctc_weight=0.0, max_epochs=1)
    off.experiment.data._tables["text"] = {}
    for session in (plain, off):
        train(session, "baseline_c")
    (plain_best, *plain_rest), (off_best, *off_rest) = (outcome_of(each, "baseline_c") for each in (plain, off))
    settings = [best.pop("config") for best in (plain_best, off_best)]
    assert {key for key in settings[0] if settings[0][key] != settings[1][key]} == {"ctc"}
    assert same(plain_best, off_best) and same(plain_rest, off_rest)
    last, table = plain_rest
    assert "losses" not in last and "ctc" not in table[0] and len(last["optimizer"]["param_groups"]) == 1
    assert not (tmp_path / "off/pieces").exists()
    stamps = [session.experiment.stamp(run_of(session, "baseline_c")).made_from for session in (plain, off)]
    assert stamps[0] == stamps[1] and "ctc" not in stamps[0]
    # CTC changes what is learned, not where it starts, nor in which order the utterances come
    assert outcome_of(trained, "baseline_c")[0]["model"].keys() == last["model"].keys()
    assert not same(history(trained, "baseline_c")[0], last["history"][0])


def test_the_network_starts_as_it_does_without_ctc(tiny, tmp_path):
    starts = []
    for session in (spoken(tiny, tmp_path / "on"), tiny.session(tmp_path / "off")):
        run = run_of(session, "trnet_wo_high")
        job = SERJob(session.data(run), [run])
        job.begin()
        starts.append(job.model.state_dict())
    assert same(*starts)


def test_what_changes_ctc_trains_anew_and_what_it_does_not_read_does_not(tiny, tmp_path):
    def made_from(change=lambda text: None, ctc=VOCAB, **training):
        session = spoken(tiny, tmp_path, ctc, **training)
        change(session.experiment.data["text"])
        return session.experiment.stamp(run_of(session, "trnet_wo_high")).made_from

    first, fold = made_from(), run_of(spoken(tiny, tmp_path), "trnet_wo_high").fold
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


def test_bf16_keeps_the_head_in_float32(tiny, tmp_path):
    session = spoken(tiny, tmp_path, max_epochs=1, precision="bf16")
    train(session, "trnet_wo_high")
    last = outcome(session, "trnet_wo_high")[1]
    assert math.isfinite(last["history"][0]["ctc"])
    assert last["losses"]["ctc.head.project.weight"].dtype == torch.float32


def test_the_norm_that_is_clipped_is_that_of_network_and_head(tiny, tmp_path, monkeypatch):
    clipped, whole = [], torch.nn.utils.clip_grad_norm_

    def clip(parameters, norm):
        parameters = list(parameters)
        clipped.append(len(parameters))
        return whole(parameters, norm)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clip)
    session = spoken(tiny, tmp_path, max_epochs=1)
    train(session, "baseline_c")
    model = outcome(session, "baseline_c")[1]["optimizer"]["param_groups"]
    assert set(clipped) == {sum(len(group["params"]) for group in model)}


def test_a_vocabulary_too_large_for_the_corpus_ends_the_command_in_one_line(tiny, tmp_path, fails):
    options = ["--exp", str(tmp_path / "exp"), "--part", "teacher", "--set", "training.ctc_weight=0.5"]
    message = fails(train_command.main, [*tiny.folders(), *options])
    assert "ctc.vocab: 200" in message and "32 transcripts" in message
