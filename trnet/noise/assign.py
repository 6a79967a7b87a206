"""Which noise clip each utterance gets (Section 4.3).

Source recordings are distributed over the groups (sessions), and no two groups share one; inside a group every clip is
used equally often. All is a function of the seed and the ids, never of the order of files.
"""

from collections.abc import Mapping

from trnet.utils.errors import TrnetError
from trnet.utils.random import rng_for


def deal_sources(groups: list[str], noise_utt2src: Mapping[str, str], seed: int, name: str) -> dict[str, list[str]]:
    """Noise clips of each group, in the order of use; every source recording goes to one group.

    `seed` and the set's `name` seed the draws.

    Raises:
        TrnetError: If there are fewer source recordings than groups.
    """
    clips_of: dict[str, list[str]] = {}
    for clip in sorted(noise_utt2src):
        clips_of.setdefault(noise_utt2src[clip], []).append(clip)
    if len(clips_of) < len(groups):
        raise TrnetError(
            f"noise '{name}': {len(clips_of)} source recordings for {len(groups)} groups that must not share one; "
            "add noise recordings, or gather speakers ('folds: {kind: groups, count: N, valid: next}')"
        )
    sources = sorted(clips_of)
    rng_for(seed, name, "sources").shuffle(sources)
    sources.sort(key=lambda s: -len(clips_of[s]))  # stable: the large ones first, for groups of like size
    dealt: dict[str, list[str]] = {group: [] for group in sorted(groups)}
    for source in sources:
        poorest = min(dealt, key=lambda g: (len(dealt[g]), g))
        dealt[poorest] += clips_of[source]
    for group, clips in dealt.items():
        rng_for(seed, name, "clips", group).shuffle(clips)
    return dealt


def assign_clips(
    utt2group: Mapping[str, str], noise_utt2src: Mapping[str, str], seed: int, name: str
) -> dict[str, str]:
    """The noise clip of each utterance, the same at all SNRs.

    Raises:
        TrnetError: For fewer sources than groups.
    """
    dealt = deal_sources(sorted(set(utt2group.values())), noise_utt2src, seed, name)
    assigned: dict[str, str] = {}
    for group, clips in dealt.items():
        utts = sorted(u for u, g in utt2group.items() if g == group)
        rng_for(seed, name, "utterances", group).shuffle(utts)
        assigned.update((utt, clips[i % len(clips)]) for i, utt in enumerate(utts))
    return assigned
