# Completion of lora, lora_ps and lora_worker for bash. The programs say themselves what can follow
# (--help=words), so this is right for whatever version is installed.

# the word before the cursor, whole: bash takes = and : for ends of words
_lora_typed() {
    local line=${COMP_LINE:0:COMP_POINT}
    typed=${line##*[[:space:]]}
}

# OPTIONS: the options that begin with $typed, or, behind the =, the values of one; a comma begins the next of a list
_lora_options() {
    local name=${typed%%=*} value=${typed#*=} line words before last
    if [[ $typed != *=* ]]; then
        COMPREPLY=($(compgen -W "$(cut -f 1 <<<"$1")" -- "$typed"))
        [[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace
        return
    fi
    line=$(grep -F -- "$name="$'\t' <<<"$1" | head -n 1)
    words=${line#*$'\t'} last=${value##*,}
    before=${value%"$last"}
    [[ $COMP_WORDBREAKS = *=* ]] || before=$name=$before
    case $words in
    '') ;;
    FILE | DIR)
        local IFS=$'\n'
        compopt -o filenames
        [[ -z $before ]] || compopt -o nospace # the next of a list, or what is in a folder
        [[ $last != '~'* ]] || last=$HOME${last#\~}
        COMPREPLY=($(compgen "$([ "$words" = DIR ] && echo -d || echo -f)" -P "$before" -- "$last"))
        ;;
    *) COMPREPLY=($(compgen -W "$words" -P "$before" -- "$last")) ;;
    esac
}

_lora_complete() {
    local IFS=$' \t\n' program=${COMP_WORDS[0]} typed command=
    COMPREPLY=()
    _lora_typed
    if [[ ${program##*/} = lora ]]; then
        command=${COMP_WORDS[1]}
        if ((COMP_CWORD == 1)); then
            COMPREPLY=($(compgen -W "$("$program" --help=words 2>/dev/null)" -- "$typed"))
            return
        fi
    fi
    if [[ $typed = -* ]]; then
        _lora_options "$("$program" $command --help=words 2>/dev/null)"
    else
        compopt -o filenames
        IFS=$'\n' COMPREPLY=($(compgen -f -- "$typed"))
    fi
}

complete -F _lora_complete lora lora_ps lora_worker
