#!/usr/bin/env bash
# The recipe of every corpus, stages 0 to 7. A recipe's run.sh sets what differs and calls this with its own folder as
# the working directory; a recipe that makes its corpora itself has local/make_data.sh.
[ -n "${BASH_VERSION-}" ] || { echo "error: run it with bash: ./ser.sh or bash ser.sh" >&2; exit 2; }
set -euo pipefail

# Settings, each an option of the same name (--max-epochs sets max_epochs).
corpus=                       # name of the corpus: data/<corpus>
layout=                       # how it lies on disk: iemocap, nemo; the corpus's name if empty
stage=0                       # first stage
stop_stage=7                  # last stage
ngpu=0                        # 0: CPU, N: GPUs (stages 5 and 6 share them by torchrun)
nj=$(nproc 2>/dev/null || echo 1) # processes in stages 1 to 4, runs at a time in 5 to 7
config=conf/recipe.yaml       # the experiment's YAML
folds=                        # folds to train and test, e.g. "1 2"; all if empty
seeds=1                       # seeds of training, e.g. "1 2 3"
systems=                      # e.g. "baseline_n trnet"; all of the YAML if empty
frontend=                     # a name of docs/frontends.md or package.module:Class; the YAML's if empty
frontend_checkpoint=          # weights of the front-end, in its authors' format
noises="esc musan"            # noise sets: the matched one and those only tested on
snrs=                         # signal-to-noise ratios in dB, e.g. "20 10 0"; the YAML's if empty
max_epochs=                   # epochs at most; the YAML's if empty
set=                          # any settings of the YAML: "training.lr=5e-4 encoder.channels=[16,32]"; may be given again
contract=                     # utterances per speaker and class to expect; conf/contract.yaml if empty; none: do not check
channel=mean                  # of recordings that have several: 0, 1, ... or their mean
allow_pipes=false             # true: data dirs made elsewhere may name programs ('command |' in wav.scp), which are run
noise_contracts=true          # false: take what there is of ESC-50 and MUSAN, whole or not
corpus_dir=                   # where the corpus lies; downloads/<corpus> if empty
esc_dir=                      # ESC-50; downloads/esc if empty
musan_dir=                    # MUSAN; downloads/musan if empty
demand_dir=                   # DEMAND; downloads/demand if empty
nonspeech_dir=                # any folder of noises; downloads/nonspeech if empty
noise_dirs=                   # more noise sets for --noises: "NAME=FOLDER ...", any folders of noises
shard=1/1                     # k/n: stage 3, or 4 where the call begins with it, does part k of n; others do the rest
download=false                # true: stage 0 fetches the corpora and weights that are missing and free to fetch
tag=                          # data_<tag>, dump_<tag>, exp_<tag>: an experiment apart from the recipe's own
exp=                          # folder of runs, for another training on the same data and dump; exp or exp_<tag> if empty
test_corpus=                  # stage 7 tests on this corpus: a recipe's name, or its data dir; its stages 1 to 4 are done
wandb=                        # project of Weights & Biases that gets the curves too; TensorBoard always does
reference=                    # CSV of published figures to print beside ours
peers=                        # stage 7 also reports on predictions from elsewhere: "NAME=CSV ...", utt_id,label,condition

options="corpus layout stage stop_stage ngpu nj config folds seeds systems frontend frontend_checkpoint noises snrs max_epochs set
contract noise_contracts corpus_dir esc_dir musan_dir demand_dir nonspeech_dir noise_dirs shard download tag exp test_corpus wandb reference peers channel
allow_pipes"

