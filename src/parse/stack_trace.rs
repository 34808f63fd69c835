//! The lines of stack traces, as the runtimes of common languages print them.

/// What a line is to the entry before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceLine {
    /// Part of a trace, or indented: it belongs to the entry before it.
    Continuation,
    /// The name of an exception and its message. It ends a Python trace and starts a Java trace,
    /// after the line that logs it.
    Exception,
    /// A blank line, as between the parts of a trace.
    Blank,
    /// Any other line.
    Other,
}

/// Classifies lines in order, since some are part of a trace only after certain others.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceReader {
    /// In a Python trace; the next line that is not indented names the exception.
    python: bool,
    /// In the calls of a goroutine.
    goroutine: bool,
    /// After the first line of a Rust panic; its message is the next line.
    panicked: bool,
}

impl TraceReader {
    /// Classifies the next line.
    pub fn read(&mut self, line: &[u8]) -> TraceLine {
        let Some(first) = line.first() else {
            return TraceLine::Blank;
        };
        if matches!(first, b' ' | b'\t') {
            return TraceLine::Continuation;
        }
        let before = std::mem::take(self);
        if line.starts_with(b"Traceback (") {
            self.python = true;
        } else if line.starts_with(b"goroutine ") && line.contains(&b'[') {
            self.goroutine = true;
        } else if line.starts_with(b"thread '") && find(line, b" panicked at ") {
            self.panicked = line.ends_with(b":");
            return TraceLine::Other;
        } else if before.goroutine && is_call(line) {
            self.goroutine = !line.starts_with(b"exit status ");
        } else if is_exception(line) || before.python && exception_name(line).is_some() {
            // The exception that ends a Python trace may have any name.
            return TraceLine::Exception;
        } else if !before.panicked && !is_frame(line) {
            return TraceLine::Other;
        }
        TraceLine::Continuation
    }
}

fn find(line: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(line, text).is_some()
}

fn starts_with_digit(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_digit)
}

/// Whether the line is part of a trace in any context.
fn is_frame(line: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 19] = [
        b"--- End of ",
        b"---> ",
        b"... ",
        b"Caused by:",
        b"During handling of ",
        b"PHP   ",
        b"PHP Stack trace:",
        b"Stack trace:",
        b"Suppressed:",
        b"The above exception was ",
        b"[previous exception]",
        b"[signal SIG",
        b"[stacktrace]",
        b"created by ",
        b"note: Some details are omitted",
        b"note: run with `RUST_BACKTRACE",
        b"stack backtrace:",
        b"stack traceback:",
        b"wrapped by:",
    ];
    match line {
        [b'a', b't', b' ', frame @ ..] => {
            let place = frame.split(|byte| *byte == b' ').next().unwrap_or_default();
            place
                .iter()
                .any(|byte| matches!(byte, b'.' | b'(' | b'/' | b'<' | b':'))
        }
        [b'#', number @ ..] => {
            let digits = number
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            (1..=4).contains(&digits) && number.get(digits) == Some(&b' ')
        }
        [b'.', b'.', b'.', b' ', rest @ ..] => starts_with_digit(rest),
        [b'P', b'H', b'P', b' ', b' ', rest @ ..] => starts_with_digit(rest.trim_ascii_start()),
        [b'f', b'r', b'o', b'm', b' ', frame @ ..] => is_ruby_frame(frame),
        [b'"', b'}', ..] => true,
        [
            b'-' | b'C' | b'D' | b'P' | b'S' | b'T' | b'[' | b'c' | b'n' | b's' | b'w',
            ..,
        ] if BEGINNINGS
            .iter()
            .any(|beginning| line.starts_with(beginning)) =>
        {
            true
        }
        _ => is_ruby_frame(line),
    }
}

/// `app/models/user.rb:42:in 'save'`
fn is_ruby_frame(line: &[u8]) -> bool {
    let place = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    place.ends_with(b":in") && find(place, b".rb:")
}

/// `main.(*Server).run(0xc000010000)`, `panic({0x1, 0x2})`, `created by main.main`, and the line
/// with which `go run` ends.
fn is_call(line: &[u8]) -> bool {
    let open = line.iter().position(|byte| matches!(byte, b'(' | b' '));
    let call = open.is_some_and(|open| line[open] == b'(' && open > 0) && line.ends_with(b")");
    call || line.starts_with(b"created by ") || line.starts_with(b"exit status ")
}

