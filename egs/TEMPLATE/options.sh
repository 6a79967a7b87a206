# shellcheck shell=bash disable=SC2154 # the templates set what is used here
# Sourced by the templates: options on the command line set the variables named in $options; also fail, run, in_stage.
# The template has set $options and the defaults, and defines usage; parse_options comes after path.sh.

fail() { printf 'error: %s\n' "${1//[[:cntrl:]]/?}" >&2; exit "${2:-1}"; }

((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) || fail "bash $BASH_VERSION is too old; take 4.4 or later" 2
set -f # a * in a list is no pattern

# show_options FILE: what every usage ends with, each option with what it is now and the comment beside its default in
# the template FILE.
show_options() {
    local name line about
    for name in $options; do
        about=
        while IFS= read -r line; do
            if [[ $line =~ ^$name=.*[[:blank:]]#\ (.*)$ ]]; then about=${BASH_REMATCH[1]}; break; fi
        done <"$1"
        printf '  --%-20s %-18s %s\n' "${name//_/-}" "'${!name}'" "$about"
    done
}

# --max-epochs 3 sets max_epochs; an unknown option names the nearest one.
parse_options() {
    local help=false name line
    TRNET_COMMAND=$(printf '%q ' ./run.sh "$@")
    export TRNET_COMMAND=${TRNET_COMMAND% }
    while [ $# -gt 0 ]; do
        case $1 in
            --help | -h) help=true; shift; continue ;;
            --*) name=${1#--}; name=${name//-/_} ;;
            *) fail "'$1' is not an option; options begin with -- (a list is quoted: --folds \"1 2\")" 2 ;;
        esac
        case " ${options//$'\n'/ } " in
            *" $name "*) ;;
            *) line=$("$PYTHON" -c 'import sys; from trnet.utils.errors import nearest
print(nearest(sys.argv[1], ["--" + o.replace("_", "-") for o in sys.argv[2].split()]))' "$1" "$options" 2>/dev/null) ||
                   line="; see --help"
               fail "unknown option $1$line" 2 ;;
        esac
        [ $# -ge 2 ] || fail "$1 needs a value" 2
        case $2 in --*) fail "$1 needs a value, and $2 looks like an option" 2 ;; esac
        if [ "$name" = set ] && [ -n "$set" ]; then set+=" $2"; else printf -v "$name" '%s' "$2"; fi
        shift 2
    done
    if $help; then usage; exit 0; fi
    check_python
}

# check_words NAME...: what is set there becomes part of a folder's name.
check_words() {
    local name
    for name in "$@"; do
        case ${!name} in
            [.-]* | *[!A-Za-z0-9._+-]*) fail "--${name//_/-} '${!name}': use letters, digits, '.', '_', '+' and '-' only" 2 ;;
        esac
    done
}

# check_choices NAME...: what is set there is true or false.
check_choices() {
    local name
    for name in "$@"; do
        case ${!name} in true | false) ;; *) fail "--${name//_/-} ${!name}: true or false" 2 ;; esac
    done
}

# check_numbers LAST: stage, stop_stage, ngpu and nj are what they must be; LAST is the last stage, one digit.
check_numbers() {
    local number
    for number in stage stop_stage; do
        case ${!number} in [0-$1]) ;; *) fail "--${number//_/-} ${!number}: there are stages 0 to $1" 2 ;; esac
    done
    for number in ngpu nj; do
        case ${!number} in
            '' | *[!0-9]* | ?????*) fail "--$number ${!number}: must be a whole number, at most 9999" 2 ;;
        esac
    done
    [ "$nj" -ge 1 ] || fail "--nj $nj: must be 1 or more" 2
    [ "$stage" -le "$stop_stage" ] || fail "--stage $stage is above --stop-stage $stop_stage" 2
}

run() { "$PYTHON" -m "trnet.bin.$1" "${@:2}"; }

in_stage() {
    [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ] || return 1
    echo "stage $1: $2"
}