usage() {
    cat <<EOF
Usage: ./run.sh [--stage N] [--stop-stage M] [--OPTION VALUE]...   (lists are quoted: --folds "1 2")

  stage 0  check the installation, find or make corpora and front-end weights
  stage 1  Kaldi data dirs of speech and noise             data/
  stage 2  noise manifest and noisy sets                   data/<corpus>_<noise>_<snr>db/
  stage 3  enhance with the front-end                      dump/<frontend>/
  stage 4  features in ark/scp                             dump/raw/ dump/<frontend>/
  stage 5  the teacher (Baseline-c)                        exp/<frontend>/baseline_c/
  stage 6  the other systems                               exp/<frontend>/<system>/
  stage 7  score, statistics, figures, a page              exp/<frontend>/RESULTS.md report.html
           pack the best trnet, for trnet-predict          exp/<frontend>/trnet_fold<k>_seed<s>.zip

Options and what they are now (relative paths start from the recipe's folder):
EOF
    show_options "${BASH_SOURCE[0]}"
}

template=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=egs/TEMPLATE/ser1/path.sh
. "$template/path.sh"
# shellcheck source=egs/TEMPLATE/options.sh
. "$template/../options.sh"
parse_options "$@"
check_numbers 7
check_words corpus layout tag
check_choices noise_contracts download allow_pipes
[ -n "$corpus" ] || fail "--corpus: is not set; call a recipe's run.sh" 2
noises=${noises//,/ }
[ -n "${noises// /}" ] || fail "--noises: names nothing; name the noise set that is trained on" 2
declare -A own_noises=()
own=
for word in $noise_dirs; do # a folder with blanks is several words
    case $word in
        esc=* | musan=* | demand=* | nonspeech=*) fail "--noise-dirs $word: give it as --${word%%=*}-dir ${word#*=}" 2 ;;
    esac
    if [[ $word =~ ^[a-zA-Z0-9]+=. ]]; then
        own=${word%%=*}
        own_noises[$own]=${word#*=}
    else
        [ -n "$own" ] || fail "--noise-dirs $word: write NAME=FOLDER, the name in letters and digits" 2
        own_noises[$own]+=" $word"
    fi
done
known="esc musan demand nonspeech ${!own_noises[*]}"
for noise in $noises; do
    case " $known " in
        *" $noise "*) ;;
        *) fail "--noises $noise: no such noise set; known: ${known% }; one of your own: --noise-dirs $noise=FOLDER" 2 ;;
    esac
done
for word in $peers; do
    [[ $word =~ ^[a-zA-Z0-9_][a-zA-Z0-9_.+-]*=. ]] || fail "--peers $word: write NAME=CSV; neither may have a blank" 2
    [ -f "${word#*=}" ] || fail "--peers $word: there is no file ${word#*=}; relative paths start from $PWD" 2
done
[ -z "$peers" ] || [ -z "$test_corpus" ] || fail "--peers: predictions of --test-corpus cannot be added; leave one out" 2
# Where a noise set lies, and how: those of --noise-dirs like nonspeech.
noise_dir() { local option=$1_dir; echo "${own_noises[$1]:-${!option}}"; }
noise_layout() { if [ -n "${own_noises[$1]:-}" ]; then echo nonspeech; else echo "$1"; fi; }
: "${corpus_dir:=downloads/$corpus}" "${esc_dir:=downloads/esc}" "${musan_dir:=downloads/musan}"
: "${demand_dir:=downloads/demand}" "${nonspeech_dir:=downloads/nonspeech}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc 2>/dev/null || echo 1)}"

data=data${tag:+_$tag} dump=dump${tag:+_$tag}
: "${exp:=exp${tag:+_$tag}}"
setup=(--config="$config")
[ -z "$frontend" ] || setup+=(--frontend="$frontend")
[ -z "$frontend_checkpoint" ] || setup+=(--frontend-checkpoint="$frontend_checkpoint")
[ -z "$snrs" ] || setup+=(--snrs="$snrs")
[ -z "$max_epochs" ] || setup+=(--max-epochs="$max_epochs")
[ -z "$set" ] || setup+=(--set="$set")
runs=(--corpus-data="$data/$corpus" --dump="$dump" --exp="$exp" --seeds="$seeds" --ngpu="$ngpu")
[ -z "$systems" ] || runs+=(--systems="$systems")
[ -z "$folds" ] || runs+=(--folds="$folds")

