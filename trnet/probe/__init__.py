"""Linear probes of features: which layer of a pretrained network suits a corpus, and a system to compare with."""
