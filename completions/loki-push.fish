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
complete -c loki-push -l from -d 'Where a file without a checkpoint begins [default: end with -f, else start]' -x -a 'start end'
complete -c loki-push -l checkpoint -d 'Remember here how far each file was settled, and go on from there next time' -r -F
complete -c loki-push -l no-exit-entry -d 'Do not ship the entry that closes a command'
complete -c loki-push -s m -l message -d 'Ship one entry with this text' -x
complete -c loki-push -s 0 -l null -d 'Records end in NUL, not newline'
complete -c loki-push -l multiline -d 'What matches begins an entry, other lines join it' -x -a 'auto'
complete -c loki-push -l multiline-wait -d 'How long an open multi-line entry waits for more' -x
complete -c loki-push -l max-line-size -d 'Longer lines are cut into several entries' -x
complete -c loki-push -l include -d 'Ship only lines that match (repeatable)' -x
complete -c loki-push -l exclude -d 'Do not ship lines that match (repeatable)' -x
complete -c loki-push -l strip-ansi -d 'Remove terminal escape sequences (colours)'
complete -c loki-push -s a -l app -d 'Label `app` [default: default, or the COMMAND]' -x
complete -c loki-push -s e -l env -d 'Label `env`' -x
complete -c loki-push -l level -d 'Label `level` where a line tells none' -x -a 'trace debug info warn error critical fatal'
complete -c loki-push -s l -l label -d 'A further label (repeatable; or {a="b",c="d"})' -x
complete -c loki-push -l label-field -d 'Make a label of this field (repeatable)' -x
complete -c loki-push -l max-streams -d 'How many label sets --label-field may make; past it the field stays a field' -x
complete -c loki-push -s k -l field -d 'A further field on every entry (repeatable)' -x
complete -c loki-push -l parse -d 'Where fields and levels are read from' -x -a 'auto logfmt json none'
complete -c loki-push -l layout -d 'How an entry is laid out' -x -a 'keep line metadata'
complete -c loki-push -l time -d 'Timestamp: arrival, prefix, or a field\'s name' -x -a 'arrival auto'
complete -c loki-push -l batch-size -d 'Send a batch when it has N entries …' -x
complete -c loki-push -l batch-bytes -d '… or at this size …' -x
complete -c loki-push -l flush-interval -d '… or at this age of its first entry' -x
complete -c loki-push -l gzip-level -d 'Compression; 0: plain JSON' -x -a '0 1 2 3 4 5 6 7 8 9'
complete -c loki-push -l buffer -d 'Memory for batches that wait' -x
complete -c loki-push -l on-full -d 'What happens when the buffer is full' -x -a 'block drop-newest drop-oldest'
complete -c loki-push -l max-retries -d 'Give a batch up after N retries [default: never]' -x
complete -c loki-push -l limit-rate -d 'At most so many bytes of lines a second' -x
complete -c loki-push -l retry-backoff -d 'First wait before a retry' -x
complete -c loki-push -l max-backoff -d 'Longest wait before a retry' -x
complete -c loki-push -l timeout -d 'Time for one request' -x
complete -c loki-push -l connections -d 'Requests under way at once' -x
complete -c loki-push -l flush-timeout -d 'After the end of input, give up when nothing was accepted for this long' -x
complete -c loki-push -l linger -d 'How long a pipe is still read after a stop was asked for' -x
complete -c loki-push -l spool -d 'Keep batches here until their fate is known; the next run delivers what is left' -x -a '(__fish_complete_directories)'
complete -c loki-push -l spool-size -d 'The most the spool may hold' -x
complete -c loki-push -l spool-sync -d 'fsync each batch in it, against power cuts'
complete -c loki-push -l drain -d 'Deliver what the spool holds for this destination, then exit'
complete -c loki-push -l dead-letter -d 'Keep entries that Loki refused, as JSON lines' -r -F
complete -c loki-push -s u -l url -d 'Where Loki is [default: http://localhost:3100]' -x
complete -c loki-push -l username -d 'User for basic auth (LOKI_USERNAME)' -x
complete -c loki-push -l password -d 'Password for basic auth (LOKI_PASSWORD)' -x
complete -c loki-push -l password-file -d 'File with the password' -r -F
complete -c loki-push -l bearer-token -d 'Token for bearer auth (LOKI_BEARER_TOKEN)' -x
complete -c loki-push -l bearer-token-file -d 'File with the token (LOKI_BEARER_TOKEN_FILE)' -r -F
complete -c loki-push -l auth-header -d 'Header that carries them (LOKI_AUTH_HEADER)' -x
complete -c loki-push -l org-id -d 'Tenant, sent as X-Scope-OrgID (LOKI_ORG_ID)' -x
complete -c loki-push -l header -d 'A further request header (repeatable)' -x
complete -c loki-push -l ca-cert -d 'CA to trust, in PEM (LOKI_CA_CERT_PATH)' -r -F
complete -c loki-push -l cert -d 'Client certificate (LOKI_CLIENT_CERT_PATH)' -r -F
complete -c loki-push -l key -d 'Its key (LOKI_CLIENT_KEY_PATH)' -r -F
complete -c loki-push -l tls-skip-verify -d 'Trust any certificate (LOKI_TLS_SKIP_VERIFY)'
complete -c loki-push -l proxy-url -d 'Proxy for all requests (LOKI_HTTP_PROXY_URL)' -x
complete -c loki-push -s t -l tee -d 'Pass the input through unchanged, at once'
complete -c loki-push -l dry-run -d 'Send nothing; print each entry as `TIME {labels} line`'
complete -c loki-push -l summary -d 'Say what became of all entries, at the end on stderr' -x -a 'text json'
complete -c loki-push -l progress -d 'A bar with rate and time left' -x -a 'auto always never'
complete -c loki-push -l check -d 'Test the way to Loki, and say what failed and what to do'
complete -c loki-push -s q -l quiet -d 'Say only errors'
complete -c loki-push -s v -l verbose -d 'Say retries, batches and refused lines, too'
complete -c loki-push -s h -l help -d 'Print help (see more with \'--help\')'
complete -c loki-push -s V -l version -d 'Print version'