if in_stage 0 "installation, corpora, weights"; then
    if [ -x local/make_data.sh ]; then local/make_data.sh "$corpus_dir" "$esc_dir" "$musan_dir"; fi
    folders=("${layout:-$corpus}=$corpus_dir")
    for noise in $noises; do folders+=("$(noise_layout "$noise")=$(noise_dir "$noise")"); done
    run check_setup "${setup[@]}" --folders "${folders[@]}" ${systems:+--systems="$systems"} --ngpu "$ngpu" \
        --download "$download"
fi

if in_stage 1 "data dirs"; then
    if [ -z "$contract" ] && [ -f conf/contract.yaml ]; then contract=conf/contract.yaml; fi
    run prepare_corpus --corpus "${layout:-$corpus}" --root "$corpus_dir" --out "$data/$corpus" \
        --labels conf/labels.yaml --contract "${contract:-none}" --nj "$nj" --channel "$channel"
    for noise in $noises; do
        counts=conf/contract_$noise.yaml # of this recipe, or of all
        [ -f "$counts" ] || counts=$template/conf/contract_$noise.yaml
        if [ "$contract" = none ] || [ "$noise_contracts" = false ] || [ ! -f "$counts" ]; then counts=none; fi
        run prepare_noise --noise "$(noise_layout "$noise")" --root "$(noise_dir "$noise")" --out "$data/noise_$noise" \
            --contract "$counts" --nj "$nj" --channel "$channel"
    done
fi

if in_stage 2 "noisy sets"; then
    run simulate "${setup[@]}" --corpus-data "$data/$corpus" --noises "$noises" --nj "$nj" --allow-pipes "$allow_pipes"
fi

if [ "$stage" -le 4 ] && [ "$stop_stage" -ge 3 ]; then
    sets=$(run list_sets "${setup[@]}" --corpus-data "$data/$corpus" --noises "$noises")
fi

if in_stage 3 "enhance"; then
    run enhance "${setup[@]}" --sets "$sets" --dump "$dump" --nj "$nj" --ngpu "$ngpu" \
        --shard "$shard" --allow-pipes "$allow_pipes"
fi

if in_stage 4 "features"; then
    run make_fbank "${setup[@]}" --sets "$sets" --corpus-data "$data/$corpus" --dump "$dump" --exp "$exp" \
        --nj "$nj" --ngpu "$ngpu" --allow-pipes "$allow_pipes" \
        --shard "$(if [ "$stage" = 4 ]; then echo "$shard"; else echo 1/1; fi)"
fi

if in_stage 5 "teacher"; then
    run train "${setup[@]}" "${runs[@]}" --nj "$nj" --wandb "$wandb" --part teacher
fi

if in_stage 6 "systems"; then
    run train "${setup[@]}" "${runs[@]}" --nj "$nj" --wandb "$wandb" --part others
fi

if in_stage 7 "score"; then
    notes=()
    [ ! -f conf/notes.md ] || notes=(--notes conf/notes.md) # what is to be said of this recipe's results
    if [ -n "$test_corpus" ]; then
        case $test_corpus in */*) ;; *) test_corpus=../../$test_corpus/ser1/$data/$test_corpus ;; esac
        run score "${setup[@]}" "${runs[@]}" "${notes[@]}" --nj "$nj" --noises "$noises" --test-corpus "$test_corpus"
    else
        for word in $peers; do
            run add_system "${setup[@]}" --corpus-data "$data/$corpus" --exp "$exp" ${folds:+--folds="$folds"} \
                --name "${word%%=*}" --predictions "${word#*=}"
        done
        run score "${setup[@]}" "${runs[@]}" "${notes[@]}" --nj "$nj" --noises "$noises" ${reference:+--reference "$reference"}
        case " ${systems:-trnet} " in *[\ ,]trnet[\ ,]*) run pack "${setup[@]}" "${runs[@]}" --systems trnet --if-possible ;; esac
    fi
fi
