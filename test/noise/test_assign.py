"""Who hears which noise: no source recording in two groups, all clips about equally, the order of files no matter."""

from collections import Counter

import numpy as np
import pytest

from trnet.noise.assign import assign_clips, deal_sources
from trnet.utils.errors import TrnetError
from trnet.utils.random import rng_for

SEEDS = range(12)


def speech(groups: int = 5, utts: int = 80) -> dict[str, str]:
    """utt2group: groups of unequal size."""
    return {f"u{i:03}": f"Ses{i * i % groups + 1}" for i in range(utts)}


def noise(seed: int, sources: int = 23) -> dict[str, str]:
    """utt2src: source recordings of one to six clips."""
    counts = np.random.default_rng(seed).integers(1, 7, sources)
    return {f"n{src}-{clip}": f"n{src}" for src, count in enumerate(counts) for clip in range(count)}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_source_recording_is_heard_in_two_groups(seed):
    utt2group, utt2src = speech(), noise(seed)
    groups_of: dict[str, set[str]] = {}
    for utt, clip in assign_clips(utt2group, utt2src, seed, "esc").items():
        groups_of.setdefault(utt2src[clip], set()).add(utt2group[utt])
    assert all(len(groups) == 1 for groups in groups_of.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_every_utterance_has_a_clip_and_the_clips_of_a_group_are_used_equally(seed):
    utt2group, utt2src = speech(), noise(seed)
    assigned = assign_clips(utt2group, utt2src, seed, "esc")
    assert assigned.keys() == utt2group.keys()
    dealt = deal_sources(sorted(set(utt2group.values())), utt2src, seed, "esc")
    for group, clips in dealt.items():
        used = Counter({clip: 0 for clip in clips})
        used.update(clip for utt, clip in assigned.items() if utt2group[utt] == group)
        assert set(used) == set(clips) and max(used.values()) - min(used.values()) <= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_every_clip_is_dealt_once_and_the_groups_get_about_as_many(seed):
    utt2src = noise(seed)
    dealt = deal_sources(["a", "b", "c", "d", "e"], utt2src, seed, "esc")
    assert sorted(clip for clips in dealt.values() for clip in clips) == sorted(utt2src)
    # each source went to the group that had least: no two groups can differ by more than the largest source
    counts = [len(clips) for clips in dealt.values()]
    assert max(counts) - min(counts) <= max(Counter(utt2src.values()).values())


def test_esc_50_is_dealt_to_the_sessions_of_iemocap_evenly():
    """2000 clips; sources of 1 to 3 clips leave the sessions with 400 each, give or take a source."""
    utt2src, clip, source = {}, 0, 0
    while clip < 2000:
        for _ in range(min(source % 3 + 1, 2000 - clip)):
            utt2src[f"c{clip:04}"] = f"s{source:04}"
            clip += 1
        source += 1
    dealt = deal_sources([f"Ses0{i}" for i in range(1, 6)], utt2src, 0, "esc")
    assert all(397 <= len(clips) <= 403 for clips in dealt.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_tables_is_no_matter_the_seed_and_the_names_are(seed):
    utt2group, utt2src = speech(), noise(seed)
    rng = np.random.default_rng(seed)
    mixed_up = [dict(np.array(list(table.items()))[rng.permutation(len(table))]) for table in (utt2group, utt2src)]
    first = assign_clips(utt2group, utt2src, seed, "esc")
    assert assign_clips(*mixed_up, seed, "esc") == first
    assert assign_clips(utt2group, utt2src, seed + 1, "esc") != first
    assert assign_clips(utt2group, utt2src, seed, "musan") != first


def test_which_recordings_a_group_hears_is_drawn_by_the_seed():
    """Sources of one size: each seed deals them anew."""
    utt2src = {f"n{i:02}": f"s{i:02}" for i in range(10)}
    deals = {tuple(sorted(deal_sources(["a", "b"], utt2src, seed, "esc")["a"])) for seed in range(10)}
    assert len(deals) > 5


def test_fewer_sources_than_groups_are_refused_and_as_many_are_enough():
    utt2src = {"a-1": "a", "a-2": "a", "b-1": "b"}
    with pytest.raises(TrnetError, match="noise 'esc': 2 source recordings for 3 groups"):
        assign_clips({"u1": "1", "u2": "2", "u3": "3"}, utt2src, 0, "esc")
    assigned = assign_clips({"u1": "1", "u2": "2"}, utt2src, 0, "esc")
    assert len({utt2src[clip] for clip in assigned.values()}) == 2


def test_random_numbers_are_a_function_of_the_key_alone():
    assert rng_for(1, "a").integers(2**62) == rng_for(1, "a").integers(2**62)
    keys = [(1, "a"), (1, "b"), (2, "a"), ("1a",), (1, "a", "")]
    assert len({int(rng_for(*key).integers(2**62)) for key in keys}) == len(keys)
