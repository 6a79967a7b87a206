"""CMGAN's layers as Triton kernels, for inference on a GPU; ``gpu.py`` calls them. Importing them needs Triton.

All tensors are tokens-major: a token is one band of one frame of one clip, with its channels side by side, so that
conformers along time and along bands read the same memory with other strides and nothing is ever transposed. Matrix
products run on tensor cores: of bf16, of TF32, or of float32 split into three TF32 products, whose error is that of
float32 (``PRECISION``: ``tf32x3``). Sums, norms and softmax are in float32.
"""
