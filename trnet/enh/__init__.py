"""Training speech-enhancement front-ends on pairs of noisy and clean speech."""
