package grammar

import "strings"

// Script gives the script that completes the words of prog in a shell: bash,
// zsh or fish. It asks prog itself:
//
//	prog __complete -- WORD...
//
// which answers with one line that says what else fits, "none", "files",
// "dirs" or "commands", and then one line a word: the word, a tab, what it is
// for.
func Script(shell, prog string) (string, bool) {
	text, ok := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[shell]
	return strings.ReplaceAll(text, "PROG", prog), ok
}

const bashScript = `# Completion of PROG for bash. To have it: source <(PROG completion bash)

_PROG_complete() {
    local cur=${COMP_WORDS[COMP_CWORD]} line word head kind=
    local -a words=() live=()
    # Bash breaks words at : and = too; put them together again.
    local i rest=$COMP_LINE
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((${#words[@]} > 0)) && [[ -n $word && $rest == "$word"* && $rest != [[:space:]]* ]]; then
            words[${#words[@]}-1]+=$word
        else
            words+=("$word")
        fi
        rest=${rest#*"$word"}
    done
    cur=${words[${#words[@]}-1]}
    cur=${cur#[\"\']}
    words[${#words[@]}-1]=$cur
    while IFS= read -r line; do
        if [[ -z $kind ]]; then
            kind=$line
        else
            live+=("${line%%$'\t'*}")
        fi
    done < <(command "${COMP_WORDS[0]/#\~/$HOME}" __complete -- "${words[@]:1}" 2>/dev/null)
    COMPREPLY=()
    head=${cur%"${cur##*[:=]}"}
    for word in "${live[@]}"; do
        word=${word#"$head"}
        printf -v word %q "$word"
        COMPREPLY+=("$word")
    done
    case $kind in
    files) compopt -o filenames 2>/dev/null; while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$cur") ;;
    dirs) compopt -o filenames 2>/dev/null; while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -d -- "$cur") ;;
    commands) compopt -o filenames 2>/dev/null; while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -c -- "$cur"; compgen -f -- "$cur") ;;
    esac
}
complete -F _PROG_complete PROG
`

const zshScript = `#compdef PROG
# Completion of PROG for zsh. To have it: source <(PROG completion zsh)

_PROG_complete() {
    local line kind=
    local -a live
    for line in "${(@f)$(command ${~words[1]} __complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
        if [[ -z $kind ]]; then
            kind=$line
        elif [[ $line == *$'\t'?* ]]; then
            live+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        else
            live+=("${${line%%$'\t'*}//:/\\:}")
        fi
    done
    (( ${#live} )) && _describe -V 'PROG' live
    case $kind in
    files) _files ;;
    dirs) _files -/ ;;
    commands) _alternative 'commands:command:_path_commands' 'files:file:_files' ;;
    esac
}
if [[ $funcstack[1] == _PROG ]]; then
    _PROG_complete "$@"
elif (( $+functions[compdef] )); then
    compdef _PROG_complete PROG
else
    autoload -Uz compinit && compinit -D && compdef _PROG_complete PROG
fi
`

const fishScript = `# Completion of PROG for fish. To have it: PROG completion fish | source

function __PROG_complete
    set -l typed (commandline -opc) (commandline -ct)
    set -l lines (command $typed[1] __complete -- $typed[2..-1] 2>/dev/null)
    test (count $lines) -gt 1; and printf '%s\n' $lines[2..-1]
    switch "$lines[1]"
        case files commands
            __fish_complete_path (commandline -ct)
    end
    switch "$lines[1]"
        case commands
            __fish_complete_command
        case dirs
            __fish_complete_directories (commandline -ct)
    end
end
complete -c PROG -f -a '(__PROG_complete)'
`
