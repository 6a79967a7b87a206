# Sourced by the templates: options on the command line set the variables named in $options; also fail, run, in_stage.
# The template has set $options and the defaults, and defines usage; parse_options comes after path.sh.

fail() { echo "error: $1" >&2; exit "${2:-1}"; }

# What every usage ends with: the options and what they are now.
show_options() {
    local name
    for name in $options; do printf '  --%-20s %s\n' "${name//_/-}" "${!name}"; done
}

# --max-epochs 3 sets max_epochs; an unknown option names the nearest one.
parse_options() {
    local help=false name
    while [ $# -gt 0 ]; do
        case $1 in
            --help | -h) help=true; shift; continue ;;
            --*) name=${1#--}; name=${name//-/_} ;;
            *) fail "'$1' is not an option; options begin with -- (a list is quoted: --folds \"1 2\")" 2 ;;
        esac
        case " ${options//$'\n'/ } " in
            *" $name "*) ;;
            *) "$PYTHON" -c 'import sys; from trnet.errors import nearest
print(f"error: unknown option {sys.argv[1]}" + nearest(sys.argv[1], ["--" + o.replace("_", "-") for o in sys.argv[2:]]),
      file=sys.stderr)' "$1" $options || echo "error: unknown option $1" >&2
               exit 2 ;;
        esac
        [ $# -ge 2 ] || fail "$1 needs a value" 2
        printf -v "$name" '%s' "$2"
        shift 2
    done
    if $help; then usage; exit 0; fi
}

# check_numbers LAST: stage, stop_stage, ngpu and nj are what they must be; LAST is the last stage, one digit.
check_numbers() {
    local number
    for number in stage stop_stage; do
        case ${!number} in [0-$1]) ;; *) fail "--${number//_/-} ${!number}: there are stages 0 to $1" 2 ;; esac
    done
    for number in ngpu nj; do
        case ${!number} in '' | *[!0-9]*) fail "--$number ${!number}: must be a whole number" 2 ;; esac
    done
    [ "$stage" -le "$stop_stage" ] || fail "--stage $stage is above --stop-stage $stop_stage" 2
}

run() { "$PYTHON" -m "trnet.bin.$1" "${@:2}"; }

in_stage() {
    [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ] || return 1
    echo "stage $1: $2"
}
