#!/usr/bin/env bash
# make_data.sh CORPUS_DIR ...: MELD's films as 16 kHz mono WAV files beside them, what is there already being kept.
[ -n "${BASH_VERSION-}" ] || { echo "error: run it with bash: bash local/make_data.sh" >&2; exit 2; }
set -euo pipefail

for folder in "$1" "$1/MELD" "$1/MELD.Raw"; do
    [ -f "$folder/train_sent_emo.csv" ] || continue
    for part in train_splits dev_splits_complete output_repeated_splits_test; do
        for film in "$folder/$part"/dia*_utt*.mp4; do
            wav=${film%.mp4}.wav
            if [ ! -f "$film" ] || [ -f "$wav" ]; then continue; fi
            command -v ffmpeg >/dev/null || { echo "error: ffmpeg: not found; install it to read MELD's films" >&2; exit 1; }
            if ffmpeg -nostdin -loglevel error -y -i "$film" -vn -ac 1 -ar 16000 -f wav "$wav.partial"; then
                mv "$wav.partial" "$wav"
            else
                rm -f "$wav.partial"
                echo "warning: $film: has no sound that ffmpeg can read" >&2
            fi
        done
    done
done
