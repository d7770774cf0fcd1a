"""The pose stage on a GPU: masks, what moves them and the damped Gauss-Newton steps, all hypotheses in one batch.

``kernels`` holds the Triton kernels and is imported on a machine with a CUDA device only; ``splat_sums``, ``level_set``
and ``solver`` are the same arithmetic in torch, which runs anywhere and is what the kernels are tested against.
"""
