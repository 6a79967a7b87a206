#!/usr/bin/env bash
# The model of the package, trnet/models/nemo_trnet.zip, and its card: a TRNet of all nine speakers.
#
# Before: ./run.sh --config conf/steady.yaml --exp exp_steady --systems "baseline_c trnet" ... with all folds, stages 0 to 7.
# Its runs give the number of epochs (the median of the chosen ones), the temperature and the scores of the card.
[ -n "${BASH_VERSION-}" ] || { echo "error: run it with bash" >&2; exit 2; }
set -euo pipefail
cd "$(dirname "$0")/.."

corpus=nemo                    # name of the corpus: data/<corpus>
config=conf/package.yaml       # settings of the model of all speakers
loso_config=conf/steady.yaml   # settings of the runs that hold speakers out: the same but for the folds
loso_exp=exp_steady            # folder of these runs
loso_seeds=1                   # their seeds
seed=1                         # of the model of all speakers
data=data                      # folder of data dirs
dump=dump                      # folder of features
exp=exp_package                # folder of the runs of all speakers
card=conf/package_card.md      # the words of the card
out=../../../trnet/models/nemo_trnet.zip # the model; its card is beside it, as .md
embed_upstream=false           # true: the file carries the pretrained network behind its features
ngpu=0                         # 0: CPU, 1: GPU
frontend=                      # the YAML's if empty
frontend_checkpoint=           # weights of the front-end, in its authors' format; the YAML's if empty
set=                           # settings of both YAMLs: "training.lr=5e-4"

options="corpus config loso_config loso_exp loso_seeds seed data dump exp card out embed_upstream ngpu frontend frontend_checkpoint set"

usage() {
    echo "Usage: local/make_packaged_model.sh [--OPTION VALUE]..."
    echo "Options and what they are now (relative paths start from the recipe's folder):"
    show_options local/make_packaged_model.sh
}

template=../../TEMPLATE/ser1
# shellcheck source=egs/TEMPLATE/ser1/path.sh
. "$template/path.sh"
# shellcheck source=egs/TEMPLATE/options.sh
. "$template/../options.sh"
parse_options "$@"
check_words corpus
check_choices embed_upstream
export OMP_NUM_THREADS=1 # sums in another order have other last bits

setup=(--corpus-data="$data/$corpus" --dump="$dump" --ngpu="$ngpu")
[ -z "$frontend" ] || setup+=(--frontend="$frontend")
[ -z "$frontend_checkpoint" ] || setup+=(--frontend-checkpoint="$frontend_checkpoint")
[ -z "$set" ] || setup+=(--set="$set")
loso=("${setup[@]}" --config="$loso_config" --exp="$loso_exp" --seeds="$loso_seeds")
all=("${setup[@]}" --config="$config" --exp="$exp" --seeds="$seed")

found=$(run package_model "${loso[@]}" --part epochs)
read -r teacher_epochs epochs <<<"$found"
echo "epochs: the teacher's $teacher_epochs, trnet's $epochs (medians of the runs in $loso_exp)"

mkdir -p "$exp"
run calibrate "${loso[@]}" --systems trnet --out "$exp/calibration.json"
run train "${all[@]}" --part teacher --systems trnet --max-epochs "$teacher_epochs"
run train "${all[@]}" --part others --systems trnet --max-epochs "$epochs"
packing=(--half --calibration "$exp/calibration.json" --out "$exp/packed.zip")
! "$embed_upstream" || packing+=(--embed-upstream)
run pack "${all[@]}" --systems trnet --max-epochs "$epochs" "${packing[@]}"
run package_model "${loso[@]}" --part model --model "$exp/packed.zip" --card "$card" --out "$out"
