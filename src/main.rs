//! The program: arguments in, exit status out; the rest is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(loki_push::run(std::env::args_os()))
}
