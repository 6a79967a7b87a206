"""Pretrained networks in miniature: random weights, the real configurations, in folders that transformers loads."""

from pathlib import Path
from typing import Any

import pytest
import torch

FAMILIES = ("whisper", "wav2vec2", "hubert", "wavlm", "wav2vec2-bert", "data2vec-audio")
LAYERS, DIM = 6, 16
SIZES = {"hidden_size": DIM, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 32}
SAMPLES = {"conv_dim": [8, 8], "conv_kernel": [10, 4], "conv_stride": [160, 2], "num_conv_pos_embeddings": 8}
SAMPLES |= {"num_conv_pos_embedding_groups": 2, "num_feat_extract_layers": 2}


def make_upstream(kind: str, folder: Path, seed: int = 0) -> Path:
    """A network of a family, 50 frames of `DIM` values a second, with its preprocessor; other weights by `seed`."""
    transformers = pytest.importorskip("transformers", reason="needs transformers: pip install -e '.[upstream]'")
    preprocessor: Any = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    if kind == "whisper":
        config = transformers.WhisperConfig(
            d_model=DIM,
            encoder_layers=LAYERS,
            encoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_layers=1,
            decoder_attention_heads=2,
            decoder_ffn_dim=32,
            vocab_size=64,
            num_mel_bins=20,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
        )
        preprocessor = transformers.WhisperFeatureExtractor(feature_size=20)
    elif kind == "wav2vec2-bert":
        config = transformers.Wav2Vec2BertConfig(**SIZES, conv_depthwise_kernel_size=5)
        preprocessor = transformers.SeamlessM4TFeatureExtractor()
    else:
        config = transformers.AutoConfig.for_model(kind, **SIZES, **SAMPLES)
    torch.manual_seed(seed)
    network = transformers.AutoModel.from_config(config)
    network.save_pretrained(folder)
    preprocessor.save_pretrained(folder)
    return folder
