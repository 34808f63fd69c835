# fish completion for loki-push. Generated from the options of loki-push: UPDATE_DOCS=1 cargo test docs

# The position of `--` among the words before the cursor.
function __loki_push_dashes
    contains -i -- -- (commandline -opc)
end

# After `--` it is the command's turn.
function __loki_push_command
    set -l words (commandline -opc)
    set -e words[1..(__loki_push_dashes)]
    complete -C (string join ' ' -- (string escape -- $words) (commandline -ct | string collect))
end

complete -c loki-push -n __loki_push_dashes -f -a '(__loki_push_command)'
complete -c loki-push -s f -s F -l follow -d 'Follow each FILE as it grows, like tail -F'
complete -c loki-push -l from -d 'Where to start in a file that has no checkpoint [default: end with -f, else start]' -x -a 'start end'
complete -c loki-push -l checkpoint -d 'Record progress in this file, and resume from there' -r -F
complete -c loki-push -l exclude-path -d 'Leave out files that match (repeatable)' -x
complete -c loki-push -l no-exit-entry -d 'Do not ship the final entry that records how the command ended'
complete -c loki-push -s m -l message -d 'Ship one entry with this text' -x
complete -c loki-push -s 0 -l null -d 'Records are separated by NUL instead of newline'
complete -c loki-push -l multiline -d 'A matching line starts an entry; others are appended' -x -a 'auto'
complete -c loki-push -l multiline-wait -d 'Close a multi-line entry after this pause' -x
complete -c loki-push -l unwrap -d 'Take off what a container runtime or journald puts around each line' -x -a 'none auto docker cri journald'
complete -c loki-push -l max-line-size -d 'Cut longer lines into several entries' -x
complete -c loki-push -l include -d 'Ship only lines that match (repeatable)' -x
complete -c loki-push -l exclude -d 'Do not ship lines that match (repeatable)' -x
complete -c loki-push -l redact -d 'Replace what matches by [redacted] (repeatable)' -x
complete -c loki-push -l strip-ansi -d 'Remove terminal escape sequences (colours)'
complete -c loki-push -s a -l app -d 'Label `app` [default: default, or the COMMAND]' -x
complete -c loki-push -s e -l env -d 'Label `env`' -x
complete -c loki-push -l host -d 'Label `host`: the name of this machine, or NAME'
complete -c loki-push -l level -d '`level` label for lines without a recognizable level' -x -a 'trace debug info warn error critical fatal'
complete -c loki-push -s l -l label -d 'Extra label for every entry (repeatable)' -x
complete -c loki-push -l path-labels -d 'Make labels of the named groups that match a file\'s path' -x
complete -c loki-push -l label-field -d 'Turn this field into a label (repeatable)' -x
complete -c loki-push -l max-streams -d 'Maximum label sets from --label-field and --path-labels; beyond it no label is made' -x
complete -c loki-push -s k -l field -d 'Extra field on every entry (repeatable)' -x
complete -c loki-push -l parse -d 'How to find fields and levels' -x -a 'auto logfmt json none'
complete -c loki-push -l layout -d 'Entry format' -x -a 'keep line metadata'
complete -c loki-push -l time -d 'Timestamps: arrival, auto (from the line), or a field\'s name [default: arrival]' -x -a 'arrival auto'
complete -c loki-push -l time-format -d 'Form of the times, in strptime\'s terms; implies --time auto' -x
complete -c loki-push -l time-zone -d 'Time zone of times that name none: local, utc, +02:00, Europe/Berlin' -x
complete -c loki-push -l batch-size -d 'Send a batch at N entries' -x
complete -c loki-push -l batch-bytes -d 'Send a batch at this size' -x
complete -c loki-push -l flush-interval -d 'Send a batch when its oldest entry is this old' -x
complete -c loki-push -l gzip-level -d 'Compression level; 0 sends plain JSON' -x -a '0 1 2 3 4 5 6 7 8 9'
complete -c loki-push -l buffer -d 'Memory for batches waiting to be sent (measured compressed)' -x
complete -c loki-push -l on-full -d 'What to do when the buffer is full' -x -a 'block drop-newest drop-oldest'
complete -c loki-push -l max-retries -d 'Give up on a batch after N retries [default: keep trying]' -x
complete -c loki-push -l limit-rate -d 'Maximum bytes of log lines per second' -x
complete -c loki-push -l retry-backoff -d 'First wait before a retry' -x
complete -c loki-push -l max-backoff -d 'Longest wait before a retry' -x
complete -c loki-push -l timeout -d 'Give up on a request after this time' -x
complete -c loki-push -l connections -d 'Concurrent requests' -x
complete -c loki-push -l flush-timeout -d 'At the end, give up after this time without progress [default: 30s, 5s where all is safe]' -x
complete -c loki-push -l linger -d 'How long to keep reading a pipe after a signal' -x
complete -c loki-push -l spool -d 'Keep batches in this folder until Loki has them' -x -a '(__fish_complete_directories)'
complete -c loki-push -l spool-size -d 'Maximum size of the spool' -x
complete -c loki-push -l spool-sync -d 'fsync every spooled batch (survives a power failure)'
complete -c loki-push -l drain -d 'Deliver what the spool holds for this destination, then exit' -f -a 'all'
complete -c loki-push -l dead-letter -d 'Append refused entries to this file, as JSON lines' -r -F
complete -c loki-push -s u -l url -l addr -d 'Loki URL (LOKI_ADDR) [default: http://localhost:3100]' -x
complete -c loki-push -l username -d 'User for basic auth (LOKI_USERNAME)' -x
complete -c loki-push -l password -d 'Password for basic auth (LOKI_PASSWORD)' -x
complete -c loki-push -l password-file -d 'File with the password' -r -F
complete -c loki-push -l bearer-token -d 'Token for bearer auth (LOKI_BEARER_TOKEN)' -x
complete -c loki-push -l bearer-token-file -d 'File with the token (LOKI_BEARER_TOKEN_FILE)' -r -F
complete -c loki-push -l auth-header -d 'Send credentials in this header instead of Authorization (LOKI_AUTH_HEADER)' -x
complete -c loki-push -l org-id -d 'Tenant, sent as X-Scope-OrgID (LOKI_ORG_ID)' -x
complete -c loki-push -l header -d 'Extra request header (repeatable)' -x
complete -c loki-push -l ca-cert -d 'CA to trust, in PEM (LOKI_CA_CERT_PATH)' -r -F
complete -c loki-push -l cert -d 'Client certificate (LOKI_CLIENT_CERT_PATH)' -r -F
complete -c loki-push -l key -d 'Private key of --cert, in PEM (LOKI_CLIENT_KEY_PATH)' -r -F
complete -c loki-push -l tls-skip-verify -d 'Accept any server certificate (LOKI_TLS_SKIP_VERIFY)'
complete -c loki-push -l proxy-url -d 'Proxy for all requests (LOKI_HTTP_PROXY_URL)' -x
complete -c loki-push -s t -l tee -d 'Pass the input through unchanged, at once'
complete -c loki-push -l dry-run -d 'Send nothing; print each entry as `TIME {labels} line`'
complete -c loki-push -l summary -d 'Print a summary on stderr at the end: entries by outcome' -x -a 'text json'
complete -c loki-push -l metrics-file -d 'Write counters and gauges to this file, in Prometheus\' text format' -r -F
complete -c loki-push -l progress -d 'Show a bar with rate and time left' -x -a 'auto always never'
complete -c loki-push -l check -d 'Test the connection and explain how to fix what fails'
complete -c loki-push -l generate -d 'Print the man page or a completion script' -x -a 'man bash zsh fish'
complete -c loki-push -s q -l quiet -d 'Print errors only'
complete -c loki-push -s v -l verbose -d 'Also print retries, batches and refused lines'
complete -c loki-push -s h -l help -d 'Print help (see more with \'--help\')'
complete -c loki-push -s V -l version -d 'Print version'
