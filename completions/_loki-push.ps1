
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
            [CompletionResult]::new('--multiline', '--multiline', [CompletionResultType]::ParameterName, 'A line that matches begins an entry; others join the entry before')
            [CompletionResult]::new('--multiline-wait', '--multiline-wait', [CompletionResultType]::ParameterName, 'How long an open multi-line entry waits for more')
            [CompletionResult]::new('--max-line-size', '--max-line-size', [CompletionResultType]::ParameterName, 'The largest entry as shipped; longer lines are cut into several entries')
            [CompletionResult]::new('--include', '--include', [CompletionResultType]::ParameterName, 'Ship only lines that match (repeatable)')
            [CompletionResult]::new('--exclude', '--exclude', [CompletionResultType]::ParameterName, 'Do not ship lines that match (repeatable)')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'Label `app` [default: `default`, or the command''s name]')
            [CompletionResult]::new('--app', '--app', [CompletionResultType]::ParameterName, 'Label `app` [default: `default`, or the command''s name]')
            [CompletionResult]::new('-e', '-e', [CompletionResultType]::ParameterName, 'Label `env`')
            [CompletionResult]::new('--env', '--env', [CompletionResultType]::ParameterName, 'Label `env`')
            [CompletionResult]::new('--level', '--level', [CompletionResultType]::ParameterName, 'Label `level` for entries in which no level is found')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'A further label on every entry (repeatable); {a="b",c="d"} is taken too')
            [CompletionResult]::new('--label', '--label', [CompletionResultType]::ParameterName, 'A further label on every entry (repeatable); {a="b",c="d"} is taken too')
            [CompletionResult]::new('--label-field', '--label-field', [CompletionResultType]::ParameterName, 'Make a label of this field of the line (repeatable)')
            [CompletionResult]::new('--max-streams', '--max-streams', [CompletionResultType]::ParameterName, 'How many label sets --label-field may make; past it the field stays a field')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'A further field on every entry (repeatable)')
            [CompletionResult]::new('--field', '--field', [CompletionResultType]::ParameterName, 'A further field on every entry (repeatable)')
            [CompletionResult]::new('--parse', '--parse', [CompletionResultType]::ParameterName, 'Where fields and levels are read from')
            [CompletionResult]::new('--layout', '--layout', [CompletionResultType]::ParameterName, 'How an entry is laid out')
            [CompletionResult]::new('--time', '--time', [CompletionResultType]::ParameterName, 'Where the timestamp comes from: `arrival`, `prefix` (it begins the line), or a field''s name')
            [CompletionResult]::new('--batch-size', '--batch-size', [CompletionResultType]::ParameterName, 'Send a batch (of all streams) when it has N entries …')
            [CompletionResult]::new('--batch-bytes', '--batch-bytes', [CompletionResultType]::ParameterName, '… or at this cost (line + fields + 64 bytes an entry) …')
            [CompletionResult]::new('--flush-interval', '--flush-interval', [CompletionResultType]::ParameterName, '… or when its first entry is this old')
            [CompletionResult]::new('--gzip-level', '--gzip-level', [CompletionResultType]::ParameterName, 'Compression of requests; 0 sends plain JSON')
            [CompletionResult]::new('--buffer', '--buffer', [CompletionResultType]::ParameterName, 'Memory for batches that wait, compressed')
            [CompletionResult]::new('--on-full', '--on-full', [CompletionResultType]::ParameterName, 'What happens when the buffer is full')
            [CompletionResult]::new('--max-retries', '--max-retries', [CompletionResultType]::ParameterName, 'Give a batch up after N retries [default: never]')
            [CompletionResult]::new('--limit-rate', '--limit-rate', [CompletionResultType]::ParameterName, 'At most this many bytes of lines a second')
            [CompletionResult]::new('--retry-backoff', '--retry-backoff', [CompletionResultType]::ParameterName, 'First wait before a retry; doubled with each, and spread by a quarter')
            [CompletionResult]::new('--max-backoff', '--max-backoff', [CompletionResultType]::ParameterName, 'Longest wait before a retry')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time for one request')
            [CompletionResult]::new('--connections', '--connections', [CompletionResultType]::ParameterName, 'Requests of one batch under way at once')
            [CompletionResult]::new('--flush-timeout', '--flush-timeout', [CompletionResultType]::ParameterName, 'After the end of input, give up when nothing was accepted for this long')
            [CompletionResult]::new('--linger', '--linger', [CompletionResultType]::ParameterName, 'How long a pipe is still read after a stop was asked for')
            [CompletionResult]::new('--spool', '--spool', [CompletionResultType]::ParameterName, 'Keep batches here until their fate is known; the next run delivers what is left')
            [CompletionResult]::new('--spool-size', '--spool-size', [CompletionResultType]::ParameterName, 'The most the spool may hold; past it --on-full rules')
            [CompletionResult]::new('--dead-letter', '--dead-letter', [CompletionResultType]::ParameterName, 'Append entries that Loki refused to this file, as JSON lines')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'Loki''s base address, or a whole push address [default: http://localhost:3100]')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'Loki''s base address, or a whole push address [default: http://localhost:3100]')
            [CompletionResult]::new('--username', '--username', [CompletionResultType]::ParameterName, 'User for basic auth (LOKI_USERNAME)')
            [CompletionResult]::new('--password', '--password', [CompletionResultType]::ParameterName, 'Password for basic auth (LOKI_PASSWORD)')
            [CompletionResult]::new('--password-file', '--password-file', [CompletionResultType]::ParameterName, 'File that holds the password')
            [CompletionResult]::new('--bearer-token', '--bearer-token', [CompletionResultType]::ParameterName, 'Token for bearer auth (LOKI_BEARER_TOKEN)')
            [CompletionResult]::new('--bearer-token-file', '--bearer-token-file', [CompletionResultType]::ParameterName, 'File that holds the token (LOKI_BEARER_TOKEN_FILE)')
            [CompletionResult]::new('--auth-header', '--auth-header', [CompletionResultType]::ParameterName, 'Header that carries the credentials [default: Authorization] (LOKI_AUTH_HEADER)')
            [CompletionResult]::new('--org-id', '--org-id', [CompletionResultType]::ParameterName, 'Tenant, sent as X-Scope-OrgID (LOKI_ORG_ID)')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'A further request header (repeatable)')
            [CompletionResult]::new('--ca-cert', '--ca-cert', [CompletionResultType]::ParameterName, 'Trust this certificate authority, in PEM (LOKI_CA_CERT_PATH)')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Client certificate, in PEM (LOKI_CLIENT_CERT_PATH)')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Key of the client certificate, in PEM (LOKI_CLIENT_KEY_PATH)')
            [CompletionResult]::new('--proxy-url', '--proxy-url', [CompletionResultType]::ParameterName, 'Proxy for all requests (LOKI_HTTP_PROXY_URL) [default: HTTPS_PROXY, HTTP_PROXY, NO_PROXY]')
            [CompletionResult]::new('--summary', '--summary', [CompletionResultType]::ParameterName, 'At the end, say on stderr what became of every entry')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'A bar with rate and time left')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Keep following each FILE by name as it grows, like tail -F')
            [CompletionResult]::new('--follow', '--follow', [CompletionResultType]::ParameterName, 'Keep following each FILE by name as it grows, like tail -F')
            [CompletionResult]::new('--no-exit-entry', '--no-exit-entry', [CompletionResultType]::ParameterName, 'In command mode, do not ship the closing entry')
            [CompletionResult]::new('-0', '-0', [CompletionResultType]::ParameterName, 'Records end in NUL, not newline')
            [CompletionResult]::new('--null', '--null', [CompletionResultType]::ParameterName, 'Records end in NUL, not newline')
            [CompletionResult]::new('--strip-ansi', '--strip-ansi', [CompletionResultType]::ParameterName, 'Remove terminal escape sequences (colours) from lines')
            [CompletionResult]::new('--spool-sync', '--spool-sync', [CompletionResultType]::ParameterName, 'fsync each spooled batch, against power cuts')
            [CompletionResult]::new('--drain', '--drain', [CompletionResultType]::ParameterName, 'Deliver what the spool holds, then exit')
            [CompletionResult]::new('--tls-skip-verify', '--tls-skip-verify', [CompletionResultType]::ParameterName, 'Do not check the server''s certificate (LOKI_TLS_SKIP_VERIFY)')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Pass the input through unchanged, at once')
            [CompletionResult]::new('--tee', '--tee', [CompletionResultType]::ParameterName, 'Pass the input through unchanged, at once')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Send nothing; print each entry as `TIME {labels} line`')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'Test the way to Loki, and say what failed and what to do')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say retries and batches too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say retries and batches too')
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
