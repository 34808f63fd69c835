# bash completion for loki-push. Generated from the options of loki-push: UPDATE_DOCS=1 cargo test docs

_loki_push_files() {
    # Readline completes paths itself, with `~` and quotes, where bash can ask it to.
    if [[ $1 == directory ]]; then
        compopt -o dirnames -o filenames 2>/dev/null && return
    else
        compopt -o default -o filenames 2>/dev/null && return
    fi
    local IFS=$'\n'
    COMPREPLY=($(compgen -A "$1" -- "$cur"))
}

_loki_push() {
    local cur=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD-1]} i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -- ]] || continue
        if declare -F _comp_command_offset >/dev/null; then
            _comp_command_offset $((i + 1))
        elif declare -F _command_offset >/dev/null; then
            _command_offset $((i + 1))
        elif ((i + 1 == COMP_CWORD)); then
            COMPREPLY=($(compgen -c -- "$cur"))
        else
            _loki_push_files file
        fi
        return
    done
    # Bash makes three words of --option=value.
    if [[ $cur == = ]]; then
        option+='=' cur=
    elif [[ $option == = ]]; then
        option=${COMP_WORDS[COMP_CWORD-2]}=
    fi
    case $option in
        --from|--from=) COMPREPLY=($(compgen -W 'start end' -- "$cur")); return ;;
        --checkpoint|--checkpoint=) _loki_push_files file; return ;;
        --exclude-path|--exclude-path=) :; return ;;
        -m|--message|--message=) :; return ;;
        --multiline|--multiline=) COMPREPLY=($(compgen -W 'auto' -- "$cur")); return ;;
        --multiline-wait|--multiline-wait=) :; return ;;
        --unwrap|--unwrap=) COMPREPLY=($(compgen -W 'none auto docker cri journald' -- "$cur")); return ;;
        --max-line-size|--max-line-size=) :; return ;;
        --include|--include=) :; return ;;
        --exclude|--exclude=) :; return ;;
        --redact|--redact=) :; return ;;
        -a|--app|--app=) :; return ;;
        -e|--env|--env=) :; return ;;
        --host=) :; return ;;
        --level|--level=) COMPREPLY=($(compgen -W 'trace debug info warn error critical fatal' -- "$cur")); return ;;
        -l|--label|--label=) :; return ;;
        --path-labels|--path-labels=) :; return ;;
        --label-field|--label-field=) :; return ;;
        --max-streams|--max-streams=) :; return ;;
        -k|--field|--field=) :; return ;;
        --parse|--parse=) COMPREPLY=($(compgen -W 'auto logfmt json none' -- "$cur")); return ;;
        --layout|--layout=) COMPREPLY=($(compgen -W 'keep line metadata' -- "$cur")); return ;;
        --time|--time=) COMPREPLY=($(compgen -W 'arrival auto' -- "$cur")); return ;;
        --time-format|--time-format=) :; return ;;
        --time-zone|--time-zone=) :; return ;;
        --batch-size|--batch-size=) :; return ;;
        --batch-bytes|--batch-bytes=) :; return ;;
        --flush-interval|--flush-interval=) :; return ;;
        --gzip-level|--gzip-level=) COMPREPLY=($(compgen -W '0 1 2 3 4 5 6 7 8 9' -- "$cur")); return ;;
        --buffer|--buffer=) :; return ;;
        --on-full|--on-full=) COMPREPLY=($(compgen -W 'block drop-newest drop-oldest' -- "$cur")); return ;;
        --max-retries|--max-retries=) :; return ;;
        --limit-rate|--limit-rate=) :; return ;;
        --retry-backoff|--retry-backoff=) :; return ;;
        --max-backoff|--max-backoff=) :; return ;;
        --timeout|--timeout=) :; return ;;
        --connections|--connections=) :; return ;;
        --flush-timeout|--flush-timeout=) :; return ;;
        --linger|--linger=) :; return ;;
        --spool|--spool=) _loki_push_files directory; return ;;
        --spool-size|--spool-size=) :; return ;;
        --drain=) COMPREPLY=($(compgen -W 'all' -- "$cur")); return ;;
        --dead-letter|--dead-letter=) _loki_push_files file; return ;;
        -u|--url|--addr|--url=|--addr=) :; return ;;
        --username|--username=) :; return ;;
        --password|--password=) :; return ;;
        --password-file|--password-file=) _loki_push_files file; return ;;
        --bearer-token|--bearer-token=) :; return ;;
        --bearer-token-file|--bearer-token-file=) _loki_push_files file; return ;;
        --auth-header|--auth-header=) :; return ;;
        --org-id|--org-id=) :; return ;;
        --header|--header=) :; return ;;
        --ca-cert|--ca-cert=) _loki_push_files file; return ;;
        --cert|--cert=) _loki_push_files file; return ;;
        --key|--key=) _loki_push_files file; return ;;
        --proxy-url|--proxy-url=) :; return ;;
        --summary|--summary=) COMPREPLY=($(compgen -W 'text json' -- "$cur")); return ;;
        --metrics-file|--metrics-file=) _loki_push_files file; return ;;
        --progress|--progress=) COMPREPLY=($(compgen -W 'auto always never' -- "$cur")); return ;;
        --generate|--generate=) COMPREPLY=($(compgen -W 'man bash zsh fish' -- "$cur")); return ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W '-f -F --follow --from --checkpoint --exclude-path --no-exit-entry -m --message -0 --null --multiline --multiline-wait --unwrap --max-line-size --include --exclude --redact --strip-ansi -a --app -e --env --host --level -l --label --path-labels --label-field --max-streams -k --field --parse --layout --time --time-format --time-zone --batch-size --batch-bytes --flush-interval --gzip-level --buffer --on-full --max-retries --limit-rate --retry-backoff --max-backoff --timeout --connections --flush-timeout --linger --spool --spool-size --spool-sync --drain --dead-letter -u --url --addr --username --password --password-file --bearer-token --bearer-token-file --auth-header --org-id --header --ca-cert --cert --key --tls-skip-verify --proxy-url -t --tee --dry-run --summary --metrics-file --progress --check --generate -q --quiet -v --verbose -h --help -V --version' -- "$cur"))
    else
        _loki_push_files file
    fi
}

complete -F _loki_push loki-push