/// The last part of the name at the start of the line, up to a colon, if it may be an exception:
/// identifiers joined by `.`, `::` or `\`.
fn exception_name(line: &[u8]) -> Option<&[u8]> {
    /// No exception has a longer name.
    const LONGEST: usize = 200;
    let is_name = |byte: &&u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'.' | b'$' | b'\\')
            || !byte.is_ascii()
    };
    let length = line.iter().take(LONGEST).take_while(is_name).count();
    let (name, rest) = match line.get(length..) {
        // `ActiveRecord::RecordNotFound`
        Some([b':', b':', inner @ ..]) => {
            let more = inner.iter().take(LONGEST).take_while(is_name).count();
            line.split_at(length + 2 + more)
        }
        _ => line.split_at(length),
    };
    let last = name
        .rsplit(|byte| matches!(byte, b'.' | b':' | b'$' | b'\\'))
        .next()?;
    let ends = matches!(rest, [] | [b':'] | [b':', b' ' | b'\t', ..]);
    (ends && last.first().is_some_and(u8::is_ascii_uppercase)).then_some(last)
}

/// `java.lang.IllegalStateException: …`, `ValueError: …`, and such a name alone. A plain `Error:`
/// is a line of its own.
fn is_exception(line: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 6] = [
        b"Exception",
        b"Error",
        b"Throwable",
        b"KeyboardInterrupt",
        b"SystemExit",
        b"StopIteration",
    ];
    exception_name(line)
        .is_some_and(|name| name != b"Error" && ENDINGS.iter().any(|ending| name.ends_with(ending)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Vec<TraceLine> {
        let mut reader = TraceReader::default();
        lines
            .split('\n')
            .map(|line| reader.read(line.as_bytes()))
            .collect()
    }

    #[test]
    fn lines_of_traces_are_told_from_others() {
        for line in [
            "\tat com.example.Foo.bar(Foo.java:12)",
            " x",
            "at com.example.Foo.bar(Foo.java:12)",
            "at /srv/app.js:3:4",
            "at <anonymous>",
            "Caused by: java.lang.Error: x",
            "... 12 more",
            "... 3 common frames omitted",
            "Suppressed: x",
            "Traceback (most recent call last):",
            "During handling of the above exception, another exception occurred:",
            "The above exception was the direct cause of the following exception:",
            "goroutine 1 [running]:",
            "[signal SIGSEGV: segmentation violation code=0x1]",
            "#0 /srv/index.php(3): foo()",
            "#12 {main}",
            "Stack trace:",
            "PHP   1. {main}() /srv/index.php:0",
            "from /srv/app.rb:5:in 'run'",
            "app/models/user.rb:42:in `save'",
            "--- End of stack trace from previous location ---",
            "---> System.Exception: x",
            "stack backtrace:",
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
        ] {
            assert_eq!(read(line), [TraceLine::Continuation], "{line}");
        }
        for line in [
            "java.lang.IllegalStateException: x",
            "java.lang.NullPointerException",
            "ValueError: x",
            "App\\Exceptions\\PaymentException: x",
            "Net::ReadError: x",
            "KeyboardInterrupt",
        ] {
            assert_eq!(read(line), [TraceLine::Exception], "{line}");
        }
        for line in [
            "x",
            "at the store",
            "at",
            "#",
            "# a comment",
            "#1",
            "... and so on",
            "from me to you",
            "PHP  is fine",
            "Error: x",
            "ValueError is raised",
            "an Exception: x",
            "java.lang.Foo: x",
            "Stack traces are long",
            "created with love",
            "main.main()",
            "2024-01-02 ERROR x",
        ] {
            assert_eq!(read(line), [TraceLine::Other], "{line}");
        }
        assert_eq!(read(""), [TraceLine::Blank]);
    }

    #[test]
    fn some_lines_belong_to_a_trace_only_after_others() {
        use TraceLine::{Blank, Continuation, Exception, Other};
        assert_eq!(
            read(
                "Traceback (most recent call last):\n  File \"x\", line 1\napp.Gone: x\napp.Gone: y"
            ),
            [Continuation, Continuation, Exception, Other]
        );
        assert_eq!(
            read(
                "panic: x\n\ngoroutine 1 [running]:\nmain.main()\n\t/x.go:1\nexit status 2\nmain.main()"
            ),
            [
                Other,
                Blank,
                Continuation,
                Continuation,
                Continuation,
                Continuation,
                Other
            ]
        );
        assert_eq!(
            read("thread 'main' panicked at x.rs:1:2:\nall is lost\nnext"),
            [Other, Continuation, Other]
        );
    }

    #[test]
    fn long_lines_take_linear_time() {
        for text in ["a", "A.", "a::", "at ", "#1", "."] {
            let line = text.repeat(100_000);
            let _ = TraceReader::default().read(line.as_bytes());
        }
    }
}
