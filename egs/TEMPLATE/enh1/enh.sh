#!/usr/bin/env bash
# The recipe that trains speech-enhancement front-ends, stages 0 to 3. A recipe's run.sh sets what differs and calls this
# with its own folder as the working directory; a recipe that makes its pairs itself has local/make_data.sh.
[ -n "${BASH_VERSION-}" ] || { echo "error: run it with bash: ./enh.sh or bash enh.sh" >&2; exit 2; }
set -euo pipefail

# Settings, each an option of the same name (--max-epochs sets max_epochs).
corpus=                       # how the pairs are laid out: voicebank_demand, noisy_sets
stage=0                       # first stage
stop_stage=3                  # last stage
ngpu=0                        # 0: CPU, 1: GPU
nj=$(nproc 2>/dev/null || echo 1) # processes that check pairs, read segments and compute metrics
trainable="cmgan dccrn dpt_fsnet"
frontends=$trainable          # what is trained, each by conf/<front-end>.yaml
configs=                      # YAMLs instead of these
seeds=1                       # seeds of training, e.g. "1 2 3"
max_epochs=                   # epochs at most; the YAML's if empty
set=                          # any settings of the YAMLs: "training.lr=5e-4"; may be given again
test_utts=0                   # stage 3 scores so many utterances, drawn once; 0: all
split=conf/split.yaml         # sets and speakers of training, validation and test
contract=conf/contract.yaml   # pairs of each set to expect; none: do not check
corpus_dir=                   # where the corpus lies, or the recipe that made noisy sets; downloads/<corpus> if empty
tag=                          # data_<tag>, exp_<tag>: an experiment apart from the recipe's own
wandb=                        # project of Weights & Biases that gets the curves too; TensorBoard always does

options="corpus stage stop_stage ngpu nj frontends configs seeds max_epochs set test_utts split contract corpus_dir tag wandb"

usage() {
    cat <<EOF
Usage: ./run.sh [--stage N] [--stop-stage M] [--OPTION VALUE]...   (lists are quoted: --seeds "1 2")

  stage 0  find or make the pairs
  stage 1  Kaldi data dirs of pairs                        data/{train,valid,test}/
  stage 2  train the front-ends                            exp/<frontend>/seed<s>/frontend.pt
  stage 3  score, tables                                   exp/RESULTS.md exp/results.csv

A trained front-end enters a ser1 recipe by --frontend NAME --frontend-checkpoint exp/NAME/seed1/frontend.pt

Options and what they are now (relative paths start from the recipe's folder):
EOF
    show_options "${BASH_SOURCE[0]}"
}

template=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=egs/TEMPLATE/ser1/path.sh
. "$template/../ser1/path.sh"
# shellcheck source=egs/TEMPLATE/options.sh
. "$template/../options.sh"
parse_options "$@"
check_numbers 3
check_words corpus tag
[ -n "$corpus" ] || fail "--corpus: is not set; call a recipe's run.sh" 2
: "${corpus_dir:=downloads/$corpus}"
if [ -z "$configs" ]; then
    for frontend in $frontends; do
        [ "$stop_stage" -lt 2 ] || [ -f "conf/$frontend.yaml" ] ||
            fail "--frontends $frontend: there is no conf/$frontend.yaml to train it by; there are: $trainable" 2
        configs+="conf/$frontend.yaml "
    done
fi
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc 2>/dev/null || echo 1)}"

data=data${tag:+_$tag} exp=exp${tag:+_$tag}
runs=(--configs="$configs" --data="$data" --exp="$exp" --seeds="$seeds" --nj="$nj" --ngpu="$ngpu")
[ -z "$max_epochs" ] || runs+=(--max-epochs="$max_epochs")
[ -z "$set" ] || runs+=(--set="$set")

if in_stage 0 "pairs"; then
    if [ -x local/make_data.sh ]; then
        local/make_data.sh "$corpus_dir" "$nj"
    elif [ ! -d "$corpus_dir" ]; then
        fail "$corpus_dir: no such folder; give the corpus with --corpus-dir"
    fi
fi

if in_stage 1 "data dirs"; then
    run prepare_pairs --corpus "$corpus" --root="$corpus_dir" --out "$data" --split "$split" --contract "$contract" --nj "$nj"
fi

# needs PART...: stage 1 has made these data dirs.
needs() {
    local part
    for part in "$@"; do
        [ -d "$data/$part" ] || fail "$data/$part: no such data dir; run stage 1 first${tag:+, with --tag $tag}"
    done
}

if in_stage 2 "train"; then
    needs train valid
    run train_frontend "${runs[@]}" --wandb "$wandb"
fi

if in_stage 3 "score"; then
    needs test
    run evaluate_frontend "${runs[@]}" --test-utts="$test_utts"
fi
