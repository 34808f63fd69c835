
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'loki-push' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'loki-push'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'loki-push' {
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'Where a file without a checkpoint begins [default: end with -f, else start]')
            [CompletionResult]::new('--checkpoint', '--checkpoint', [CompletionResultType]::ParameterName, 'Remember here how far each file was settled, and go on from there next time')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Ship one entry with this text')
            [CompletionResult]::new('--message', '--message', [CompletionResultType]::ParameterName, 'Ship one entry with this text')
            [CompletionResult]::new('--multiline', '--multiline', [CompletionResultType]::ParameterName, 'What matches begins an entry, other lines join it')
            [CompletionResult]::new('--multiline-wait', '--multiline-wait', [CompletionResultType]::ParameterName, 'How long an open multi-line entry waits for more')
            [CompletionResult]::new('--max-line-size', '--max-line-size', [CompletionResultType]::ParameterName, 'Longer lines are cut into several entries')
            [CompletionResult]::new('--include', '--include', [CompletionResultType]::ParameterName, 'Ship only lines that match (repeatable)')
            [CompletionResult]::new('--exclude', '--exclude', [CompletionResultType]::ParameterName, 'Do not ship lines that match (repeatable)')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'Label `app` [default: default, or the COMMAND]')
            [CompletionResult]::new('--app', '--app', [CompletionResultType]::ParameterName, 'Label `app` [default: default, or the COMMAND]')
            [CompletionResult]::new('-e', '-e', [CompletionResultType]::ParameterName, 'Label `env`')
            [CompletionResult]::new('--env', '--env', [CompletionResultType]::ParameterName, 'Label `env`')
            [CompletionResult]::new('--level', '--level', [CompletionResultType]::ParameterName, 'Label `level` where a line tells none')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'A further label (repeatable; or {a="b",c="d"})')
            [CompletionResult]::new('--label', '--label', [CompletionResultType]::ParameterName, 'A further label (repeatable; or {a="b",c="d"})')
            [CompletionResult]::new('--label-field', '--label-field', [CompletionResultType]::ParameterName, 'Make a label of this field (repeatable)')
            [CompletionResult]::new('--max-streams', '--max-streams', [CompletionResultType]::ParameterName, 'How many label sets --label-field may make; past it the field stays a field')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'A further field on every entry (repeatable)')
            [CompletionResult]::new('--field', '--field', [CompletionResultType]::ParameterName, 'A further field on every entry (repeatable)')
            [CompletionResult]::new('--parse', '--parse', [CompletionResultType]::ParameterName, 'Where fields and levels are read from')
            [CompletionResult]::new('--layout', '--layout', [CompletionResultType]::ParameterName, 'How an entry is laid out')
            [CompletionResult]::new('--time', '--time', [CompletionResultType]::ParameterName, 'Timestamp: arrival, prefix, or a field''s name')
            [CompletionResult]::new('--batch-size', '--batch-size', [CompletionResultType]::ParameterName, 'Send a batch when it has N entries …')
            [CompletionResult]::new('--batch-bytes', '--batch-bytes', [CompletionResultType]::ParameterName, '… or at this size …')
            [CompletionResult]::new('--flush-interval', '--flush-interval', [CompletionResultType]::ParameterName, '… or at this age of its first entry')
            [CompletionResult]::new('--gzip-level', '--gzip-level', [CompletionResultType]::ParameterName, 'Compression; 0: plain JSON')
            [CompletionResult]::new('--buffer', '--buffer', [CompletionResultType]::ParameterName, 'Memory for batches that wait')
            [CompletionResult]::new('--on-full', '--on-full', [CompletionResultType]::ParameterName, 'What happens when the buffer is full')
            [CompletionResult]::new('--max-retries', '--max-retries', [CompletionResultType]::ParameterName, 'Give a batch up after N retries [default: never]')
            [CompletionResult]::new('--limit-rate', '--limit-rate', [CompletionResultType]::ParameterName, 'At most so many bytes of lines a second')
            [CompletionResult]::new('--retry-backoff', '--retry-backoff', [CompletionResultType]::ParameterName, 'First wait before a retry')
            [CompletionResult]::new('--max-backoff', '--max-backoff', [CompletionResultType]::ParameterName, 'Longest wait before a retry')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time for one request')
            [CompletionResult]::new('--connections', '--connections', [CompletionResultType]::ParameterName, 'Requests under way at once')
            [CompletionResult]::new('--flush-timeout', '--flush-timeout', [CompletionResultType]::ParameterName, 'After the end of input, give up when nothing was accepted for this long')
            [CompletionResult]::new('--linger', '--linger', [CompletionResultType]::ParameterName, 'How long a pipe is still read after a stop was asked for')
            [CompletionResult]::new('--spool', '--spool', [CompletionResultType]::ParameterName, 'Keep batches here until their fate is known; the next run delivers what is left')
            [CompletionResult]::new('--spool-size', '--spool-size', [CompletionResultType]::ParameterName, 'The most the spool may hold')
            [CompletionResult]::new('--dead-letter', '--dead-letter', [CompletionResultType]::ParameterName, 'Keep entries that Loki refused, as JSON lines')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'Where Loki is [default: http://localhost:3100]')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'Where Loki is [default: http://localhost:3100]')
            [CompletionResult]::new('--username', '--username', [CompletionResultType]::ParameterName, 'User for basic auth (LOKI_USERNAME)')
            [CompletionResult]::new('--password', '--password', [CompletionResultType]::ParameterName, 'Password for basic auth (LOKI_PASSWORD)')
            [CompletionResult]::new('--password-file', '--password-file', [CompletionResultType]::ParameterName, 'File with the password')
            [CompletionResult]::new('--bearer-token', '--bearer-token', [CompletionResultType]::ParameterName, 'Token for bearer auth (LOKI_BEARER_TOKEN)')
            [CompletionResult]::new('--bearer-token-file', '--bearer-token-file', [CompletionResultType]::ParameterName, 'File with the token (LOKI_BEARER_TOKEN_FILE)')
            [CompletionResult]::new('--auth-header', '--auth-header', [CompletionResultType]::ParameterName, 'Header that carries them (LOKI_AUTH_HEADER)')
            [CompletionResult]::new('--org-id', '--org-id', [CompletionResultType]::ParameterName, 'Tenant, sent as X-Scope-OrgID (LOKI_ORG_ID)')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'A further request header (repeatable)')
            [CompletionResult]::new('--ca-cert', '--ca-cert', [CompletionResultType]::ParameterName, 'CA to trust, in PEM (LOKI_CA_CERT_PATH)')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Client certificate (LOKI_CLIENT_CERT_PATH)')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Its key (LOKI_CLIENT_KEY_PATH)')
            [CompletionResult]::new('--proxy-url', '--proxy-url', [CompletionResultType]::ParameterName, 'Proxy for all requests (LOKI_HTTP_PROXY_URL)')
            [CompletionResult]::new('--summary', '--summary', [CompletionResultType]::ParameterName, 'Say what became of all entries, at the end on stderr')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'A bar with rate and time left')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Follow each FILE as it grows, like tail -F')
            [CompletionResult]::new('--follow', '--follow', [CompletionResultType]::ParameterName, 'Follow each FILE as it grows, like tail -F')
            [CompletionResult]::new('--no-exit-entry', '--no-exit-entry', [CompletionResultType]::ParameterName, 'Do not ship the entry that closes a command')
            [CompletionResult]::new('-0', '-0', [CompletionResultType]::ParameterName, 'Records end in NUL, not newline')
            [CompletionResult]::new('--null', '--null', [CompletionResultType]::ParameterName, 'Records end in NUL, not newline')
            [CompletionResult]::new('--strip-ansi', '--strip-ansi', [CompletionResultType]::ParameterName, 'Remove terminal escape sequences (colours)')
            [CompletionResult]::new('--spool-sync', '--spool-sync', [CompletionResultType]::ParameterName, 'fsync each batch in it, against power cuts')
            [CompletionResult]::new('--drain', '--drain', [CompletionResultType]::ParameterName, 'Deliver what the spool holds, then exit')
            [CompletionResult]::new('--tls-skip-verify', '--tls-skip-verify', [CompletionResultType]::ParameterName, 'Trust any certificate (LOKI_TLS_SKIP_VERIFY)')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Pass the input through unchanged, at once')
            [CompletionResult]::new('--tee', '--tee', [CompletionResultType]::ParameterName, 'Pass the input through unchanged, at once')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Send nothing; print each entry as `TIME {labels} line`')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'Test the way to Loki, and say what failed and what to do')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say retries, batches and refused lines, too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say retries, batches and refused lines, too')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
